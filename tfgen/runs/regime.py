"""How a run is trained, whatever its recipe: checkpoints, early stopping, gradients, rates, precision, further callbacks."""

import contextlib
import dataclasses
import importlib
import math
import os
import pathlib
import sys

import keras
import tensorflow as tf

from tfgen import optimizers
from tfgen.errors import UserError, note, require
from tfgen.runs import checkpoints
from tfgen.runs.folder import load_model
from tfgen.schedules import Shaped
from tfgen.serialization import computing_in, finish_in_float32

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
CHOICES = {"keep": ("last", "best"), "schedule": Shaped.SHAPES, "scheduled": ("both", "generator", "critic"),
           "precision": tuple(POLICIES)}


@dataclasses.dataclass(frozen=True)
class Regime:
    """What a run's recipe does not say of its training; `run.json` keeps it.

    Args:
        keep_checkpoints: number of checkpoints to keep, >= 1, besides that of the best epoch by the recipe's objective.
        checkpoint_steps: training steps between checkpoints within an epoch, >= 1, rounded up to whole executions of at most
            so many steps, which divide the epoch; None: none.
        checkpoint_minutes: minutes between them, > 0; None: none. Every epoch ends with one.
        patience: epochs without a better objective on the validation split after which training stops, >= 1; None: it does
            not stop early.
        keep: `"last"` or `"best"`: the epoch whose weights the run ends with.
        accumulate: number of parts, >= 1, that each update's batch is divided into, computed one after another: for less
            memory, with the same gradients where nothing is a statistic of a batch.
        schedule: `"constant"`, `"cosine"` or `"linear"`: what the recipe's rates are multiplied by, to 0 at the end.
        warmup: training steps, >= 0, in which it first rises linearly from 0.
        scheduled: `"both"` players, or the `"generator"` (a model without players has only this optimizer) or `"critic"`.
        precision: `"float32"`, or `"bfloat16"` for the layers' computations; weights, heads and losses stay in float32.
        deterministic: whether TensorFlow uses operations that give the same bits in every run alone, on GPUs too.
        clip_norm: largest norm of a player's gradient, over all of its weights, to which it is scaled down; > 0; None: no
            clipping. (Pascanu et al., 2013)
        callbacks: texts MODULE:FUNCTION; the function is called with the run folder and its settings, and gives a Keras
            callback or a list of these, such as those of experiment trackers.

    Raises:
        UserError: for values out of range.
    """

    keep_checkpoints: int = 2
    checkpoint_steps: int | None = None
    checkpoint_minutes: float | None = 10.0
    patience: int | None = None
    keep: str = "last"
    clip_norm: float | None = None
    accumulate: int = 1
    schedule: str = "constant"
    warmup: int = 0
    scheduled: str = "both"
    precision: str = "float32"
    deterministic: bool = False
    callbacks: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("keep_checkpoints", "checkpoint_steps", "checkpoint_minutes", "patience", "clip_norm",
                     "accumulate"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} expects a number above 0 or none, received {value}")
        require(self.warmup >= 0, f"warmup expects a number of steps of at least 0, received {self.warmup}")
        for name, allowed in CHOICES.items():
            require(getattr(self, name) in allowed,
                    f"{name} expects {', '.join(allowed[:-1])} or {allowed[-1]}, received '{getattr(self, name)}'")
        # JSON has lists.
        object.__setattr__(self, "callbacks", tuple(self.callbacks))

    @property
    def judges(self):
        """Whether it needs the recipe's objective after every epoch."""
        return self.patience is not None or self.keep == "best"

    @property
    def shapes(self):
        """Whether it changes learning rates."""
        return self.schedule != "constant" or self.warmup > 0

    def execution(self, steps):
        """The upper bound of Keras' `steps_per_execution`: `steps`, and not more than between two checkpoints."""
        return min(steps, self.checkpoint_steps or steps)

    @contextlib.contextmanager
    def building(self):
        """A context in which models are built in its precision."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(POLICIES[self.precision])
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)

    def compiled(self, model, steps):
        """The model of a recipe, its optimizers set to these rates for a training of so many steps."""
        players = {"generator": "optimizer", "critic": "critic_optimizer"}
        if self.scheduled != "both":
            require(hasattr(model, players[self.scheduled]), f"expected a model with a {self.scheduled} whose rate is to be "
                                                            "scheduled, received one without: leave it out")
            players = {self.scheduled: players[self.scheduled]}
        for player, name in players.items():
            if self.shapes and hasattr(model, name):
                optimizer = optimizers.inner(getattr(model, name))
                # A critic's optimizer counts its own updates.
                updates = model.batches_per_step if player == "critic" else 1
                optimizer.learning_rate = Shaped(rate_of(optimizer), self.schedule, updates * self.warmup, updates * steps)
        if self.precision != "float32":
            finish_in_float32(model)
        return self.prepared(model)

    def prepared(self, model):
        """The model, set to divide batches, and its optimizers to clip gradients."""
        if self.deterministic:
            tf.config.experimental.enable_op_determinism()
        model.accumulate = self.accumulate
        for name in ("optimizer", "critic_optimizer"):
            if self.clip_norm is not None and hasattr(model, name):
                optimizers.inner(getattr(model, name)).global_clipnorm = self.clip_norm
        return model

    def finished(self, model):
        """The model after the training, which computes in float32."""
        return model if self.precision == "float32" else computing_in(model, "float32")

    def check(self, objective, unmeasurable):
        """Raises a `UserError` for a callback that cannot be imported, or an objective that it needs and the data lack.

        Args:
            objective: the recipe's.
            unmeasurable: the reason why the data do not allow to measure it, or None.
        """
        for text in self.callbacks:
            function_of(text)
        require(not (self.judges and unmeasurable), f"patience and keep='best' go by {objective[0]}, which these data do "
                                                    f"not allow: {unmeasurable}")

    def further(self, out, settings):
        """The further callbacks of a run.

        Raises:
            UserError: for one that cannot be imported, or is none, or whose function raises.
        """
        found = []
        for text in self.callbacks:
            try:
                made = function_of(text)(pathlib.Path(out), settings)
            except UserError:
                raise
            except Exception as error:
                raise UserError(f"expected a callback from {text}, received {type(error).__name__}: "
                                f"{' '.join(str(error).split())}: correct the function, or leave it out") from error
            found += made if isinstance(made, (list, tuple)) else [made]
        for one in found:
            require(isinstance(one, keras.callbacks.Callback), "expected Keras callbacks from "
                                                               f"{', '.join(self.callbacks)}, received {one!r}")
        return found


def rate_of(optimizer):
    """An optimizer's learning rate: a schedule, or a number."""
    schedule = optimizer.get_config()["learning_rate"]
    return keras.saving.deserialize_keras_object(schedule) if isinstance(schedule, dict) else schedule


def end_of(model):
    """The training step at which the schedules of a `Regime` end in a model, or 0 if it has none."""
    for name, updates in (("optimizer", 1), ("critic_optimizer", model.batches_per_step)):
        rate = getattr(optimizers.inner(getattr(model, name, None)), "_learning_rate", None)
        if isinstance(rate, Shaped):
            return rate.steps // updates
    return 0


def function_of(text):
    """The function that MODULE:FUNCTION names."""
    module, _, name = text.partition(":")
    # As `python -m` does: modules of the folder that one is in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise UserError(f"expected MODULE:FUNCTION for a callback, received '{text}' ({error}): check the names, and that "
                        "the module's folder is the current one or on PYTHONPATH") from None


def judged_from(model, steps, epochs):
    """Number of the first epoch of `steps` training steps that lies within the last stage; before, a model does not train
    what its objective measures. `epochs` + 1 if there is none."""
    return 1 + min(epochs, math.ceil(model.last_stage_begins(steps * epochs) / steps))


def best_of(rows, objective):
    """(number of the best epoch, counted from 1, epochs since then) by rows of the history; (0, 0) without values.

    Args:
        rows: dicts with "epoch".
        objective: (name of a value, "min" or "max").
    """
    name, mode = objective
    known = [(row[name] if mode == "min" else -row[name], row["epoch"]) for row in rows
             if math.isfinite(row.get(name, math.nan))]
    if not known:
        return 0, 0
    best = min(known)[1]
    return best, known[-1][1] - best


def go_back(out, model, history, steps, objective):
    """Sets a training to where it was after its best epoch: weights, optimizers, random states.

    Args:
        history: the `callbacks.History`.
        steps: training steps per epoch.
        objective: the recipe's.
    """
    best = history.best(objective)[0]
    if not best or best == (last := history.rows[-1]["epoch"]):
        return
    path, found = out / "checkpoints" / checkpoints.BEST, None
    with contextlib.suppress(UserError):
        found = load_model(path) if checkpoints.intact(path) else None
    if found is None or int(found.optimizer.iterations.numpy()) != best * steps:
        note(f"{path} is damaged or not of epoch {best}, the best by {objective[0]}: {out} ends with the last epoch")
        return
    checkpoints.restore(found, path)
    for ours, theirs in zip(checkpoints.state(model), checkpoints.state(found), strict=True):
        ours.assign(theirs)
    note(f"{out} ends with the weights of epoch {best} of {last}, the best by {objective[0]}")


class Patience(keras.callbacks.Callback):
    """Stops training when the objective has not been better for so many epochs. Must come after `History`.

    Args:
        history: the `callbacks.History`, whose rows of earlier epochs count, too.
        objective: (name of a value in the logs, "min" or "max").
        epochs: that number; None never stops.
        since: number of the epoch from which it has patience anew.
    """

    def __init__(self, history, objective, epochs, since=0):
        super().__init__()
        self.history, self.objective, self.epochs, self.since = history, objective, epochs, since

    @property
    def over(self):
        """Whether training has ended."""
        waited = self.history.best(self.objective)[1]
        return self.epochs is not None and waited >= self.epochs <= self.history.rows[-1]["epoch"] - self.since

    def on_epoch_end(self, epoch, logs=None):
        if self.over:
            self.model.stop_training = True
