"""Networks of GANs: facts of their papers and official codes that a picture does not show."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, tiny

from tfgen import catalogue, layers, recipes
from tfgen.distributions.priors import Uniform
from tfgen.layers.doubling import double
from tfgen.networks import energy, resnet, style
from tfgen.networks.blocks import NORMS

SHAPE = (8, 8, 1)
RNG = np.random.default_rng(0)


def matrices(network):
    """Kernels of two or more axes as matrices (inputs, outputs)."""
    return [np.reshape(v.numpy(), (-1, v.shape[-1])) for v in network.trainable_variables if len(v.shape) > 1]


def test_a_class_moves_a_gain_by_as_much_as_it_learns():
    """SAGAN: gain and bias per class are plain tables that start at 0."""
    x, label = keras.Input((4, 4, 3)), keras.Input((2,))
    network = keras.Model([x, label], resnet.conditional_batch_norm(x, label))
    features, classes = RNG.normal(size=(2, 4, 4, 3)).astype("float32"), np.eye(2, dtype="float32")
    plain = network([features, classes]).numpy()
    np.testing.assert_allclose(plain, features / np.sqrt(1.0 + 1e-5), rtol=1e-5)
    gain, bias = network.trainable_variables
    gain.assign([[0, 0, 0], [3, 3, 3]])
    bias.assign([[0, 0, 0], [5, 5, 5]])
    np.testing.assert_allclose(network([features, classes]).numpy()[1], 4.0 * plain[1] + 5.0, rtol=1e-5)
    np.testing.assert_array_equal(network([features, classes]).numpy()[0], plain[0])


def test_kernels_and_embedding_of_biggan_start_orthogonal():
    model = tiny("biggan")
    for network in (model.generator, model.critic):
        # Tables of a spectrally normalised layer, too.
        for matrix in matrices(network):
            gram = matrix @ matrix.T if len(matrix) < len(matrix.T) else matrix.T @ matrix
            np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    assert any("embedding" in v.path for v in model.generator.trainable_variables)


@pytest.mark.parametrize("name", ["cgan", "acgan", "stackgan"])
def test_a_label_is_noticed_from_the_start(name):
    model = tiny(name, filters=8)
    tables = [v.numpy() for v in model.trainable_variables if "embedding" in v.path]
    assert tables
    for table in tables:
        assert np.std(table) == pytest.approx(0.2, rel=0.25)


def test_every_weight_of_a_clipped_critic_is_clipped():
    model = recipes.find("wgan").model(dataclasses.replace(SPEC, image_shape=(16, 16, 1)), filters=2, clip=0.01)
    assert any("gamma" in v.path for v in model.critic.trainable_variables)
    # From the first step on, as in the authors' code.
    assert max(np.abs(v.numpy()).max() for v in model.critic.trainable_variables) == np.float32(0.01)
    model.train_on_batch(RNG.uniform(size=(4 * model.critic_steps, 16, 16, 1)).astype("float32"))
    for variable in model.critic.trainable_variables:
        assert np.abs(variable.numpy()).max() <= 0.01


def test_layer_normalisation_has_a_gain_per_channel():
    """Against float64, in the gradient of a gradient penalty, too, whose second order Keras' own layer gets wrong."""
    x, kernel = RNG.normal(size=(5, 4, 4, 3)), RNG.normal(size=(4, 4, 3, 1))
    before = RNG.normal(size=(1, 1, 3, 3))
    gamma, beta = np.array([1.0, 2.0, 0.5]), np.array([0.0, 0.3, -0.2])

    def found(dtype, normalise, weights):
        """A penalty (||gradient|| - 1)^2 and its gradients: of a convolution before, of gain and bias."""
        images = tf.constant(x, dtype)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(images)
                features = tf.nn.leaky_relu(normalise(tf.nn.conv2d(images, weights[0], 1, "SAME"), *weights[1:]), 0.2)
                total = tf.reduce_sum(features**2 * tf.constant(kernel[None, ..., 0], dtype))
            norms = tf.sqrt(tf.reduce_sum(inner.gradient(total, images) ** 2, axis=(1, 2, 3)))
            loss = tf.reduce_mean((norms - 1.0) ** 2)
        return [loss, *outer.gradient(loss, weights)]

    def exact(features, gain, bias):
        mean = tf.reduce_mean(features, axis=(1, 2, 3), keepdims=True)
        variance = tf.reduce_mean((features - mean) ** 2, axis=(1, 2, 3), keepdims=True)
        return (features - mean) / tf.sqrt(variance + 1e-5) * gain + bias

    norm = NORMS["layer"]()
    norm.build(x.shape)
    assert [tuple(v.shape) for v in norm.trainable_variables] == [(3,), (3,)]
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    mine = found("float32", lambda features, *_: norm(features),
                 [tf.Variable(before, dtype="float32"), norm.gamma.value, norm.beta.value])
    wanted = found("float64", exact, [tf.Variable(value, dtype="float64") for value in (before, gamma, beta)])
    for one, other in zip(mine, wanted):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-3, atol=1e-4 * np.abs(other.numpy()).max())


@pytest.mark.parametrize("convolutions", [1, 2, 3])
def test_convolutions_of_began(convolutions):
    """Two resolutions; the encoder has one more at the start, the decoder at the end."""
    model = tiny("began", convolutions=convolutions)
    kernels = [sum(len(v.shape) == 4 for v in network.trainable_variables) for network in (model.generator, model.critic)]
    assert kernels == [2 * convolutions + 1, 1 + 2 * convolutions + 2 * convolutions + 1]


@pytest.mark.parametrize("side, smallest", [(8, 4), (28, 7), (32, 8), (64, 8)])
def test_smallest_grid_of_began(side, smallest):
    """The paper's is 8x8."""
    decoder = energy.equilibrium_decoder(4, (side, side, 1), 3)
    assert next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Reshape)).output.shape[1:] == (
        smallest, smallest, 3)
    critic = energy.equilibrium((side, side, 1), 4, 3)
    flat = next(layer for layer in critic.layers if isinstance(layer, keras.layers.Flatten))
    assert flat.input.shape[1:3] == (smallest, smallest)


def test_generator_of_began_may_be_that_of_dcgan():
    model, other = tiny("began", generator="dcgan"), tiny("dcgan")
    kinds = [[type(layer).__name__ for layer in network.layers] for network in (model.generator, other.generator)]
    assert kinds[0] == kinds[1] and "FusedBatchNorm" in kinds[0]


def test_generator_and_decoder_of_began_are_alike():
    model = tiny("began", latent_dim=8, code_dim=8)
    decoder = model.critic.get_layer("generator")
    shapes = [[tuple(v.shape) for v in network.trainable_variables] for network in (model.generator, decoder)]
    assert shapes[0] == shapes[1]
    # Images differ from the start, as latents do.
    made = energy.equilibrium_decoder(16, SHAPE, 16)(RNG.uniform(-1, 1, (64, 16)).astype("float32")).numpy()
    assert made.std(axis=0).mean() > 0.02
    # Energies are those of images in [-1, 1].
    x = batch("began")
    codes = [layer for layer in model.critic.layers if isinstance(layer, keras.layers.Dense)][-1].output
    decoded = decoder(keras.Model(model.critic.inputs, codes)(x)).numpy()
    wanted = np.abs((2.0 * x - 1.0) - (2.0 * decoded - 1.0)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.critic(x).numpy()[:, 0], wanted, rtol=1e-5)


def test_samples_of_began_are_images():
    model = tiny("began")
    model.generator.trainable_variables[-1].assign([7.0])
    z = np.zeros((2, model.latent_shape[0]), "float32")
    assert model.make(z, training=True).numpy().max() > 1.0
    assert model.make(z).numpy().max() == 1.0


def test_blur_is_a_binomial_filter():
    x = RNG.normal(size=(2, 5, 6, 3)).astype("float32")
    line = np.array([1.0, 2.0, 1.0], "float32") / 4
    kernel = np.tile((line[:, None] * line)[:, :, None, None], (1, 1, 3, 1))
    wanted = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "SAME")
    np.testing.assert_allclose(layers.Blur()(x).numpy(), wanted.numpy(), atol=1e-6)


def test_the_critic_of_stylegan_blurs_before_each_halving():
    critic = style.critic((32, 32, 1), 2)
    names = [type(layer).__name__ for layer in critic.layers]
    assert names.count("Blur") == names.count("EqualisedHalvingConv2D") == 3
    for blur in (layer for layer in critic.layers if isinstance(layer, layers.Blur)):
        assert followers(blur, 2) == ["EqualisedHalvingConv2D", "LeakyReLU"]


def test_the_generator_of_stylegan_blurs_after_each_doubling():
    synthesis = style.synthesis((32, 32, 1), 4, 2)
    doubling = [layer for layer in synthesis.layers if isinstance(layer, layers.EqualisedDoublingConv2D)]
    assert [layer.grid for layer in doubling] == [(8, 8), (16, 16), (32, 32)]
    assert all(followers(layer, 1) == ["Blur"] for layer in doubling)
    # Nearest neighbours and a blur are linear interpolation, but at the border.
    x = RNG.normal(size=(2, 5, 6, 3)).astype("float32")
    made = layers.Blur()(double(x, (10, 12)))
    np.testing.assert_allclose(made[:, 1:-1, 1:-1], tf.image.resize(x, (10, 12))[:, 1:-1, 1:-1], atol=1e-5)


def followers(layer, count):
    """The types of the operations behind a layer of a Functional model, each the only kind there."""
    found = []
    for _ in range(count):
        (layer,) = {node.operation for node in layer._outbound_nodes}
        found.append(type(layer).__name__)
    return found


@pytest.mark.parametrize("name, values", [
    ("progan", {"critic_steps": 2}), ("stylegan", {}), ("stackgan", {}), ("fanogan", {"critic_steps": 2}),
    ("stacked", {"pretrain_steps": 4}),
    ("stacked", {"pretrain_steps": 0}), ("deep_svdd", {"pretrain_share": 0.5}), ("deep_svdd", {"pretrain_share": 0.0}),
    ("vqvae", {}), ("vqgan", {})])
def test_optimizers_begin_anew_with_a_stage(name, values):
    model = tiny(name, **values)
    stages = [int(model.stage_at(tf.constant(step))) for step in range(80)]
    changes = [step for step in range(1, 80) if stages[step] != stages[step - 1]]
    assert bool(changes) == (values not in ({"pretrain_steps": 0}, {"pretrain_share": 0.0}))
    if name in ("progan", "stylegan"):
        # When a resolution has faded in, too.
        changes = sorted([*changes, *(step + model.stage_steps for step in changes)])
    if name == "vqgan":
        # The critic joins the autoencoder, whose Adam goes on.
        changes.remove(model.perceptual_steps + model.critic_start)
    assert model.optimizer.starts == changes
    if name in ("progan", "stylegan", "stackgan", "fanogan"):
        assert model.critic_optimizer.starts == [model.critic_steps * step for step in changes]


@pytest.mark.parametrize("name", ["wgan_gp", "lipschitz_gan", "progan", "stylegan", "fanogan"])
def test_penalties_have_the_units_of_the_papers(name):
    assert [penalty.scale for penalty in tiny(name).penalties] == [2.0]


def test_defaults_of_papers_and_their_codes():
    def of(name, **values):
        return recipes.find(name).model(catalogue.spec_for(recipes.find(name).view, SPEC), **values)

    model = of("infogan", filters=2)
    assert (model.information_weight, model.code_weight, model.noise_dim) == (1.0, 1.0, 62)
    assert isinstance(model.prior, Uniform) and model.critic.outputs[1].shape[-1] == 12
    assert of("biggan", filters=2).ema == 0.9999
    for name in ("progan", "stylegan"):
        model = of(name, filters=2, latent_dim=4)
        assert model.stage_steps * 64 == 600_000
    # Of stylegan: the mapping's width is not that of latents.
    assert {layer.units for layer in model.generator.get_layer("mapping").layers if hasattr(layer, "units")} == {512}
    # RMSProp's first step is 10 rates, v = 0.01 g^2, however small the gradient.
    optimizer, weight = of("wgan", filters=2).optimizer, keras.Variable(0.0)
    optimizer = type(optimizer).from_config(optimizer.get_config())
    optimizer.apply([tf.constant(1e-6)], [weight])
    assert float(weight) == pytest.approx(-10 * 5e-5, rel=0.01)
    for name in ("lipschitz_gan", "sngan"):
        model = of(name, filters=2, total_steps=100)
        for optimizer, updates in ((model.optimizer, 1), (model.critic_optimizer, model.critic_steps)):
            rates = [float(optimizer._learning_rate(step * updates)) for step in (0, 50, 100)]
            assert rates == pytest.approx([2e-4, 1e-4, 0.0])
    model = of("began", filters=2)
    for optimizer in (model.optimizer, model.critic_optimizer):
        rates = [float(optimizer._learning_rate(step)) for step in (0, 99_999, 100_000, 250_000)]
        assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 2.5e-5]) and optimizer.beta_1 == 0.9
