"""Rows of numbers as lines."""

import matplotlib.image
import numpy as np
import pytest

from tfgen import pictures
from tfgen.errors import UserError


@pytest.mark.parametrize("shape, count", [((5,), 1), ((5,), 20), ((1,), 3), ((12, 1), 1), ((12, 3), 1), ((12, 9), 20)])
def test_every_shape_and_number(tmp_path, shape, count):
    rows = np.random.default_rng(0).normal(size=(count, *shape))
    pictures.save_lines(tmp_path / "a.png", {"row": rows, "made": rows + 0.1}, (np.zeros(shape[-1]), np.ones(shape[-1])))
    seen = matplotlib.image.imread(tmp_path / "a.png")
    # Both colours are there.
    for colour in ((0.25, 0.25, 0.25), (0xd9 / 255, 0x5f / 255, 2 / 255)):
        assert (np.abs(seen[..., :3] - colour).max(-1) < 0.1).any()


def test_other_arrays_are_refused(tmp_path):
    for rows in ({"a": np.ones((2, 3)), "b": np.ones((2, 4))}, {"a": np.ones((2, 3, 4, 1))}):
        with pytest.raises(UserError, match="save_lines expects vectors"):
            pictures.save_lines(tmp_path / "a.png", rows)
