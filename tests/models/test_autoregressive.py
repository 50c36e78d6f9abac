"""Autoregressive models: causality, probabilities over all images, and sampling."""

import math

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from cases import random_density
from helpers import all_images

from tfgen import Autoregressive, data, recipes
from tfgen.data import DataSpec
from tfgen.distributions import Bernoulli, Categorical, DiscretisedLogistic, MixtureOfLogistics
from tfgen.errors import UserError
from tfgen.layers import HorizontalConv, VerticalConv
from tfgen.models.autoregressive.autoregressive import incremental_form
from tfgen.networks import pixelcnn
from tfgen.samplers import autoregressive
from tfgen.verbs import graphs
from tfgen.verbs.live import Live

NAMES = sorted(name for name, recipe in recipes.RECIPES.items() if recipe.family == "autoregressive")


def labels(model, rows):
    return {"label": tf.ones(rows, tf.int64)} if model.num_classes else {}


def random_images(rng, rows, shape, levels):
    return (rng.integers(0, levels, (rows, *shape)) / (levels - 1)).astype("float32")


@pytest.mark.rotating
@pytest.mark.parametrize("shape", [(5, 4, 1), (4, 4, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_sees_its_own_or_a_later_value(name, shape):
    """Each value is changed in turn: parameters of values up to it stay, and some later ones change."""
    levels = 2 if recipes.find(name).view == "binarised" else 5
    model, size = random_density(name, shape, levels), math.prod(shape)
    x = random_images(np.random.default_rng(0), 1, shape, levels)
    changed = np.repeat(x, size, 0).reshape(size, size)
    np.fill_diagonal(changed, np.where(changed.diagonal() > 0.5, 0.0, 1.0))
    batch = np.concatenate([changed.reshape(size, *shape), x])
    out = model.parameters(batch, **labels(model, size + 1)).numpy()
    moved = np.abs(out[:-1] - out[-1:]) > 1e-5 * np.abs(out).max()
    channels = 1 if model.likelihood.joint else shape[-1]
    # Parameters by value: (changed value, value, parameters of it).
    moved = moved.reshape(size, *shape[:2], -1, channels).swapaxes(-1, -2).reshape(size, size * channels // shape[-1], -1)
    moved = moved.any(-1)
    first = np.arange(size)[:, None] * channels // shape[-1]
    assert not moved[np.arange(moved.shape[1])[None] <= first].any()
    # Every value but the last matters, and every parameter but those of the first depends on something.
    assert moved[:-shape[-1]].any(1).all() and moved[:, 1:].any(0).all()


@pytest.mark.rotating
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_causal(name):
    """d parameters of value i / d value j = 0 for j >= i; after an embedding, d embedded value j."""
    shape, levels = (4, 3, 1), 2
    model = random_density(name, shape, levels)
    embedding = next((layer for layer in model.network.layers if type(layer).__name__ == "LevelEmbedding"), None)
    network, x = model.network, tf.constant(random_images(np.random.default_rng(1), 1, shape, levels))
    if embedding is not None:
        network, x = keras.Model(embedding.output, network.output), embedding(x)
    inputs = [x, tf.ones(1, tf.int32)] if model.num_classes else x
    with tf.GradientTape() as tape:
        tape.watch(x)
        made = network(inputs)
    jacobian = np.abs(tape.jacobian(made, x).numpy()).reshape(12, -1, 12, x.shape[-1]).max((1, 3))
    assert np.all(np.triu(jacobian) == 0) and np.all(jacobian[1:].max(1) > 0)


def test_gated_pixelcnn_has_no_blind_spot_and_pixelcnn_has_one():
    """Layers of 3x3 after one of 7x7: what pixel (6, 1) sees of the row above and of its own."""
    seen = {}
    for name in ("gated_pixelcnn", "pixelcnn"):
        model = random_density(name, (12, 7, 1), 2, kernel_size=3, blocks=2)
        x = tf.random.stateless_uniform((1, 12, 7, 1), (0, 0))
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = tf.reduce_sum(tf.square(model.network(x)[:, 6, 1]))
        seen[name] = tape.gradient(made, x).numpy()[0, ..., 0] != 0
    # Row 5 right of the pixel is within the receptive field's width of 3 + 1 (+ 1).
    assert seen["gated_pixelcnn"][5, :6].all() and not seen["gated_pixelcnn"][6, 1:].any()
    assert not seen["pixelcnn"][5, 6] and not seen["pixelcnn"][6, 1:].any()


@pytest.mark.rotating
@pytest.mark.parametrize(("shape", "levels"), [((2, 2, 1), 2), ((2, 2, 1), 4), ((1, 2, 3), 2)])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_of_all_images_sum_to_one(name, shape, levels):
    if levels > 2 and recipes.find(name).view == "binarised":
        pytest.skip("of binary images")
    model, x = random_density(name, shape, levels), all_images(shape, levels)
    log_prob = model.log_prob(x, **labels(model, len(x))).numpy()
    assert np.exp(log_prob.astype(float)).sum() == pytest.approx(1.0, abs=1e-4)
    assert np.exp(log_prob).std() > 1e-3 / len(x)


def same_levels(a, b, levels):
    np.testing.assert_array_equal(np.rint(np.asarray(a) * (levels - 1)), np.rint(np.asarray(b) * (levels - 1)))


def drawn_again(model, images, seeds, **label):
    """What one parallel pass over finished samples draws with the same noise."""
    uniforms = autoregressive.noise_of(model.likelihood, model.image_shape, tf.constant(seeds, tf.int64))
    return model.likelihood.draw(model.parameters(images, **label), uniforms, tf.ones(len(seeds))).numpy()


@pytest.mark.rotating
@pytest.mark.parametrize("shape", [(8, 4, 1), (2, 4, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_one_parallel_pass_draws_the_samples_again(name, shape):
    """The samples are those of the naive sampler: on integer levels 0 mismatches; and a row's depends on its seed alone."""
    levels = 2 if recipes.find(name).view == "binarised" else 4
    model, seeds = random_density(name, shape, levels), np.array([3, 4, 5, 6, 2**40])
    label, live = labels(model, 5), Live(model)
    assert incremental_form(model.network) is not None
    made = live("sample", seeds, **({"label": 1} if label else {}))
    np.testing.assert_allclose(made, np.rint(made * (levels - 1)) / (levels - 1), atol=1e-6)
    same_levels(drawn_again(model, made, seeds, **label), made, levels)
    assert len(np.unique(made.reshape(5, -1), axis=0)) == 5
    same_levels(live("sample", seeds[[4, 1]], **({"label": 1} if label else {})), made[[4, 1]], levels)


@pytest.mark.rotating
@pytest.mark.parametrize(("name", "shape"), [("gated_pixelcnn", (4, 3, 1)), ("gated_pixelcnn", (2, 2, 3)),
                                             ("image_transformer", (4, 3, 1)), ("made", (4, 3, 1))])
def test_the_naive_sampler_gives_the_same_images(name, shape):
    levels, seeds = 2 if name == "made" else 4, tf.constant([1, 2, 3], tf.int64)
    model = random_density(name, shape, levels)
    uniforms = autoregressive.noise_of(model.likelihood, shape, seeds)
    nothing = tf.zeros((3, *shape)), tf.zeros((3, *shape[:2], 1), bool)
    slow = tf.function(autoregressive.naive)(model.network, model.likelihood, uniforms, tf.ones(3), *nothing)
    same_levels(slow, tf.function(model.sample)(seeds), levels)


def test_sample_frequencies_are_the_probabilities():
    model = random_density("gated_pixelcnn", (2, 1, 1), 3)
    x, count = all_images((2, 1, 1), 3), 20_000
    made = np.rint(Live(model)("sample", np.arange(count), batch_size=count) * 2).reshape(count, 2)
    found = np.bincount((made @ [3, 1]).astype(int), minlength=9) / count
    assert np.abs(found - np.exp(model.log_prob(x))).max() < 4 * np.sqrt(0.25 / count)


def test_temperature_zero_takes_the_likeliest_value_of_each_pixel():
    model = random_density("pixelcnn", (4, 4, 1), 4)
    x = model.sample(tf.constant([1, 2]), temperature=0.0)
    np.testing.assert_array_equal(x[0], x[1])
    best = np.argmax(model.parameters(x)[0], -1)
    np.testing.assert_array_equal(np.rint(x[0, ..., 0] * 3), best)
    mixed = model.sample(tf.constant([1, 1, 1]), temperature=tf.constant([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(mixed[0], x[0])
    assert np.any(mixed[1] != mixed[2])


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["gated_pixelcnn", "image_transformer", "made"])
def test_complete_keeps_given_pixels_and_draws_the_others_given_them(name):
    levels = 2 if name == "made" else 5
    model, rng, seeds = random_density(name, (4, 3, 1), levels), np.random.default_rng(0), tf.constant([1, 2, 3], tf.int64)
    given, masks = random_images(rng, 3, (4, 3, 1), levels), (rng.uniform(size=(3, 4, 3)) < 0.5).astype("float32")
    made = tf.function(model.complete)(given, masks, seeds).numpy()
    np.testing.assert_allclose(made[masks == 1], given[masks == 1], atol=1e-6)
    same_levels(drawn_again(model, made, [1, 2, 3])[masks == 0], made[masks == 0], levels)
    assert np.any(made != given)


def test_another_order_of_pixels():
    """Probabilities sum to 1; a value is drawn given those before it in the order, by hand for the first two."""
    model, x = random_density("made", (2, 2, 1), 2, order="random", mask_seed=3), all_images((2, 2, 1), 2)
    log_prob = model.log_prob(x).numpy()
    assert sorted(model.order) == [0, 1, 2, 3] and model.order != [0, 1, 2, 3]
    assert np.exp(log_prob.astype(float)).sum() == pytest.approx(1.0, abs=1e-5)
    first = x.reshape(-1, 4)[:, model.order[0]]
    bias = float(model.parameters(0 * x[:1])[0, 0, 0, 0])
    assert np.exp(log_prob)[first == 1].sum() == pytest.approx(scipy.special.expit(bias), abs=1e-5)
    made = tf.function(model.sample)(tf.constant([1, 2, 3]))
    same_levels(drawn_again(model, model.ordered(made), [1, 2, 3]), model.ordered(made), 2)
    masks = np.zeros((3, 2, 2), np.float32)
    masks.reshape(3, 4)[:, model.order[0]] = 1
    done = model.complete(1 - made, masks, tf.constant([1, 2, 3])).numpy()
    np.testing.assert_array_equal(done.reshape(3, 4)[:, model.order[0]], 1 - made.numpy().reshape(3, 4)[:, model.order[0]])
    with pytest.raises(UserError, match=r"permutation of 0 \.\.\. 3, received \[0, 1\]"):
        Autoregressive(model.network, order=[0, 1])


def test_a_network_with_other_operations_is_sampled_naively():
    image = keras.Input((3, 3, 1))
    x = keras.layers.Reshape((3, 3, 4))(HorizontalConv(4, 1, strict=True)(image))
    model = Autoregressive(keras.Model(image, x), Categorical(4))
    assert incremental_form(model.network) is None
    x = model.sample(tf.constant([1, 2]))
    same_levels(drawn_again(model, x, [1, 2]), x, 4)


@pytest.mark.parametrize("layer", [lambda: HorizontalConv(2, 1), lambda: keras.layers.Conv2D(2, 1),
                                   lambda: keras.layers.Conv2D(2, 3, padding="same"),
                                   lambda: lambda x: HorizontalConv(2, 1, strict=True)(x) + np.ones((3, 3, 1), "float32")])
def test_networks_that_are_not_causal_or_hold_maps_have_no_incremental_form(layer):
    image = keras.Input((3, 3, 1))
    assert incremental_form(keras.Model(image, layer()(image))) is None


def test_one_trace_serves_all_batch_sizes():
    model = random_density("gated_pixelcnn", (3, 3, 1), 4)
    call = graphs.function(model, "sample")
    for rows in (1, 3, 2):
        call(tf.range(rows, dtype=tf.int64), tf.fill((rows,), 0.5 * rows))
    assert call.experimental_get_tracing_count() == 1


def test_loss_and_bits_by_hand():
    """Independent values with known logits: a kernel of 0 leaves the bias."""
    network = pixelcnn.pixelcnn((2, 2, 1), 3, 2, 1, 2)
    for weight in network.trainable_variables:
        weight.assign(0 * weight)
    network.layers[-1].bias.assign([0.0, 1.0, 2.0])
    model = Autoregressive(network, Categorical(3))
    x = np.array([0.0, 0.5, 1.0, 1.0], "float32").reshape(1, 2, 2, 1)
    wanted = -scipy.special.log_softmax([0.0, 1.0, 2.0])[[0, 1, 2, 2]].sum()
    losses = model.compute_losses(x, False)
    assert float(losses["loss"]) == pytest.approx(wanted, rel=1e-5)
    assert float(losses["bits_per_dim"]) == pytest.approx(wanted / 4 / math.log(2), rel=1e-5)
    assert float(model.log_prob(x)[0]) == pytest.approx(-wanted, rel=1e-5)


def test_recipes_read_the_levels_of_the_data():
    for levels, kind in ((2, Bernoulli), (16, Categorical), (256, Categorical)):
        spec = DataSpec("a", (8, 8, 1), sizes={"train": 8}, levels=levels)
        likelihood = recipes.find("gated_pixelcnn").model(spec, blocks=1, filters=4).likelihood
        assert isinstance(likelihood, kind) and getattr(likelihood, "levels", 2) == levels


@pytest.mark.rotating
def test_mixture_of_logistics_and_discretised_logistic_fit_the_same_networks():
    for likelihood in (MixtureOfLogistics(2, 16), DiscretisedLogistic(4)):
        keras.utils.set_random_seed(0)
        groups = 1 if likelihood.joint else 3
        network = pixelcnn.gated_pixelcnn((4, 4, 3), likelihood.parameters(3), 6, 2, 3, 6, groups=groups)
        model = Autoregressive(network, likelihood)
        x = tf.function(model.sample)(tf.constant([1, 2]))
        same_levels(drawn_again(model, x, [1, 2]), x, 16)


def test_conditional_samples_depend_on_the_label():
    model = random_density("conditional_gated_pixelcnn", (4, 4, 1), 4)
    a, b = (model.sample(tf.constant([1, 2]), label=tf.constant([label] * 2)) for label in (0, 1))
    assert np.any(a != b)
    with pytest.raises(UserError, match="expects labelled data"):
        recipes.find("conditional_gated_pixelcnn").model(DataSpec("a", (8, 8, 1)))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Autoregressive(pixelcnn.pixelcnn((4, 4, 1), 3), Categorical(4)), r"must give \(4, 4, 4\).*gives \(4, 4, 3\)"),
    (lambda: Autoregressive(pixelcnn.pixelcnn((4, 4, 1), 1), num_classes=3), "must take 2 input"),
    (lambda: HorizontalConv(4, -1), "left >= 0, received -1"), (lambda: HorizontalConv(4, groups=3), "groups=3 divides"),
    (lambda: HorizontalConv(4, 0, strict=True), "left >= 1 or groups >= 2"),
    (lambda: VerticalConv(4, 0, strict=True), "above >= 1")])
def test_wrong_arguments(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.rotating
def test_mixed_precision_trains_and_samples():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        models = [random_density(name, (4, 4, 1), 4) for name in ("gated_pixelcnn", "image_transformer")]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    x = data.load("digits", levels=4).images("train")[:16, :4, :4].astype("float32") / 255
    for model in models:
        assert np.isfinite(model.fit(x, epochs=2, verbose=0).history["loss"]).all()
        assert model.sample(tf.constant([1, 2])).shape == (2, 4, 4, 1)
