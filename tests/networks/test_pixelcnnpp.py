"""PixelCNN++ at its full depth."""

import keras
import numpy as np
import pytest

from tfgen.networks.pixelcnnpp import pixelcnnpp


@pytest.mark.rotating
def test_outputs_start_small_at_the_default_depth():
    """28 gated blocks deep; blocks that do not start near the identity give parameters in the hundreds."""
    keras.utils.set_random_seed(0)
    made = pixelcnnpp((8, 8, 1), 30, filters=8)(np.random.default_rng(0).random((4, 8, 8, 1), np.float32))
    assert 0.1 < np.std(made) < 3.0
