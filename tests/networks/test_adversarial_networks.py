"""Networks of GANs: facts of their papers and official codes that a picture does not show."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, tiny
from keras import ops

from tfgen import layers, recipes
from tfgen.losses.penalties import GradientPenalty
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
    model.train_on_batch(RNG.uniform(size=(4 * model.critic_steps, 16, 16, 1)).astype("float32"))
    for variable in model.critic.trainable_variables:
        assert np.abs(variable.numpy()).max() <= 0.01


def test_layer_normalisation_has_a_gain_per_channel():
    """As Keras' group normalisation of one group, in the gradient of a gradient penalty, too."""
    x = RNG.normal(size=(5, 4, 4, 3)).astype("float32")
    found = []
    for norm in (NORMS["layer"](), keras.layers.GroupNormalization(1, epsilon=1e-5)):
        norm.build(x.shape)
        assert [tuple(v.shape) for v in norm.trainable_variables] == [(3,), (3,)]
        norm.gamma.assign([1.0, 2.0, 0.5])
        norm.beta.assign([0.0, 0.3, -0.2])
        critic = keras.Sequential([keras.Input(x.shape[1:]), norm, keras.layers.LeakyReLU(0.2), keras.layers.Flatten(),
                                   keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(seed=3))])
        with tf.GradientTape() as tape:
            loss = GradientPenalty(seed=1)(critic, ops.convert_to_tensor(x), ops.convert_to_tensor(x[::-1].copy()))
        found.append((loss, *tape.gradient(loss, norm.trainable_variables)))
    for mine, keras_value in zip(*found):
        np.testing.assert_allclose(mine.numpy(), keras_value.numpy(), rtol=2e-4)


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
    assert names.count("Blur") == names.count("AveragePooling2D") == 3
    for place in (index for index, name in enumerate(names) if name == "Blur"):
        assert names[place:place + 4] == ["Blur", "EqualisedConv2D", "AveragePooling2D", "LeakyReLU"]


@pytest.mark.parametrize("name, starts, critic_starts", [
    ("progan", [5, 10], [10, 20]), ("stackgan", [5], [10]), ("fanogan", [20], [40])])
def test_optimizers_begin_anew_with_a_stage(name, starts, critic_starts):
    values = {} if name == "stackgan" else {"critic_steps": 2}
    model = tiny(name, **values)
    found = model.optimizer.starts, model.critic_optimizer.starts
    assert found == (starts, [model.critic_steps * start for start in starts])
    assert not values or found[1] == critic_starts


@pytest.mark.parametrize("name, values, starts", [
    ("stacked", {"pretrain_steps": 4}, [4, 8, 12]), ("stacked", {"pretrain_steps": 0}, []),
    ("deep_svdd", {"pretrain_share": 0.5}, None), ("deep_svdd", {"pretrain_share": 0.0}, [])])
def test_adams_of_other_stages(name, values, starts):
    model = tiny(name, **values)
    assert model.optimizer.starts == ([model.pretrain_steps] if starts is None else starts)
