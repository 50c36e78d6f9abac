"""Training in stages within one `fit`: the stage is a function of the training step."""

import tensorflow as tf

from tfgen import frozen
from tfgen.errors import require


class Stages:
    """Mixin for models that train their parts one after another; the stage is selected in the graph.

    A subclass calls `add_step` in its `__init__` (or has its own `step`), defines `stage_at` and `stages`, and
    computes what depends on the stage with `by_stage`. The step is saved with the model, so that training continues
    in the same stage after loading. The optimizer counts the steps of all stages, so that Adam's bias correction does not
    restart with a stage, and the first updates of a later stage are larger than the learning rate, unless the rate is a
    `schedules.Consecutive` with the Adam's betas.

    Attributes:
        step: int32 scalar, number of training steps so far.
        stages: number of stages.
    """

    # The stage whose branch is being traced.
    _stage = None

    def add_step(self):
        """Creates the weight `step`.

        Raises:
            UserError: in a `tf.distribute` strategy with several replicas.
        """
        self.require_one_replica()
        self.step = self.add_weight((), "zeros", dtype="int32", trainable=False, name="step",
                                    aggregation="only_first_replica")

    def require_one_replica(self):
        """Raises a `ValueError` in a `tf.distribute` strategy of several replicas."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        require(replicas == 1, f"{type(self).__name__} trains on one replica (optimizers of several cannot update within a "
                               f"branch of the graph), the strategy has {replicas}")

    def stage_at(self, step):
        """The stage of a step, both int32 tensors."""
        raise NotImplementedError(f"{type(self).__name__} must define stage_at(step)")

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

        if self.stages == 1:
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

    def after_step(self, losses):
        super().after_step(losses)
        self.step.assign_add(1)
