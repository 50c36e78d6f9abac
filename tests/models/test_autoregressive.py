"""Autoregressive models: causality, probabilities over all images, and sampling."""

import functools
import itertools
import math

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from cases import SPEC, TINY, tiny_values

from tfgen import Autoregressive, MaskEnsemble, data, recipes
from tfgen.data import DataSpec
from tfgen.distributions import Bernoulli, Categorical, DiscretisedLogistic, MixtureOfLogistics
from tfgen.errors import UserError
from tfgen.layers import HorizontalConv, VerticalConv
from tfgen.models.autoregressive.autoregressive import incremental_form
from tfgen.networks import made, pixelcnn
from tfgen.samplers import autoregressive
from tfgen.verbs import graphs
from tfgen.verbs.live import Live

NAMES = sorted(name for name, recipe in recipes.RECIPES.items() if recipe.family == "autoregressive")


@functools.cache
def known_to(name):
    """The hyperparameters of a recipe."""
    return set(recipes.find(name).hyperparameters(SPEC, tiny_values(name)))


def tiny(name, shape, levels, seed=0, **values):
    """A model of a recipe with two blocks, and random weights so large that its conditionals differ."""
    recipe, spec = recipes.find(name), DataSpec("tiny", shape, 2, {"train": 8}, levels=levels)
    wanted = TINY | {"blocks": 2, "filters": 12, "head_filters": 24, "units": 18, "hidden_units": 24} | values
    keras.utils.set_random_seed(seed)
    wanted |= {"blocks": 1} if name == "pixelcnnpp" else {}
    wanted["levels"] = max(n for n in (1, 2, 3) if all(side % 2 ** (n - 1) == 0 for side in shape[:2]))
    model = recipe.model(spec, **{key: value for key, value in wanted.items() if key in known_to(name)})
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        scale = 0.3 if len(weight.shape) == 1 else 1.2 / math.sqrt(math.prod(weight.shape[:-1]))
        weight.assign(rng.normal(size=weight.shape) * scale + (weight.path.endswith("gamma")))
    return model


def labels(model, rows):
    return {"label": tf.ones(rows, tf.int64)} if model.num_classes else {}


def random_images(rng, rows, shape, levels):
    return (rng.integers(0, levels, (rows, *shape)) / (levels - 1)).astype("float32")


@pytest.mark.parametrize("shape", [(5, 4, 1), (4, 4, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_sees_its_own_or_a_later_value(name, shape):
    """Each value is changed in turn: parameters of values up to it stay, and some later ones change."""
    levels = 2 if recipes.find(name).view == "binarised" else 5
    model, size = tiny(name, shape, levels), math.prod(shape)
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


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_causal(name):
    """d parameters of value i / d value j = 0 for j >= i; after an embedding, d embedded value j."""
    shape, levels = (4, 3, 1), 2
    model = tiny(name, shape, levels)
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
        model = tiny(name, (12, 7, 1), 2, kernel_size=3, blocks=2)
        x = tf.random.stateless_uniform((1, 12, 7, 1), (0, 0))
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = tf.reduce_sum(tf.square(model.network(x)[:, 6, 1]))
        seen[name] = tape.gradient(made, x).numpy()[0, ..., 0] != 0
    # Row 5 right of the pixel is within the receptive field's width of 3 + 1 (+ 1).
    assert seen["gated_pixelcnn"][5, :6].all() and not seen["gated_pixelcnn"][6, 1:].any()
    assert not seen["pixelcnn"][5, 6] and not seen["pixelcnn"][6, 1:].any()


def all_images(shape, levels):
    grid = itertools.product(range(levels), repeat=math.prod(shape))
    return (np.array(list(grid), "float32") / (levels - 1)).reshape(-1, *shape)


@pytest.mark.parametrize(("shape", "levels"), [((2, 2, 1), 2), ((2, 2, 1), 4), ((1, 2, 3), 2)])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_of_all_images_sum_to_one(name, shape, levels):
    if levels > 2 and recipes.find(name).view == "binarised":
        pytest.skip("of binary images")
    model, x = tiny(name, shape, levels), all_images(shape, levels)
    log_prob = model.log_prob(x, **labels(model, len(x))).numpy()
    assert np.exp(log_prob.astype(float)).sum() == pytest.approx(1.0, abs=1e-4)
    assert np.exp(log_prob).std() > 1e-3 / len(x)


def same_levels(a, b, levels):
    np.testing.assert_array_equal(np.rint(np.asarray(a) * (levels - 1)), np.rint(np.asarray(b) * (levels - 1)))


def drawn_again(model, images, seeds, **label):
    """What one parallel pass over finished samples draws with the same noise."""
    uniforms = autoregressive.noise_of(model.likelihood, model.image_shape, tf.constant(seeds, tf.int64))
    return model.likelihood.draw(model.parameters(images, **label), uniforms, tf.ones(len(seeds))).numpy()


@pytest.mark.parametrize("shape", [(8, 4, 1), (2, 4, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_one_parallel_pass_draws_the_samples_again(name, shape):
    """The samples are those of the naive sampler: on integer levels 0 mismatches; and a row's depends on its seed alone."""
    levels = 2 if recipes.find(name).view == "binarised" else 4
    model, seeds = tiny(name, shape, levels), np.array([3, 4, 5, 6, 2**40])
    label, live = labels(model, 5), Live(model)
    assert incremental_form(model.network) is not None
    made = live("sample", seeds, **({"label": 1} if label else {}))
    np.testing.assert_allclose(made, np.rint(made * (levels - 1)) / (levels - 1), atol=1e-6)
    same_levels(drawn_again(model, made, seeds, **label), made, levels)
    assert len(np.unique(made.reshape(5, -1), axis=0)) == 5
    same_levels(live("sample", seeds[[4, 1]], **({"label": 1} if label else {})), made[[4, 1]], levels)


@pytest.mark.parametrize(("name", "shape"), [("gated_pixelcnn", (4, 3, 1)), ("gated_pixelcnn", (2, 2, 3)),
                                             ("image_transformer", (4, 3, 1)), ("made", (4, 3, 1))])
def test_the_naive_sampler_gives_the_same_images(name, shape):
    levels, seeds = 2 if name == "made" else 4, tf.constant([1, 2, 3], tf.int64)
    model = tiny(name, shape, levels)
    uniforms = autoregressive.noise_of(model.likelihood, shape, seeds)
    nothing = tf.zeros((3, *shape)), tf.zeros((3, *shape[:2], 1), bool)
    slow = tf.function(autoregressive.naive)(model.network, model.likelihood, uniforms, tf.ones(3), *nothing)
    same_levels(slow, tf.function(model.sample)(seeds), levels)


def test_sample_frequencies_are_the_probabilities():
    model = tiny("gated_pixelcnn", (2, 1, 1), 3)
    x, count = all_images((2, 1, 1), 3), 20_000
    made = np.rint(Live(model)("sample", np.arange(count), batch_size=count) * 2).reshape(count, 2)
    found = np.bincount((made @ [3, 1]).astype(int), minlength=9) / count
    assert np.abs(found - np.exp(model.log_prob(x))).max() < 4 * np.sqrt(0.25 / count)


def test_temperature_zero_takes_the_likeliest_value_of_each_pixel():
    model = tiny("pixelcnn", (4, 4, 1), 4)
    x = model.sample(tf.constant([1, 2]), temperature=0.0)
    np.testing.assert_array_equal(x[0], x[1])
    best = np.argmax(model.parameters(x)[0], -1)
    np.testing.assert_array_equal(np.rint(x[0, ..., 0] * 3), best)
    mixed = model.sample(tf.constant([1, 1, 1]), temperature=tf.constant([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(mixed[0], x[0])
    assert np.any(mixed[1] != mixed[2])


@pytest.mark.parametrize("name", ["gated_pixelcnn", "image_transformer", "made"])
def test_complete_keeps_given_pixels_and_draws_the_others_given_them(name):
    levels = 2 if name == "made" else 5
    model, rng, seeds = tiny(name, (4, 3, 1), levels), np.random.default_rng(0), tf.constant([1, 2, 3], tf.int64)
    given, masks = random_images(rng, 3, (4, 3, 1), levels), (rng.uniform(size=(3, 4, 3)) < 0.5).astype("float32")
    made = tf.function(model.complete)(given, masks, seeds).numpy()
    np.testing.assert_allclose(made[masks == 1], given[masks == 1], atol=1e-6)
    same_levels(drawn_again(model, made, [1, 2, 3])[masks == 0], made[masks == 0], levels)
    assert np.any(made != given)


def test_another_order_of_pixels():
    """Probabilities sum to 1; a value is drawn given those before it in the order, by hand for the first two."""
    model, x = tiny("made", (2, 2, 1), 2, order="random", mask_seed=3), all_images((2, 2, 1), 2)
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


@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_masks_make_a_mixture(hidden_layers, tmp_path):
    """Each mask's model is causal and its probabilities sum to 1; log_prob is of the mixture, which samples follow."""
    model = tiny("made", (2, 2, 1), 2, masks=3, hidden_layers=hidden_layers, order="random")
    x = all_images((2, 2, 1), 2)
    each = np.exp(model.log_probs(x).numpy().astype(float))
    np.testing.assert_allclose(each.sum(1), 1.0, atol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 1e-3 and np.abs(each[1] - each[2]).max() > 1e-3
    np.testing.assert_allclose(np.exp(model.log_prob(x)), each.mean(0), rtol=1e-4)
    assert float(model.compute_losses(x, True)["loss"]) == pytest.approx(-np.log(each).mean(), rel=1e-4)
    count = 20_000
    made = Live(model)("sample", np.arange(count), batch_size=count).reshape(count, 4)
    found = np.bincount((made @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    assert np.abs(found - each.mean(0)).max() < 4 * np.sqrt(0.25 / count)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").log_prob(x), model.log_prob(x))
    with pytest.raises(UserError, match="several outputs"):
        MaskEnsemble(tiny("made", (2, 2, 1), 2).network)


def ensemble(shape, orders, hidden=(12,), seed=0):
    """A MaskEnsemble of MADEs with one order of pixels per mask, and random weights."""
    network, rng = made.made(shape, hidden, masks=len(orders), orders=orders), np.random.default_rng(seed)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return MaskEnsemble(network, order=orders)


@pytest.mark.parametrize(("shape", "hidden"), [((2, 2, 1), (12,)), ((1, 2, 2), (12, 12))])
def test_each_mask_may_have_its_own_order(shape, hidden, tmp_path):
    """Each order's model is causal in it and its probabilities sum to 1; samples follow the mixture; the file opens."""
    orders = [[2, 0, 3, 1], [0, 1, 2, 3], [3, 2, 1, 0]] if shape[1] == shape[0] else [[1, 0], [0, 1], [1, 0]]
    model, x, size = ensemble(shape, orders, hidden), all_images(shape, 2), math.prod(shape)
    each = np.exp(model.log_probs(x).numpy().astype(float))
    np.testing.assert_allclose(each.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.exp(model.log_prob(x)), each.mean(0), rtol=1e-4)
    flat, channels = x.reshape(len(x), size), shape[-1]
    for p, order in zip(each, orders):
        # The first pixel of the order has the distribution that its biases give.
        first = flat[:, order[0] * channels]
        weights = model.network.trainable_variables
        bias = sum(float(w[order[0] * channels]) for w in weights if w.shape == (size,))
        assert p[first == 1].sum() == pytest.approx(scipy.special.expit(bias), abs=1e-5)
    count = 20_000
    drawn = Live(model)("sample", np.arange(count), batch_size=count).reshape(count, 4)
    found = np.bincount((drawn @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    assert np.abs(found - each.mean(0)).max() < 4 * np.sqrt(0.25 / count)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").log_prob(x), model.log_prob(x))


def test_orders_of_masks_share_weights_by_pixel():
    """With hidden weights of 0: the order (a, b) has the logits bias_a and bias_b + kernel_ab x_a."""
    model, x = ensemble((1, 2, 1), [[0, 1], [1, 0]]), all_images((1, 2, 1), 2)
    hidden = [w for w in model.network.trainable_variables if 12 in w.shape]
    for weight in hidden:
        weight.assign(0 * weight)
    by_kind, pairs = {type(layer).__name__: layer for layer in model.network.layers}, x.reshape(4, 2)
    kernel, bias = (weight.numpy() for weight in by_kind["CausalDense"].weights)
    out = by_kind["DenseToImage"].bias.numpy() + bias
    for p, (a, b) in zip(np.exp(model.log_probs(x)), [(0, 1), (1, 0)]):
        first, second = out[a], out[b] + kernel[a, b] * pairs[:, a]
        wanted = [scipy.special.expit(np.where(pairs[:, i] == 1, logit, -logit)) for i, logit in ((a, first), (b, second))]
        np.testing.assert_allclose(p, wanted[0] * wanted[1], rtol=1e-5)


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
    model = tiny("gated_pixelcnn", (3, 3, 1), 4)
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


def test_mixture_of_logistics_and_discretised_logistic_fit_the_same_networks():
    for likelihood in (MixtureOfLogistics(2, 16), DiscretisedLogistic(4)):
        keras.utils.set_random_seed(0)
        groups = 1 if likelihood.joint else 3
        network = pixelcnn.gated_pixelcnn((4, 4, 3), likelihood.parameters(3), 6, 2, 3, 6, groups=groups)
        model = Autoregressive(network, likelihood)
        x = tf.function(model.sample)(tf.constant([1, 2]))
        same_levels(drawn_again(model, x, [1, 2]), x, 16)


def test_conditional_samples_depend_on_the_label():
    model = tiny("conditional_gated_pixelcnn", (4, 4, 1), 4)
    a, b = (model.sample(tf.constant([1, 2]), label=tf.constant([label] * 2)) for label in (0, 1))
    assert np.any(a != b)
    with pytest.raises(UserError, match="expects labelled data"):
        recipes.find("conditional_gated_pixelcnn").model(DataSpec("a", (8, 8, 1)))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Autoregressive(pixelcnn.pixelcnn((4, 4, 1), 3), Categorical(4)), r"must give \(4, 4, 4\).*gives \(4, 4, 3\)"),
    (lambda: Autoregressive(pixelcnn.pixelcnn((4, 4, 1), 1), num_classes=3), "must take 2 input"),
    (lambda: ensemble((2, 2, 1), [[0, 1, 2, 3], [0, 1, 2, 2]]), r"permutation of 0 \.\.\. 3, received \[0, 1, 2, 2\]"),
    (lambda: MaskEnsemble(made.made((2, 2, 1), (4,), masks=3), order=[[0, 1, 2, 3]] * 2), "each of 3 masks, received 2"),
    (lambda: made.made((2, 2, 1), masks=2, orders=[[0, 1, 2, 3]]), "each of the masks=2, received 1"),
    (lambda: HorizontalConv(4, -1), "left >= 0, received -1"), (lambda: HorizontalConv(4, groups=3), "groups=3 divides"),
    (lambda: HorizontalConv(4, 0, strict=True), "left >= 1 or groups >= 2"),
    (lambda: VerticalConv(4, 0, strict=True), "above >= 1")])
def test_wrong_arguments(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_mixed_precision_trains_and_samples():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        models = [tiny(name, (4, 4, 1), 4) for name in ("gated_pixelcnn", "image_transformer")]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    x = data.load("digits", levels=4).images("train")[:16, :4, :4].astype("float32") / 255
    for model in models:
        assert np.isfinite(model.fit(x, epochs=2, verbose=0).history["loss"]).all()
        assert model.sample(tf.constant([1, 2])).shape == (2, 4, 4, 1)
