"""The pictures of a run: one per verb and epoch, and of the latent space at the end."""

import pathlib

import keras
import numpy as np

from tfgen import latent, pictures
from tfgen.attempts import Attempts
from tfgen.data import stores
from tfgen.detection import heat
from tfgen.errors import UserError
from tfgen.verbs.live import Live


class Drawings(keras.callbacks.Callback):
    """Draws pictures of the model after epochs and at the end of training.

    A subclass defines `drawings() -> ((verb, folder, function of a path), ...)`; those of the model's verbs are drawn.

    Args:
        folder: the run folder.
        every: number of epochs between pictures.
        live: the verbs of the model, where others have traced them already; None traces them anew.

    Attributes:
        last: the last epoch so far, counted from 1, which is drawn at the end whatever `every` is.
    """

    def __init__(self, folder, every=1, live=None):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.every = every
        self.traced = live
        self.attempt = Attempts()
        self.last = 0

    def on_train_begin(self, logs=None):
        self.live = self.traced or Live(self.model)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.draw(f"epoch-{epoch + 1:04d}.png")
        self.last = epoch + 1

    def on_train_end(self, logs=None):
        if self.last % self.every:
            self.draw(f"epoch-{self.last:04d}.png")

    def draw_last(self, path):
        """Draws the last picture that the model can have, samples if it has these; the training need not have begun."""
        self.live = self.traced or Live(self.model)
        known = [(folder, drawn) for verb, folder, drawn in self.drawings() if verb in self.live.names]
        for folder, drawn in known[-1:]:
            self.attempt(f"pictures of {folder}", drawn, path)

    def draw(self, name):
        for verb, folder, drawn in self.drawings():
            if verb in self.live.names:
                self.attempt(f"pictures of {folder}", drawn, self.folder / folder / name)


class Pictures(Drawings):
    """Draws one picture per verb of the model, from the same inputs in each epoch.

    `reconstructions/epoch-*.png` (original, corrupted input if the model has a corruption, reconstruction),
    `translations/epoch-*.png`, `anomaly_maps/epoch-*.png` and `samples/epoch-*.png`.

    Args:
        folder: the run folder.
        images: float32 (N, H, W, C) validation images.
        labels: int (N,) or None; used by conditional models.
        every: number of epochs between pictures.
        sources: float32 (N, H, W, C) translation sources of the images, or None.
        live: as for `Drawings`.
    """

    def __init__(self, folder, images, labels=None, every=1, sources=None, live=None):
        super().__init__(folder, every, live)
        self.images = images
        self.labels = labels
        self.sources = sources

    def drawings(self):
        return (("reconstruct", "reconstructions", self.reconstructions), ("translate", "translations", self.translations),
                ("anomaly_map", "anomaly_maps", self.anomaly_maps), ("sample", "samples", self.samples))

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
    """Number of columns of a sample grid: one per class or example of a caption for a conditional model, else 8."""
    options = live.options["sample"]
    if "caption" in options:
        return len(options["caption"].examples)
    return int(options["label"].high + 1) if "label" in options else 8


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


def examples(dataset, count=10, split="validation"):
    """The first `count` images of a split, float32 in [0, 1], and their labels or None."""
    labels = dataset.labels(split)
    return stores.floats(dataset.images(split)[:count]), labels[:count] if labels is not None else None


def sources_of(dataset, count=10, split="validation"):
    """Translation sources of the images of `examples`, float32 in [0, 1]; None if the data has no sources."""
    return None if dataset.spec.source_shape is None else stores.floats(dataset.sources(split, count))


def to_keep(dataset, count, split="test"):
    """The first images of a split, their sources and labels, as `serving.examples.write_pictures` takes them.

    Raises:
        UserError: for a signal or a scene, which have no images to choose from.
    """
    if dataset.rows != "images":
        raise UserError(f"pictures expect data of images, '{dataset.spec.name}' holds {dataset.rows}: leave them out")
    found = {"images": dataset.images(split)[:count], "labels": dataset.labels(split),
             "sources": dataset.sources(split, count) if dataset.spec.source_shape is not None else None}
    return {key: array[:count] for key, array in found.items() if array is not None}


def draw_codes(out, model, dataset, recipe=None, count=2000, live=None):
    """Draws a trained model's latent space into `out`: codes, 2-D manifold, interpolations, samples of an autoencoder.

    With `live`, the verbs of the model, these are not traced anew.
    Returns {}: a finisher of `running`, which has no figures.
    """
    live = live or Live(model)
    if "encode" not in live.names or live.latent_dtype != "float32":
        return {}
    images, labels = examples(dataset, count)
    if len(images) < 2:
        return {}
    options = {"label": labels} if "label" in live.options["encode"] else {}
    latent.plot_codes(live, images, labels, out / "latent.png", class_names=dataset.spec.class_names, **options)
    if dataset.spec.vectors:
        return {}
    if live.latent_shape == (2,) and "decode" in live.names:
        latent.manifold(live, path=out / "manifold.png")
    if "decode" in live.names:
        pairs = min(6, len(images) // 2)
        latent.interpolate(live, images[:pairs], images[pairs:2 * pairs], path=out / "interpolation.png")
    if "sample" not in live.names and "decode" in live.names:
        codes = live("encode", examples(dataset, 5000, "train")[0])
        latent.sample_autoencoder(live, codes, np.arange(64), path=out / "samples-mixture.png")
    return {}
