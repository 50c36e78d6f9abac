"""Published implementations that models, losses and samplers are compared with, on one batch with the same weights."""

import pytest
from twins import MISSING


@pytest.fixture
def torch():
    """PyTorch, with one thread."""
    found = pytest.importorskip("torch", reason=MISSING)
    threads = found.get_num_threads()
    found.set_num_threads(1)
    found.manual_seed(0)
    yield found
    found.set_num_threads(threads)
