import numpy as np
import pytest
from helpers import again, one_line, pixels, same, write_images
from PIL import Image

from tfgen.data import load, pack, reading
from tfgen.data.readers.resize import MODES, resize, resize_mask, restore, sides, windows


@pytest.mark.parametrize(("given", "expected"), [
    (32, (32, 32)), ("32", (32, 32)), ("24x32", (24, 32)), (" 24X32 ", (24, 32)), ((24, 32), (24, 32)), ([24, 32], (24, 32)),
    (np.int64(8), (8, 8))])
def test_sizes(given, expected):
    assert sides(given) == expected


@pytest.mark.parametrize("given", [0, -1, 2.5, True, "", "a", "3x", "x3", "1x2x3", "1_0", (1, 2, 3), (), (4, 0), ("4", "5")])
def test_other_sizes(given):
    one_line(["image_size", "HEIGHTxWIDTH"], sides, given)


def test_sizes_that_memory_cannot_hold_are_refused_before_an_image_is_made(tmp_path, monkeypatch):
    write_images(tmp_path / "files", 10)
    np.savez(tmp_path / "a.npz", x=pixels(10, 6, 6))
    for call, *rest in ((load, "digits"), (load, tmp_path / "files"), (load, tmp_path / "a.npz"),
                        (pack, tmp_path / "files", tmp_path / "packed")):
        one_line(["image_size", "100000000x1000000", "give a smaller"], call, *rest, image_size="100000000x1000000")

    def made(*_):
        raise AssertionError("an image was resized")

    monkeypatch.setattr("tfgen.data.readers.resize.resize", made)
    for name in ("files", "a.npz"):
        for module in ("folders", "resize"):
            monkeypatch.setattr(f"tfgen.data.readers.{module}.available_memory", lambda: 39 * 64)
        one_line(["10", "memory"], load, tmp_path / name, image_size=8, pairs="side_by_side")
        for module in ("folders", "resize"):
            monkeypatch.setattr(f"tfgen.data.readers.{module}.available_memory", lambda: 9 * 64)
        one_line(["10", "memory"], load, tmp_path / name, image_size=8)


def test_stretched_is_bilinear_with_antialiasing():
    image = pixels(30, 20, 3)
    expected = np.asarray(Image.fromarray(image).resize((8, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, (12, 8)), expected)
    assert resize(image, (30, 20)) is image
    assert reading({"resize": "pad"})["resize"] == {"method": "bilinear, antialiased", "mode": "pad"}


@pytest.mark.parametrize(("shape", "size", "kept"), [
    ((8, 12), (4, 4), np.s_[:, 2:10]), ((12, 8), (4, 4), np.s_[2:10]), ((8, 12), (4, 6), np.s_[:]),
    ((10, 10), (2, 4), np.s_[2:7, :]), ((3, 300), (8, 8), np.s_[:, 148:151])])
def test_a_crop_is_the_middle_of_what_covers_the_size(shape, size, kept):
    image = pixels(*shape, 1)
    np.testing.assert_array_equal(resize(image, size, "crop"), resize(np.ascontiguousarray(image[kept]), size))


@pytest.mark.parametrize(("shape", "size", "shown"), [
    ((8, 12), (6, 6), np.s_[1:5]), ((12, 8), (6, 6), np.s_[:, 1:5]), ((8, 12), (4, 6), np.s_[:]),
    ((300, 3), (8, 8), np.s_[:, 3:4])])
def test_a_padded_image_repeats_its_border(shape, size, shown):
    image = pixels(*shape, 2)
    padded, inner = resize(image, size, "pad"), np.zeros(size, bool)
    inner[shown] = True
    np.testing.assert_array_equal(padded[shown], resize(image, padded[shown].shape[:2]))
    filled = [np.flatnonzero(inner.any(1 - axis)) for axis in (0, 1)]
    rows, columns = (np.clip(np.arange(side), places[0], places[-1]) for side, places in zip(size, filled))
    np.testing.assert_array_equal(padded, padded[rows][:, columns])


@pytest.mark.parametrize("mode", MODES)
def test_every_shape_comes_to_every_size_and_back(mode):
    for shape in ((1, 1), (1, 9), (200, 3), (17, 16), (5, 5)):
        for size in ((1, 1), (4, 7), (7, 4), (16, 16)):
            made = resize(pixels(*shape, 3), size, mode)
            assert made.shape == (*size, 3) and made.dtype == np.uint8
            (_, height), (_, width) = windows(shape, size, mode)[0]
            assert restore(made, shape, mode).shape == (height, width, 3)
            assert resize_mask(np.ones(shape, bool), size, mode).any()


def test_masks_go_with_their_images():
    mask = np.zeros((40, 60), bool)
    mask[18:22, 30:50] = True
    for mode in MODES:
        image = resize(np.where(mask, 255, 0).astype(np.uint8)[..., None], (10, 10), mode)[..., 0]
        small = resize_mask(mask, (10, 10), mode)
        assert small[image > 128].all() and not image[~small].max() > 64
    edge = np.zeros((40, 60), bool)
    edge[0] = True
    assert not resize_mask(edge, (10, 10), "pad")[0].any(), "padding is no defect"


@pytest.mark.parametrize("mode", MODES)
def test_folders_of_mixed_sizes(tmp_path, mode):
    for count, shape in ((10, (9, 14, 3)), (8, (20, 6, 3))):
        write_images(tmp_path / f"of {shape[0]}", count, shape)
    message = one_line(["9x14 (10)", "20x6 (8)", "--image-size N or HxW", "--resize crop or pad"], load, tmp_path)
    assert message.count("expects") == 1
    data = load(tmp_path, image_size="6x8", resize=mode)
    assert data.spec.image_shape == (6, 8, 3) and data.source["image_size"] == [6, 8] and same(data, again(data))
    assert data.source.get("resize", "stretch") == mode
    wide = Image.open(tmp_path / "of 9" / "0.png")
    assert any(np.array_equal(resize(np.asarray(wide), (6, 8), mode), x) for s in data.spec.sizes for x in data.images(s))


def test_old_records_mean_what_they_did():
    data = load("digits", image_size="16")
    assert data.source == {"name": "digits", "image_size": 16, "data_dir": None}
    assert same(data, load("digits", image_size=(16, 16)))
    assert load("digits", image_size=(4, 6)).spec.image_shape == (4, 6, 1)
    one_line(["stretch, crop, pad", "'fill'"], load, "digits", image_size=8, resize="fill")
    one_line(["resize='crop'", "--image-size"], load, "digits", resize="crop")


def test_halves_are_cropped_one_by_one(tmp_path):
    halves = np.zeros((8, 24, 3), np.uint8)
    halves[:, :2] = halves[:, 10:14] = halves[:, 22:] = 99
    halves[:, 14:22] = 200
    for i in range(10):
        Image.fromarray(halves).save(tmp_path / f"{i}.png")
    data = load(tmp_path, image_size=5, pairs="side_by_side", resize="crop")
    assert (data.sources("train") == 0).all() and (data.images("train") == 200).all()
