import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfgen import noise


def test_threefry_known_answers():
    """Test vectors of the Random123 distribution (threefry2x32, 20 rounds)."""
    vectors = [((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
               ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
               ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))]
    for key, counter, wanted in vectors:
        made = noise.threefry([tf.constant(k, tf.uint32) for k in key], [tf.constant(c, tf.uint32) for c in counter])
        assert tuple(int(m) for m in made) == wanted


def test_graphs_that_draw_share_one_trace_of_the_cipher():
    graphs = [tf.function(lambda seeds, size=size: noise.uniform(seeds, (size,))).get_concrete_function(
        tf.TensorSpec((None,), tf.int64)).graph for size in (3, 8)]
    ciphers = [{op.get_attr("f").name for op in graph.get_operations() if op.type == "PartitionedCall"} for graph in graphs]
    assert ciphers[0] == ciphers[1] and len(ciphers[0]) == 1
    assert not any(op.type == "BitwiseXor" for graph in graphs for op in graph.get_operations())


def test_distributions():
    seeds = np.arange(2000)
    assert scipy.stats.kstest(noise.normal(seeds, (5, 5)).numpy().ravel(), "norm").pvalue > 1e-3
    uniform = noise.uniform(seeds, (25,)).numpy()
    assert scipy.stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert uniform.min() > 0 and uniform.max() < 1
    assert np.abs(np.corrcoef(uniform[:, :2].T)[0, 1]) < 0.1


def test_rows_depend_on_their_seed_and_use_alone():
    row = noise.normal([5], (3, 2), use=1).numpy()[0]
    np.testing.assert_array_equal(noise.normal([1, 5, 2**40], (3, 2), use=1).numpy()[1], row)
    assert np.abs(noise.normal([5], (3, 2), use=2).numpy()[0] - row).min() > 0
    assert np.abs(noise.normal([5 + 2**32], (3, 2), use=1).numpy()[0] - row).min() > 0


def test_graph_and_xla_agree_with_eager():
    seeds = tf.range(4, dtype=tf.int64)
    eager = noise.normal(seeds, (7,))
    for xla in (False, True):
        made = tf.function(lambda s: noise.normal(s, (7,)), jit_compile=xla)(seeds)
        np.testing.assert_allclose(made, eager, atol=2e-6)


def test_negative_seeds_are_fresh():
    tf.random.set_seed(0)
    first = noise.normal([-1, -1, 3], (4,)).numpy()
    tf.random.set_seed(0)
    second = noise.normal([-1, -1, 3], (4,)).numpy()
    assert np.abs(first[0] - first[1]).min() > 0 and np.abs(first[0] - second[0]).min() > 0
    np.testing.assert_array_equal(first[2], second[2])


def test_seeds_of_images_tell_images_apart():
    x = np.random.default_rng(0).integers(0, 256, (500, 8, 8, 1)) / 255
    x[1] = x[0]
    x[2] = x[0][::-1]
    seeds = noise.seeds_of(x.astype("float32")).numpy()
    assert seeds[0] == seeds[1] and len(set(seeds)) == 499 and seeds.min() >= 0
    np.testing.assert_array_equal(noise.seeds_of(x[3:4].astype("float32")).numpy(), seeds[3:4])


@pytest.mark.parametrize("location, scale", [(0.0, 1e-6), (0.0, 1.0), (2000.0, 5.0), (0.0, 1e18)])
def test_rows_of_any_unit_have_noise_of_their_own(location, scale):
    rows = (location + scale * np.random.default_rng(0).normal(size=(500, 6))).astype("float32")
    seeds = noise.seeds_of(rows, ([location] * 6, [scale] * 6)).numpy()
    assert len(set(seeds)) == 500 and seeds.min() >= 0
    unit = ((rows.astype(float) - location) / scale).astype("float32")
    assert np.mean(seeds == noise.seeds_of(unit, ([0.0] * 6, [1.0] * 6)).numpy()) > 0.99
