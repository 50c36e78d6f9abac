import os
import warnings

import numpy as np
import PIL
import pytest
import tensorflow as tf
from helpers import again, multiset, one_line, pixels, same, write_category, write_images
from PIL import Image

from tfgen.data import load
from tfgen.data.readers.image_files import Unreadable, decode, decode_mask, header

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def agree(path, channels, shape):
    """Whether the header of a file says what its pixels are."""
    return header(path) == (channels, shape) and decode(path, channels).shape == (*shape, channels)


@pytest.mark.parametrize("ending", [".png", ".tif", ".pgm"])
def test_16_bits_of_grey_keep_their_high_byte(tmp_path, ending):
    values = np.random.default_rng(0).integers(0, 65536, (6, 5)).astype(np.uint16)
    values[0, :2] = 0, 65535
    path = saved(tmp_path / f"a{ending}", values)
    peaks = []
    np.testing.assert_array_equal(decode(path, 1, peaks)[..., 0], values // 256)
    assert agree(path, 1, (6, 5)) and peaks == [65535]
    np.testing.assert_array_equal(decode(path, 3), np.repeat(values[..., None] // 256, 3, 2))


def test_16_bits_of_colour_keep_their_high_byte(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (6, 5, 3)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(values).numpy())
    np.testing.assert_array_equal(decode(tmp_path / "a.png", 3), values // 256)


def test_16_bits_of_which_little_is_used_are_told(tmp_path, capsys):
    for i in range(12):
        saved(tmp_path / f"{i}.png", np.full((4, 4), 300 * i, np.uint16))
    data = load(tmp_path)
    assert max(data.images(split).max() for split in data.spec.sizes) == 12
    assert "reach 3300 of 65535, so at most 13 of 256 levels" in capsys.readouterr().err
    saved(tmp_path / "bright.png", np.full((4, 4), 20000, np.uint16))
    load(tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16"])
def test_transparent_pixels_are_white(tmp_path, mode):
    """The left half is black and opaque, the right one has colours that nobody sees."""
    path, options, image = tmp_path / "a.png", {}, np.zeros((4, 6), np.uint8)
    if mode in ("RGBA", "LA"):
        layers = [image] * (1 if mode == "LA" else 3)
        alpha = np.repeat([255, 0], 3)[None].repeat(4, 0).astype(np.uint8)
        hidden = [np.where(alpha, layer, 77).astype(np.uint8) for layer in layers]
        picture = Image.fromarray(np.stack([*hidden, alpha], 2))
    else:
        image[:, 3:] = 1
        picture, options = {
            "P": lambda: Image.fromarray(image).convert("P"), "L": lambda: Image.fromarray(image),
            "1": lambda: Image.fromarray(image > 0), "I;16": lambda: Image.fromarray(image.astype(np.uint16))}[mode](), {
            "transparency": 1}
    saved(path, picture, **options)
    for channels in (1, 3):
        found = decode(path, channels)
        assert (found[:, :3] <= 1).all() and (found[:, 3:] == 255).all()


def test_half_transparent_is_half_white_and_opaque_is_itself(tmp_path):
    image = pixels(6, 5, 4)
    image[..., 3] = 255
    np.testing.assert_array_equal(decode(saved(tmp_path / "a.png", image), 3), image[..., :3])
    image[...] = 100, 0, 200, 128
    np.testing.assert_allclose(decode(saved(tmp_path / "a.png", image), 3)[0, 0], [177, 127, 227], atol=1)


@pytest.mark.parametrize(("name", "make", "channels"), [
    ("a.png", lambda x: Image.fromarray(x).convert("P"), 3), ("a.gif", lambda x: Image.fromarray(x).convert("P"), 3),
    ("a.png", lambda x: Image.fromarray(x[..., 0] > 99), 1), ("a.tif", lambda x: Image.fromarray(x).convert("CMYK"), 3),
    ("a.jpg", lambda x: Image.fromarray(x).convert("CMYK"), 3), ("a.webp", Image.fromarray, 3),
    ("a.bmp", lambda x: Image.fromarray(x[..., 0]), 1),
    pytest.param("a.tif", lambda x: Image.fromarray(x).convert("YCbCr"), 3, marks=pytest.mark.skipif(
        int(PIL.__version__.partition(".")[0]) < 13, reason="pillow before 13 takes such a file for truncated"))])
def test_kinds_of_files(tmp_path, name, make, channels):
    x = np.full((6, 9, 3), 204, np.uint8)
    x[:, 4:] = 51
    path = saved(tmp_path / name, make(x))
    assert agree(path, channels, (6, 9))
    expected = np.where(x > 99, 255, 0) if "1" == Image.open(path).mode else x
    np.testing.assert_allclose(decode(path, 3).astype(int)[:, [0, 8]], expected[:, [0, 8]], atol=25)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png", ".tif"])
def test_the_first_frame_is_the_image(tmp_path, ending):
    frames = [Image.new("RGB", (9, 6), colour) for colour in (RED, BLUE, BLUE)]
    path = saved(tmp_path / f"a{ending}", frames[0], save_all=True, append_images=frames[1:])
    assert getattr(Image.open(path), "n_frames", 1) > 1 and agree(path, 3, (6, 9))
    np.testing.assert_allclose(decode(path, 3)[3, 4], RED, atol=10)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, ending, orientation):
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255  # the corner at the top left
    turns = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: np.rot90(x[::-1], -1),
             6: np.rot90, 7: lambda x: np.rot90(x[::-1]), 8: lambda x: np.rot90(x, -1)}
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a{ending}", stored, exif=exif)
    assert agree(path, 3, (16, 24))
    np.testing.assert_allclose(decode(path, 3)[2::6, 2::6].astype(int), upright[2::6, 2::6], atol=40)


def test_what_is_not_read_is_named(tmp_path):
    for image, mode in ((np.zeros((4, 4), np.float32), "F"), (np.zeros((4, 4), np.int32), "I")):
        path = saved(tmp_path / "a.tif", image)
        for call, *rest in ((decode, 1), (header,)):
            one_line(["a.tif", f"mode {mode}", "8 or 16 bits"], call, path, *rest)
    whole = saved(tmp_path / "b.png", pixels(40, 40)).read_bytes()
    for cut in range(1, len(whole) - 30, 97):
        (tmp_path / "b.png").write_bytes(whole[:cut])
        with pytest.raises(Unreadable):
            decode(tmp_path / "b.png", 1)


def test_a_picture_of_too_many_pixels(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", pixels(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    one_line(["a.png", "at most 200 pixels"], decode, path, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(saved(path, pixels(12, 12)), 1).shape == (12, 12, 1) and header(path) == (1, (12, 12))


def test_masks_of_any_kind(tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    rgba = np.where(mask[..., None], (9, 0, 0, 255), (255, 255, 255, 0)).astype(np.uint8)
    for image in (mask, mask.astype(np.uint8), mask.astype(np.uint16), rgba, rgba[..., :3] * mask[..., None]):
        np.testing.assert_array_equal(decode_mask(saved(tmp_path / "a.png", image)), mask)


def test_unreadable_files_are_refused_or_passed_over(tmp_path, capsys):
    known = write_images(tmp_path / "a", 10) + write_images(tmp_path / "b", 10)
    (tmp_path / "a" / "none.png").write_bytes(b"no image")
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "b" / "cut.png").write_bytes(whole[:len(whole) // 2])
    saved(tmp_path / "b" / "deep.tif", np.zeros((6, 6), np.float32))
    one_line(["--skip-unreadable"], load, tmp_path)
    data = load(tmp_path, skip_unreadable=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("passed over: ") for line in lines)
    assert all(any(name in line for line in lines) for name in ("none.png", "cut.png", "deep.tif"))
    assert data.source["skip_unreadable"] is True and same(data, again(data))
    assert multiset(*(data.images(split) for split in data.spec.sizes)) == multiset(known)
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(b"no image")
    assert load(tmp_path, skip_unreadable=True).spec.class_names == ("b",)
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(b"no image")
    one_line(["can be read", "none"], load, tmp_path, skip_unreadable=True)


def test_unreadable_files_of_other_layouts(tmp_path):
    write_category(tmp_path / "nut")
    for place in ("train/good", "test/bent"):
        (tmp_path / "nut" / place / "0.png").write_bytes(b"no image")
    data = load(tmp_path / "nut", skip_unreadable=True)
    assert data.spec.sizes == {"train": 18, "validation": 1, "test": 6} and data.masks("test").shape[0] == 6
    assert data.masks("test").any((1, 2)).tolist() == data.anomalous("test").tolist()
    for name in ("trainA", "trainB"):
        write_images(tmp_path / "two" / name, 10)
    (tmp_path / "two" / "trainA" / "0.png").write_bytes(b"no image")
    one_line(["trainA/0.png", "--skip-unreadable"], load, tmp_path / "two")
    assert len(load(tmp_path / "two", skip_unreadable=True).sources("train")) == 9 - 2


def test_links_are_counted_once(tmp_path):
    known = write_images(tmp_path / "all" / "cat", 10) + write_images(tmp_path / "all" / "dog", 10)
    os.symlink("../all", tmp_path / "all" / "again")
    os.symlink("cat", tmp_path / "all" / "a kitten")
    os.symlink("0.png", tmp_path / "all" / "dog" / "zero.png")
    os.symlink("b", tmp_path / "all" / "a")
    os.symlink("a", tmp_path / "all" / "b")
    os.symlink("nowhere", tmp_path / "all" / "dog" / "gone.png")
    data = load(tmp_path / "all")
    assert data.spec.class_names == ("cat", "dog")
    assert multiset(*(data.images(split) for split in data.spec.sizes)) == multiset(known)
    os.symlink(tmp_path / "all" / "cat", tmp_path / "elsewhere")
    assert sum(load(tmp_path / "elsewhere").spec.sizes.values()) == 10


def test_jpegs_of_split_folders_are_as_those_of_flat_ones(tmp_path):
    for split in ("train", "test"):
        for label in "ab":
            write_images(tmp_path / split / label, 6, (24, 20, 3), ".jpg")
    data = load(tmp_path)
    wanted = [decode(path, 3) for path in (tmp_path / "test").rglob("*.jpg")]
    assert multiset(data.images("test")) == multiset(wanted)


def test_channels_first_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", x=pixels(30, 3, 8, 9))
    one_line(["channels first", "transpose(0, 2, 3, 1)", "(30, 3, 8, 9)"], load, tmp_path / "a.npz")
