"""Mixins of anomaly detectors: the threshold, and map and score from a reconstruction."""

import math

import keras
from keras import ops


class Detector:
    """Mixin for models with `score`: the threshold, a weight that is saved and exported with the model.

    Attributes:
        threshold: float32 scalar; images with a higher score count as anomalous. Infinite until calibrated.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.threshold = self.add_weight((), keras.initializers.Constant(math.inf), trainable=False, name="threshold",
                                         dtype="float32")

    def usual_terms(self):
        """[(object with `rescale(factor)`, function of images)]: the terms that calibration rescales to a mean of 1
        over held-out normal images."""
        return []


class ReconstructionDetector(Detector):
    """Mixin for models with `reconstruct`: the verbs `score` and `anomaly_map`, computed by an object `difference`.

    A difference is a function `(x, reconstruction) -> maps (B, H, W)` with `pool(maps) -> scores (B,)` and
    `update(x, reconstruction)`, which updates its running statistics in training.
    """

    def anomaly_map(self, x):
        return self.difference(ops.convert_to_tensor(x), self.reconstruct(x))

    def usual_terms(self):
        return [(self.difference, self.anomaly_map)] if hasattr(self.difference, "rescale") else []

    def score(self, x):
        return self.difference.pool(self.anomaly_map(x))
