"""The models of a page: which there are, opened when they are first chosen, one verb at a time each."""

import functools
import json
import pathlib
import sys
import threading

import numpy as np

from tfgen.data import pairings
from tfgen.data.readers.image_files import decode
from tfgen.data.readers.resize import resize
from tfgen.errors import Failure, UserError
from tfgen.runs import drawing
from tfgen.serving import client, examples, opening, saved_model

# Pictures to choose from, and images whose codes show where a model's latents lie.
EXAMPLES, CODES = 12, 1000


def line_of(error):
    """One line for an error."""
    line = " ".join(str(error).split())[:300]
    return line if isinstance(error, (UserError, Failure)) else f"internal ({type(error).__name__}): {line}"


def log(line):
    print(f"tfgen ui: {line}", file=sys.stderr, flush=True)


class Model:
    """A model of the page, opened at its first use.

    Args:
        name: what it is called.
        address: a run folder, a SavedModel folder or a URL.
    """

    def __init__(self, name, address):
        self.name, self.address, self.lock = name, address, threading.RLock()

    @functools.cached_property
    def live(self):
        """Its verbs, see `serving.opening.open_verbs`."""
        return opening.open_verbs(self.address)

    @functools.cached_property
    def about(self):
        """The record of its run or export, {} where none is told."""
        return opening.record_of(self.live, self.address)

    @functools.cached_property
    def data(self):
        """The data that it was trained on, or None if it is not on this machine."""
        try:
            return _loaded(json.dumps({key: self.about[key] for key in ("data", "spec") if key in self.about}))
        except (UserError, OSError) as error:
            log(f"{self.name}: pictures to choose from are its own samples, as its data cannot be read ({line_of(error)})")
            return None

    @functools.cached_property
    def pictures(self):
        """Pictures that its export has kept, see `serving.examples.read_pictures`; {} of a run or a model on a server."""
        return examples.read_pictures(self.live.path) if isinstance(self.live, saved_model.Served) else {}

    def open(self):
        """Opens it, unless it is open; raises a `UserError` for a model of vectors, whose rows are no pictures."""
        with self.lock:
            if self.live.vectors:
                raise UserError("a model of vectors: use its commands, such as `tfgen score`, or `tfgen serve`")
            return self.live

    def outputs(self, verb, *inputs, **options):
        """All outputs of a verb, as `live.Verbs.outputs`; one caller at a time."""
        with self.lock:
            return self.live.outputs(verb, *inputs, **options)

    def __call__(self, verb, *inputs, **options):
        """The main output of a verb."""
        with self.lock:
            return self.live(verb, *inputs, **options)

    @functools.cache  # noqa: B019
    def images(self, count=EXAMPLES):
        """Images to choose from: float32 (N, H, W, C) and labels or None; N <= count, 0 if there are none.

        Images of the model's data, else pictures of it that its export has kept, else samples of the model, else inputs
        that it was checked with. Samples also come first where fewer pictures were kept than asked for.
        """
        with self.lock:
            if self.data is not None and tuple(self.data.spec.image_shape) == tuple(self.live.image_shape):
                return drawing.examples(self.data, count, "test")
            kept, samples = self.pictures.get("images", ()), "sample" in self.live.names
            if len(kept) and (len(kept) >= count or not samples):
                return kept[:count], self.pictures["labels"][:count] if "labels" in self.pictures else None
            if samples:
                return self.live("sample", np.arange(count)), None
        return self._kept("images", self.live.image_shape), None

    @functools.cache  # noqa: B019
    def sources(self, count=EXAMPLES):
        """Sources to choose from, float32 (N, H, W, C), as `images`."""
        with self.lock:
            if self.data is not None and self.data.spec.source_shape is not None:
                return drawing.sources_of(self.data, count, "test")
        if "sources" in self.pictures:
            return self.pictures["sources"][:count]
        return self._kept("sources", self.live.source_shape)

    def _kept(self, kind, shape):
        found = examples.read(self.live.path) if isinstance(self.live, saved_model.Served) else None
        for name, inputs in (found or [{}])[0].items():
            for field in saved_model.verbs.verb_of(self.live, name).inputs if name in self.live.names else ():
                if field.kind == kind:
                    return inputs[field.name]
        return np.zeros((0, *shape), np.float32)

    def read(self, path, kind):
        """An image file in the size and channels of the model's images or sources, float32 (H, W, C)."""
        small = "bilinear" if kind == "images" else self.live.small_sources
        shape = self.live.image_shape if kind == "images" else self.live.source_shape
        if shape[2] not in (1, 3):
            raise UserError(f"expected a model of images of 1 or 3 channels, received one of {shape[2]}, which image files "
                            "do not have: use the model in Python")
        return resize(decode(path, shape[2]), shape[:2], self.live.resize, small).astype(np.float32) / 255.0

    def read_paired(self, path, pairing):
        """The source that a pairing computes from an image file, float32 (H, W, C)."""
        record = {"image": self.read(path, "images")[None], "seed": np.zeros(1, np.int64)}
        return np.asarray(pairings.by_name(pairing)(record))[0]


@functools.cache
def _loaded(about):
    """The data of a record, or None; models of the same data share it."""
    return opening.data_of(json.loads(about))


def find(address):
    """{name: Model} of a folder of models or runs, a single one, or a URL.

    Raises:
        UserError: if there is no model.
    """
    if url := client.address(address):
        name = "/".join(url.split("/")[3:]) or url
        return {name: Model(name, url)}
    folder = pathlib.Path(address)
    if _is_model(folder):
        return {folder.resolve().name: Model(folder.resolve().name, folder)}
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    if models := {one.name: Model(one.name, one) for one in inside if _is_model(one)}:
        return models
    raise UserError(f"expected a folder of SavedModels or runs, one of them, or a model's URL, received {folder}, which has "
                    f"none: get one with `tfgen train vae --data digits --out runs/x && tfgen export runs/x --to "
                    f"{folder / 'vae'}`")


def _is_model(folder):
    return (folder / "run.json").exists() or (folder / "saved_model.pb").exists() or bool(
        saved_model.export_paths(folder))
