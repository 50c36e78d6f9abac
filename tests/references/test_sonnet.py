"""Codebooks beside `sonnet.nets` of the package dm-sonnet, by the authors of VQ-VAE (van den Oord et al., 2017)."""

import numpy as np
import pytest
import tensorflow as tf
from twins import MISSING

from tfgen.layers import VectorQuantizer, perplexity

DIM, CODES, COMMITMENT, DECAY = 3, 5, 0.4, 0.9


@pytest.fixture
def sonnet():
    return pytest.importorskip("sonnet", reason=MISSING)


# What vectors of a batch are around, and where codes start, so that all are used.
CENTRES = np.random.default_rng(0).normal(size=(2 * CODES, DIM)).astype("float32")


def batch(seed):
    """Vectors (4, 6, 6, DIM)."""
    rng = np.random.default_rng(seed)
    return (CENTRES[rng.integers(2 * CODES, size=(4, 6, 6))] + 0.2 * rng.normal(size=(4, 6, 6, DIM))).astype("float32")


def quantizer(**arguments):
    layer = VectorQuantizer(CODES, commitment=COMMITMENT, revive=0.0, **arguments)
    layer.build((None, 6, 6, DIM))
    return layer


def through(call, z, weights, codebook):
    """(output, codes, loss, gradients at z and the codebook of the loss and of a weighted sum of the output)."""
    z = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        made, codes, loss = call(z)
        total = loss + tf.reduce_sum(weights * made)
    return made, codes, loss, *tape.gradient(total, [z, codebook], unconnected_gradients="zero")


def test_a_codebook_that_the_optimizer_trains(sonnet):
    """Output, codes, loss, perplexity, gradients, and the codebook after a step."""
    theirs, ours = sonnet.nets.VectorQuantizer(DIM, CODES, COMMITMENT), quantizer(trained=True)
    theirs.embeddings.assign(CENTRES[:CODES].T)
    ours.codebook.assign(CENTRES[:CODES])
    z, weights = batch(2), np.random.default_rng(3).normal(size=(4, 6, 6, DIM)).astype("float32")

    def of_theirs(z):
        found = theirs(z, is_training=True)
        return found["quantize"], found["encoding_indices"], found["loss"]

    def of_ours(z):
        made, codes, loss = ours(z, training=False)
        return made, codes, tf.reduce_mean(loss)

    wanted = through(of_theirs, z, weights, theirs.embeddings)
    found = through(of_ours, z, weights, ours.codebook.value)
    assert len(np.unique(wanted[1])) == CODES
    np.testing.assert_array_equal(found[1], wanted[1])
    for place in (0, 2, 3):
        np.testing.assert_allclose(found[place], wanted[place], rtol=1e-5, atol=1e-6)
    slope = tf.convert_to_tensor(found[4])
    np.testing.assert_allclose(slope, tf.transpose(wanted[4]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(perplexity(found[1], CODES), theirs(z, is_training=False)["perplexity"], rtol=1e-5)


def test_a_codebook_of_running_averages(sonnet):
    """Over steps on batches: codes, losses, gradients, and codebooks.

    Their averages are debiased, each by the same factor, which cancels; they count 1e-5 vectors more per code. At our first
    step codes start from data, at theirs they do not: the state is taken after it.
    """
    theirs = sonnet.nets.VectorQuantizerEMA(DIM, CODES, COMMITMENT, DECAY)
    theirs.embeddings.assign(CENTRES[:CODES].T)
    theirs(tf.constant(batch(2)), is_training=True)
    ours, weights = quantizer(decay=DECAY), np.random.default_rng(3).normal(size=(4, 6, 6, DIM)).astype("float32")
    for weight, value in ((ours.codebook, tf.transpose(theirs.embeddings)), (ours.sums, tf.transpose(theirs.ema_dw._hidden)),
                          (ours.counts, theirs.ema_cluster_size._hidden)):
        weight.assign(value)

    def of_theirs(z):
        found = theirs(z, is_training=True)
        return found["quantize"], found["encoding_indices"], found["loss"]

    def of_ours(z):
        made, codes, loss = ours(z, training=True)
        return made, codes, tf.reduce_mean(loss)

    start = ours.codebook.numpy()
    for seed in (4, 5, 6):
        wanted = through(of_theirs, batch(seed), weights, theirs.embeddings)
        found = through(of_ours, batch(seed), weights, ours.codebook.value)
        assert len(np.unique(wanted[1])) == CODES
        np.testing.assert_array_equal(found[1], wanted[1])
        for place in (0, 2, 3):
            np.testing.assert_allclose(found[place], wanted[place], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(ours.codebook, tf.transpose(theirs.embeddings), rtol=1e-5, atol=1e-5)
    assert np.abs(ours.codebook.numpy() - start).max() > 0.05
