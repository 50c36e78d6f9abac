"""Tiny models in memory as those of a page."""

import numpy as np
import pytest
from cases import images, tiny

from tfgen.verbs.live import Live


@pytest.fixture(scope="session")
def model_of():
    """A function: name of a recipe, values -> `found.Model` of a tiny one, with blobs to choose from."""
    pytest.importorskip("gradio", reason="the extra 'ui' is not installed")
    from tfgen.ui import found

    made = {}

    def model(name, title=None, about=None, **values):
        key = title or name
        if key not in made:
            one = made[key] = found.Model(key, None)
            one.live, one.about, one.data = Live(tiny(name, **values)), {"recipe": name, **(about or {})}, None
            shape = one.live.source_shape
            one.images = lambda count=12: (images(min(count, 40)), np.arange(min(count, 40)) % 3)
            one.sources = lambda count=12: np.repeat(images(count), shape[-1], axis=-1)
        return made[key]

    return model
