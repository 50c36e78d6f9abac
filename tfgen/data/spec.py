"""The description of a dataset that a recipe receives."""

import dataclasses
import math

from tfgen.errors import UserError

VIEWS = ("images", "paired", "unpaired", "one_class", "signal", "posed")
# What data of a view are, in words, if not a set of images or vectors.
KINDS = {"signal": "one signal", "posed": "posed images of a scene"}
VECTORS = "vectors"


def _is_count(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _shape(field, value, signal=False, vectors=False):
    shape = tuple(value) if isinstance(value, (tuple, list)) else ()
    if vectors:
        if len(shape) not in (1, 2) or not all(_is_count(side, 1) for side in shape):
            raise UserError(f"DataSpec({field}) expects one int >= 1 (values per vector) or two (times per window, "
                            f"channels) with location and scale, received {value!r}")
    elif signal:
        if len(shape) < 2 or not all(_is_count(side, 1) for side in shape):
            raise UserError(f"DataSpec({field}) expects two or more ints >= 1 (sides of the grid, channels) for a signal, "
                            f"received {value!r}")
    elif len(shape) != 3 or not all(_is_count(side, 1) for side in shape):
        raise UserError(f"DataSpec({field}) expects three ints >= 1 (height, width, channels), received {value!r}")
    return shape


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """Description of a dataset.

    Args:
        name: name of the dataset in runs and tables.
        image_shape: (height, width, channels) of every image (of the target images if the data has sources); of a signal
            its shape, the sides of its grid and the number of channels; of vectors (D,), of windows of a series
            (times, channels).
        num_classes: number of classes; None without labels.
        sizes: number of images per split; for unpaired data that of the larger domain; of a signal the samples, of posed
            images the pixels.
        class_names: one name per class, or empty; for one-class data one per test label: normal, then each anomaly.
        view: kind of data: "images", "paired" (a source for each image), "unpaired" (images of two domains),
            "one_class" (normal images without labels; the test split also has anomalies and labels 0 = normal, 1, 2 …),
            "signal" (samples of one signal on a grid) or "posed" (pixels of views of a scene from known camera poses).
        source_shape: (height, width, channels) of the translation sources; None without sources.
        levels: number n of grey levels per value, 2 to 256: images have the values k / (n - 1), k = 0 ... n - 1.
        binarisation: how images of 2 levels were made: "dynamic", "threshold" (see `load`), or None.
        focal: focal length of posed images in pixels; None for other data.
        location, scale: of vectors and windows, mean and standard deviation in the training split of each value of a
            vector, or each channel, by which models standardise: one number each, scale > 0. None for other data.
        columns: of vectors and windows, the name of each value or channel, or empty.

    Raises:
        UserError: for a field out of range.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int | None = None
    sizes: dict[str, int] = dataclasses.field(default_factory=dict, hash=False)
    class_names: tuple[str, ...] = ()
    view: str = "images"
    source_shape: tuple[int, int, int] | None = None
    levels: int = 256
    binarisation: str | None = None
    focal: float | None = None
    location: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise UserError(f"DataSpec(name) expects a non-empty string, received {self.name!r}")
        shape = _shape("image_shape", self.image_shape, self.view == "signal", self.location is not None)
        self._check_scaling(shape)
        source_shape = None if self.source_shape is None else _shape("source_shape", self.source_shape)
        if self.num_classes is not None and not _is_count(self.num_classes, 1):
            raise UserError(f"DataSpec(num_classes) expects None or an int >= 1, received {self.num_classes!r}")
        if not isinstance(self.sizes, dict) or not all(_is_count(size, 0) for size in self.sizes.values()):
            raise UserError(f"DataSpec(sizes) expects {{split: int >= 0}}, received {self.sizes!r}")
        names = tuple(self.class_names)
        if names and len(names) != self.num_classes and self.view != "one_class":
            raise UserError(f"DataSpec(class_names) expects num_classes={self.num_classes} names or none, "
                             f"received {len(names)}")
        if self.view not in VIEWS:
            raise UserError(f"DataSpec(view) expects one of {', '.join(VIEWS)}, received {self.view!r}")
        if self.view == "one_class" and self.num_classes is not None:
            raise UserError(f"DataSpec(num_classes) expects None for one-class data, received {self.num_classes}")
        if (source_shape is None) == (self.view in ("paired", "unpaired")):
            raise UserError(f"DataSpec(source_shape) expects a shape for paired and unpaired data, else None, "
                             f"received {self.source_shape!r} with view={self.view!r}")
        if not _is_count(self.levels, 2) or self.levels > 256:
            raise UserError(f"DataSpec(levels) expects an int from 2 to 256, received {self.levels!r}")
        if self.binarisation not in (None, "dynamic", "threshold") or self.binarisation and self.levels != 2:
            raise UserError(f"DataSpec(binarisation) expects None, or 'dynamic' or 'threshold' with levels=2, received "
                            f"{self.binarisation!r} with levels={self.levels}")
        if (self.focal is None) == (self.view == "posed") or self.focal is not None and not self.focal > 0:
            raise UserError(f"DataSpec(focal) expects a number > 0 for posed images, else None, received {self.focal!r} "
                            f"with view={self.view!r}")
        object.__setattr__(self, "image_shape", shape)
        object.__setattr__(self, "source_shape", source_shape)
        object.__setattr__(self, "sizes", dict(self.sizes))
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "columns", tuple(self.columns))
        if self.columns and (not self.vectors or len(self.columns) != shape[-1]):
            raise UserError(f"DataSpec(columns) expects {shape[-1]} names of vectors or none, received {len(self.columns)}")

    def _check_scaling(self, shape):
        """Checks location and scale, and makes them tuples."""
        if self.location is None and self.scale is None:
            return
        for field in ("location", "scale"):
            value = getattr(self, field)
            value = tuple(map(float, value)) if isinstance(value, (tuple, list)) else ()
            if len(value) != shape[-1] or not all(map(math.isfinite, value)) or field == "scale" and min(value) <= 0:
                raise UserError(f"DataSpec({field}) expects {shape[-1]} finite numbers{' > 0' * (field == 'scale')} for "
                                f"vectors of shape {shape}, received {getattr(self, field)!r}")
            object.__setattr__(self, field, value)
        if self.view not in ("images", "one_class") or self.levels != 256:
            raise UserError(f"DataSpec(location) expects None with view={self.view!r} and levels={self.levels}, received "
                            "that of vectors")

    @property
    def vectors(self):
        """Whether rows are vectors or windows of real numbers, not images."""
        return self.location is not None

    @property
    def kind(self):
        """What the dataset holds, in words."""
        return VECTORS if self.vectors else KINDS.get(self.view, "images")

    def to_json(self):
        """A dict of JSON types, the input of `from_json`."""
        return {"name": self.name, "image_shape": list(self.image_shape), "num_classes": self.num_classes,
                "sizes": dict(self.sizes), "class_names": list(self.class_names), "view": self.view,
                "source_shape": None if self.source_shape is None else list(self.source_shape), "levels": self.levels,
                "binarisation": self.binarisation, "focal": self.focal,
                **({"location": list(self.location), "scale": list(self.scale),
                    "columns": list(self.columns)} if self.vectors else {})}

    def changes_since(self, record):
        """A line with the changed numbers of images and classes, and whether these have other names, since `record` (of
        `to_json`), or None without changes.

        Raises:
            UserError: if the shape of images or sources, or the number of grey levels (256 in a record without it), has
                changed, so that a model of the record cannot use the data.
        """
        shapes = self.to_json()
        for field in ("image_shape", "source_shape"):
            if shapes[field] != record.get(field):
                raise UserError(f"expected images of {record.get(field)}, as the model was trained on, received "
                                f"{self.name!r} with {shapes[field]}: give the data back as they were")
        if self.levels != record.get("levels", 256):
            raise UserError(f"expected images of {record.get('levels', 256)} grey levels, as the model was trained on, "
                            f"received {self.name!r} with {self.levels}: give the data back as they were")
        before = record.get("sizes", {}) | {"classes": record.get("num_classes")}
        now = self.sizes | {"classes": self.num_classes}
        changed = [f"{key} {before.get(key)} -> {count}" for key, count in now.items() if count != before.get(key)]
        if list(self.class_names) != list(record.get("class_names", self.class_names)):
            changed.append("names of classes")
        return f"{self.name!r} has changed since the model was trained: {', '.join(changed)}" if changed else None

    @classmethod
    def from_json(cls, record):
        """The spec with the fields of `record`. Raises UserError on unknown or missing fields."""
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(record, dict) or not {"name", "image_shape"} <= set(record) <= fields:
            received = sorted(record) if isinstance(record, dict) else type(record).__name__
            raise UserError(f"DataSpec.from_json expects a dict with name, image_shape and optionally "
                             f"{sorted(fields - {'name', 'image_shape'})}, received {received}")
        return cls(**record)
