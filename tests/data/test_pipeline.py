import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import Dataset, DataSpec, load, pairings, views
from tfgen.data.order import IMAGES, ORDER, SOURCES, shuffled, stream_seeds
from tfgen.errors import UserError
from tfgen.layers import Jitter


def numbered(count, labels=True):
    """Dataset whose image i has value i everywhere."""
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 1))
    return Dataset(DataSpec("numbered", (2, 2, 1), count if labels else None, {"train": count}),
                   {"train": (images, np.arange(count) if labels else None)})


def domains(images, sources):
    """Unpaired data whose image and source i have the value i everywhere; the sources have three channels."""
    arrays = [np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 2, c))
              for n, c in ((images, 1), (sources, 3))]
    spec = DataSpec("domains", (2, 2, 1), sizes={"train": max(images, sources)}, view="unpaired", source_shape=(2, 2, 3))
    return Dataset(spec, {"train": (arrays[0], None)}, sources={"train": arrays[1]})


def take(stream, count):
    return [tf.nest.map_structure(lambda t: t.numpy(), batch) for batch in itertools.islice(iter(stream), count)]


def rows_of(batches):
    return np.rint(np.concatenate(batches)[:, 0, 0, 0] * 255).astype(int)


def seeds_view(record):
    return record["seed"]


@pytest.mark.parametrize(("count", "batch_size"), [(23, 4), (5, 7), (1, 3), (64, 64)])
def test_every_epoch_is_another_permutation(count, batch_size):
    rows = rows_of(take(numbered(count).train(batch_size, seed=3), -(-3 * count // batch_size)))
    epochs = [tuple(rows[e * count:(e + 1) * count]) for e in range(3)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    if count > 5:
        assert len(set(epochs)) == 3


def test_runs_begun_in_the_first_order_keep_it():
    rows = rows_of(take(numbered(11).train(4, seed=9, order=1), 8))
    expected = [int(tf.random.experimental.index_shuffle(
        tf.constant(g % 11, tf.int64), tf.constant([9, g // 11], tf.int64), tf.constant(10, tf.int64)))
        for g in range(32)]
    assert list(rows) == expected


def orders(count, epochs, seed=0, domain=IMAGES, order=ORDER):
    """The places of a split's rows in some epochs: int64 (epochs, count)."""
    positions = tf.range(epochs[0] * count, (epochs[-1] + 1) * count, dtype=tf.int64)
    return shuffled(positions, count, seed, domain, order).numpy().reshape(-1, count)


def correlation(ones, others):
    """Mean correlation of pairs of orders."""
    pairs = min(len(ones), len(others))
    ones, others = (rows[:pairs] - rows.mean(1, keepdims=True)[:pairs] for rows in (ones, others))
    return float(np.mean((ones * others).sum(1) / np.sqrt((ones**2).sum(1) * (others**2).sum(1))))


@pytest.mark.rotating
@pytest.mark.parametrize("count", [30, 1000, 30_000, 55_000, 65_536, 1_000_000])
def test_orders_of_epochs_seeds_and_domains_are_independent(count):
    # Of n rows one pair of orders correlates by 1 / sqrt(n) at random: the mean of enough pairs by 0.005 at most.
    epochs = range(max(2, min(1500, 120_000 // count)))
    ours = orders(count, epochs)
    assert sorted(ours[0]) == list(range(count))
    others = {"epochs": (ours, ours[1:]), "seeds": (ours, orders(count, epochs, 1)),
              "far seeds": (ours, orders(count, epochs, 256)), "high seeds": (ours, orders(count, epochs, 2**40)),
              "domains": (ours, orders(count, epochs, 0, SOURCES)),
              "place and row": (ours, np.broadcast_to(np.arange(count), ours.shape))}
    found = {name: correlation(*pair) for name, pair in others.items()}
    assert max(map(abs, found.values())) <= 0.01, found


def test_the_first_order_would_not_pass():
    assert correlation(orders(55_000, [0], order=1), orders(55_000, [1], order=1)) > 0.5


@pytest.mark.rotating
def test_every_place_is_as_likely_and_batches_mix():
    ours = orders(40, range(4000))
    counts = np.stack([np.bincount(column, minlength=40) for column in ours.T])  # (places, rows)
    # Chi-squared of 1,521 degrees of freedom: deviation sqrt(2 * 1521) = 55.
    assert abs(np.square(counts - 100).sum() / 100 - 1560) < 5 * 56
    # Two rows of a batch of 8 meet again in the next epoch with probability 7 / 39.
    batch = np.argsort(ours, axis=1) // 8  # (epochs, rows)
    together = batch[:, :, None] == batch[:, None, :]
    pairs = ~np.eye(40, dtype=bool)
    again = (together[:-1] & together[1:])[:, pairs].sum() / together[:-1][:, pairs].sum()
    assert again == pytest.approx(7 / 39, rel=0.03)


def test_start_skips_batches_for_images_and_seeds():
    data = numbered(23)
    for view in (views.images, seeds_view, views.binarised):
        whole = take(data.train(4, seed=5, view=view), 12)
        late = take(data.train(4, seed=5, view=view, start=7), 5)
        np.testing.assert_array_equal(np.stack(whole[7:]), np.stack(late))


def test_seed_changes_order_and_noise():
    data = numbered(50)
    for view in (views.images, seeds_view):
        a, b = (take(data.train(50, seed=s, view=view), 1)[0] for s in (0, 1))
        assert not np.array_equal(a, b)


def test_seeds_are_distinct_non_negative_and_fresh_each_epoch():
    seeds = np.concatenate(take(numbered(10).train(5, seed=2**62 + 1, view=seeds_view), 200))
    assert seeds.dtype == np.int64 and (seeds >= 0).all() and len(set(seeds)) == 1000
    near, far = (stream_seeds(0, tf.constant([p], tf.int64)).numpy()[0] for p in (1, 2**32 + 1))
    assert near != far
    assert stream_seeds(0, tf.constant([1], tf.int64)) != stream_seeds(2**32, tf.constant([1], tf.int64))


def test_shapes_are_static_and_the_stream_infinite():
    stream = numbered(9).train(4, view=views.labelled)
    assert stream.cardinality() == tf.data.INFINITE_CARDINALITY
    image, label = stream.element_spec
    assert image == tf.TensorSpec((4, 2, 2, 1), tf.float32) and label == tf.TensorSpec((4,), tf.int64)


def test_batches_are_in_order_with_the_remainder():
    digits = load("digits")
    found = take(digits.batches("test", 64), 9)
    assert [len(batch) for batch in found] == [64, 64, 64, 58]
    np.testing.assert_array_equal(np.concatenate(found), digits.images("test").astype(np.float32) / np.float32(255))
    assert digits.batches("test", 64).cardinality() == 4
    assert [len(batch) for batch in take(digits.batches("test", 64, limit=70), 9)] == [64, 6]
    seeds = [np.concatenate(take(digits.batches(s, 200, seeds_view), 1)) for s in ("test", "validation")]
    assert not set(seeds[0]) & set(seeds[1])


def test_steps():
    assert load("digits").steps(128) == 10 and numbered(3).steps(8) == 1


def test_a_stream_made_inside_a_function_does_not_leak_graph_tensors():
    data = numbered(6)

    @tf.function
    def total():
        return tf.add_n([tf.reduce_sum(x) for x in [data.train(6).take(1).reduce(0.0, lambda s, x: s + x)]])

    assert total() > 0
    assert len(take(data.train(3), 1)[0]) == 3


@pytest.mark.parametrize(("images", "sources", "batch_size"), [(23, 10, 4), (10, 23, 4), (6, 6, 5), (5, 1, 7)])
def test_each_domain_has_its_own_epochs_in_its_own_order(images, sources, batch_size):
    data, larger = domains(images, sources), max(images, sources)
    assert data.steps(batch_size) == max(1, larger // batch_size)
    found = take(data.train(batch_size, seed=3, view=views.paired), -(-3 * larger // batch_size))
    orders = [rows_of([batch[i] for batch in found]) for i in (0, 1)]
    for order, n in zip(orders, (sources, images), strict=True):
        epochs = [tuple(order[e * n:(e + 1) * n]) for e in range(3)]
        assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
        if n > 5:
            assert len(set(epochs)) == 3
    if images == sources:
        assert not np.array_equal(*orders)
    # The images come as they would alone.
    np.testing.assert_array_equal(orders[1], rows_of(take(numbered(images).train(batch_size, seed=3), len(found))))


def test_start_skips_batches_of_both_domains():
    data = domains(11, 23)
    whole = take(data.train(4, seed=5, view=views.paired), 14)
    late = take(data.train(4, seed=5, view=views.paired, start=9), 5)
    for i in (0, 1):
        np.testing.assert_array_equal(np.stack([batch[i] for batch in whole[9:]]), np.stack([batch[i] for batch in late]))
    other = take(data.train(4, seed=6, view=views.paired), 14)
    assert not any(np.array_equal(rows_of([b[i] for b in whole]), rows_of([b[i] for b in other])) for i in (0, 1))
    assert data.train(4, view=views.paired).element_spec == (
        tf.TensorSpec((4, 2, 2, 3), tf.float32), tf.TensorSpec((4, 2, 2, 1), tf.float32))


@pytest.mark.parametrize(("images", "sources"), [(3, 8), (8, 3)])
def test_a_pass_takes_the_larger_domain_and_wraps_the_smaller(images, sources):
    data = domains(images, sources)
    found = take(data.batches("train", 5, views.paired), 9)
    assert [len(x) for x, _ in found] == [5, 3]
    assert list(rows_of([x for x, _ in found])) == [i % sources for i in range(8)]
    assert list(rows_of([y for _, y in found])) == [i % images for i in range(8)]
    assert [len(x) for x, _ in take(data.batches("train", 5, views.paired, limit=6), 9)] == [5, 1]
    assert data.sources("train").shape == (sources, 2, 2, 3) and len(data.sources("train", limit=2)) == 2
    with pytest.raises(ValueError, match="read-only"):
        data.sources("train")[0] = 1


def test_paired_arrays_go_together():
    images = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 2, 2, 1))
    data = Dataset(DataSpec("paired", (2, 2, 1), 20, {"train": 20}, view="paired", source_shape=(2, 2, 1)),
                   {"train": (images, np.arange(20))}, sources={"train": 100 + images})
    for batches in (data.train(7, view=views.paired), data.batches("train", 7, views.paired)):
        for source, image in take(batches, 6):
            np.testing.assert_array_equal(rows_of([source]), 100 + rows_of([image]))
    record = take(data.train(7, view=lambda record: record), 1)[0]
    assert sorted(record) == ["image", "label", "seed", "source"]
    assert sorted(take(numbered(9).train(7, view=lambda record: record), 1)[0]) == ["image", "label", "seed"]


@pytest.mark.parametrize(("view", "sources"), [
    ("images", {"train": np.zeros((3, 2, 2, 1), np.uint8)}), ("paired", None), ("unpaired", None), ("paired", {}),
    ("paired", {"train": np.zeros((2, 2, 2, 1), np.uint8)}), ("paired", {"train": np.zeros((3, 2, 2, 3), np.uint8)}),
    ("unpaired", {"train": np.zeros((0, 2, 2, 1), np.uint8)}), ("unpaired", {"test": np.zeros((3, 2, 2, 1), np.uint8)}),
    ("unpaired", {"train": np.zeros((3, 2, 2, 1), np.float32)}), ("unpaired", pairings.by_name("edges")),
    ("images", pairings.by_name("edges"))])
def test_sources_must_fit_the_spec(view, sources):
    spec = DataSpec("a", (2, 2, 1), view=view, source_shape=None if view == "images" else (2, 2, 1))
    with pytest.raises(ValueError, match="Dataset expects"):
        Dataset(spec, {"train": (np.zeros((3, 2, 2, 1), np.uint8), None)}, sources=sources)


@pytest.mark.parametrize(("call", "words"), [
    (lambda d: d.sources("train"), "--pairs edges"), (lambda d: d.sources("tests"), "'train'"),
    (lambda d: domains(3, 4).sources("train", limit=0), "limit"), (lambda d: d.train(2, view=views.paired), "trainA"),
    (lambda d: d.images("tests"), "'train'"), (lambda d: d.labels("tests"), "'train'"),
    (lambda d: d.batches("tests"), "'tests'"), (lambda d: d.train(0), "batch_size"),
    (lambda d: d.train(2.5), "batch_size"), (lambda d: d.steps(-1), "batch_size"),
    (lambda d: d.train(2, seed=-1), "seed"), (lambda d: d.train(2, start=-1), "start"),
    (lambda d: d.batches("train", 0), "batch_size"), (lambda d: d.batches("train", limit=0), "limit"),
    (lambda d: d.train(2, view=views.labelled), "labels"),
    (lambda d: d.batches("train", view=views.labelled), "labels")])
def test_errors_are_one_line(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call(numbered(4, labels=False))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arrays", [
    {}, {"train": (np.zeros((3, 2, 2, 1), np.float32), None)}, {"train": (np.zeros((3, 2, 3, 1), np.uint8), None)},
    {"train": (np.zeros((0, 2, 2, 1), np.uint8), None)},
    {"train": (np.zeros((3, 2, 2, 1), np.uint8), np.zeros(2, np.int64))}])
def test_arrays_must_fit_the_spec(arrays):
    with pytest.raises(ValueError, match="Dataset"):
        Dataset(DataSpec("a", (2, 2, 1)), arrays)


def test_augmentation_changes_pairs_alike_and_comes_before_the_pairing():
    dataset = load("digits", pairs="edges")
    x, y = next(iter(dataset.train(32, seed=1, view=views.paired, augment=Jitter(1.0))))
    plain_x, plain_y = next(iter(dataset.train(32, seed=1, view=views.paired)))
    mirrored = np.abs(y[:, :, ::-1] - plain_y).max((1, 2, 3)) < 1e-6
    assert 5 < mirrored.sum() < 27
    np.testing.assert_allclose(y[~mirrored], plain_y[~mirrored], atol=1e-6)
    np.testing.assert_array_equal(x, pairings.edges(y))
    again = next(iter(dataset.train(32, seed=1, view=views.paired, augment=Jitter(1.0))))
    np.testing.assert_array_equal(again[0], x)
    assert plain_x.shape == x.shape


def test_augmentation_changes_two_domains_independently():
    dataset = load("digits", domains=(0, 1))
    (a, b), (plain_a, plain_b) = (next(iter(dataset.train(64, view=views.paired, augment=augment)))
                                  for augment in (Jitter(1.0), None))
    mirrored = [np.abs(x[:, :, ::-1] - plain).max((1, 2, 3)) < 1e-6 for x, plain in ((a, plain_a), (b, plain_b))]
    assert all(16 < m.sum() < 48 for m in mirrored) and 16 < (mirrored[0] != mirrored[1]).sum() < 48
