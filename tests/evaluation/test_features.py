import random
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import data
from tfgen.data import Dataset, DataSpec
from tfgen.errors import UserError
from tfgen.evaluation import extractor_training, features

EPOCHS = 8
# In one process, so that the extractor of digits is trained once.
pytestmark = pytest.mark.xdist_group("extractors")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def cache(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("extractors")
    features.classifier(digits, epochs=EPOCHS, cache=folder)
    return folder


def unlabelled(image_shape, count=48):
    images = np.random.default_rng(0).integers(0, 256, (count, *image_shape), np.uint8)
    spec = DataSpec("plain", image_shape, None, {"train": count, "validation": count})
    return Dataset(spec, {"train": (images, None), "validation": (images, None)})


@pytest.mark.parametrize("rows, copies, epochs", [
    (1000, 1, 40), (60_000, 1, 5), (70_000, 1, 5), (10**6, 1, 3), (100, 4, 10), (60_000, 4, 2), (10**6, 4, 1)])
def test_epochs_are_for_300_000_rows(short_extractors, rows, copies, epochs):
    dataset = types.SimpleNamespace(images={"train": range(rows)}.get)
    assert short_extractors(dataset, types.SimpleNamespace(copies=copies)) == epochs


@pytest.mark.rotating
def test_classifier_of_digits(digits, cache):
    extractor = features.classifier(digits, epochs=EPOCHS, cache=cache)
    images = digits.images("test")[:5].astype(np.float32) / 255
    rows, probabilities = extractor(images)
    assert rows.shape == (5, 128) and rows.dtype == np.float32 and np.ptp(rows) > 0
    assert probabilities.shape == (5, 10) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(extractor(images[3:4])[0], rows[3:4], atol=1e-5)
    assert extractor.accuracy > 0.9
    np.testing.assert_array_equal(extractor.classes(images, batch_size=2), extractor(images)[1].argmax(1))
    assert extractor.describe() == {"extractor": "tfgen-classifier:digits", "checksum": extractor.checksum,
                                    "resize": "none", "accuracy": round(extractor.accuracy, 4)}
    assert len(extractor.checksum) == 16 and int(extractor.checksum, 16) >= 0
    with pytest.raises(ValueError, match=r"\(B, 8, 8, 1\), B >= 1, received \(5, 4, 4, 1\)"):
        extractor(images[:, ::2, ::2])
    with pytest.raises(ValueError, match=r"\(B, 8, 8, 1\), B >= 1, received \(5, 4, 4, 1\)"):
        extractor.perceptual_distance(images, images[:, ::2, ::2])


def test_perceptual_distance_of_images_is_that_of_the_networks_feature_maps(digits):
    extractor = features.classifier(digits)
    ours, theirs = (digits.images("test")[part].astype(np.float32) / 255 for part in (slice(0, 5), slice(5, 10)))
    found = extractor.perceptual_distance(ours, theirs, batch_size=2)
    network = extractor_training.load_or_train(digits, extractor_training.task_of(digits))
    maps = keras.Model(network.input, [layer.output for layer in network.layers if layer.name.startswith("relu")])
    assert len(maps.outputs) == 3
    wanted = 0.0
    for a, b in zip(*([one.numpy().astype(float) for one in maps(images)] for images in (ours, theirs))):
        a, b = (one / np.maximum(np.linalg.norm(one, axis=-1, keepdims=True), 1e-9) for one in (a, b))
        wanted = wanted + np.square(a - b).sum(-1).mean((1, 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    np.testing.assert_allclose(extractor.perceptual_distance(ours, ours), 0.0, atol=1e-6)


@pytest.mark.rotating
def test_second_call_reads_the_cache(digits, cache, monkeypatch):
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    monkeypatch.setattr(extractor_training, "train", lambda *args: pytest.fail("trained again"))
    first, second = (features.classifier(digits, epochs=EPOCHS, cache=cache) for _ in range(2))
    assert file.stat().st_mtime_ns == written and list(cache.iterdir()) == [file]
    assert first.describe() == second.describe()
    monkeypatch.setenv("TFGEN_CACHE", str(cache))
    assert features.classifier(digits, epochs=EPOCHS).checksum == first.checksum


def test_without_a_home_to_write_to_the_cache_is_a_temporary_folder(monkeypatch, capsys):
    monkeypatch.delenv("TFGEN_CACHE")
    monkeypatch.setenv("HOME", "/proc/nohome")
    folder = extractor_training.cache_folder()
    assert folder.is_dir() and folder == extractor_training.cache_folder()
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(folder) in err and "/proc/nohome/.cache/tfgen/extractors cannot be written to" in err
    folder.rmdir()


@pytest.mark.rotating
def test_training_is_a_function_of_data_and_seed_alone_and_leaves_the_global_random_state(digits, cache, tmp_path):
    (file,) = cache.iterdir()
    expected = features.classifier(digits, epochs=EPOCHS, cache=cache).checksum

    def draws():
        return keras.random.normal((3,)).numpy(), np.random.rand(3), random.random(), tf.random.normal((3,)).numpy()

    keras.utils.set_random_seed(1)
    undisturbed = draws()
    keras.utils.set_random_seed(1)
    # A broken file of that name is trained anew.
    (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    again = features.classifier(digits, epochs=EPOCHS, cache=tmp_path)
    for before, after in zip(undisturbed, draws()):
        np.testing.assert_array_equal(before, after)
    assert again.checksum == expected
    assert (tmp_path / file.name).stat().st_size > 1000 and list(tmp_path.iterdir()) == [tmp_path / file.name]
    assert features.classifier(digits, seed=1, epochs=1, cache=tmp_path).checksum != expected


def test_cache_name_tells_data_apart(digits):
    def name(dataset, seed=0, epochs=1):
        return extractor_training.cache_name(dataset, extractor_training.task_of(dataset), seed, epochs)

    arrays = {split: (digits.images(split), digits.labels(split)) for split in ("train", "validation")}
    same = Dataset(digits.spec, arrays, digits.source)
    images, labels = arrays["train"]
    inverted = Dataset(digits.spec, arrays | {"train": (255 - images, labels)}, digits.source)
    relabelled = Dataset(digits.spec, arrays | {"train": (images, 9 - labels)}, digits.source)
    names = {name(digits), name(digits, seed=1), name(digits, epochs=2), name(inverted), name(relabelled)}
    assert len(names) == 5 and name(same) == name(digits)


@pytest.mark.rotating
def test_images_without_labels_are_told_by_their_rotations(tmp_path):
    extractor = features.classifier(unlabelled((6, 6, 3)), epochs=1, cache=tmp_path)
    rows, probabilities = extractor(np.random.default_rng(0).random((3, 6, 6, 3), np.float32))
    assert rows.shape == (3, 128) and probabilities is None and extractor.num_classes is None
    assert extractor.name == "tfgen-rotations:plain" and 0 <= extractor.accuracy <= 1
    oblong = features.classifier(unlabelled((6, 8, 1)), epochs=1, cache=tmp_path)
    assert oblong.name == "tfgen-reflections:plain" and oblong(np.zeros((2, 6, 8, 1), np.float32))[1] is None


def test_reflections_keep_the_shape_and_differ():
    images = np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1)
    made, kinds = extractor_training.reflections({"image": tf.constant(images)})
    wanted = [images, images[:, ::-1, ::-1], images[:, :, ::-1], images[:, ::-1]]
    np.testing.assert_array_equal(made, np.concatenate(wanted))
    assert kinds.numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_rotations_view_turns_by_quarter_turns():
    images = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1)
    turned, turns = extractor_training.rotations({"image": tf.constant(images)})
    for k in range(4):
        np.testing.assert_array_equal(turned[2 * k:2 * k + 2], np.rot90(images, k, axes=(1, 2)))
    assert turns.numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("image_shape", [(4, 4, 1), (5, 9, 2), (32, 32, 3), (65, 40, 1)])
def test_network_takes_images_of_any_size(image_shape):
    rows, probabilities = extractor_training.network(image_shape, 3, seed=0)(np.zeros((2, *image_shape), np.float32))
    assert rows.shape == (2, 128) and probabilities.shape == (2, 3)


def test_what_cannot_be_trained_is_refused(digits, tmp_path):
    with pytest.raises(UserError, match="sides >= 4, received 3x3"):
        features.classifier(unlabelled((3, 3, 1)), cache=tmp_path)
    with pytest.raises(UserError, match="epochs expects an int >= 1, received 0"):
        features.classifier(digits, epochs=0, cache=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="TFGEN_CACHE"):
        features.classifier(digits, epochs=1, cache=tmp_path / "file")
