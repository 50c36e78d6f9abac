"""Training callbacks: history, checkpoints, pictures, sample quality, CPU budget, stop on NaN or Ctrl-C."""

import csv
import io
import math
import pathlib
import signal
import time

import keras
import numpy as np

from tfgen import files, metrics, pictures, plots, verbs
from tfgen.attempts import Attempts
from tfgen.detection import heat
from tfgen.errors import Failure, UserError


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

    Raises:
        TrainingDiverged: at the end of an epoch with a non-finite loss, before anything is saved.
    """

    def __init__(self, folder, rows=(), draw_every=1):
        super().__init__()
        self.folder = pathlib.Path(folder)
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
        if self.rows:
            self.draw()

    def write(self):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self.folder / "history.csv", text.getvalue())

    def draw(self):
        names = [key for key in self.rows[0] if key != "epoch"]
        self.attempt("curves.png", plots.curves, self.folder / "curves.png",
                     {key: [float(row.get(key, math.nan)) for row in self.rows] for key in names})


def read_history(folder):
    """Rows of `history.csv`, one {name: number} per epoch; [] if the file does not exist.

    Raises:
        UserError: if the file contains other values than numbers.
    """
    path = pathlib.Path(folder) / "history.csv"
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [{key: int(value) if key == "epoch" else float(value or "nan") for key, value in row.items()}
                    for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise UserError(f"expected numbers in {path}, it cannot be read ({error}): restore it, or remove it and begin the "
                        "history anew") from None


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizers and step as `checkpoints/step-*.keras` at the end of every epoch; keeps the newest.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder) / "checkpoints"

    def save(self):
        step = int(self.model.optimizer.iterations)
        path = self.folder / f"step-{step:09d}.keras"
        with files.written_aside(path) as aside:
            self.model.save(aside)
        for older in self.folder.glob("step-*.keras"):
            if older.name < path.name:
                older.unlink()

    def on_epoch_end(self, epoch, logs=None):
        self.save()


def newest_checkpoint(folder):
    """(path, step) of the newest checkpoint of a run, or (None, 0)."""
    found = sorted((pathlib.Path(folder) / "checkpoints").glob("step-*.keras"))
    return (found[-1], int(found[-1].stem.split("-")[1])) if found else (None, 0)


class Pictures(keras.callbacks.Callback):
    """Draws one picture per verb of the model, from the same inputs in each epoch.

    `reconstructions/epoch-*.png` (original, corrupted input if the model has a corruption, reconstruction),
    `translations/epoch-*.png`, `anomaly_maps/epoch-*.png` and `samples/epoch-*.png`.

    Args:
        folder: the run folder.
        images: float32 (N, H, W, C) validation images.
        labels: int (N,) or None; used by conditional models.
        every: number of epochs between pictures.
        sources: float32 (N, H, W, C) translation sources of the images, or None.
    """

    def __init__(self, folder, images, labels=None, every=1, sources=None):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.images = images
        self.labels = labels
        self.every = every
        self.sources = sources
        self.attempt = Attempts()

    def on_train_begin(self, logs=None):
        self.live = verbs.Live(self.model)
        self.last = 0

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.draw(f"epoch-{epoch + 1:04d}.png")
        self.last = epoch + 1

    def on_train_end(self, logs=None):
        if self.last % self.every:
            self.draw(f"epoch-{self.last:04d}.png")

    def draw(self, name):
        for verb, folder, drawn in (("reconstruct", "reconstructions", self.reconstructions),
                                    ("translate", "translations", self.translations),
                                    ("anomaly_map", "anomaly_maps", self.anomaly_maps), ("sample", "samples", self.samples)):
            if verb in self.live.names:
                self.attempt(f"pictures of {folder}", drawn, self.folder / folder / name)

    def reconstructions(self, path):
        pictures.save_rows(path, reconstruction_rows(self.live, self.images, self.labels,
                                                     getattr(self.model, "corruption", None)))

    def translations(self, path):
        if self.sources is not None:
            pictures.save_rows(path, translation_rows(self.live, self.sources, self.images))

    def anomaly_maps(self, path):
        maps = self.live("anomaly_map", self.images)
        pictures.save_rows(path, {"original": self.images, "anomaly map": heat.overlays(self.images, maps)})

    def samples(self, path):
        columns = label_columns(self.live)
        pictures.save_grid(path, self.live("sample", np.arange(8 * columns)), columns)


def label_columns(live):
    """Number of columns of a sample grid: one per class for a conditional model, else 8."""
    label = live.options["sample"].get("label")
    return int(label.high + 1) if label else 8


def reconstruction_rows(live, images, labels=None, corruption=None):
    """{row label: images} for a picture of reconstructions."""
    options = {"label": labels} if "label" in live.options["reconstruct"] and labels is not None else {}
    rows, inputs = {"original": images}, images
    if corruption is not None:
        inputs = np.asarray(corruption.seeded(keras.ops.convert_to_tensor(images), np.arange(len(images))))
        rows["corrupted"] = np.clip(inputs, 0.0, 1.0)
    return rows | {"reconstruction": live("reconstruct", inputs, **options)}


def translation_rows(live, sources, images):
    """{row label: images} for a picture of translations: with targets, or both directions of a cycle."""
    made = live("translate", sources)
    rows = {"source": sources, "translation": made}
    if "translate_back" not in live.names:
        return rows | {"target": images}
    back = live("translate_back", images)
    return rows | {"and back": live("translate_back", made), "other domain": images, "its translation": back,
                   "and forth": live("translate", back)}


class SampleQuality(keras.callbacks.Callback):
    """Adds `val_frechet_distance` to the logs of every epoch: between samples and the validation images.

    For a translation model, between translations of the validation sources and the validation images.

    Args:
        dataset: a `tfgen.data.Dataset`.
        extractor: a feature extractor, see `tfgen.metrics.features`; None trains a classifier of the data on first use.
        n: number of samples. Few samples bias the distance upwards, equally in every epoch.

    If the distance cannot be measured, the logs omit it and one printed line gives the reason.
    """

    NAME = "val_frechet_distance"

    def __init__(self, dataset, extractor=None, n=2000):
        super().__init__()
        self.dataset = dataset
        self.extractor = extractor
        self.n = n
        self.attempt = Attempts()

    @staticmethod
    def unmeasurable(dataset):
        """The reason why a data set is unsuitable for the measurement, or None."""
        count = len(dataset.images("validation"))
        if count < metrics.LEAST_IMAGES:
            return (f"it expects at least {metrics.LEAST_IMAGES} validation images, '{dataset.spec.name}' has {count}: "
                    "add images")
        try:
            metrics.features.check(dataset)
        except UserError as error:
            return str(error)
        return None

    def moments(self, batches):
        found = metrics.Moments()
        for images in batches:
            found.update(self.extractor(images)[0])
        return found

    def prepared(self):
        """The extractor, trained or loaded on first use."""
        self.extractor = self.extractor or metrics.features.classifier(self.dataset)
        return self.extractor

    def on_train_begin(self, logs=None):
        self.live = verbs.Live(self.model)
        self.real = self.attempt(self.NAME, self.moments_of_images)

    def moments_of_images(self):
        self.prepared()
        images = self.dataset.batches("validation", limit=len(self.dataset.images("validation")))
        return self.moments(batch.numpy() for batch in images)

    def on_epoch_end(self, epoch, logs=None):
        if self.real is not None:
            found = self.attempt(self.NAME, lambda: metrics.frechet_distance(self.real, self.moments(self.made())))
            logs |= {} if found is None else {self.NAME: found}

    def made(self):
        """Batches of generated images: samples or translations."""
        if "translate" in self.live.names:
            sources = self.dataset.batches("validation", view=lambda record: record["source"], limit=self.n)
            return (self.live("translate", x.numpy()) for x in sources)
        return (self.live("sample", np.arange(start, min(start + 128, self.n))) for start in range(0, self.n, 128))


class CpuBudget(keras.callbacks.Callback):
    """Stops training at the end of the epoch in which this process exceeds its CPU-time budget.

    The clock starts after the first call of the training function, which excludes tracing. Epochs should be short.

    Args:
        minutes: CPU time in minutes, summed over threads.

    Attributes:
        steps: number of timed steps.
        cpu, wall: CPU and wall time of these steps in seconds.
    """

    def __init__(self, minutes):
        super().__init__()
        self.minutes = minutes
        self.start = None

    def on_train_batch_end(self, batch, logs=None):
        if self.start is None:
            self.start = int(self.model.optimizer.iterations), time.process_time(), time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        steps, cpu, wall = self.start
        self.steps = int(self.model.optimizer.iterations) - steps
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall
        self.model.stop_training = self.cpu >= 60.0 * self.minutes


class StopOnInterrupt(keras.callbacks.Callback):
    """On Ctrl-C, saves a checkpoint after the current batch and stops; a second Ctrl-C stops at once, without saving.

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
        if self.interrupted:
            self.checkpoint.save()
            raise Interrupted


class Interrupted(Exception):
    """Ctrl-C stopped the training; a checkpoint is saved."""
