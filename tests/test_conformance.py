"""Every recipe through every promise."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, hyperparameters, images, same_starts, spec_of, start_of, tiny

from tfgen import AdversarialModel, GenerativeModel, errors, recipes, verbs
from tfgen.serving import export

ALL = sorted(recipes.RECIPES)
MADE = {name: tiny(name) for name in ALL}
ADVERSARIAL = [name for name, model in MADE.items() if isinstance(model, AdversarialModel)]


def dataset(name, steps):
    return tf.data.Dataset.from_tensors(batch(name)).repeat(steps)


def optimizers(model):
    """The optimizers of a model, a player each."""
    return [getattr(model, key) for key in ("optimizer", "critic_optimizer") if hasattr(model, key)]


def weights(model):
    return [w.numpy() for w in model.variables if "seed_generator" not in w.path]


def config_of(model):
    """A model's config as text; Keras 3.8 numbers operations, which have no weights, anew, so theirs are left out."""
    text = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True)
    kinds = set(re.findall(r'"module": "keras\.src\.ops[\w.]*", "name": "(\w+?)(?:_\d+)?"', text))
    return re.sub(rf'"({"|".join(kinds)})_\d+"', r'"\1"', text)


class Case:
    """A tiny model of a recipe and what it was born with; traced once for all of its tests."""

    def __init__(self, name, **values):
        keras.utils.set_random_seed(3)
        self.name = name
        rates = {key: 0.01 for key in ("learning_rate", "critic_learning_rate")
                 if key in hyperparameters(name)}
        self.model = tiny(name, **rates, **values)
        self.variables = {id(v): v for owner in (self.model, *optimizers(self.model)) for v in owner.variables}.values()
        self.born = [v.numpy() for v in self.variables]

    @functools.cached_property
    def live(self):
        return verbs.Live(self.model)

    def restart(self):
        """As it was born, random state included."""
        for variable, value in zip(self.variables, self.born):
            variable.assign(value)

    def fit(self, steps, epochs=1):
        return self.model.fit(dataset(self.name, steps), epochs=epochs, verbose=0).history


@functools.cache
def case_of(name):
    return Case(name)


@pytest.fixture
def case(name):
    made = case_of(name)
    made.restart()
    return made


def each(names):
    """A test for each recipe; the tests of one recipe share a process, and so its traces."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names])


@each(ALL)
def test_recipe_describes_itself(name):
    recipe = recipes.find(name)
    assert recipe.summary.endswith(".") and recipe.paper and recipe.family
    assert recipe.objective[1] in ("min", "max")


@each(ALL)
def test_no_two_kernels_start_equal(name):
    assert not same_starts(MADE[name].trainable_variables)


def test_one_seed_starts_alike_in_two_processes_and_another_does_not():
    code = "import json, cases; print(json.dumps({name: cases.start_of(name, 5) for name in cases.recipes.RECIPES}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parent, text=True, check=True,
                           capture_output=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert json.loads(other.stdout.splitlines()[-1]) == {name: start_of(name, 5) for name in recipes.RECIPES}
    assert not any(start_of(name, 6) == start_of(name, 5) for name in ("pix2pix", "cyclegan", "vae", "dcgan"))


@each(ALL)
def test_file_holds_config_weights_and_optimizer(case, tmp_path):
    model = case.model
    case.fit(20)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert config_of(model) == config_of(loaded)
    assert len(optimizers(loaded)) == (2 if case.name in ADVERSARIAL else 1)
    for ours, theirs in zip(optimizers(model), optimizers(loaded), strict=True):
        assert len(ours.variables) > 2
        for our, their in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(our.numpy(), their.numpy())
    assert int(loaded.optimizer.iterations) == 20
    for ours, theirs in zip(weights(model), weights(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each(ALL)
def test_verbs_and_export(case, tmp_path):
    """Shape, dtype and range of every verb; the SavedModel and the session loader give the same to 1e-5."""
    model, live = case.model, case.live
    assert live.names
    path = export.export(model, tmp_path / "served")  # runs every signature in a session before it is renamed
    assert path.name == "1" and sorted(p.name for p in path.parent.iterdir()) == ["1"]
    served = export.Served(tmp_path / "served")
    assert served.names == live.names and served.image_shape == SPEC.image_shape
    for verb in live.names:
        about = verbs.VERBS[verb]
        for rows in (1, 5):
            first, *options = export.example_inputs(model, verb, rows).items()
            out = live(verb, first[1], **dict(options))
            shape = {"images": SPEC.image_shape, "sources": spec_of(case.name).source_shape, "values": (),
                     "latents": live.latent_shape, "maps": SPEC.image_shape[:2]}[about.gives]
            assert out.shape == (rows, *shape) and out.dtype == np.float32
            assert np.all(np.isfinite(out))
            if about.gives in ("images", "sources"):
                assert out.min() >= 0 and out.max() <= 1
            np.testing.assert_allclose(served(verb, first[1], **dict(options)), out, rtol=1e-5, atol=1e-5)


@each(ALL)
def test_keras_own_calls(name):
    """`summary` shows built networks, `predict` is a verb, or says which to call."""
    model, lines = MADE[name], []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    # A flow's networks are within its bijectors.
    assert "unbuilt" not in text and ("Functional" in text or "Chain" in text) and "Trainable params" in text
    verb = next(verb for verb in verbs.FORWARD if verb in verbs.verbs_of(model))
    first, *options = export.example_inputs(model, verb, 3).values()
    made = model.predict((first, *options) if options else first, batch_size=2, verbose=0)
    wanted = verbs.function(model, verb)(*map(tf.convert_to_tensor, (first, *options)))[verbs.VERBS[verb].output]
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(errors.UserError, match=rf"predict of .* is {verb}, which expects .*: give those, or call") as caught:
        model.predict(np.zeros((2, 5, 7, 1), np.float32), verbose=0)
    assert "\n" not in str(caught.value)


def test_predict_takes_the_options_of_its_verb_and_holds_them_to_their_ranges():
    model, z, labels = MADE["cgan"], np.ones((2, 3), np.float32), np.array([0, SPEC.num_classes - 1])
    np.testing.assert_array_equal(model.predict((z, np.array([-7, 99])), verbose=0), model.predict((z, labels), verbose=0))
    for call, made, given in ((r"decode\(z, label\), received 1 of these: give a tuple \(z, label\)", "cgan", z),
                              (r"decode\(z\), received 2 of these: give z alone", "dcgan", (z, labels))):
        for way in (MADE[made], lambda x, made=made: MADE[made].predict(x, verbose=0)):
            with pytest.raises(errors.UserError, match=f"predict of GAN is {call}") as caught:
                way(given)
            assert "\n" not in str(caught.value)


def test_a_model_without_a_forward_pass_says_which_verb_to_call():
    class Sampler(GenerativeModel):
        def sample(self, seeds):
            return seeds

    with pytest.raises(errors.UserError, match="Sampler has sample: call one of them"):
        Sampler().predict(np.zeros((2, 3)), verbose=0)


def test_models_export_writes_what_tfgen_export_writes(tmp_path):
    model = MADE["conditional_vae"]
    model.export(tmp_path / "own")
    by_us = export.Served(export.export(model, tmp_path / "versions"))
    own = export.Served(tmp_path / "own")
    assert own.names == by_us.names and own.options == by_us.options and own.about == by_us.about
    np.testing.assert_array_equal(own("sample", np.arange(3)), by_us("sample", np.arange(3)))
    before = (tmp_path / "own" / "saved_model.pb").stat().st_mtime_ns
    model.export(tmp_path / "own", verbose=False)
    assert (tmp_path / "own" / "saved_model.pb").stat().st_mtime_ns > before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "versions"]
    with pytest.raises(errors.UserError, match="format='tf_saved_model', received 'onnx'"):
        model.export(tmp_path / "other", format="onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(errors.UserError, match="a new folder or one that holds a SavedModel"):
        model.export(tmp_path / "mine")


@each([name for name, model in MADE.items() if any(model.verb_options(verb) for verb in verbs.verbs_of(model))])
def test_options_out_of_range_count_as_the_ends(case):
    """What a client serves beyond a range is held to it: finite, and as the range's end gives."""
    for verb in case.live.names:
        call = case.live.call(verb, case.live.options[verb])
        inputs = list(export.example_inputs(case.model, verb, 2).values())
        for place, option in enumerate(case.live.options[verb].values(), 1):
            # Bounds of 100,000 importance samples are left to the user.
            for bad, end in [(-(2**40), option.low), (2**40, option.high)] + [(np.nan, option.low)] * (
                    option.dtype == "float32") if option.high < 1000 else [(-(2**40), option.low), (0, max(0, option.low))]:
                made, wanted = (call(*(tf.constant(np.full(2, value, option.dtype) if at == place else column)
                                       for at, column in enumerate(inputs))) for value in (bad, end))
                for key in made:
                    assert np.isfinite(made[key].numpy().astype(float)).all() or key == "threshold"
                    # A seed of -1 asks for fresh noise.
                    if option.low != -1 or bad > 0:
                        np.testing.assert_array_equal(made[key], wanted[key])


@each(ALL)
def test_loss_falls_and_a_seed_repeats_the_run(case):
    first = case.fit(20, epochs=2)
    assert int(case.model.optimizer.iterations) == 40
    assert all(np.isfinite(values).all() for values in first.values())
    assert set(first) == set(case.model.tracked_names())
    if case.name not in ADVERSARIAL:
        assert first["loss"][1] < first["loss"][0]
    again = Case(case.name)
    for ours, theirs in zip(case.born, again.born, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # A few steps: in a game, differences of rounding (sums of gradients run in any order) grow from step to step.
    runs = [(case.restart(), case.fit(3, epochs=2))[1] for _ in range(2)]
    for key, values in runs[0].items():
        np.testing.assert_allclose(values, runs[1][key], rtol=1e-4 if case.name in ADVERSARIAL else 0, atol=1e-6)


@each(ADVERSARIAL)
def test_each_player_learns_and_only_its_own_weights(case):
    """A resting opponent is beaten: a player's loss falls, and it alone moves."""
    if "total_steps" in hyperparameters(case.name):
        # Of no known end: a schedule's rate cannot be set to 0, and another stage has other players.
        case = Case(case.name, total_steps=0)
    rates = [float(optimizer.learning_rate) for optimizer in optimizers(case.model)]
    for index, (player, other) in enumerate((("generator", "critic"), ("critic", "generator"))):
        case.restart()
        optimizers(case.model)[1 - index].learning_rate = 0.0
        before = {key: [v.numpy() for v in getattr(case.model, f"{key}_variables")] for key in (player, other)}
        history = case.fit(20, epochs=2)[f"{player}_loss"]
        optimizers(case.model)[1 - index].learning_rate = rates[1 - index]
        moved = {key: max(np.abs(v.numpy() - b).max() for v, b in zip(getattr(case.model, f"{key}_variables"), old))
                 for key, old in before.items()}
        assert moved[other] == 0 and moved[player] > 1e-3
        assert history[1] < history[0]


@each(ALL)
def test_evaluation_is_a_function_of_the_data(case):
    first, second = (case.model.evaluate(dataset(case.name, 1), verbose=0, return_dict=True) for _ in range(2))
    assert first == second


@each([name for name, model in MADE.items() if "sample" in verbs.verbs_of(model)])
def test_a_sample_depends_on_its_seed_alone(case):
    case.fit(20)
    live = case.live
    options = {"label": 1} if "label" in live.options["sample"] else {}
    whole = live("sample", np.array([7, 8, 7, 9]), **options)
    np.testing.assert_array_equal(whole[0], whole[2])
    assert np.abs(whole[0] - whole[1]).max() > 1e-6
    np.testing.assert_allclose(live("sample", np.array([9]), **options)[0], whole[3], atol=1e-6)
    fresh = live("sample", np.array([-1, -1]), **options)
    assert np.abs(fresh[0] - fresh[1]).max() > 1e-6


def test_partial_batches_weigh_by_their_size():
    model = tiny("autoencoder")
    x = images(10)
    whole = model.evaluate(tf.data.Dataset.from_tensors(x), verbose=0, return_dict=True)
    parts = model.evaluate(tf.data.Dataset.from_tensor_slices(x).batch(7), verbose=0, return_dict=True)
    for key in whole:
        assert parts[key] == pytest.approx(whole[key], rel=1e-5)


def test_layers_own_losses_are_minimised():
    from tfgen import Autoencoder
    from tfgen.networks import mlp

    image = keras.Input((8, 8, 1))
    code = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L1(10.0))(keras.layers.Flatten()(image))
    model = Autoencoder(keras.Model(image, code), mlp.decoder(3, [], (8, 8, 1)))
    model.compile("adam")
    logs = model.evaluate(tf.data.Dataset.from_tensors(images()), verbose=0, return_dict=True)
    codes = model.encoder(images())
    assert logs["loss"] - logs["reconstruction"] == pytest.approx(
        10.0 * float(np.abs(codes).sum(1).mean()), rel=1e-4)


@pytest.mark.parametrize("name", ["gan", "aae", "ganomaly", "pix2pix", "cyclegan", "region_anomaly", "fanogan"])
def test_layers_own_losses_of_both_players_are_minimised_and_left_out_of_validation(name):
    model, wanted = tiny(name), {}
    for player in ("critic", "generator"):
        for network in getattr(model, f"{player}_networks"):
            kernel = next(v for v in network.trainable_variables if len(v.shape) > 1)
            kernel.regularizer = keras.regularizers.L2(1e8)
            wanted[player] = wanted.get(player, 0.0) + 1e8 * float(np.square(kernel.numpy()).sum())
            if name == "fanogan":
                break  # the encoder's turn comes in the second stage
    few = keras.tree.map_structure(tf.convert_to_tensor, batch(name, 4))
    held = model.test_step(few)
    assert all(abs(float(held[f"{player}_loss"])) < 1e-2 * wanted[player] for player in wanted)
    for tracker in model.trackers:
        tracker.reset_state()
    logs = model.train_step(few)
    assert {player: float(logs[f"{player}_loss"]) for player in wanted} == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = tiny("vae")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    history = model.fit(dataset("vae", 20), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[1] < history[0]


def test_mixed_precision_trains_both_players():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = tiny("wgan_gp")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert all(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers(model))
    before = [v.numpy() for v in model.generator_variables + model.critic_variables]
    history = model.fit(dataset("wgan_gp", 20), epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    # Without the scale of 2^15, as in float32.
    assert 0 < history["generator_gradient"][-1] < 100
    assert all(np.abs(v.numpy() - old).max() > 0 for v, old in zip(model.generator_variables, before))


def test_steps_per_execution_keep_a_growing_model_in_its_stages():
    model = tiny("progan")
    model.steps_per_execution = 4
    history = model.fit(dataset("progan", 8), epochs=2, verbose=0).history["stage"]
    assert int(model.optimizer.iterations) == 16
    # stage_steps=5: steps 0 to 4 are of stage 0.
    assert history == pytest.approx([3 / 8, 1.0])


def test_compile_refuses_what_the_model_defines():
    with pytest.raises(ValueError, match="takes an optimizer"):
        tiny("vae").compile("adam", loss="mse")


def test_steps_per_execution_trains_the_same_number_of_steps():
    model = tiny("vae")
    model.compile(model.optimizer, steps_per_execution=4)
    model.fit(dataset("vae", 8), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 8


@pytest.mark.parametrize("name, values, message", [
    ("nosuch", {}, "there is no recipe 'nosuch'"),
    ("va", {}, "did you mean 'vae'"),
    ("vae", {"latnt_dim": 3}, "did you mean 'latent_dim'"),
    ("vae", {"latent_dim": 0}, "expects a whole number in 1 ... 512, received 0"),
    ("vae", {"latent_dim": "x"}, "expects a whole number"),
    ("vae", {"latent_dim": 2.5}, "expects a whole number"), ("vae", {"free_bits": float("nan")}, "expects a number"),
    ("vae", {"likelihood": "poisson"}, "expects one of bernoulli"),
    ("sparse", {"penalty": "l1", "rho": 0.1}, "no hyperparameter 'rho'.*with these values it has"),
])
def test_user_errors_are_one_line(name, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        recipes.find(name).model(SPEC, **values)
    assert "\n" not in str(caught.value)


def test_hyperparameters_may_be_text_and_default_to_the_paper():
    values = recipes.find("vae").hyperparameters(SPEC, {"latent_dim": "8", "learning_rate": "0.01"})
    assert values["latent_dim"] == 8 and values["learning_rate"] == 0.01
    assert recipes.find("beta_vae").hyperparameters(SPEC)["beta"] == 4.0
