"""Muon beside `torch.optim.Muon`, PyTorch's version of its author's code (Jordan et al., 2024)."""

import keras
import numpy as np
import pytest
from twins import MISSING

from tfgen.optimizers import Muon


@pytest.mark.parametrize("shape", [(48, 20), (20, 48), (3, 3, 4, 20)])
def test_steps_of_muon(torch, shape):
    """Over three steps, with the scale of Liu et al. (2025). Theirs orthogonalises in bfloat16, of eight bits."""
    pytest.importorskip("torch", minversion="2.9", reason=MISSING)
    rng, rate = np.random.default_rng(0), 0.02
    start = rng.normal(size=shape).astype("float32")
    kernel = keras.Variable(start, name="kernel")
    # Theirs has (outputs, inputs).
    twin = torch.nn.Parameter(torch.tensor(start.reshape(-1, shape[-1]).T.copy()))
    ours = Muon(rate, momentum=0.9)
    theirs = torch.optim.Muon([twin], lr=rate, weight_decay=0.0, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        before = kernel.numpy()
        gradient = rng.normal(size=shape).astype("float32")
        ours.apply([gradient], [kernel])
        twin.grad = torch.tensor(gradient.reshape(-1, shape[-1]).T.copy())
        theirs.step()
        error = kernel.numpy().reshape(-1, shape[-1]) - twin.detach().numpy().T
        assert np.linalg.norm(error) < 0.03 * np.linalg.norm(kernel.numpy() - before)
        # So that errors of single steps do not add up.
        kernel.assign(twin.detach().numpy().T.reshape(shape))
