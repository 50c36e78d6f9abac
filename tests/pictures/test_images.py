import os

import numpy as np
import pytest
from PIL import Image

from tfgen import pictures
from tfgen.errors import UserError
from tfgen.files import written_aside
from tfgen.pictures import plots
from tfgen.pictures.images import BACKGROUND, NOT_A_NUMBER


def random_images(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def pixels(path):
    return np.asarray(Image.open(path))


def test_grid_places_tiles_row_by_row():
    images = np.stack([np.full((2, 3, 1), value, np.float32) for value in (0.0, 0.5, 1.0)])
    picture = pictures.grid(images, columns=2, padding=1, scale=2)
    assert picture.dtype == np.uint8 and picture.shape == (2 * 5 + 1, 2 * 7 + 1, 3)
    assert (picture[1:5, 1:7] == 0).all() and (picture[1:5, 8:14] == 128).all() and (picture[6:10, 1:7] == 255).all()
    background = np.ones(picture.shape[:2], bool)
    background[1:5, 1:7] = background[1:5, 8:14] = background[6:10, 1:7] = False
    assert (picture[background] == BACKGROUND).all()


@pytest.mark.parametrize("side, scale", [(8, 6), (16, 3), (28, 2), (64, 1), (256, 1)])
def test_grid_enlarges_small_images(side, scale):
    assert pictures.grid(random_images(1, side, side, 3), padding=0).shape == (scale * side, scale * side, 3)


def test_grid_is_about_square_and_keeps_pixels():
    images = random_images(10, 8, 8, 3)
    picture = pictures.grid(images, padding=0, scale=1)
    assert picture.shape == (3 * 8, 4 * 8, 3)
    np.testing.assert_array_equal(picture[8:16, 16:24], np.rint(images[6] * 255).astype(np.uint8))


def test_grid_clips_and_shows_nan():
    images = np.array([-3.0, 7.0, np.nan, np.inf], np.float32).reshape(1, 2, 2, 1)
    expected = [[[0] * 3, [255] * 3], [list(NOT_A_NUMBER), [255] * 3]]
    np.testing.assert_array_equal(pictures.grid(images, padding=0, scale=1), expected)


@pytest.mark.parametrize("images, options, message", [
    (random_images(2, 8, 8), {}, "received shape"),
    (random_images(0, 8, 8, 1), {}, "N > 0"),
    (np.zeros((2, 8, 8, 1), np.uint8), {}, "divide 8-bit images by 255"),
    (random_images(2, 8, 8, 1), {"columns": 0}, "columns expects"),
    (random_images(2, 8, 8, 1), {"scale": 1.5}, "scale expects"),
])
def test_grid_says_what_it_expects(images, options, message):
    with pytest.raises(UserError, match=message):
        pictures.grid(images, **options)


@pytest.mark.parametrize("array", [
    np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(6, dtype=np.uint8).reshape(2, 3, 1),
    np.arange(6, dtype=np.float32).reshape(2, 3) / 255, np.arange(18, dtype=np.uint8).reshape(2, 3, 3)])
def test_save_image_keeps_pixels_and_makes_folders(tmp_path, array):
    path = tmp_path / "new" / "deep" / "x.png"
    pictures.save_image(path, array)
    coloured = array.ndim == 3 and array.shape[-1] == 3
    np.testing.assert_array_equal(np.asarray(Image.open(path)), array if coloured else np.arange(6).reshape(2, 3))
    assert os.listdir(path.parent) == ["x.png"]


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_lie_beside_each_other_in_grey(tmp_path, channels):
    images = random_images(6, 8, 5, channels)
    picture = pictures.grid(images, columns=3, padding=0, scale=1)
    assert picture.shape == (16, 3 * 5 * channels, 3)
    tile = picture[8:, 5 * channels:10 * channels]
    for channel in range(channels):
        np.testing.assert_array_equal(tile[:, 5 * channel:5 * channel + 5, 1], np.rint(255 * images[4, ..., channel]))
    pictures.save_image(tmp_path / "x.png", images[4])
    np.testing.assert_array_equal(pixels(tmp_path / "x.png"), tile[..., 0])
    pictures.save_rows(tmp_path / "rows.png", {"original": images, "grey": random_images(2, 8, 5, 1)})


def test_save_image_shows_where_a_grey_image_is_no_number(tmp_path):
    pictures.save_image(tmp_path / "x.png", np.array([[0.0, np.nan]]))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png")), [[[0, 0, 0], NOT_A_NUMBER]])


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.png"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.png"]


def test_unknown_endings_and_shapes_are_errors(tmp_path):
    with pytest.raises(UserError, match="ends in .png"):
        pictures.save_grid(tmp_path / "x", random_images(1, 8, 8, 1))
    with pytest.raises(UserError, match="ends in .png"):
        plots.curves(tmp_path / "x.docx", {"loss": [1.0]})
    with pytest.raises(UserError, match="received shape"):
        pictures.save_image(tmp_path / "x.png", random_images(1, 8, 8, 1))
    assert not os.listdir(tmp_path)


def test_save_grid_has_the_grid_s_size(tmp_path):
    pictures.save_grid(tmp_path / "x.png", random_images(6, 8, 8, 1), columns=3)
    assert pixels(tmp_path / "x.png").shape == (2 * 49 + 1, 3 * 49 + 1, 3)


def test_save_rows_aligns_columns(tmp_path):
    rows = {"original": random_images(4, 8, 8, 1), "a much longer label": random_images(3, 16, 16, 3)}
    pictures.save_rows(tmp_path / "x.png", rows)
    picture = pixels(tmp_path / "x.png")
    left = picture.shape[1] - 4 * 50
    assert picture.shape[0] == 2 + 2 * 50 and left > 100
    for row, (images, scale) in enumerate(zip(rows.values(), (6, 3))):
        for column, image in enumerate(images):
            tile = picture[2 + row * 50:, left + column * 50:][:48, :48]
            np.testing.assert_array_equal(tile, pictures.grid(image[None], padding=0, scale=scale))
    assert (picture[:, :8] == BACKGROUND).all()
    assert all((picture[2 + 50 * row:50 + 50 * row, 8:left] < 100).any() for row in range(2))
    with pytest.raises(UserError, match="at least one row"):
        pictures.save_rows(tmp_path / "x.png", {})
