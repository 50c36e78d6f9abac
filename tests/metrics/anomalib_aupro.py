"""Masks and maps on which anomalib's AUPRO is known, and the command that computes it.

    python -m venv anomalib-venv && anomalib-venv/bin/pip install 'anomalib[cpu]==2.7.0'
    anomalib-venv/bin/python tests/metrics/anomalib_aupro.py       # writes anomalib_aupro.json beside this file

anomalib is heavy and stays out of the extras: the test reads the file.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
from scipy import ndimage

KNOWN = pathlib.Path(__file__).with_suffix(".json")
# (seed, images, side, contrast of anomalies, grey levels of the maps or None, limit)
CASES = [(0, 4, 32, 0.3, None, 0.3), (1, 4, 32, 0.3, None, 0.05), (2, 6, 24, 0.6, None, 0.3), (3, 3, 40, 0.0, None, 0.3),
         (4, 4, 32, 0.5, 50, 0.3), (5, 4, 32, 0.5, 8, 0.3), (6, 2, 64, 0.2, None, 1.0)]


def case(seed, images, side, contrast, levels):
    """(masks bool, maps float32 in [0, 1]), both (N, side, side): blobs, and noise that is brighter on them."""
    generator = np.random.default_rng(seed)
    masks = ndimage.gaussian_filter(generator.normal(size=(images, side, side)), (0, 2, 2)) > 0.2
    masks[-1] = False
    maps = (generator.random(masks.shape) + contrast * masks) / (1.0 + contrast)
    maps = maps if levels is None else np.round(maps * levels) / levels
    return masks, maps.astype(np.float32)


def main():
    import torch
    from anomalib.metrics.aupro import _AUPRO

    values = []
    for *about, limit in CASES:
        masks, maps = map(torch.from_numpy, case(*about))
        metric = _AUPRO(fpr_limit=limit)
        metric.update(maps, masks.int())
        values.append(float(metric.compute()))
    versions = {name: importlib.metadata.version(name) for name in ("anomalib", "torchmetrics", "torch", "numpy", "scipy")}
    KNOWN.write_text(json.dumps({"versions": versions, "cases": CASES, "aupro": values}) + "\n")
    print(KNOWN.read_text())


if __name__ == "__main__":
    main()
