import sys

import numpy as np
import pytest

from tfgen.data import load, surfaces
from tfgen.errors import UserError


def test_defects_are_where_their_masks_say():
    pytest.importorskip("skimage")
    random = np.random.default_rng(0)
    for draw in surfaces.DEFECTS.values():
        for _ in range(20):
            clean = surfaces.crop("gravel", "test", random)
            image, mask = draw(clean, "gravel", "test", random)
            changed = np.abs(image - clean)
            assert 30 < mask.sum() < 700 and changed[mask].mean() > 0.1 and changed[~mask].max() <= 0.25
            # Within the crop, so that it is seen whole.
            assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()


def test_parts_share_no_pixel():
    columns = {part: {c for low, high in stripes for c in range(low, high)} for part, stripes in surfaces.STRIPES.items()}
    assert sum(map(len, columns.values())) == len(set.union(*columns.values())) == surfaces.PHOTOGRAPH_PIXELS


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


def test_without_scikit_image_says_what_to_install(monkeypatch):
    surfaces.photograph.cache_clear()
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(UserError, match="pip install 'tfgen.apps.'"):
        surfaces.photograph("brick")
