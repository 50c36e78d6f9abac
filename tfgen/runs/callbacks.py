"""Training callbacks: history, checkpoints, stop on NaN or Ctrl-C."""

import csv
import io
import math
import pathlib
import signal
import time

import keras

from tfgen import files
from tfgen.attempts import Attempts
from tfgen.errors import Failure
from tfgen.pictures import plots
from tfgen.runs import checkpoints
from tfgen.runs.regime import best_of


class TrainingDiverged(Failure):
    """A loss became NaN or infinite; nothing of that epoch was saved."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops training as soon as a loss is NaN or infinite, before a checkpoint or picture is written.

    With `steps_per_execution=n` Keras calls it every n steps. It reads the model's record of the first bad step only
    if the logs are non-finite, so that normal training is not slowed down. Must be the first callback.

    Raises:
        TrainingDiverged: with the loss, the epoch and the step within the epoch (both counted from 1).
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        bad = [key for key, value in (logs or {}).items() if not math.isfinite(float(value))]
        if bad:
            guard = getattr(self.model, "guard", None)
            name, step = (guard and guard.found()) or (bad[0], batch + 1)
            raise TrainingDiverged(f"'{name}' was not finite at step {step} of epoch {self.epoch + 1}: stopped, nothing of "
                                   "that epoch is kept. A lower learning_rate usually helps; so do a smaller penalty or KL "
                                   "weight and, in mixed precision, float32.")


class History(keras.callbacks.Callback):
    """Writes `history.csv`, one row per epoch (counted from 1), and `curves.png`.

    Args:
        folder: the run folder.
        rows: rows of earlier epochs, when resuming.
        draw_every: number of epochs between drawings of the curves; they are also drawn at the end.
        judged_from: number of the first epoch that the objective judges, see `judged_from`.

    Raises:
        TrainingDiverged: at the end of an epoch with a non-finite loss, before anything is saved.
    """

    def __init__(self, folder, rows=(), draw_every=1, judged_from=1):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.judged_from = judged_from
        self.rows = [dict(row) for row in rows]
        self.draw_every = draw_every
        self.attempt = Attempts()

    def on_epoch_end(self, epoch, logs=None):
        values = {key: float(value) for key, value in (logs or {}).items()}
        if bad := [key for key, value in values.items() if not math.isfinite(value)]:
            raise TrainingDiverged(f"'{bad[0]}' is {values[bad[0]]} in epoch {epoch + 1}; the last good epoch is kept. "
                                   "A lower learning_rate usually helps.")
        self.rows.append({"epoch": epoch + 1, **values})
        self.write()
        if (epoch + 1) % self.draw_every == 0:
            self.draw()

    def on_train_end(self, logs=None):
        if self.rows and self.rows[-1]["epoch"] % self.draw_every:
            self.draw()

    def best(self, objective):
        """`regime.best_of` the epochs that are judged."""
        return best_of([row for row in self.rows if row["epoch"] >= self.judged_from], objective)

    def write(self):
        text = io.StringIO()
        # What is measured in some epochs only has a column, too.
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "history.csv", text.getvalue())

    def draw(self):
        names = [key for key in self.rows[0] if key != "epoch"]
        self.attempt("curves.png", plots.curves, self.folder / "curves.png",
                     {key: [float(row.get(key, math.nan)) for row in self.rows] for key in names})


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of a training at the end of every epoch, and in between, see `checkpoints`. Must be the last
    callback, so that what a killed process has not written yet is written by the one that goes on.

    Args:
        folder: the run folder.
        keep: number of checkpoints to keep, >= 1.
        steps, minutes: training steps and minutes between checkpoints within an epoch; None: none.
        history: the `History`, which comes before it.
        objective: (name of a value in the logs, "min" or "max"), by which the best epoch's checkpoint is kept, too.
        within: whether the training begins within an epoch, whose sums of metrics the model then has.
        keepers: callbacks with `kept()` -> JSON types, and `restore`, by name.
        about: a dict of JSON types to keep with each checkpoint.
        writes: whether this process writes; of several that train together, the others only read what is to be written.
    """

    def __init__(self, folder, keep=2, steps=None, minutes=None, history=None, objective=None, within=False, keepers=None,
                 about=None, writes=True):
        super().__init__()
        self.folder = pathlib.Path(folder) / "checkpoints"
        self.keep, self.steps, self.minutes = keep, steps, minutes
        self.history, self.objective, self.keepers, self.about = history, objective, keepers or {}, about or {}
        self.within, self.sums = within, None
        self.writes = writes

    def save(self, best=False):
        read = checkpoints.states(self.model)
        if self.writes:
            path = checkpoints.write(self.folder, self.model, {
                "run": self.about, "callbacks": {name: one.kept() for name, one in self.keepers.items()}}, best, read)
            checkpoints.keep(self.folder, path, self.keep)
            # Of an earlier end of the training, which now goes on: the checkpoint is the model of the run.
            (self.folder.parent / "model.keras").unlink(missing_ok=True)
        self.saved = int(self.model.optimizer.iterations.numpy()), time.monotonic()

    def on_train_begin(self, logs=None):
        self.saved = int(self.model.optimizer.iterations.numpy()), time.monotonic()
        # Keras empties them before the first epoch.
        self.sums = [variable.numpy() for variable in self.model.metrics_variables] if self.within else []

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in zip(self.model.metrics_variables if self.sums else (), self.sums, strict=True):
            variable.assign(value)
        self.within, self.sums = False, []
        self.last = int(self.model.optimizer.iterations.numpy()) + self.params["steps"]

    @property
    def at_end(self):
        """Whether the epoch's last step is made and its end is still to come: only then its row of the history is written.
        (Which number Keras gives to several steps of one execution depends on its version.)"""
        return int(self.model.optimizer.iterations.numpy()) >= self.last

    def on_train_batch_end(self, batch, logs=None):
        step, then = self.saved
        if self.at_end:
            return
        if (self.steps and int(self.model.optimizer.iterations.numpy()) - step >= self.steps) or (
                self.minutes and time.monotonic() - then >= 60 * self.minutes):
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        best = self.writes and self.objective and self.history.best(self.objective)[0] == epoch + 1
        self.save(bool(best))


class StopOnInterrupt(keras.callbacks.Callback):
    """On Ctrl-C, saves a checkpoint after the current batch and stops; a second Ctrl-C stops at once, without saving.

    Must come after the checkpoint in the list of callbacks.

    Args:
        checkpoint: the `Checkpoint` that saves the interrupted epoch.
    """

    def __init__(self, checkpoint):
        super().__init__()
        self.checkpoint = checkpoint
        self.interrupted = False

    def __enter__(self):
        try:
            self.previous = signal.signal(signal.SIGINT, self.stop)
        except ValueError:  # only the main thread can handle signals
            self.previous = None
        return self

    def __exit__(self, *_):
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)

    def stop(self, *_):
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted and not self.checkpoint.at_end:
            self.checkpoint.save()
            raise Interrupted

    def on_epoch_end(self, epoch, logs=None):
        if self.interrupted:
            raise Interrupted


class Interrupted(Exception):
    """Ctrl-C stopped the training; a checkpoint is saved."""
