"""Training in stages within one `fit`: the stage is a function of the training step."""

import bisect

import keras
import tensorflow as tf

from tfgen import frozen, replicas
from tfgen.errors import require


class Stages:
    """Mixin for models that train their parts one after another; the stage is selected in the graph.

    A subclass calls `add_step` in its `__init__` (or has its own `step`), defines `stage_at` and `stages`, and
    computes what depends on the stage with `by_stage`. The step is saved with the model, so that training continues
    in the same stage after loading. The optimizer counts the steps of all stages: an Adam corrects the bias of moments by
    all of them, so that the first updates of a later stage are larger than the learning rate; `optimizers.RestartedAdam`
    begins anew with a stage. Neither may skip steps, as under the loss scale of float16.

    Attributes:
        step: int32 scalar, number of training steps so far.
        stages: number of stages.
    """

    # The stage whose branch is being traced.
    _stage = None

    def add_step(self):
        """Creates the weight `step`."""
        self.step = self.add_weight((), "zeros", dtype="int32", trainable=False, name="step",
                                    aggregation="only_first_replica")

    def make_train_function(self, *arguments, **named):
        """As of the model; raises a `UserError` under float16, where each optimizer skips steps of its own."""
        require(self.stages == 1 or not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer),
                f"{type(self).__name__} trains in stages and expects float32 or mixed_bfloat16, received an optimizer that "
                "scales the loss: with mixed_float16 it skips steps, and stages would begin without it")
        return super().make_train_function(*arguments, **named)

    def stage_at(self, step):
        """The stage of a step, both int32 tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define stage_at(step)")

    def last_stage_begins(self, total):
        """The training step with which the last stage begins; `total` if it does not within so many steps."""
        return bisect.bisect_left(range(total), self.stages - 1, key=lambda step: int(self.stage_at(tf.constant(step))))

    def by_stage(self, function, *arguments):
        """Result of `function` for the current stage, selected in the graph, or now in a graph of frozen weights."""
        def branch(stage):
            def run():
                before = self._stage
                object.__setattr__(self, "_stage", stage)
                try:
                    return function(*arguments)
                finally:
                    object.__setattr__(self, "_stage", before)
            return run

        if self.stages == 1 or (self._stage is not None and replicas.current()):
            return function(*arguments)

        def current():
            return self.stage_at(tf.convert_to_tensor(self.step))

        known = frozen.known(current)
        if known is not None:
            return branch(int(known))()
        return tf.switch_case(current(), list(map(branch, range(self.stages))))

    @property
    def stage(self):
        """The stage whose branch is being traced; outside of branches, the last stage."""
        return self.stages - 1 if self._stage is None else self._stage

    def train_step(self, data):
        return self.by_stage(super().train_step, data)

    def on_replicas(self, step, data):
        # Replicas must not meet, as the sums of gradients need it, within a branch: all of them are in the branch.
        return self.by_stage(super().on_replicas, step, data)

    def after_step(self, losses):
        super().after_step(losses)
        self.step.assign_add(1)


class OptimizerStages(Stages):
    """Stages by the optimizer's step, for models that need no step of their own."""

    @property
    def step(self):
        return self.optimizer.iterations if self.compiled else 0

    def after_step(self, losses):
        # The optimizer has counted the step: not `Stages.after_step`.
        super(Stages, self).after_step(losses)
