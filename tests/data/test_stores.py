"""Packed folders give what the folders themselves give, from memory and from their shards."""

import os

import keras
import memory
import numpy as np
import pytest
import tensorflow as tf
from helpers import again, one_line, pixels, same, write_category, write_images
from PIL import Image

from tfgen.data import Dataset, DataSpec, load, pack, stores, views
from tfgen.data.readers import shards
from tfgen.data.stores import Memory, Shards
from tfgen.layers import Jitter


@pytest.fixture
def little_memory(monkeypatch):
    """No room for images: what is packed is read from its shards."""
    monkeypatch.setattr(stores, "available_memory", lambda: 100)


def classes(folder):
    for split, count in (("train", 30), ("test", 5)):
        for label in ("cat", "dog"):
            write_images(folder / split / label, count, (6, 8, 3))


def domains(folder):
    write_images(folder / "trainA", 12, (6, 8, 3))
    write_images(folder / "trainB", 31, (6, 8))


def flat(folder):
    write_images(folder, 40, (6, 8, 3))


# {case: (what writes the folder, arguments of `pack`, arguments of `load`, view)}
CASES = {
    "classes": (classes, {}, {}, views.labelled),
    "without classes": (flat, {}, {}, views.images),
    "groups": (flat, {}, {"group_by": "^."}, views.images),
    "edges": (classes, {}, {"pairs": "edges"}, views.paired),
    "side by side": (flat, {"side_by_side": True}, {"pairs": "side_by_side_reversed"}, views.paired),
    "resized halves": (flat, {"side_by_side": True, "image_size": "4x3"}, {"pairs": "side_by_side", "image_size": "4x3"},
                       views.paired),
    "two classes": (classes, {}, {"domains": "dog,cat"}, views.paired),
    "two domains": (domains, {}, {}, views.paired),
    "normal": (classes, {}, {"normal": "dog"}, views.images),
    "category": (lambda folder: write_category(folder), {"image_size": 4, "resize": "crop"},
                 {"image_size": 4, "resize": "crop"}, views.images),
    "levels": (classes, {}, {"levels": 5}, views.images),
    "drawn": (classes, {}, {"binarise": "dynamic"}, views.images)}


def passes(dataset, view, augment):
    """Two epochs of training batches, from the second on, and a pass over each split."""
    streams = [dataset.train(7, seed=3, view=view, start=1, augment=augment).take(2 * dataset.steps(7)),
               *(dataset.batches(split, 9, view) for split in dataset.splits)]
    return [tf.nest.flatten(batch) for stream in streams for batch in stream.as_numpy_iterator()]


@pytest.mark.rotating
@pytest.mark.parametrize("case", CASES)
def test_three_stores_are_equal(case, tmp_path, monkeypatch, capsys):
    write, packing, loading, view = CASES[case]
    write(tmp_path / "data")
    pack(tmp_path / "data", tmp_path / "packed" / "data", shard_bytes=1000, **packing)  # of several images each
    plain, held = load(tmp_path / "data", **loading), load(tmp_path / "packed" / "data", **loading)
    assert held.streamed() == 0 and "held in memory" in capsys.readouterr().err
    monkeypatch.setattr(stores, "available_memory", lambda: 100)
    read = load(tmp_path / "packed" / "data", **loading)
    assert read.streamed() and "read from the shards" in capsys.readouterr().err
    augment = Jitter() if case in ("side by side", "two domains") else None
    expected = passes(plain, view, augment)
    for dataset in (held, read):
        assert same(plain, dataset) and same(dataset, again(dataset)) and dataset.splits == plain.splits
    for ours, theirs in zip(expected, passes(read, view, augment), strict=True):
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y)
    assert held.digest() == read.digest() and len(read.digest()) == 16
    if plain.spec.view == "one_class":
        np.testing.assert_array_equal(plain.anomalous("test"), read.anomalous("test"))


def packed(folder, **options):
    """An opened folder of 20 packed images 6x6, four in a shard; their arrays."""
    images = np.stack(write_images(folder / "files", 20, (6, 6)))
    order = sorted(range(20), key=lambda i: folder / "files" / f"{i}.png")
    pack(folder / "files", folder / "packed", shard_bytes=4 * 36, **options)
    return images[order][..., None]


def test_shards_are_read_like_an_array(tmp_path):
    images = packed(tmp_path)
    whole = shards.images_of(shards.read_packed(tmp_path / "packed")[1]["train"])
    assert isinstance(whole, Shards) and whole.shape == images.shape and whole.nbytes == images.nbytes and len(whole) == 20
    for rows in (slice(3, 11), slice(None), slice(0), np.array([19, 0, 7, 7]), np.arange(20) % 3 == 0, [5, 2]):
        np.testing.assert_array_equal(whole[rows], images[rows])
    np.testing.assert_array_equal(whole[4], images[4])
    np.testing.assert_array_equal(np.asarray(whole), images)
    assert whole.astype("float32").dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(list(stores.batches(whole, 8))), images / np.float32(255))
    np.testing.assert_array_equal(stores.take(whole, [5, 2])[:], images[[5, 2]])
    # Anyone opens a shard.
    np.testing.assert_array_equal(np.load(tmp_path / "packed" / "train-00001.npy"), images[4:8])


def test_an_array_is_held_once():
    images = pixels(50, 6, 6, 1)
    dataset = Dataset(DataSpec("a", (6, 6, 1), sizes={"train": 50}), {"train": (images, None)})
    dataset.train(8)
    tensor = dataset._images["train"].tensor
    assert dataset._images["train"].tensor is tensor and "CPU" in tensor.device
    shown = dataset.images("train")
    assert np.asarray(memoryview(tensor)).ctypes.data == shown.ctypes.data
    np.testing.assert_array_equal(shown, images)
    with pytest.raises(ValueError, match="read-only"):
        shown[0] = 1
    assert Memory(images).content is not None


def change(path, place):
    """Flips one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_damage_is_told_in_one_line(tmp_path, little_memory):
    packed(tmp_path)
    folder = tmp_path / "packed"
    intact = {path: path.read_bytes() for path in folder.iterdir()}

    def damaged(words, path, data):
        path.unlink() if data is None else path.write_bytes(data)
        one_line(["tfgen data pack", *words], load, folder)
        path.write_bytes(intact[path])

    shard, hashes, index = folder / "train-00002.npy", folder / "train-hashes.npy", folder / "tfgen-shards.json"
    damaged(["train-00002.npy", "4 images of 6x6x1", "bytes"], shard, intact[shard][:-1])
    damaged(["train-00002.npy", "magic"], shard, b"nothing")
    damaged(["train-00002.npy", "No such file"], shard, None)
    damaged(["train-hashes.npy", "as it was packed"], hashes, intact[hashes][:-1] + b"x")
    damaged(["index", "version 1"], index, b"{}")
    damaged(["whole index", "splits"], index, intact[index].replace(b'"splits"', b'"spilts"'))
    load(folder)


def test_a_changed_image_ends_a_stream_in_one_line(tmp_path, little_memory):
    from tfgen.cli.app import failure

    packed(tmp_path)
    change(tmp_path / "packed" / "train-00002.npy", -1)
    data = load(tmp_path / "packed")
    one_line(["image 3 of the shard", "train-00002.npy", "other bytes"], lambda: [data.images(s)[:] for s in data.splits])
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(data.train(8).take(4))
    code, line = failure(caught.value)
    assert code == 2 and line.startswith("expected image 3 of the shard") and line.endswith("`tfgen data pack`")
    # Held in memory, the same is told when it is loaded.
    stores.available_memory = lambda: 10**9  # the fixture restores it
    one_line(["image 3 of the shard"], load, tmp_path / "packed")


def test_packing_is_whole_or_not_at_all(tmp_path):
    write_images(tmp_path / "files", 6, (6, 6))
    (tmp_path / "files" / "7.png").write_bytes(b"no image")
    one_line(["7.png", "--skip-unreadable"], pack, tmp_path / "files", tmp_path / "packed")
    whole = tmp_path / "files" / "8.png"
    Image.fromarray(pixels(40, 40)).resize((6, 6)).save(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files"]
    assert pack(tmp_path / "files", tmp_path / "packed", skip_unreadable=True) == {"train": 7}
    one_line(["new or empty folder", "packed"], pack, tmp_path / "files", tmp_path / "packed")
    one_line(["image_size", "packed with", "8x8"], load, tmp_path / "packed", image_size=8)
    one_line(["received 'packed' without"], load, tmp_path / "packed", normal="cat")
    one_line(["received none"], pack, tmp_path / "packed", tmp_path / "twice")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "packed"]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    from tfgen.errors import DiskFull

    write_images(tmp_path / "files", 6, (6, 6))

    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="no space left"):
        pack(tmp_path / "files", tmp_path / "packed")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_folder_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
    write_images(tmp_path, 20, (6, 6))
    monkeypatch.setattr("tfgen.data.readers.folders.available_memory", lambda: 39 * 36)
    one_line(["20 images", "tfgen data pack"], load, tmp_path)
    monkeypatch.setattr("tfgen.data.readers.folders.available_memory", lambda: 40 * 36)
    load(tmp_path)


def test_the_memory_of_a_container_counts(tmp_path, monkeypatch):
    machine = stores.available_memory()
    assert machine > 0
    for name, text in (("max", "1000\n"), ("current", "400\n"), ("stat", "anon 310\nfile 75\ninactive_file 20\n"
                       "active_file 30\nslab_reclaimable 6\nslab_unreclaimable 9\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(stores, "_GROUP", tmp_path)
    # What files have left in memory is given up for an array.
    assert stores.available_memory() == 600 + 20 + 30 + 6
    (tmp_path / "memory.max").write_text("max\n")
    assert stores.available_memory() > 1000


class Resident(keras.callbacks.Callback):
    """The memory of the process at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.bytes = []

    def on_epoch_end(self, epoch, logs=None):
        self.bytes.append(memory.resident())


@pytest.mark.rotating
@pytest.mark.skipif(not memory.resident(), reason="the memory of a process is not known here")
@pytest.mark.parametrize("free", [100, 10**12])
def test_memory_is_flat_over_fifty_epochs(free, tmp_path, monkeypatch):
    write_images(tmp_path / "files", 50, (48, 48, 3))
    pack(tmp_path / "files", tmp_path / "packed", shard_bytes=10 * 48 * 48 * 3)
    monkeypatch.setattr(stores, "available_memory", lambda: free)
    data, watch = load(tmp_path / "packed"), Resident()
    assert bool(data.streamed()) == (free == 100)
    model = keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Conv2D(1, 3, strides=16)])
    model.compile("sgd", "mse", jit_compile=False)

    def pairs(record):
        return record["image"], record["image"][:, ::16, ::16, :1]

    model.fit(data.train(10, view=pairs), epochs=50, steps_per_epoch=data.steps(10), verbose=0, callbacks=[watch],
              validation_data=data.batches("validation", 10, pairs))
    # An epoch reads 1.2 MB as float32, of which 40 epochs would keep 48 MB.
    assert watch.bytes[-1] - watch.bytes[9] < 12e6


@pytest.mark.skipif(not memory.resident(), reason="the memory of a process is not known here")
def test_packing_holds_one_image_at_a_time(tmp_path):
    write_images(tmp_path / "few", 8, (128, 128, 3))
    write_images(tmp_path / "many", 400, (128, 128, 3), ".bmp")
    pack(tmp_path / "few", tmp_path / "a")
    before = memory.resident()
    pack(tmp_path / "many", tmp_path / "b", shard_bytes=10**7)
    # The images are 20 MB, of 203 in a shard two shards.
    assert memory.resident() - before < 6e6 and len(list((tmp_path / "b").glob("train-0*"))) == 2
