"""What a run writes as it trains."""

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
    """A loss that is no number: nothing of that epoch was saved."""


class StopOnNaN(keras.callbacks.Callback):
    """Ends training in the very call that met a loss that is no number, before a checkpoint or picture is made of it.

    With `steps_per_execution=n` Keras calls at every n-th step. Only logs that are not finite make it look at the
    model's own record of the first bad step, so a healthy training is not held up. Put it first among the callbacks.

    Raises:
        TrainingDiverged: naming the loss, the epoch and the step in it (both from 1).
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
    """Writes `history.csv`, one row an epoch (epochs count from 1), and `curves.png`.

    Args:
        folder: the run's.
        rows: rows of earlier epochs, when resuming.
        draw_every: epochs between drawings of the curves, which are also drawn at the end.

    Raises:
        TrainingDiverged: at the end of an epoch with a loss that is not finite, before anything is saved.
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
    """The rows of `history.csv`, numbers as numbers; [] if there is none.

    Raises:
        UserError: for a file that somebody else wrote to.
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
    """Keeps the newest `checkpoints/step-*.keras`: weights, optimizer and step, at the end of every epoch.

    Args:
        folder: the run's.
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
    """Draws, with the same inputs each epoch, what the model's verbs allow.

    `reconstructions/epoch-*.png` (original, corrupted where the model has a corruption, reconstruction),
    `translations/epoch-*.png`, `anomaly_maps/epoch-*.png` and `samples/epoch-*.png`.

    Args:
        folder: the run's.
        images: float32 (N, H, W, C) validation images.
        labels: int (N,) or None; used by conditional models.
        every: epochs between pictures.
        sources: float32 (N, H, W, C), what is translated to the images, or None.
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
    """Columns of a sample grid: one a class for a conditional model, else 8."""
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
    """{row label: images} for a picture of translations: with their targets, or of both domains and back."""
    made = live("translate", sources)
    rows = {"source": sources, "translation": made}
    if "translate_back" not in live.names:
        return rows | {"target": images}
    back = live("translate_back", images)
    return rows | {"and back": live("translate_back", made), "other domain": images, "its translation": back,
                   "and forth": live("translate", back)}


class SampleQuality(keras.callbacks.Callback):
    """Adds `val_frechet_distance` to the logs of every epoch: between samples and the validation images.

    A model that translates is judged by its translations of the validation sources.

    Args:
        dataset: a `tfgen.data.Dataset`.
        extractor: of features, see `tfgen.metrics.features`; None: a classifier of the data, trained when first needed.
        n: samples; with few the distance is biased upwards, by as much in every epoch.

    Where it cannot be measured, the logs are without it, and one line says why.
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
        """Why a data set is too small for it, or None."""
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
        """The extractor, trained or loaded when first asked for."""
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
        """Batches of what the model makes."""
        if "translate" in self.live.names:
            sources = self.dataset.batches("validation", view=lambda record: record["source"], limit=self.n)
            return (self.live("translate", x.numpy()) for x in sources)
        return (self.live("sample", np.arange(start, min(start + 128, self.n))) for start in range(0, self.n, 128))


class CpuBudget(keras.callbacks.Callback):
    """Ends training after the epoch in which this process has spent its CPU time, tracing not counted.

    The clock starts with the second call of the training function, so epochs should be short.

    Args:
        minutes: of CPU time, all threads together.

    Attributes:
        steps, cpu, wall: steps that were timed, and the seconds they took.
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
    """Ends training after the running batch on Ctrl-C, with what was learnt saved; a second Ctrl-C breaks off.

    Args:
        checkpoint: the `Checkpoint` that saves the broken epoch.
    """

    def __init__(self, checkpoint):
        super().__init__()
        self.checkpoint = checkpoint
        self.interrupted = False

    def __enter__(self):
        try:
            self.previous = signal.signal(signal.SIGINT, self.stop)
        except ValueError:  # not in the main thread, which alone receives signals
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
    """Training was ended by Ctrl-C; everything is saved."""
