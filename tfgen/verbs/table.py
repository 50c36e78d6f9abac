"""The table of verbs, from which export signatures, `predict`, commands, docs/verbs.md and conformance tests are derived.

Imports no TensorFlow, so that the command line can build its commands and their help from the table at once.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfgen.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of data that verbs take or give, float32 or int64 of shape (B, *row).

    Attributes:
        dtype: `"float32"` or `"int64"`; latents that are codes are int64 (a model's `latent_dtype`).
        shape: function model -> shape of one row; a side of None may have any length, the same in all rows.
        help: one-line description.
    """

    dtype: str
    shape: Callable
    help: str


# Images and masks have values in [0, 1].
KINDS = {
    "images": Kind("float32", lambda model: model.image_shape, "images (B, H, W, C)"),
    "sources": Kind("float32", lambda model: model.source_shape, "images of the source domain (B, H, W, C)"),
    "masks": Kind("float32", lambda model: model.image_shape[:2], "masks (B, H, W), 1 at given pixels"),
    "latents": Kind("float32", lambda model: model.latent_shape, "latents (B, ...)"),
    "seeds": Kind("int64", lambda model: (), "one seed per image (B,); a negative seed draws new noise"),
    "labels": Kind("int64", lambda model: (), "one class per image (B,)"),
    "tokens": Kind("int64", lambda model: model.token_shape, "tokens of a text (B, T)"),
    "coordinates": Kind("float32", lambda model: model.coordinate_shape, "coordinates (B, N, D)"),
    "poses": Kind("float32", lambda model: (4, 4), "camera poses (B, 4, 4), camera to world"),
    "values": Kind("float32", lambda model: (), "one value per image (B,)"),
    "signals": Kind("float32", lambda model: (None, model.image_shape[-1]), "values at coordinates (B, N, C)"),
    "maps": Kind("float32", lambda model: model.image_shape[:2], "one value per pixel (B, H, W)"),
}


def latent_dtype(model):
    """`"int64"` for a model whose latents are codes, else `"float32"`."""
    return getattr(model, "latent_dtype", None) or "float32"


@dataclasses.dataclass(frozen=True)
class Field:
    """A named input or output of a verb.

    Attributes:
        name: name in the method, in exported signatures and in error messages.
        kind: a key of `KINDS`.
    """

    name: str
    kind: str

    def dtype(self, model):
        """`"float32"` or `"int64"`, for `model` (or its verbs)."""
        return latent_dtype(model) if self.kind == "latents" else KINDS[self.kind].dtype

    def shape(self, model):
        """Shape of one row for `model`."""
        return tuple(KINDS[self.kind].shape(model))


@dataclasses.dataclass(frozen=True)
class Verb:
    """An operation of a trained model: a method of its name.

    Attributes:
        name: name of the method.
        inputs: tuple of `Field`, the required inputs in the order of the method's arguments.
        output: the `Field` of the main output.
        help: one-line description, a sentence without a period.
        example: arguments of the command that runs it, after the name of the verb.
        further: function (model, main output) -> {name: tensor} of additional outputs.
    """

    name: str
    inputs: tuple[Field, ...]
    output: Field
    help: str
    example: str
    further: Callable = lambda model, made: {}

    @property
    def sentence(self):
        """The description as a sentence."""
        return f"{self.help[0].upper()}{self.help[1:]}."

    @property
    def call(self):
        """The method with its arguments, such as `decode(z)`."""
        return f"{self.name}({', '.join(field.name for field in self.inputs)})"


def ends_of(dtype):
    """The lowest and the highest number of a dtype."""
    integers = np.issubdtype(dtype, np.integer)
    return (np.iinfo(dtype).min, np.iinfo(dtype).max) if integers else (-np.inf, np.inf)


@dataclasses.dataclass(frozen=True)
class Option:
    """An optional input of a verb: one value per row, shape (B,).

    Attributes:
        dtype: `"int64"` or `"float32"`.
        default: used when no value is given. None assigns low, low + 1, ..., high to successive rows.
        low, high: inclusive range; an exported signature clips values to it.
        help: one-line description.
    """

    dtype: str
    default: float | int | None
    low: float | int
    high: float | int
    help: str

    @property
    def told(self):
        """Whether its range is known: all numbers of the dtype stand for one that a server does not tell."""
        return (self.low, self.high) != ends_of(self.dtype)


@dataclasses.dataclass(frozen=True)
class Text:
    """An optional input of a verb that is a text of known words: one string per row, shape (B,).

    Words are separated by spaces and punctuation; their case does not matter. An exported signature refuses other words.

    Attributes:
        words: the words known.
        most: largest number of words per text.
        examples: texts that are assigned to successive rows when none is given.
        help: one-line description.
    """

    words: tuple[str, ...]
    most: int
    examples: tuple[str, ...]
    help: str

    dtype = "string"
    default = None

    @staticmethod
    def split(text):
        """The words of a text."""
        return "".join(" " if letter in PUNCTUATION else letter for letter in text.lower()).split()

    def check(self, name, text):
        """Raises a `UserError` for a text with unknown or too many words; `name` is that of the option."""
        words = self.split(text)
        if unknown := [word for word in words if word not in self.words]:
            raise UserError(f"option '{name}' knows the words {', '.join(self.words)}, received '{unknown[0]}' in {text!r}"
                            f"{did_you_mean(unknown[0], self.words)}")
        if len(words) > self.most:
            raise UserError(f"option '{name}' expects at most {self.most} words, received {len(words)} in {text!r}")


PUNCTUATION = ",.;:!?"


def option_of(fields):
    """The `Option` or `Text` with these fields, as a SavedModel's record has them."""
    if "words" not in fields:
        return Option(**fields)
    return Text(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def verdict(model, score):
    """Additional outputs for scores (B,): whether they exceed the model's threshold, and the threshold."""
    import tensorflow as tf  # the table itself needs none

    from tfgen.detection.thresholds import exceeds

    return {"is_anomaly": exceeds(score, model.threshold), "threshold": tf.broadcast_to(model.threshold, tf.shape(score))}


IMAGES, SOURCES, LATENTS = Field("x", "images"), Field("x", "sources"), Field("z", "latents")

# A model's first verb becomes `serving_default`, so verbs without noise come first.
VERBS = {verb.name: verb for verb in (
    Verb("reconstruct", (IMAGES,), Field("images", "images"), "reconstructs images",
         "runs/x --n 10 --out reconstructions.png"),
    Verb("encode", (IMAGES,), Field("latents", "latents"), "encodes images: latents (the mean, for a VAE) or codes",
         "runs/x --n 1000 --out codes.npy"),
    Verb("decode", (LATENTS,), Field("images", "images"), "decodes latents to images",
         "runs/x --latents codes.npy --out decoded.png"),
    Verb("render", (Field("poses", "poses"),), Field("images", "images"), "renders views of a scene from camera poses",
         "runs/x --poses poses.npy --out views.png"),
    Verb("sample", (Field("seeds", "seeds"),), Field("images", "images"),
         "samples images; image i depends on seed i alone", "runs/x --n 16 --seed 1 --out samples.png"),
    Verb("complete", (IMAGES, Field("masks", "masks"), Field("seeds", "seeds")), Field("images", "images"),
         "completes images: draws the pixels where masks are 0 given those where they are 1",
         "runs/x --masks masks.npy --n 10 --out completed.png"),
    Verb("edit", (IMAGES, Field("seeds", "seeds")), Field("images", "images"),
         "edits images: adds noise and samples from there", "runs/x --n 10 --option strength=0.4 --out edited.png"),
    Verb("translate", (SOURCES,), Field("images", "images"), "translates images of the source domain to the target domain",
         "runs/x --images photos --out translated"),
    Verb("translate_back", (IMAGES,), Field("images", "sources"),
         "translates images of the target domain to the source domain", "runs/x --images photos --out translated"),
    Verb("log_prob", (IMAGES,), Field("log_prob", "values"),
         "computes the log-likelihood of images in nats, exact or a stated bound", "runs/x --n 100 --out log_prob.csv"),
    Verb("score", (IMAGES,), Field("score", "values"), "scores images for anomalies: higher is more anomalous",
         "runs/x --images photos --out report", verdict),
    Verb("anomaly_map", (IMAGES,), Field("maps", "maps"), "computes one anomaly score per pixel",
         "runs/x --n 10 --out maps.png"),
)}

# The forms of verbs of models with `coordinate_shape`, which are fields.
FIELD_VERBS = {"decode": Verb(
    "decode", (Field("coordinates", "coordinates"),), Field("values", "signals"),
    "evaluates a field at sets of coordinates of any size", "runs/x --coordinates grid.npy --out values.npy")}


def verb_of(model, name):
    """The `Verb` called `name` of a model, or of its verbs (`live.Verbs`): that of a field may take coordinates."""
    field = getattr(model, "coordinate_shape", None) is not None
    return FIELD_VERBS[name] if field and name in FIELD_VERBS else VERBS[name]


def fits(shape, wanted):
    """Whether a shape is `wanted`, in which None stands for any side."""
    return len(shape) == len(wanted) and all(side in (None, given) for given, side in zip(shape, wanted))


def text_of(*shape):
    """A shape for error messages; a side of None is N."""
    return ", ".join("N" if side is None else str(side) for side in shape)


# A model called as a Keras layer runs the first of these verbs that it has.
FORWARD = ("reconstruct", "translate", "score", "decode", "log_prob")


def verbs_of(model):
    """Names of the verbs of `model`, in the order of the table."""
    return [name for name in VERBS if callable(getattr(model, name, None))]


def require_verb(model, name):
    """Raises a `UserError` unless the verbs `model.names` of a `live.Verbs` include `name`."""
    if name not in model.names:
        raise UserError(f"this model has no verb '{name}'; it has {', '.join(model.names)}")
