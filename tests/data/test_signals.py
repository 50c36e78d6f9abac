"""One signal, and posed images of a scene, as data."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tfgen import coordinates, data, errors, recipes
from tfgen.data import views

RANDOM = np.random.default_rng(0)


def rows_of(dataset, split, view=views.signal):
    return next(iter(dataset.batches(split, 10_000, view)))


@pytest.mark.parametrize("shape", [(7, 5, 3), (11, 2), (3, 4, 5, 1)])
def test_rows_are_samples_with_coordinates_values_and_gradients(shape):
    values = RANDOM.uniform(size=shape)
    dataset = data.signal(values)
    x, y = rows_of(dataset, "test")
    np.testing.assert_allclose(x, coordinates.grid(shape[:-1]))
    np.testing.assert_allclose(y, values.reshape(-1, shape[-1]), atol=1e-7)
    slopes = np.stack([np.gradient(values, 2 / side, axis=axis) for axis, side in enumerate(shape[:-1])], -1)
    np.testing.assert_allclose(rows_of(dataset, "test", views.gradients)[1], slopes.reshape(len(y), -1), atol=1e-4)
    assert dataset.spec.view == "signal" and dataset.spec.image_shape == shape
    assert data.DataSpec.from_json(json.loads(json.dumps(dataset.spec.to_json()))) == dataset.spec


def test_held_out_samples_are_those_between():
    values = RANDOM.uniform(size=(6, 4, 1))
    dataset = data.signal(values, every=2)
    np.testing.assert_allclose(rows_of(dataset, "train")[1][:, 0], values[::2, ::2].ravel(), atol=1e-7)
    rows = [dataset.samples[split] for split in ("train", "validation", "test")]
    assert sorted(np.concatenate(rows)) == list(range(24)) and [len(part) for part in rows] == [6, 9, 9]
    with pytest.raises(errors.UserError, match="at least two samples to hold out"):
        data.signal(np.zeros((1, 1)), every=2)


def test_training_batches_are_permutations_in_epochs_of_at_least_so_many_steps():
    dataset = data.signal(np.linspace(0, 1, 12).reshape(4, 3, 1))
    assert dataset.steps(4) == 64 and data.signal(np.zeros((1000, 1))).steps(4) == 250
    first = [y.numpy() for _, (_, y) in zip(range(6), dataset.train(4, seed=1))]
    for epoch in (first[:3], first[3:]):
        np.testing.assert_allclose(np.sort(np.concatenate(epoch)[:, 0]), np.linspace(0, 1, 12), atol=1e-6)
    np.testing.assert_array_equal(next(iter(dataset.train(4, seed=1, start=4)))[1], first[4])


def scene(count=12):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = np.arange(count)
    return RANDOM.integers(0, 256, (count, 3, 4, 3)).astype("uint8"), poses


def test_rows_of_posed_images_are_rays_and_colours():
    images, poses = scene()
    dataset = data.posed(images, poses, 5.0)
    assert dataset.spec.sizes == {"train": 120, "validation": 12, "test": 12} and dataset.spec.focal == 5.0
    for split in ("train", "test"):
        rays, colours = rows_of(dataset, split)
        shots = dataset.poses[split]
        np.testing.assert_allclose(rays, coordinates.rays_of_images(shots, (3, 4, 3), 5.0).numpy().reshape(-1, 6), atol=1e-6)
        # A camera's height tells which image is its own.
        np.testing.assert_allclose(colours.numpy().reshape(-1, 3, 4, 3), images[shots[:, 2, 3].astype(int)] / 255, atol=1e-6)


def test_files_of_signals(tmp_path):
    grey = RANDOM.integers(0, 256, (6, 8)).astype("uint8")
    Image.fromarray(grey).save(tmp_path / "photo.png")
    loaded = data.load(tmp_path / "photo.png")
    np.testing.assert_allclose(loaded.values[..., 0], grey / 255, atol=1e-7)
    assert data.load(**loaded.source).spec == loaded.spec and loaded.spec.name == "photo"
    assert data.load(tmp_path / "photo.png", image_size=4, every=2).spec.sizes == {"train": 4, "validation": 6, "test": 6}
    sound = np.array([[0, 16384], [-32768, 32767]], np.int16)
    wavfile.write(tmp_path / "sound.wav", 8000, sound)
    np.testing.assert_allclose(data.load(tmp_path / "sound.wav").values, (sound / 32768 + 1) / 2, atol=1e-7)
    np.save(tmp_path / "volume.npy", RANDOM.uniform(size=(2, 3, 4, 1)))
    assert data.load(tmp_path / "volume.npy").spec.image_shape == (2, 3, 4, 1)
    images, poses = scene()
    np.savez(tmp_path / "views.npz", images=images, poses=poses, focal=7.0)
    views_of = data.load(tmp_path / "views.npz")
    assert views_of.spec.focal == 7.0 and views_of.spec.sizes["train"] == 120
    np.savez(tmp_path / "splits.npz", x_train=images, poses_train=poses, x_test=images[:2], poses_test=poses[:2], focal=7.0)
    assert data.load(tmp_path / "splits.npz").spec.sizes == {"train": 132, "validation": 12, "test": 24}


@pytest.mark.parametrize("make, message", [
    (lambda: data.signal(np.zeros((3, 3), int)), r"uint8, or floats in \[0, 1\], of shape \(\*grid, C\), received int64"),
    (lambda: data.signal(np.full((3, 1), 2.0)), "numbers in .0, 1., received 2 ... 2"),
    (lambda: data.signal(np.full((3, 1), np.nan)), "numbers in .0, 1., received nan"),
    (lambda: data.signal(np.zeros(3)), "received float64"),
    (lambda: data.signal(np.zeros((3, 1)), every=0), "every expects an int >= 1"),
    (lambda: data.posed(*scene(12)[:1], np.eye(4), 5.0), "as many finite poses"),
    (lambda: data.posed(*scene(1), 5.0), "at least 3 images to split"),
    (lambda: data.posed(*scene(12), -1.0), "focal. expects a number > 0"),
    (lambda: data.posed({"train": scene()[0]}, {"test": scene()[1]}, 5.0), "the same splits of both"),
    (lambda: data.load("digits", every=2), "every expects one signal, received 'digits', which holds images")])
def test_other_arrays_are_one_line(make, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_options_of_images_and_broken_files_are_one_line(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 1)))
    (tmp_path / "b.npy").write_text("no array")
    (tmp_path / "c.wav").write_text("no sound")
    np.savez(tmp_path / "zip.npz", x=np.zeros((4, 1)))
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    np.savez(tmp_path / "d.npz", poses=np.eye(4)[None], focal=1.0)
    np.savez(tmp_path / "e.npz", images=scene()[0], poses=scene()[1], focal=1.0)
    for name, options, message in (
            ("a.npy", {"levels": 4}, "levels expects a set of images, received 'a', which holds one signal: leave"),
            ("a.npy", {"pairs": "edges"}, "pairs expects a set of images"), ("a.npy", {"image_size": 4}, "expects an image"),
            ("b.npy", {}, "expected an array in"), ("c.wav", {}, "expected sound in"),
            ("zip.npy", {}, "expected an array in"),
            ("d.npz", {}, "expected images, poses and focal"), ("e.npz", {"every": 2}, "every expects one signal")):
        with pytest.raises(errors.UserError, match=message) as caught:
            data.load(tmp_path / name, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 6, 12, 20, 30, 42])
def test_truncated_sound_is_one_line(tmp_path, length):
    """SciPy's reader raises errors of many kinds for it."""
    path = tmp_path / "cut.wav"
    wavfile.write(path, 8000, np.zeros(400, np.int16))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(errors.UserError, match="expected sound in .* received") as caught:
        data.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name, spec, message", [
    ("siren", data.DataSpec("digits", (8, 8, 1)), "siren expects one signal, 'digits' holds images: give one file"),
    ("siren_poisson", data.DataSpec("scene", (8, 8, 1), view="posed", focal=1.0), "holds posed images of a scene"),
    ("nerf", data.signal(np.zeros((8, 8, 3)), "photo").spec, "expects posed images of a scene, 'photo' holds one signal"),
    ("vae", data.signal(np.zeros((8, 1)), "sound").spec, "vae expects images, 'sound' holds one signal: give a set of"),
    ("gon", data.signal(np.zeros((8, 8, 3)), "photo").spec, "gon expects images")])
def test_recipes_refuse_data_of_another_kind(name, spec, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        recipes.find(name).model(spec)
    assert "\n" not in str(caught.value)


def test_first_frequency_is_that_of_sound_for_one_axis():
    for shape, first in (((80, 1), 3000.0), ((8, 8, 1), 30.0), ((4, 4, 4, 1), 30.0)):
        assert recipes.find("siren").hyperparameters(data.signal(np.zeros(shape)).spec)["first_w0"] == first
