import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import Autoencoder, StackedAutoencoder
from tfgen.distributions import Gaussian
from tfgen.layers import MaskPixels
from tfgen.networks import conv, mlp

X = np.random.default_rng(0).uniform(size=(200, 4, 4, 1)).astype("float32")


def test_linear_autoencoder_finds_principal_components():
    """With linear maps and squared error the optimum is PCA's (Baldi & Hornik, 1989)."""
    basis = np.random.default_rng(1).normal(size=(2, 16))
    x = np.random.default_rng(2).normal(size=(500, 2)) @ basis + np.random.default_rng(3).normal(size=(500, 16))
    x = (x - x.mean(0)).astype("float32")
    model = Autoencoder(mlp.encoder((4, 4, 1), [], 2), mlp.decoder(2, [], (4, 4, 1)), Gaussian(1.0))
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.03, 600)))
    batches = tf.data.Dataset.from_tensors(x.reshape(-1, 4, 4, 1)).repeat(600)
    model.fit(batches, epochs=1, verbose=0)
    found = model.evaluate(batches.take(1), verbose=0, return_dict=True)["reconstruction"]
    values = np.linalg.svd(x, compute_uv=False)
    wanted = 0.5 * np.square(values[2:]).sum() / 500 + 8 * np.log(2 * np.pi)
    assert found == pytest.approx(wanted, rel=1e-3)


def test_corruption_meets_the_network_in_training_only_and_the_target_is_clean():
    seen = []

    class Spy(MaskPixels):
        def corrupt(self, x, uniforms):
            seen.append(True)
            return super().corrupt(x, uniforms)

    model = Autoencoder(mlp.encoder((4, 4, 1), [], 2), mlp.decoder(2, [], (4, 4, 1)), Gaussian(1.0),
                        corruption=Spy(rate=1.0))
    model.compile("adam")
    clean = {key: float(v) for key, v in model.compute_losses(tf.constant(X), False).items()}
    assert not seen
    masked = model.compute_losses(tf.constant(X), True)
    assert seen
    # All pixels masked: the reconstruction is the decoder's at the code of a black image.
    black = model.decoder(model.encoder(tf.zeros((1, 4, 4, 1))))
    wanted = np.mean(np.square(np.clip(black, 0, 1) - X))
    assert float(masked["mse"]) == pytest.approx(wanted, rel=1e-4) and clean["mse"] != pytest.approx(wanted, rel=1e-4)


def test_pairs_are_input_and_target_and_labels_are_ignored():
    model = Autoencoder(mlp.encoder((4, 4, 1), [], 2), mlp.decoder(2, [], (4, 4, 1)))
    model.compile("adam")
    plain = model.compute_losses(tf.constant(X), False)
    labelled = model.compute_losses((tf.constant(X), tf.zeros(200, tf.int64)), False)
    assert float(plain["loss"]) == float(labelled["loss"])
    pairs = model.compute_losses((tf.zeros_like(X), tf.constant(X)), False)
    assert float(pairs["loss"]) != float(plain["loss"])


def blocks():
    encoders = [mlp.encoder((4, 4, 1), [], 8, output_activation="relu")]
    encoders.append(keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]))
    decoders = [mlp.decoder(8, [], (4, 4, 1)), keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu")])]
    return encoders, decoders


def conv_blocks():
    """Blocks whose codes are maps: (2, 2, 3), then (2, 2, 2)."""
    def block(shape, layer):
        return keras.Sequential([keras.Input(shape), layer])

    layers = keras.layers
    encoders = [block((4, 4, 1), layers.Conv2D(3, 2, 2, activation="relu")), block((2, 2, 3), layers.Conv2D(2, 1))]
    decoders = [block((2, 2, 3), layers.Conv2DTranspose(1, 2, 2)), block((2, 2, 2), layers.Conv2D(3, 1, activation="relu"))]
    return encoders, decoders


@pytest.mark.rotating
@pytest.mark.parametrize("blocks", [blocks, conv_blocks])
@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.AdamW])
def test_greedy_pre_training_moves_one_block_at_a_time(blocks, optimizer):
    encoders, decoders = blocks()
    model = StackedAutoencoder(encoders, decoders, pretrain_steps=4)
    model.compile(optimizer(0.1))
    batches = tf.data.Dataset.from_tensors(X).repeat()

    def moved():
        before = [[w.copy() for w in m.get_weights()] for m in (*encoders, *decoders)]
        model.fit(batches, epochs=1, steps_per_epoch=4, verbose=0)
        after = [m.get_weights() for m in (*encoders, *decoders)]
        return [any(np.abs(a - b).max() > 0 for a, b in zip(x, y)) for x, y in zip(before, after)]

    assert moved() == [True, False, True, False]
    assert moved() == [False, True, False, True]
    assert moved() == [True] * 4


@pytest.mark.parametrize("blocks", [blocks, conv_blocks])
def test_greedy_loss_by_hand(blocks):
    encoders, decoders = blocks()
    model = StackedAutoencoder(encoders, decoders, pretrain_steps=4)
    model.compile("adam")
    h = encoders[0](X).numpy()
    made = decoders[1](encoders[1](h)).numpy()
    model.optimizer.iterations.assign(5)
    losses = model.by_stage(model.compute_losses, tf.constant(X), True)
    squares = np.square(made - h).reshape(len(h), -1)
    assert float(losses["loss"]) == pytest.approx(0.5 * np.mean(squares.sum(1)), rel=1e-5)
    assert float(losses["mse"]) == pytest.approx(squares.mean(), rel=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (28, 28), (1, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_convolutional_networks_make_any_size(size, channels):
    encoder = conv.encoder((*size, channels), [4, 8, 8], 5)
    decoder = conv.decoder(5, [8, 8, 4], (*size, channels))
    assert encoder.output_shape == (None, 5) and decoder.output_shape == (None, *size, channels)
    Autoencoder(encoder, decoder)


def test_mistakes_name_both_sides():
    with pytest.raises(ValueError, match=r"codes of shape \(2,\), the decoder takes \(3,\)"):
        Autoencoder(mlp.encoder((4, 4, 1), [], 2), mlp.decoder(3, [], (4, 4, 1)))
    with pytest.raises(ValueError, match="as many decoders as encoders"):
        StackedAutoencoder(blocks()[0], blocks()[1][:1])
