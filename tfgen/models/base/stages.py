"""Training one part of a model after another within one `fit`: the stage is a function of the step."""

import tensorflow as tf

from tfgen.errors import require


class Stages:
    """Mixes into a model the training of one part after another: the stage is chosen in the graph.

    A class with it calls `add_step` in its `__init__` or has a `step` of its own, writes `stage_at` and `stages`, and
    computes with `by_stage` what differs. The step that decides the stage is saved with the model, so that training goes on
    in its stage after a file is loaded. An optimizer goes on counting its steps, so where Adam's second moments are new, its
    correction of their start is that of the whole training: the first steps of a later stage are larger than the rate.

    Attributes:
        step: int32 scalar, updates so far (the generator's, of two players).
        stages: their number.
    """

    # The stage whose branch is being traced.
    _stage = None

    def add_step(self):
        """Makes `step`.

        Raises:
            UserError: in a `tf.distribute` strategy of several replicas.
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
        """What `function` gives in the stage of this step, chosen in the graph."""
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
        return tf.switch_case(self.stage_at(tf.convert_to_tensor(self.step)), list(map(branch, range(self.stages))))

    @property
    def stage(self):
        """The stage whose branch is being traced, outside of branches the last."""
        return self.stages - 1 if self._stage is None else self._stage

    def train_step(self, data):
        return self.by_stage(super().train_step, data)

    def after_step(self, losses):
        super().after_step(losses)
        self.step.assign_add(1)
