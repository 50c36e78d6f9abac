import sys

import numpy as np
import pytest

from tfgen.data import load, surfaces
from tfgen.errors import UserError


def test_defects_are_where_their_masks_say():
    pytest.importorskip("skimage")
    random = np.random.default_rng(0)
    for kind in surfaces.DEFECTS:
        for place, other in zip(surfaces.cells("gravel", "test", 0), surfaces.cells("brick", "calibration", 0)):
            clean, foreign = surfaces.cell("gravel", place), surfaces.cell("brick", other)
            image, mask = surfaces.defective(kind, clean, foreign, random)
            changed = np.abs(image - clean)
            assert 30 < mask.sum() < 700 and changed[mask].mean() > 0.05 and changed[~mask].max() <= 0.25
            # Within the crop, so that it is seen whole.
            assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()


def test_cells_and_training_stripes_are_the_photograph_with_no_pixel_twice():
    seen = np.zeros((surfaces.PHOTOGRAPH_PIXELS, surfaces.PHOTOGRAPH_PIXELS), int)
    for low, high in surfaces.TRAINING:
        seen[:, low:high] += 1
    assert seen.sum() == 128 * 512 and len(surfaces.CELLS) == 6 * 8
    for top, left in surfaces.CELLS:
        seen[top:top + 64, left:left + 64] += 1
    np.testing.assert_array_equal(seen, 1)


def test_parts_are_all_cells_of_a_seed_once():
    parts = {seed: {part: [tuple(place) for place in surfaces.cells("grass", part, seed)] for part in surfaces.PARTS}
             for seed in (0, 1)}
    for of in parts.values():
        assert {part: len(places) for part, places in of.items()} == {"selection": 6, "calibration": 26, "test": 16}
        assert sorted(sum(of.values(), [])) == sorted(surfaces.CELLS)
    # What is chosen for one seed has seen no test cell of another; those are drawn anew.
    assert parts[0]["selection"] == parts[1]["selection"]
    assert set(parts[0]["test"]) & set(parts[1]["calibration"]) and set(parts[0]["test"]) & set(parts[1]["test"])


def test_textures_share_cells_of_selection_alone_and_no_drawing():
    def of(name, part):
        return [tuple(place) for place in surfaces.cells(name, part, 0)]

    assert of("grass", "selection") == of("gravel", "selection") and set(of("grass", "test")) != set(of("gravel", "test"))
    drawn = [surfaces.generator(name, 0, part).random() for name in surfaces.FOREIGN for part in (1, 2, 4)]
    assert len(set(drawn)) == 9


def test_every_cell_is_as_often_in_the_test_as_any_other():
    """In 16 of 42, over seeds: binomial with a standard deviation of 10 of 400."""
    number = dict.fromkeys(surfaces.CELLS, 0)
    for seed in range(400):
        for place in surfaces.cells("brick", "test", seed):
            number[tuple(place)] += 1
    found = np.array([number[place] for place in surfaces.CELLS])
    assert (found == 0).sum() == 6 and np.abs(found[found > 0] - 400 * 16 / 42).max() < 45


def test_training_crops_hold_no_pixel_of_a_cell(monkeypatch):
    """Of a photograph that is 1 in the cells and 0 elsewhere."""
    cells = np.zeros((surfaces.PHOTOGRAPH_PIXELS, surfaces.PHOTOGRAPH_PIXELS))
    for top, left in surfaces.CELLS:
        cells[top:top + 64, left:left + 64] = 1
    monkeypatch.setattr(surfaces, "photograph", lambda texture: cells)
    random = np.random.default_rng(0)
    crops = [surfaces.crop("brick", random) for _ in range(500)]
    assert {crop.shape for crop in crops} == {(64, 64)} and not np.any(crops)
    assert all(surfaces.cell("brick", place).all() for place in surfaces.CELLS)


def test_splits_are_of_the_cells_of_their_parts(tmp_path):
    """All cells of calibration and test once, and defects on all of the test before any twice."""
    pytest.importorskip("skimage")
    surfaces.write(tmp_path, "grass", "test", 3, (1, 26, 16, 16))
    found = load(str(tmp_path))
    labels, images, masks = found.labels("test"), found.images("test")[..., 0], found.masks("test")

    def ordered(images):
        return sorted(image.astype("uint8").tobytes() for image in images)

    def wanted(part):
        return np.array([np.round(255 * surfaces.cell("grass", place)) for place in surfaces.cells("grass", part, 3)])

    assert ordered(found.images("validation")) == ordered(wanted("calibration"))
    normal = wanted("test")
    assert ordered(images[labels == 0]) == ordered(normal)
    for kind in (1, 2, 3):
        corners = np.stack([images[labels == kind][:, row, column] for row in (0, -1) for column in (0, -1)], 1)
        same = np.stack([normal[:, row, column] for row in (0, -1) for column in (0, -1)], 1)
        # Which cell's corners each has, up to what the edge of a stain is worth.
        nearest = np.abs(corners[:, None].astype(float) - same).max(-1).argmin(1)
        assert len(set(nearest)) == 16 and masks[labels == kind].any((1, 2)).all()


def test_no_cell_is_in_a_split_twice(tmp_path):
    with pytest.raises(UserError, match=r"at most \(26, 6\) images .*, received \(8, 7\)"):
        surfaces.write(tmp_path, "brick", "selection", 0, (8, 8, 7, 40))


def test_a_folder_is_written_once_and_is_a_function_of_its_seed(tmp_path):
    pytest.importorskip("skimage")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        surfaces.write(tmp_path / name, "brick", "test", seed, (6, 6, 2, 1))
    a, b, c = (load(str(tmp_path / name)) for name in "abc")
    assert a.spec.sizes == {"train": 6, "validation": 6, "test": 5} and a.masks("test").any((1, 2)).sum() == 3
    np.testing.assert_array_equal(a.images("test"), b.images("test"))
    assert (a.images("test") != c.images("test")).any()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.png")}
    surfaces.write(tmp_path / "a", "brick", "test", 1, (6, 6, 2, 1))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    # Images of other numbers are neither kept nor mixed with new ones.
    with pytest.raises(UserError, match="expected at most .*'train/good': 4.* found .*'train/good': 6.*: remove the folder"):
        surfaces.write(tmp_path / "a", "brick", "test", 1, (4, 6, 2, 1))
    surfaces.write(tmp_path / "a", "brick", "test", 1, (7, 6, 2, 1))
    assert load(str(tmp_path / "a")).spec.sizes == {"train": 7, "validation": 6, "test": 5}


def test_without_scikit_image_says_what_to_install(monkeypatch):
    surfaces.photograph.cache_clear()
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(UserError, match="pip install 'tfgen.apps.'"):
        surfaces.photograph("brick")
