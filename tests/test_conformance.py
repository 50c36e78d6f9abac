"""Every recipe through every promise."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import memory
import numpy as np
import pytest
import tensorflow as tf
from cases import IN_STAGES, SPEC, VALUES, dataset, optimizers, same_starts, spec_of, start_of, tiny
from helpers import two_replicas

from tfgen import AdversarialModel, catalogue, errors, recipes, verbs
from tfgen.models.base import distribution
from tfgen.serving import check, export, saved_model
from tfgen.verbs import table
from tfgen.verbs.live import Live

ALL = sorted(recipes.RECIPES)


# From the catalogue, so that collection builds no model; `test_recipe_describes_itself` holds them to the models.
ADVERSARIAL = [name for name in ALL if "critic_learning_rate" in VALUES[name]]
# An autoencoder of codes, then a prior; tests/models/test_vector_quantised.py says what moves in each stage.
STAGED = [name for name in ALL if "autoencoder_share" in VALUES[name]]


SAMPLERS = sorted(row["name"] for row in catalogue.rows() if "sample" in row["verbs"])


def weights(model):
    return [w.numpy() for w in model.variables if "seed_generator" not in w.path]


def config_of(model):
    """A model's config as text; Keras 3.8 numbers operations, which have no weights, anew, so theirs are left out."""
    text = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True)
    kinds = set(re.findall(r'"module": "keras\.src\.ops[\w.]*", "name": "(\w+?)(?:_\d+)?"', text))
    return re.sub(rf'"({"|".join(kinds)})_\d+"', r'"\1"', text)


def newborn(name):
    """A tiny model of a recipe from one seed, and its variables and those of its optimizers, each once."""
    keras.utils.set_random_seed(3)
    model = tiny(name, **{key: 0.01 for key in ("learning_rate", "critic_learning_rate") if key in VALUES[name]})
    return model, list({id(v): v for owner in (model, *optimizers(model)) for v in owner.variables}.values())


class Case:
    """A tiny model of a recipe and what it was born with; traced once for all of its tests."""

    def __init__(self, name):
        self.name, self.summary = name, []
        self.model, self.variables = newborn(name)
        # Before a call could build what the recipe left unbuilt.
        self.model.summary(print_fn=self.summary.append)
        self.born = [v.numpy() for v in self.variables]

    @functools.cached_property
    def live(self):
        return Live(self.model)

    def restart(self):
        """As it was born, random state included; the means of losses are no variables of the model."""
        for variable, value in zip(self.variables, self.born):
            variable.assign(value)
        self.model.reset_metrics()

    def fit(self, steps, epochs=1):
        return self.model.fit(dataset(self.name, steps), epochs=epochs, verbose=0).history


current = {}  # {name: Case} of the last recipe, whose tests run together


@pytest.fixture
def case(name):
    if name not in current:
        # The graphs of the recipe before are let go.
        current.clear()
        memory.collect_if_grown()
        keras.backend.clear_session(free_memory=False)
        current[name] = Case(name)
    current[name].restart()
    return current[name]


def each(names):
    """A test for each recipe; the tests of one recipe run together in one process, and so share its traces.

    `make test` tests a tenth of the recipes each day, `make test-all` all.
    """
    groups = [pytest.param(name, marks=[pytest.mark.xdist_group(name), pytest.mark.rotating]) for name in names]
    return pytest.mark.parametrize("name", groups, scope="module")


# First what needs no case: no graph of one is then let go between the cases and these.


@pytest.mark.rotating
def test_one_seed_starts_alike_in_two_processes_and_another_does_not():
    code = "import json, cases; print(json.dumps({name: cases.start_of(name, 5) for name in cases.recipes.RECIPES}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parent, text=True, check=True,
                           capture_output=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    ours = {name: start_of(name, 5) for name in recipes.RECIPES}
    assert json.loads(other.stdout.splitlines()[-1]) == ours
    assert not any(start_of(name, 6) == ours[name] for name in ("pix2pix", "cyclegan", "vae", "dcgan"))


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


@each(ALL)
def test_recipe_describes_itself(case):
    recipe = recipes.find(case.name)
    assert recipe.summary.endswith(".") and recipe.paper and recipe.family
    assert recipe.objective[1] in ("min", "max")
    assert isinstance(case.model, AdversarialModel) == (case.name in ADVERSARIAL)
    assert hasattr(case.model, "stage_at") == (case.name in IN_STAGES)
    assert ("sample" in verbs.verbs_of(case.model)) == (case.name in SAMPLERS)


@each(ALL)
def test_no_two_kernels_start_equal(case):
    assert not same_starts(case.model.trainable_variables)


@each(ALL)
def test_a_seed_repeats_the_start(case):
    for ours, theirs in zip(case.born, newborn(case.name)[1], strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


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


def extremes(option):
    """[(value, the end of the option's range that it counts as)]: values far outside of the range, NaN and infinities."""
    low, high = option.low, option.high
    if option.high >= 1000:  # work that is left to the user, such as 100,000 importance samples
        return [(-(2**63), low), (0, max(0, low))]
    if option.dtype == "int64":
        return [(-(2**63), low), (2**63 - 1, high)]
    return [(np.nan, low), (-np.inf, low), (-3e38, low), (np.inf, high), (3e38, high)]


def with_column(inputs, key, values, option):
    """Inputs {name: array} with one row per value of the option `key`."""
    return {name: np.array(values, option.dtype) if name == key else np.take(rows, np.arange(len(values)), 0, mode="wrap")
            for name, rows in inputs.items()}


def check_in_cpp(path, live, loader):
    """Every signature in TensorFlow's C++ loader: the model's outputs, and finite ones whatever a client's options are."""
    checked = {row.signature: row.difference for row in check.check(path, loader, timed=())}
    assert set(checked) == {*live.names, saved_model.DEFAULT} and max(checked.values()) <= 1e-5
    signatures, inputs_of = saved_model.tensors(path), {}
    for name in signatures:
        verb = live.names[0] if name == saved_model.DEFAULT else name
        given = export.example_inputs(live.model, verb)
        parts = [with_column(given, key, [bad for bad, _ in extremes(option)], option)
                 for key, option in live.options[verb].items() if not isinstance(option, verbs.Text)] or [given]
        inputs_of[name] = {key: np.concatenate([part[key] for part in parts]) for key in given}
    for made in check.outputs(loader, signatures, inputs_of).values():
        assert all(np.isfinite(values.astype(float)).all() or key == "threshold" for key, values in made.items())


@each(ALL)
def test_verbs_and_export(case, tmp_path, loader, monkeypatch):
    """Shape, dtype and range of every verb; the SavedModel gives the same to 1e-5 in Python and in the C++ loader."""
    model, live = case.model, case.live
    assert live.names
    # Here the C++ loader verifies every signature, in place of the session; tests/serving has exports that are told apart.
    monkeypatch.setattr(export, "verify", lambda *arguments: None)
    path = export.export(model, tmp_path / "served", live=live)
    check_in_cpp(path, live, loader)
    assert path.name == "1" and sorted(p.name for p in path.parent.iterdir()) == ["1"]
    served = saved_model.Served(tmp_path / "served")
    assert served.names == live.names and served.image_shape == SPEC.image_shape
    for verb in live.names:
        output = verbs.verb_of(model, verb).output
        for rows in (1, 5):
            inputs = export.example_inputs(model, verb, rows)
            ours, theirs = (export.run(which, verb, inputs)[output.name] for which in (live, served))
            shape = {"images": SPEC.image_shape, "sources": spec_of(case.name).source_shape, "values": (),
                     "latents": live.latent_shape, "maps": SPEC.image_shape[:2],
                     "signals": (export.EXAMPLE_SIDE, SPEC.image_shape[-1])}[output.kind]
            assert ours.shape == (rows, *shape) and ours.dtype == output.dtype(model)
            assert np.all(np.isfinite(ours))
            if output.kind in ("images", "sources"):
                assert ours.min() >= 0 and ours.max() <= 1
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)


@each(ALL)
def test_keras_own_calls(case):
    """`summary` shows built networks, `predict` is a verb, or says which to call."""
    model, text = case.model, "\n".join(case.summary)
    # A flow's networks are within its chain of bijectors.
    assert "unbuilt" not in text and ("Functional" in text or "(Chain)" in text) and "Trainable params" in text
    verb = next(verb for verb in table.FORWARD if verb in verbs.verbs_of(model))
    inputs = export.example_inputs(model, verb, 3)
    given = tuple(inputs.values())
    made = model.predict(given if len(given) > 1 else given[0], batch_size=2, verbose=0)
    wanted = export.run(case.live, verb, inputs)[verbs.verb_of(model, verb).output.name]
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(errors.UserError, match=rf"predict of .* is {verb}, which expects .*: give those, or call") as caught:
        model.predict(np.zeros((2, 5, 7, 1), np.float32), verbose=0)
    assert "\n" not in str(caught.value)


def test_predict_takes_the_options_of_its_verb_and_holds_them_to_their_ranges():
    made = {name: tiny(name) for name in ("cgan", "dcgan")}
    model, z, labels = made["cgan"], np.ones((2, 3), np.float32), np.array([0, SPEC.num_classes - 1])
    np.testing.assert_array_equal(model.predict((z, np.array([-7, 99])), verbose=0), model.predict((z, labels), verbose=0))
    for call, name, given in ((r"decode\(z, label\), received 1 of these: give a tuple \(z, label\)", "cgan", z),
                              (r"decode\(z\), received 2 of these: give z alone", "dcgan", (z, labels))):
        for way in (made[name], lambda x, name=name: made[name].predict(x, verbose=0)):
            with pytest.raises(errors.UserError, match=f"predict of GAN is {call}") as caught:
                way(given)
            assert "\n" not in str(caught.value)


@pytest.mark.rotating
def test_models_export_writes_what_tfgen_export_writes(tmp_path):
    model = tiny("conditional_vae")
    model.export(tmp_path / "own")
    by_us = saved_model.Served(export.export(model, tmp_path / "versions"))
    own = saved_model.Served(tmp_path / "own")
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


@each(ALL)
def test_options_out_of_range_count_as_the_ends_and_unknown_ones_are_refused(case):
    """What a client serves beyond a range is held to it: finite, and as the range's end gives."""
    for verb in case.live.names:
        call = case.live.call(verb, case.live.options[verb])
        inputs = list(export.example_inputs(case.model, verb, 2).values())
        with pytest.raises(errors.UserError, match=f"'{verb}' of this model takes no option 'unknown'; it takes "):
            case.live(verb, *inputs[:len(verbs.verb_of(case.live, verb).inputs)], unknown=1)
        for place, (key, option) in enumerate(case.live.options[verb].items(), len(verbs.verb_of(case.live, verb).inputs)):
            if isinstance(option, verbs.Text):
                bad = [tf.constant(["", "nosuch"]) if at == place else tf.constant(x) for at, x in enumerate(inputs)]
                with pytest.raises(tf.errors.InvalidArgumentError, match=f"of the words {', '.join(option.words)}"):
                    call(*bad)
                continue
            bad, ends = zip(*extremes(option))
            made, wanted = (call(*map(tf.constant, with_column(export.example_inputs(case.model, verb), key, values,
                                                               option).values())) for values in (bad, ends))
            # A seed of -1 asks for fresh noise.
            fixed = np.array(ends) != -1
            for name in made:
                assert np.isfinite(made[name].numpy().astype(float)).all() or name == "threshold"
                np.testing.assert_array_equal(made[name][fixed], wanted[name][fixed])


@each(ALL)
def test_loss_falls_and_a_seed_repeats_the_run(case):
    # Two epochs, of each of two stages whose losses are of different things.
    epochs = 4 if case.name in STAGED else 2
    first = case.fit(40 // epochs, epochs)
    assert int(case.model.optimizer.iterations) == 40
    assert all(np.isfinite(values).all() for values in first.values())
    assert set(first) == set(case.model.tracked_names())
    if case.name not in ADVERSARIAL:
        assert all(first["loss"][epoch + 1] < first["loss"][epoch] for epoch in range(0, epochs, 2))
    # A few steps: in a game, differences of rounding (sums of gradients run in any order) grow from step to step.
    runs = [(case.restart(), case.fit(3, epochs=2))[1] for _ in range(2)]
    for key, values in runs[0].items():
        np.testing.assert_allclose(values, runs[1][key], rtol=1e-4 if case.name in ADVERSARIAL else 0, atol=1e-6)


# Weights without a gradient but for rounding, such as biases before a normalisation: Adam makes whole steps, of 0.01, of it.
SENSITIVE = {"biggan": 5e-3, "cyclegan": 1e-3, "maf": 5e-3, "padim": 1e-3, "pix2pix": 1e-3, "realnvp": 5e-3, "sagan": 5e-3,
             "vqgan": 1e-3}


def without_gradient(case):
    """The ids of weights of a case of `SENSITIVE` whose first gradient is below 1e-5; `sagan`'s others are above 1e-2."""
    moments = [(weight, np.max(squared) / (1 - optimizer.beta_2)) for optimizer in optimizers(case.model)
               if case.name in SENSITIVE and hasattr(optimizer, "beta_2")
               for weight, squared in zip(optimizer._trainable_variables, optimizer._velocities, strict=True)]
    return {id(weight) for weight, square in moments if square < 1e-10}


@each(ALL)
def test_two_replicas_step_as_one_device_on_the_whole_batch(case):
    """Noise, statistics of the batch, penalties, running averages and pools included."""
    with two_replicas().scope():
        model = newborn(case.name)[0]
    batches = dataset(case.name, 1)
    wanted = case.model.train_step(next(iter(batches)))
    # Neither is traced, which takes longer than the step.
    shared = next(iter(model.distribute_strategy.experimental_distribute_dataset(batches)))
    made = distribution.named(model, model.on_replicas(model.train_step, shared))
    atol, still = SENSITIVE.get(case.name, 1e-5), without_gradient(case)
    for name in set(made) - {name for name in made if name.startswith("perplexity")}:
        np.testing.assert_allclose(made[name], wanted[name], rtol=1e-3, atol=atol, err_msg=name)
    for ours, theirs in zip(case.model.weights, model.weights, strict=True):
        for one in [] if id(ours) in still else getattr(theirs.value, "values", [theirs.value]):
            np.testing.assert_allclose(one.numpy(), ours.numpy(), atol=atol, err_msg=ours.path)


# Of GANs with several critics, labels and a control; the others are slow together.
AUGMENTED = [("acgan", "ada"), ("began", "diffaugment"), ("wgan_gp", "diffaugment"), ("wgan_gp", "ada")]


@pytest.mark.rotating
@pytest.mark.parametrize("name, augmentation", [
    pytest.param(name, way, marks=[] if (name, way) in AUGMENTED else pytest.mark.slow)
    for name in ALL if "augmentation" in VALUES[name] for way in ("diffaugment", "ada")])
def test_gans_train_with_an_augmentation_of_what_their_critics_see(name, augmentation):
    """Or refuse it: ADA follows the signs of scores, which those of Wasserstein critics and energies lack."""
    if augmentation == "ada" and name in ("began", "ebgan", "progan", "wgan", "wgan_gp"):
        with pytest.raises(errors.UserError, match="'augmentation' expects one of none, diffaugment, received ada"):
            tiny(name, augmentation=augmentation)
        return
    model = tiny(name, augmentation=augmentation)
    players = model.generator_variables, model.critic_variables
    before = [[v.numpy() for v in player] for player in players]
    # Of two stages both.
    history = model.fit(dataset(name, 8), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values()) and set(history) == set(model.tracked_names())
    assert ("augmentation_p" in history) == (augmentation == "ada")
    for player, old in zip(players, before):
        assert max(np.abs(v.numpy() - then).max() for v, then in zip(player, old, strict=True)) > 0
    live = Live(model)
    assert live("sample", np.arange(2)).min() >= 0 and "augmentation" not in live.options["sample"]


@each(ALL)
def test_evaluation_is_a_function_of_the_data(case):
    first, second = (case.model.evaluate(dataset(case.name, 1), verbose=0, return_dict=True) for _ in range(2))
    assert first == second


@each(SAMPLERS)
def test_a_sample_depends_on_its_seed_alone(case):
    case.fit(20)
    live = case.live
    options = {"label": 1} if "label" in live.options["sample"] else {}
    whole = live("sample", np.array([7, 8, 7, 9]), **options)
    # At levels of noise of 80, the numbers of a diffusion model are rounded to 4e-6.
    tolerance = 1e-5 if recipes.find(case.name).family == "diffusion" else 1e-6
    # oneDNN's matrix products round rows from the seventh on otherwise; guidance by labels has two rows per image.
    np.testing.assert_allclose(whole[0], whole[2], rtol=0, atol=tolerance if "guidance" in live.options["sample"] else 0)
    assert np.abs(whole[0] - whole[1]).max() > 1e-6
    np.testing.assert_allclose(live("sample", np.array([9]), **options)[0], whole[3], atol=tolerance)
    fresh = live("sample", np.array([-1, -1]), **options)
    assert np.abs(fresh[0] - fresh[1]).max() > 1e-6


def rest(optimizer):
    """Sets a learning rate to 0, a schedule by going to its end; returns a function that undoes it."""
    if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        step = int(optimizer.iterations)
        # Past the end of a run, and past any number of halvings.
        optimizer.iterations.assign(1_000_000_000)
        assert float(optimizer.learning_rate) == 0.0
        return lambda: optimizer.iterations.assign(step)
    rate = float(optimizer.learning_rate)
    optimizer.learning_rate = 0.0
    return lambda: setattr(optimizer, "learning_rate", rate)


@each([name for name in ADVERSARIAL if name not in STAGED])
def test_each_player_learns_and_only_its_own_weights(case):
    """A resting opponent is beaten: a player's loss falls, and it alone moves."""
    for index, (player, other) in enumerate((("generator", "critic"), ("critic", "generator"))):
        case.restart()
        awake = rest(optimizers(case.model)[1 - index])
        before = {key: [v.numpy() for v in getattr(case.model, f"{key}_variables")] for key in (player, other)}
        history = case.fit(20)[f"{player}_loss"]
        if "gan_share" in VALUES[case.name]:
            # The second stage has other players.
            case.model.step.assign(0)
        history += case.fit(20)[f"{player}_loss"]
        awake()
        moved = {key: max(np.abs(v.numpy() - b).max() for v, b in zip(getattr(case.model, f"{key}_variables"), old))
                 for key, old in before.items()}
        assert moved[other] == 0 and moved[player] > 1e-3
        assert history[1] < history[0]
