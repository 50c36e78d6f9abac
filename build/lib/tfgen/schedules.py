"""Schedules for loss weights and learning rates: Keras `LearningRateSchedule`s, called with the training step."""

import math

import keras
from keras import ops

from tfgen.errors import UserError, require
from tfgen.serialization import serializable


def warmup(steps, end=1.0):
    """Linear increase from 0 at step 0 to `end` at `steps`, then constant (Bowman et al., 2016; Sonderby et al., 2016)."""
    if steps < 1:
        raise UserError(f"warmup(steps) expects at least 1 step, received {steps}")
    return keras.optimizers.schedules.PolynomialDecay(0.0, steps, end, power=1.0)


@serializable
class Cyclical(keras.optimizers.schedules.LearningRateSchedule):
    """Cyclical warm-up: linear from 0 to `end` in the first half of each cycle, then constant (Fu et al., 2019).

    Args:
        steps: number of steps per cycle, >= 2.
        end: final weight of each cycle, >= 0.
    """

    def __init__(self, steps, end=1.0):
        if steps < 2:
            raise UserError(f"Cyclical(steps) expects at least 2 steps, received {steps}")
        self.steps = steps
        self.end = end

    def __call__(self, step):
        position = ops.mod(ops.cast(step, "float32"), self.steps) / self.steps
        return self.end * ops.minimum(1.0, 2.0 * position)


@serializable
class HoldThenDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Constant at `start` in the first half of training, then linear decay to 0 (Zhu et al., 2017, section 4).

    Args:
        start: initial learning rate, >= 0.
        steps: total number of training steps, >= 1.
    """

    def __init__(self, start, steps):
        if steps < 1:
            raise UserError(f"HoldThenDecay(steps) expects at least 1 step, received {steps}")
        self.start = start
        self.steps = steps

    def __call__(self, step):
        left = 1.0 - ops.cast(step, "float32") / self.steps
        return self.start * ops.clip(2.0 * left, 0.0, 1.0)


@serializable
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak` at `warmup` steps, then decay with 1 / sqrt(step) (Vaswani et al., 2017, equation 3).

    Args:
        peak: largest learning rate, >= 0.
        warmup: number of steps of the warm-up, >= 1.
    """

    def __init__(self, peak, warmup):
        if warmup < 1:
            raise UserError(f"InverseSquareRoot(warmup) expects at least 1 step, received {warmup}")
        self.peak = peak
        self.warmup = warmup

    def __call__(self, step):
        share = (ops.cast(step, "float32") + 1.0) / self.warmup
        return self.peak * ops.minimum(share, 1.0 / ops.sqrt(share))


@serializable
class Shaped(keras.optimizers.schedules.LearningRateSchedule):
    """A rate or schedule times a linear warm-up from 0, then a constant 1 or a decay to 0 at the last step.

    At step t of T, after w steps of warm-up, with p = (t - w) / (T - w) in [0, 1]:

        factor = t / w before w, then 1, 1 - p (`"linear"`), or (1 + cos(pi p)) / 2 (`"cosine"`; Loshchilov & Hutter, 2017).

    Args:
        rate: a number >= 0 or a schedule.
        shape: `"constant"`, `"linear"` or `"cosine"`.
        warmup: w, >= 0.
        steps: T, > w.
    """

    SHAPES = ("constant", "linear", "cosine")

    def __init__(self, rate, shape, warmup, steps):
        require(shape in self.SHAPES, f"expected a schedule of {', '.join(self.SHAPES)}, received '{shape}'")
        require(0 <= warmup < steps, f"expected a warm-up of 0 to {steps - 1} steps, less than the {steps} of the training, "
                                     f"received {warmup}")
        self.rate = rate
        self.shape = shape
        self.warmup = warmup
        self.steps = steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        gone = ops.clip((step - self.warmup) / (self.steps - self.warmup), 0.0, 1.0)
        factor = {"constant": 1.0, "linear": 1.0 - gone, "cosine": 0.5 * (1.0 + ops.cos(math.pi * gone))}[self.shape]
        if self.warmup:
            factor = ops.where(step < self.warmup, step / self.warmup, factor)
        return value(self.rate, step) * factor


@serializable
class Consecutive(keras.optimizers.schedules.LearningRateSchedule):
    """One schedule after another, each counting steps from its own start: schedules of models with stages.

    Args:
        parts: numbers or schedules.
        starts: step at which each part but the first starts, increasing.
    """

    def __init__(self, parts, starts):
        if len(parts) != len(starts) + 1 or sorted(set(starts)) != list(starts):
            raise UserError(f"Consecutive(parts, starts) expects one part more than increasing starts, received "
                            f"{len(parts)} parts and starts {list(starts)}")
        self.parts = list(parts)
        self.starts = list(starts)

    def __call__(self, step):
        made = value(self.parts[0], step)
        for part, start in zip(self.parts[1:], self.starts):
            # What a part would be before its start is not used, but must be finite.
            made = ops.where(step >= start, value(part, ops.maximum(step - start, 0)), made)
        return made

    @classmethod
    def from_config(cls, config):
        # Files of before `optimizers.RestartedAdam` also have the betas of a correction.
        return cls(keras.saving.deserialize_keras_object(config["parts"]), config["starts"])


def value(weight, step):
    """Value of a weight at `step`: of a schedule, or the constant itself."""
    return weight(step) if callable(weight) else weight
