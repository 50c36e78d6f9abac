"""Early stopping, the best epoch's weights, clipped gradients, further callbacks, fine-tuning."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import IN_STAGES, optimizers, tiny, tiny_values
from helpers import one_line

from tfgen import data, recipes, runs
from tfgen.runs.regime import Regime, best_of, end_of, judged_from
from tfgen.runs.training import take
from tfgen.runs.tuning.tuner import judged
from tfgen.serialization import networks_of


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def train(digits, out, recipe="autoencoder", epochs=2, values=None, **about):
    return runs.train(recipe, digits, out, epochs, tiny_values(recipe) | (values or {}), batch_size=512, verbose=0,
                      picture_every=9, **about)


def test_the_best_epoch():
    rows = [{"epoch": index + 1, "loss": value} for index, value in enumerate((3.0, 1.0, float("nan"), 1.0, 2.0))]
    assert best_of(rows, ("loss", "min")) == (2, 3) and best_of(rows, ("loss", "max")) == (1, 4)
    assert best_of(rows, ("other", "min")) == best_of([], ("loss", "min")) == (0, 0)


@pytest.fixture
def worse_after_two(monkeypatch):
    """The objective of each epoch is said to be 3, 1, 2, 2, ..."""
    def told(self, epoch, logs=None):
        logs["val_mse"] = {0: 3.0, 1: 1.0}.get(epoch, 2.0)

    monkeypatch.setattr(runs.callbacks.StopOnNaN, "on_epoch_end", told)


@pytest.mark.rotating
def test_patience_stops_and_the_best_is_kept(digits, tmp_path, worse_after_two, capsys):
    out = tmp_path / "run"
    model = train(digits, out, epochs=9, regime=Regime(patience=2, keep="best"))
    assert [row["epoch"] for row in runs.read_history(out)] == [1, 2, 3, 4]
    assert "ends with the weights of epoch 2 of 4, the best by val_mse" in capsys.readouterr().err
    best = runs.load_model(out / "checkpoints" / "best.keras")
    for ours, theirs, saved in zip(model.weights, best.weights, runs.load_model(out / "model.keras").weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, saved)
    # The whole training of that epoch, not its weights alone.
    assert int(best.optimizer.iterations) == int(model.optimizer.iterations) == 2 * digits.steps(512)
    runs.checkpoints.restore(best, out / "checkpoints" / "best.keras")
    for ours, theirs in zip(optimizers(model), optimizers(best), strict=True):
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one, other)
    # It has ended, and is not trained further.
    resumed = runs.resume(out, verbose=0)
    assert len(runs.read_history(out)) == 4
    np.testing.assert_array_equal(resumed.weights[0], model.weights[0])
    # What is damaged, or not of that epoch, is not taken for the best.
    content = bytearray((out / "checkpoints" / "best.keras").read_bytes())
    content[len(content) // 3] ^= 4
    for harm in (bytes(content), runs.checkpoints.newest(out)[0].read_bytes(), None):
        (out / "checkpoints" / "best.keras").unlink()
        if harm:
            (out / "checkpoints" / "best.keras").write_bytes(harm)
        last = runs.resume(out, verbose=0)
        assert "best.keras is damaged or not of epoch 2" in capsys.readouterr().err
        assert int(last.optimizer.iterations) == 4 * digits.steps(512)


@pytest.mark.rotating
def test_patience_is_asked_in_the_middle_of_an_epoch_too(digits, tmp_path, worse_after_two, monkeypatch):
    """Killed within the epoch after which it stops: the rest of that epoch is its last."""
    real = runs.callbacks.Checkpoint.on_train_batch_end

    def end(self, batch, logs=None):
        real(self, batch, logs)
        if int(self.model.optimizer.iterations) == 3 * digits.steps(512) + 1:
            raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(runs.callbacks.Checkpoint, "on_train_batch_end", end)
        with pytest.raises(RuntimeError):
            train(digits, tmp_path / "run", epochs=9, steps_per_execution=1, regime=Regime(checkpoint_steps=1, patience=2))
    runs.resume(tmp_path / "run", verbose=0)
    assert [row["epoch"] for row in runs.read_history(tmp_path / "run")] == [1, 2, 3, 4]
    # That was the end, at which the last epoch is drawn.
    assert [path.name for path in (tmp_path / "run" / "reconstructions").iterdir()] == ["epoch-0004.png"]


@pytest.mark.rotating
def test_what_is_judged_is_of_the_last_stage(tmp_path, monkeypatch):
    """The network of `padim` rests in its last stage, so that the objective is that of the epoch before: the first would be
    the best, of a detector that knows no images. Patience, too, waits for what the objective measures."""
    normal = data.load("digits", normal=1)
    model = train(normal, tmp_path / "padim", "padim", 4, {"network_share": 0.5, "total_steps": 4},
                  regime=Regime(keep="best"))
    assert float(model.gaussians.count) > 0
    # The fourth epoch is the first of the last stage.
    monkeypatch.setattr(runs.callbacks.StopOnNaN, "on_epoch_end",
                        lambda self, epoch, logs: logs.update(val_distance=float(epoch)))
    train(normal, tmp_path / "deep_svdd", "deep_svdd", 6, {"pretrain_share": 0.5, "total_steps": 6},
          regime=Regime(patience=1))
    assert [row["epoch"] for row in runs.read_history(tmp_path / "deep_svdd")] == [1, 2, 3, 4, 5]
    assert judged({"a": [1, 2, 3]}, 2) == {"a": [3]}
    assert judged({"a": [1, 2, 3]}, 0) == judged({"a": [1, 2, 3]}, 3) == judged({"a": [1, 2, 3]}, -1) == {"a": [1, 2, 3]}


@pytest.mark.rotating
@pytest.mark.parametrize("name", IN_STAGES)
def test_the_last_stage_begins_where_its_branch_does(name):
    model = tiny(name)
    begins = model.last_stage_begins(40)
    stages = [int(model.stage_at(tf.constant(step))) for step in range(40)]
    assert stages == sorted(stages) and begins == next(
        (step for step, stage in enumerate(stages) if stage == model.stages - 1), 40)
    assert judged_from(model, 10, 4) == 1 + -(-begins // 10)


@pytest.mark.rotating
def test_more_epochs_of_a_run_that_patience_has_ended(digits, tmp_path, worse_after_two):
    train(digits, tmp_path / "run", epochs=9, regime=Regime(patience=2))
    assert len(runs.read_history(tmp_path / "run")) == 4
    runs.resume(tmp_path / "run", verbose=0)
    assert len(runs.read_history(tmp_path / "run")) == 4
    runs.resume(tmp_path / "run", epochs=12, verbose=0)
    assert len(runs.read_history(tmp_path / "run")) == 6


def test_gradients_are_scaled_down_to_the_norm():
    """By hand: a gradient (3, 4) of norm 5 becomes (0.6, 0.8) times the norm; both players have it."""
    model = recipes.find("autoencoder").model(data.load("digits").spec, **tiny_values("autoencoder"))
    optimizer = Regime(clip_norm=0.5).prepared(model).optimizer
    made = optimizer._clip_gradients([tf.constant([3.0, 4.0])])
    np.testing.assert_allclose(made[0], [0.3, 0.4], rtol=1e-6)
    gan = Regime(clip_norm=0.5).prepared(recipes.find("gan").model(data.load("digits").spec, **tiny_values("gan")))
    assert gan.optimizer.global_clipnorm == gan.critic_optimizer.global_clipnorm == 0.5


def test_clipping_reaches_the_training_and_its_files(digits, tmp_path):
    """A step of SGD of rate 1 moves the weights by the norm of the gradient, which is clipped."""
    model = recipes.find("autoencoder").model(digits.spec, **tiny_values("autoencoder"))
    model.compile(keras.optimizers.SGD(1.0))
    before = [weight.numpy() for weight in model.trainable_variables]
    Regime(clip_norm=1e-3).prepared(model)
    runs.budget.fit(model, digits, recipes.find("autoencoder"), 64, 1, steps=1, validate=False)
    moved = sum(np.sum((weight.numpy() - old) ** 2) for weight, old in zip(model.trainable_variables, before, strict=True))
    assert np.sqrt(moved) == pytest.approx(1e-3, rel=1e-2)
    train(digits, tmp_path / "run", epochs=1, regime=Regime(clip_norm=0.25))
    assert runs.open_run(tmp_path / "run")[0].optimizer.global_clipnorm == 0.25


def test_clipping_and_schedules_reach_the_optimizer_within_a_loss_scale():
    """The outer one has neither a clipping nor a rate of its own."""
    model = recipes.find("autoencoder").model(data.load("digits").spec, **tiny_values("autoencoder"))
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)))
    inner = Regime(clip_norm=0.5, schedule="cosine", warmup=2).compiled(model, 10).optimizer.inner_optimizer
    np.testing.assert_allclose(inner._clip_gradients([tf.constant([3.0, 4.0])])[0], [0.3, 0.4], rtol=1e-6)
    assert float(inner.learning_rate) == 0.0 and end_of(model) == 10


@pytest.fixture
def trackers(tmp_path, monkeypatch):
    """Functions of callbacks in modules of the current folder."""
    (tmp_path / "trackers_of_the_test.py").write_text(
        "import keras\nseen = []\n\n\ndef track(out, settings):\n    assert (out / 'run.json').exists()\n"
        "    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(\n"
        "        (out.name, settings['recipe'], epoch, sorted(logs))))\n\n\ndef nothing(out, settings):\n    return 3\n\n\n"
        "def offline(out, settings):\n    raise RuntimeError('no\\nserver')\n")
    (tmp_path / "broken_of_the_test.py").write_text("def track(:\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.rotating
def test_further_callbacks(digits, tmp_path, trackers):
    train(digits, tmp_path / "run", epochs=1, regime=Regime(callbacks=("trackers_of_the_test:track",)))
    runs.resume(tmp_path / "run", epochs=2, verbose=0)
    import trackers_of_the_test

    assert [row[:3] for row in trackers_of_the_test.seen] == [("run", "autoencoder", 0), ("run", "autoencoder", 1)]
    assert "val_loss" in trackers_of_the_test.seen[0][3]


def test_further_callbacks_that_are_none(tmp_path, trackers):
    for text in ("nosuchmodule:track", "trackers_of_the_test:nosuch", "trackers_of_the_test", "broken_of_the_test:track"):
        one_line([text, "MODULE:FUNCTION"], Regime(callbacks=(text,)).check, None, None)


@pytest.mark.parametrize("name, words", [
    ("nothing", "expected Keras callbacks from trackers_of_the_test:nothing, received 3"),
    ("offline", "a callback from trackers_of_the_test:offline, received RuntimeError: no server")])
def test_a_refused_callback_leaves_the_folder_as_it_was(digits, tmp_path, trackers, name, words):
    """A run that was killed before its first checkpoint can go on with its run.json."""
    for folder, files in (("new", {}), ("killed", {"run.json": b'{"recipe": "vae"}\n'})):
        out = tmp_path / folder
        out.mkdir()
        for file, content in files.items():
            (out / file).write_bytes(content)
        one_line([words], train, digits, out, regime=Regime(callbacks=(f"trackers_of_the_test:{name}",)))
        assert {path.name: path.read_bytes() for path in out.iterdir()} == files


@pytest.mark.rotating
def test_a_run_begins_with_another(digits, tmp_path, capsys, monkeypatch):
    first = train(digits, tmp_path / "first", epochs=1, values={"latent_dim": 5})
    weights = [weight.numpy() for weight in first.weights]
    capsys.readouterr()
    train(data.load("digits", normal=3), tmp_path / "second", epochs=1, values={"learning_rate": 1e-5, "latent_dim": 5},
          start=tmp_path / "first")
    assert f"begins with {len(weights)} of {len(weights)} weights of {tmp_path / 'first'}" in capsys.readouterr().err
    second, settings = runs.open_run(tmp_path / "second")
    assert settings["hyperparameters"]["latent_dim"] == 5 and settings["from"] == str(tmp_path / "first")
    for ours, theirs in zip(weights, second.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    # Of another shape: that weight alone begins at random.
    train(digits, tmp_path / "third", epochs=1, values={"latent_dim": 4}, start=tmp_path / "first")
    assert "(5,) for" not in (told := capsys.readouterr().err) and "; not with " in told and "(4,) for (5,)" in told
    # Counters of stages begin anew, too.
    staged = train(data.load("digits", normal=3), tmp_path / "staged", "fanogan", 2, {"total_steps": 2})
    assert int(staged.step) > 0 and int(staged.stage_at(staged.step)) == 1
    new = recipes.find("fanogan").model(data.load("digits", normal=1).spec, **tiny_values("fanogan"))
    take(new, recipes.find("fanogan"), tmp_path / "staged")
    assert int(new.step) == 0 and int(new.stage_at(new.step)) == 0
    for ours, theirs in zip(new.trainable_weights, staged.trainable_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # What the early network of guidance was kept at is no such counter, and the Gaussians of other data are none of these.
    for name, values, weight, kept in (("edm", {"early_share": 0.25}, "kept_step", True), ("padim", {}, "count", False)):
        old, new = tiny(name, **values), tiny(name, **values)
        (count,) = (one for one in old.weights if one.path.endswith(weight))
        count.assign(10)
        with monkeypatch.context() as patch:
            patch.setattr("tfgen.runs.training.open_run", lambda start, old=old: (old, None))
            take(new, recipes.find(name), tmp_path / "none")
        (found,) = (one for one in new.weights if one.path.endswith(weight))
        assert int(found) == 10 * kept
    one_line(["expected a run of vae to begin with", "one of autoencoder"], train, digits, tmp_path / "none", "vae",
             start=tmp_path / "first")
    assert not (tmp_path / "none").exists()


def test_values_out_of_range_and_data_without_the_objective_are_refused(tmp_path):
    one_line(["patience expects a number above 0", "received 0"], Regime, patience=0)
    one_line(["keep expects last or best, received 'first'"], Regime, keep="first")
    few = data.Dataset(data.DataSpec("few", (8, 8, 1), None, {"train": 40, "validation": 4, "test": 4}),
                       {split: (np.zeros((count, 8, 8, 1), np.uint8), None)
                        for split, count in (("train", 40), ("validation", 4), ("test", 4))})
    with pytest.raises(ValueError, match="go by val_frechet_distance, which these data do not allow: it expects at least"):
        runs.train("dcgan", few, tmp_path / "run", 1, tiny_values("dcgan"), 8, verbose=0, regime=Regime(patience=3))
    assert not (tmp_path / "run").exists()


@pytest.mark.rotating
def test_a_run_in_parts_is_the_run_of_whole_batches(digits, tmp_path):
    whole = runs.train("autoencoder", digits, tmp_path / "whole", 1, tiny_values("autoencoder"), 512, verbose=0)
    parts = runs.train("autoencoder", digits, tmp_path / "parts", 1, tiny_values("autoencoder"), 128, verbose=0,
                       regime=Regime(accumulate=4))
    assert int(parts.optimizer.iterations) == int(whole.optimizer.iterations) == digits.steps(512)
    for ours, theirs in zip(parts.weights, whole.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rates_rise_and_decay_with_the_steps_of_each_player():
    model = tiny("wgan_gp", critic_steps=3, learning_rate=0.02, critic_learning_rate=0.06)
    Regime(schedule="linear", warmup=10).compiled(model, 50)
    for optimizer, updates, rate in ((model.optimizer, 1, 0.02), (model.critic_optimizer, 3, 0.06)):
        found = [float(optimizer._learning_rate(updates * step)) for step in (0, 5, 10, 30, 50, 60)]
        np.testing.assert_allclose(found, rate * np.array([0.0, 0.5, 1.0, 0.5, 0.0, 0.0]), atol=1e-7)
        assert float(optimizer.learning_rate) == 0.0


def test_the_rate_of_one_player_and_of_a_recipe_with_a_schedule():
    model = tiny("dcgan", learning_rate=0.02, critic_learning_rate=0.06)
    Regime(schedule="cosine", scheduled="critic").compiled(model, 4)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)
    np.testing.assert_allclose([float(model.critic_optimizer._learning_rate(step)) for step in range(5)],
                               [0.06, 0.03 * (1 + 0.5**0.5), 0.03, 0.03 * (1 - 0.5**0.5), 0.0], atol=1e-6)
    model = tiny("edm", learning_rate=0.1, warmup_steps=4)
    Regime(schedule="linear").compiled(model, 8)
    assert float(model.optimizer._learning_rate(2)) == pytest.approx(0.1 * 0.5 * 0.75)
    with pytest.raises(ValueError, match="with a critic whose rate is to be scheduled, received one without"):
        Regime(schedule="linear", scheduled="critic").compiled(tiny("vae"), 8)


@pytest.mark.parametrize("values, told", [
    ({"schedule": "step"}, "schedule expects constant, linear or cosine, received 'step'"),
    ({"precision": "float16"}, "precision expects float32 or bfloat16, received 'float16'"),
    ({"warmup": -1}, "warmup expects a number of steps of at least 0, received -1"),
    ({"accumulate": 0}, "accumulate expects a number above 0")])
def test_values_out_of_range_are_refused(values, told):
    with pytest.raises(ValueError, match=told):
        Regime(**values)


@pytest.mark.rotating
def test_a_schedule_is_resumed_and_stretched(digits, tmp_path):
    regime = Regime(schedule="linear", warmup=1)
    train(digits, tmp_path / "run", epochs=2, regime=regime)
    with pytest.raises(ValueError, match="--extend"):
        runs.resume(tmp_path / "run", epochs=4, verbose=0)
    found = runs.resume(tmp_path / "run", epochs=4, verbose=0, extend=True)
    # One step before the end, after 1 step of warm-up.
    steps = 4 * digits.steps(512)
    assert float(found.optimizer._learning_rate(steps - 1)) == pytest.approx(1e-3 / (steps - 1), rel=1e-4)


class Killed(Exception):
    pass


def killed_at(step):
    """Something in place of `Checkpoint.on_train_batch_end` that ends a training after a step, without a checkpoint."""
    def end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= step:
            raise Killed
    return end


@pytest.mark.rotating
def test_killed_while_it_is_stretched_a_schedule_is_stretched_nevertheless(digits, tmp_path, monkeypatch):
    out, steps = tmp_path / "run", digits.steps(512)
    train(digits, out, epochs=2, regime=Regime(schedule="linear"))
    with monkeypatch.context() as patch:
        patch.setattr(runs.callbacks.Checkpoint, "on_train_batch_end", killed_at(2 * steps + 1))
        with pytest.raises(Killed):
            runs.resume(out, epochs=4, verbose=0, extend=True)
    assert end_of(runs.load_model(runs.checkpoints.newest(out)[0])) == 2 * steps
    assert end_of(runs.resume(out, verbose=0)) == 4 * steps
    # A run that ends before its schedule keeps that, and may later go on to its end.
    assert end_of(runs.resume(out, epochs=3, verbose=0)) == end_of(runs.resume(out, epochs=4, verbose=0)) == 4 * steps


@pytest.mark.rotating
def test_killed_before_its_first_checkpoint_a_run_begins_where_it_did(digits, tmp_path, monkeypatch):
    """From its seed, which may be larger than those of Keras, and with the weights of another run."""
    train(digits, tmp_path / "first", epochs=1)
    monkeypatch.chdir(tmp_path)
    again = {"epochs": 1, "seed": 2**40 + 5, "start": "first", "steps_per_execution": 1}
    whole = train(digits, tmp_path / "whole", **again)
    with monkeypatch.context() as patch:
        patch.setattr(runs.callbacks.Checkpoint, "on_train_batch_end", killed_at(1))
        with pytest.raises(Killed):
            train(digits, tmp_path / "killed", **again)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for ours, theirs in zip(runs.resume(tmp_path / "killed", verbose=0).weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.rotating
def test_bfloat16_trains_and_ends_in_float32(digits, tmp_path, monkeypatch):
    trained, made, real = [], {}, runs.running.fit

    def watched(model, *arguments, **options):
        trained.append([network.layers[-1].compute_dtype for network in networks_of(model)]
                       + sorted({layer.compute_dtype for layer in model._flatten_layers()}))
        return real(model, *arguments, **options)

    monkeypatch.setattr(runs.running, "fit", watched)
    for precision in ("float32", "bfloat16"):
        found = train(digits, tmp_path / precision, epochs=3, regime=Regime(precision=precision))
        made[precision] = runs.read_history(tmp_path / precision)[-1]["val_mse"]
        assert {layer.compute_dtype for layer in found._flatten_layers()} == {"float32"}
        assert {w.dtype for w in found.trainable_weights} == {"float32"}
    # The last layers of encoder and decoder compute in float32.
    assert trained == [["float32", "float32", "float32"], ["float32", "float32", "bfloat16", "float32"]]
    assert made["bfloat16"] == pytest.approx(made["float32"], rel=0.05)


@pytest.mark.rotating
def test_deterministic_operations_train_what_draws_fresh_noise(digits, tmp_path):
    from tensorflow.python.framework import config

    try:
        made = [train(digits, tmp_path / str(number), "vae", epochs=1, regime=Regime(deterministic=True))
                for number in (0, 1)]
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()
    for ours, theirs in zip(made[0].weights, made[1].weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
