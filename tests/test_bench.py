import json

import pytest

from benchmarks import bench
from tfgen import figures


def test_fast_path(tmp_path, monkeypatch):
    """Everything runs, and PyTorch computes the same losses from the same weights where it is installed."""
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    made = json.loads(bench.main(fast=True))
    assert {"vae", "denoising", "contractive-one-layer", "contractive-deep"} == set(made)
    assert all(made[name]["fit / bare"] > 0 for name in ("vae", "denoising"))
    assert len(list(tmp_path.glob("bench-*.json"))) == 4


def test_torch_peer_equals_ours():
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'tfgen[bench]'")
    from benchmarks import torch_peer

    seconds = bench.training("vae", 1, 1, torch_peer)
    assert {"torch", "torch, channels_last"} <= set(seconds)
