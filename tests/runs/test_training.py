"""The run folder: what is in it, resuming, interruption."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import TINY, tiny_values

from tfgen import Autoencoder, data, evaluation, losses, recipes, runs
from tfgen.errors import UserError
from tfgen.runs import callbacks, folder


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def train(digits, out, recipe="vae", epochs=2, values=None, **about):
    values = tiny_values(recipe) | (values or {})
    return runs.train(recipe, digits, out, epochs, values, batch_size=256, verbose=0, **about)


# In one process, so that the run is trained once.
shares_a_run = pytest.mark.xdist_group("one_epoch")


@pytest.fixture(scope="module")
def one_epoch(digits, tmp_path_factory):
    """A run of the recipe `vae` that has trained for one epoch; tests work on a copy."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(digits, out, epochs=1)
    return out


@pytest.fixture
def run(one_epoch, tmp_path):
    """A copy of the run of one epoch."""
    return shutil.copytree(one_epoch, tmp_path / "run")


def shown_on_board(out):
    """{(tag, step)} of a run's TensorBoard files."""
    events = [event for path in (out / "tensorboard").rglob("*events*")
              for event in tf.compat.v1.train.summary_iterator(str(path))]
    return {(value.tag, event.step) for event in events for value in event.summary.value}


@pytest.mark.rotating
def test_a_run_folder_holds_everything(digits, tmp_path):
    model = train(digits, tmp_path / "run", tensorboard=True)
    names = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert {"run.json", "history.csv", "curves.png", "metrics.json", "model.keras", "latent.png", "interpolation.png",
            "samples/epoch-0001.png", "samples/epoch-0002.png", "reconstructions/epoch-0002.png",
            "checkpoints/best.keras"} <= names
    assert {name[:27] for name in names if "step-" in name} == {f"checkpoints/step-{step:09d}-" for step in (5, 10)}
    assert not any("/." in name for name in names)
    assert shown_on_board(tmp_path / "run") >= {("samples", 1), ("samples", 2), ("reconstructions", 2),
                                                ("_hparams_/session_start_info", 0), ("best_val_elbo", 2), ("epoch_loss", 1)}
    settings = runs.read(tmp_path / "run")
    assert settings["recipe"] == "vae" and settings["hyperparameters"]["latent_dim"] == TINY["latent_dim"]
    rows = runs.read_history(tmp_path / "run")
    assert [row["epoch"] for row in rows] == [1, 2] and {"loss", "kl", "val_elbo"} <= set(rows[0])
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())["validation"]
    assert figures["images"] == 200 and np.isfinite(figures["negative_cross_entropy_bound"])
    loaded, _ = runs.open_run(tmp_path / "run")
    x = runs.examples(digits)[0]
    np.testing.assert_allclose(loaded.reconstruct(x), model.reconstruct(x), atol=1e-6)


@shares_a_run
def test_a_seed_repeats_the_run(digits, one_epoch, tmp_path, unmeasured):
    keras.utils.set_random_seed(99)
    for seed in (0, 5):
        train(digits, tmp_path / str(seed), seed=seed, epochs=1)
    usual, again, other = ((out / "history.csv").read_text() for out in (one_epoch, tmp_path / "0", tmp_path / "5"))
    assert usual == again != other


@shares_a_run
def test_resume_goes_on_from_the_last_epoch(digits, run, capsys, unmeasured):
    (run / "model.keras").unlink()
    model = runs.resume(run, epochs=3, verbose=0)
    assert int(model.optimizer.iterations) == 3 * digits.steps(256)
    assert [row["epoch"] for row in runs.read_history(run)] == [1, 2, 3]
    assert (run / "model.keras").exists() and runs.read(run)["epochs"] == 3
    assert int(runs.resume(run, verbose=0).optimizer.iterations) == 3 * digits.steps(256)
    # It keeps them, and so does what it says of itself.
    assert int(runs.resume(run, epochs=2, verbose=0).optimizer.iterations) == 3 * digits.steps(256)
    assert runs.read(run)["epochs"] == 3 and "has made 3 epochs, more than 2, and is not" in capsys.readouterr().err


@pytest.mark.rotating
@pytest.mark.parametrize("at_most, taken", [(4, 1), (16, 5)])
def test_steps_per_execution_never_leave_the_epoch(digits, tmp_path, at_most, taken):
    model = train(digits, tmp_path / "run", "autoencoder", steps_per_execution=at_most)
    assert model.steps_per_execution == taken and int(model.optimizer.iterations) == 2 * digits.steps(256)


@shares_a_run
def test_resume_drops_history_that_no_checkpoint_backs(run, unmeasured):
    with open(run / "history.csv", "a") as file:
        file.write("2" + ",0.5" * (len(runs.read_history(run)[0]) - 1) + "\n")
    runs.resume(run, epochs=2, verbose=0)
    rows = runs.read_history(run)
    assert [row["epoch"] for row in rows] == [1, 2] and rows[1]["loss"] != 0.5


def test_ctrl_c_saves_and_resume_completes_the_epoch(digits, tmp_path, unmeasured):
    out = tmp_path / "run"

    class PressCtrlC(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 7:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)

    original = runs.drawing.Pictures
    try:
        runs.drawing.Pictures = lambda *args: PressCtrlC()
        assert threading.current_thread() is threading.main_thread()
        with pytest.raises(KeyboardInterrupt, match="--resume"):
            train(digits, out, epochs=3, steps_per_execution=1)
    finally:
        runs.drawing.Pictures = original
    assert runs.checkpoints.newest(out)[1] == 7 and (out / "model.keras").exists()
    model = runs.resume(out, verbose=0)
    assert int(model.optimizer.iterations) == 15
    assert [row["epoch"] for row in runs.read_history(out)] == [1, 2, 3]


def test_a_loss_that_is_no_number_is_never_saved(digits, tmp_path, monkeypatch):
    nothing = float("nan")
    monkeypatch.setattr(Autoencoder, "reconstruction_losses", lambda self, made, target: {
        "reconstruction": nothing * keras.ops.mean(made), "mse": keras.ops.mean(target)})
    with pytest.raises(callbacks.TrainingDiverged, match="epoch 1"):
        train(digits, tmp_path / "run", "autoencoder")
    assert runs.checkpoints.newest(tmp_path / "run")[0] is None and not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.rotating
def test_an_adversarial_run_measures_its_samples_and_sees_the_doctor(digits, tmp_path):
    out = tmp_path / "run"
    train(digits, out, "wgan_gp", epochs=1, values={"critic_steps": 2})
    model = runs.resume(out, epochs=2, verbose=0)
    # Two critic updates a step, so half as many steps.
    assert int(model.optimizer.iterations) == 2 * digits.steps(512) == int(model.critic_optimizer.iterations) // 2
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"critic.png", "doctor.txt", "curves.png", "samples/epoch-0002.png", "model.keras"} <= names
    rows = runs.read_history(out)
    assert len(rows) == 2 and all(row["val_frechet_distance"] > 0 for row in rows)
    figures = json.loads((out / "metrics.json").read_text())["validation"]["samples"]
    assert figures["n_fake"] == 10_000 and figures["extractor"] == "tfgen-classifier:digits" and figures["checksum"]
    loaded, _ = runs.open_run(out)
    np.testing.assert_allclose(loaded.sample(np.arange(3)), model.sample(np.arange(3)), atol=1e-6)


def test_a_diverging_player_is_named_with_its_step(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(losses.Wasserstein, "critic", lambda self, real, fake: keras.ops.log(-1.0 - real[0, 0] ** 2))
    with pytest.raises(callbacks.TrainingDiverged, match="'critic_loss' was not finite at step 1 of epoch 1"):
        train(digits, tmp_path / "run", "wgan_gp")
    assert runs.checkpoints.newest(tmp_path / "run")[0] is None and not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize("change, message", [
    ({"epochs": 0}, "epochs expects at least 1"), ({"values": {"latent": 3}}, "no hyperparameter 'latent'"),
    ({"batch_size": 0}, "batch_size expects"), ({"recipe": "vea"}, "did you mean 'vae'"),
])
def test_mistakes_write_nothing(digits, tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        runs.train(**{"recipe": "vae", "dataset": digits, "out": tmp_path / "run", "verbose": 0} | change)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


@shares_a_run
def test_a_run_is_never_overwritten(digits, run):
    with pytest.raises(ValueError, match="holds a run already"):
        train(digits, run, epochs=1)


def test_a_history_of_something_else_is_never_overwritten(digits, tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss\n1,2.0\n")
    with pytest.raises(ValueError, match="expected a new folder or one of a run for --out, found history.csv in"):
        train(digits, tmp_path, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_a_history_is_read_as_it_was_written(tmp_path):
    """A value that is not measured in every epoch has empty cells, in a resumed run as in an unbroken one."""
    history = callbacks.History(tmp_path, [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5, "val_x": 3.0}])
    history.write()
    written = (tmp_path / "history.csv").read_text()
    assert runs.read_history(tmp_path) == history.rows and written == "epoch,loss,val_x\n1,1.0,\n2,0.5,3.0\n"
    (tmp_path / "history.csv").write_text("loss\n1.0\n")
    with pytest.raises(ValueError, match=r"expected numbers in .*history.csv, it cannot be read \('epoch'\)"):
        runs.read_history(tmp_path)


@shares_a_run
def test_two_trainings_do_not_write_one_folder(digits, run, tmp_path, unmeasured):
    from tfgen import files

    (run / "samples" / f"{files.ASIDE}half.png").write_text("half")
    with files.held(run), pytest.raises(ValueError, match="another training"):
        runs.resume(run, epochs=2, verbose=0)
    assert runs.read(run)["epochs"] == 1
    runs.resume(run, epochs=1, verbose=0)
    assert not list(run.rglob(".*"))
    with files.held(tmp_path / "new"), pytest.raises(ValueError, match="another training"):
        train(digits, tmp_path / "new", epochs=1)
    assert not list((tmp_path / "new").iterdir())


def test_a_run_keeps_the_labels_that_it_was_trained_with(tmp_path, capsys):
    """Numbers between which some do not occur were classes of their own."""
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6), np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.repeat([1, 2, 4], 20))
    now = data.load(tmp_path / "a.npz")
    spec = dataclasses.replace(now.spec, num_classes=5, class_names=())
    before = data.Dataset(spec, {split: (now.images(split), np.array([1, 2, 4])[now.labels(split)]) for split in now.splits})
    settings = {"data": now.source, "spec": spec.to_json(), "content": before.digest()}
    found = runs.load_data(settings)
    assert found.spec == spec and found.source == now.source and not capsys.readouterr().err
    for split in now.splits:
        np.testing.assert_array_equal(found.labels(split), before.labels(split))
        np.testing.assert_array_equal(found.images(split), now.images(split))
    assert folder.changes(folder.determined(settings), settings, found) == []
    assert folder.changes(folder.determined(settings), settings, now)[0].startswith("images or labels")
    batches = [next(iter(one.train(8, view=data.views.labelled))) for one in (found, before)]
    for ours, theirs in zip(*map(tf.nest.flatten, batches), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # What is recorded with names is as it is, and so are classes that the model does not have.
    for about in (now.spec.to_json(), settings["spec"] | {"num_classes": 4}):
        assert runs.load_data(settings | {"spec": about}).spec == now.spec
    assert capsys.readouterr().err.count("names of classes") == 1


def test_conditional_recipe_refuses_unlabelled_data(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((40, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="labelled"):
        runs.train("conditional_vae", tmp_path / "x.npz", tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


@shares_a_run
def test_evaluate_is_repeatable_and_the_bound_rises_with_k(digits, one_epoch):
    model, _ = runs.open_run(one_epoch)
    recipe = recipes.find("vae")
    one, again, many = (evaluation.evaluate(model, digits, recipe, "test", k) for k in (1, 1, 20))
    assert one == again and many["negative_cross_entropy_bound"] > one["negative_cross_entropy_bound"]


def test_bits_of_a_density_count_the_levels_of_the_data():
    """-log p / (D ln 2) - log2(distance of two levels)."""
    model = recipes.find("vae").model(data.load("digits").spec, **tiny_values("vae"), likelihood="gaussian")
    for levels in (16, 256):
        found = evaluation.evaluate(model, data.load("digits", levels=levels), recipes.find("vae"), "validation", limit=20)
        bits = -found["log_prob"] / (64 * np.log(2)) + np.log2(levels - 1)
        assert found["bits_per_dim"] == pytest.approx(bits, rel=1e-6)


@pytest.mark.rotating
def test_what_bounds_no_log_likelihood_is_not_called_so(digits):
    """A Bernoulli is normalised on binary images alone, a discretised logistic on grey levels, too."""
    claims, bound = {"elbo", "log_prob", "bits_per_dim"}, "negative_cross_entropy_bound"
    logistic = {"likelihood": "discretised_logistic"}
    for name, values, claimed in (("vae", {}, False), ("vae", logistic, True), ("iwae", {}, True)):
        recipe = recipes.find(name)
        figures = evaluation.evaluate(recipe.model(digits.spec, **tiny_values(name), **values), digits, recipe, limit=20)
        assert (claims <= set(figures)) == claimed and (bound in figures) != claimed
        assert claimed or not claims & set(figures)


@shares_a_run
def test_served_in_a_process_without_tfgen(one_epoch, tmp_path):
    from tfgen.serving import export

    model, _ = runs.open_run(one_epoch)
    path = export.export(model, tmp_path / "served")
    code = f"""
import sys, numpy as np, tensorflow as tf
loaded = tf.saved_model.load({str(path)!r})
images = loaded.signatures['sample'](seeds=tf.constant([3, 4], tf.int64))['images'].numpy()
assert not any(name.split('.')[0] == 'tfgen' for name in sys.modules)
np.save({str(tmp_path / 'out.npy')!r}, images)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), model.sample(np.array([3, 4])), atol=1e-5)


def test_a_file_with_code_is_refused(tmp_path):
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="expected a model in .*model.keras: .*Lambda"):
        folder.load_model(tmp_path / "model.keras")


def test_exports_take_the_next_version_and_never_overwrite(tmp_path):
    from cases import tiny

    from tfgen.serving import export

    model = tiny("autoencoder")
    assert [export.export(model, tmp_path / "m").name for _ in range(2)] == ["1", "2"]
    assert export.export(model, tmp_path / "m", version=7).name == "7"
    before = sorted(p.name for p in (tmp_path / "m").rglob("*"))
    with pytest.raises(ValueError, match="exists already"):
        export.export(model, tmp_path / "m", version=2)
    assert sorted(p.name for p in (tmp_path / "m").rglob("*")) == before


@pytest.mark.rotating
@pytest.mark.parametrize("recipe, about", [("pix2pix", {"pairs": "edges"}), ("cyclegan", {"domains": (0, 1)})])
def test_a_translation_run_resumes_and_measures(recipe, about, tmp_path, monkeypatch):
    dataset, out = data.load("digits", **about), tmp_path / "run"
    steps = dataset.steps(64)
    # The length of a run may be set.
    values = {"filters": 2} | ({"blocks": 1, "pool_size": 8, "total_steps": steps + 1} if recipe == "cyclegan" else {})
    runs.train(recipe, dataset, out, 1, values, batch_size=64, verbose=0)
    known = runs.read(out)["hyperparameters"]
    assert known | values == known
    model = runs.resume(out, epochs=2, verbose=0, extend=recipe == "cyclegan")
    assert int(model.optimizer.iterations) == 2 * steps
    assert {p.name for p in (out / "translations").iterdir()} == {"epoch-0001.png", "epoch-0002.png"}
    figures = json.loads((out / "metrics.json").read_text())["validation"]
    if recipe == "pix2pix":
        assert {"l1", "critic_real"} <= set(figures) and "translations" not in figures
        figures = evaluation.evaluate(model, dataset, recipes.find(recipe), "test", limit=50, samples=50)
        measured = figures["translations"]
        assert measured["l1"] == pytest.approx(figures["l1"], abs=0.02)
        assert -1 <= measured["ssim"] <= 1 and measured["n_fake"] == 50 and measured["perceptual_distance"] > 0
    else:
        measured = figures["translations"]
        assert measured["n_real"] > 6 and "perceptual_distance" not in measured
        assert "val_frechet_distance" in runs.read_history(out)[0]
        # Pools go with the checkpoint.
        assert runs.read(out)["hyperparameters"]["total_steps"] == 2 * steps
        assert [int(pool.count) for pool in model.pools] == [8, 8]


@pytest.mark.parametrize("recipe, about, message", [
    ("pix2pix", {}, "expects paired data"), ("cyclegan", {}, "expects unpaired data"),
    ("pix2pix", {"domains": (0, 1)}, "--pairs")])
def test_translation_says_which_data_it_needs(recipe, about, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        runs.train(recipe, data.load("digits", **about), tmp_path / "run", values={"filters": 2}, verbose=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.rotating
def test_a_run_of_the_first_order_keeps_it(digits, tmp_path, monkeypatch):
    train(digits, tmp_path / "run", "autoencoder", epochs=1)
    settings = runs.read(tmp_path / "run")
    assert settings.pop("order") == 2
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    asked = []
    original = data.Dataset.train
    monkeypatch.setattr(data.Dataset, "train", lambda self, *args, **about: (
        asked.append(args[-1]) or original(self, *args, **about)))
    runs.resume(tmp_path / "run", epochs=2, verbose=0, force=True)
    assert asked == [1]


def test_a_recipe_is_built_once(digits, tmp_path, monkeypatch):
    built, recipe = [], recipes.find("sparse")
    counted = dataclasses.replace(recipe, build=lambda hp, spec: built.append(1) or recipe.build(hp, spec))
    runs.train(counted, digits, tmp_path / "run", 1, {"penalty": "l1", "latent_dim": 3}, verbose=0)
    assert len(built) == 1
    names = set(runs.read(tmp_path / "run")["hyperparameters"])
    assert names == {"penalty_weight", "penalty", "latent_dim", "learning_rate"}
