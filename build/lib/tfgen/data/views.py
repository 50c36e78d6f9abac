"""Views: pure functions from a record of a batch to the model's input.

A record is {"image": float32 (B, H, W, C) in [0, 1], "label": int64 (B,), "seed": int64 (B,) >= 0}; "label" is
absent if the split has no labels. Seeds are a pure function of the stream's seed and the image's position in the
stream: new in every training epoch, fixed in a finite pass. Paired and unpaired data also have "source", float32
(B, H, W, C) in [0, 1]: the translation source of the image, or an image of the source domain.

A record of a signal or of posed images is {"coordinates": float32 (B, D), "values": float32 (B, C) in [0, 1]}; that of a
signal also has "gradients", float32 (B, C D).
"""

import tensorflow as tf

from tfgen import noise
from tfgen.errors import UserError, did_you_mean


def images(record):
    """The image alone."""
    return record["image"]


def labelled(record):
    """(image, label). Raises UserError, when a pipeline is built with it, on a split without labels."""
    if "label" not in record:
        raise UserError("the view 'labelled' expects labels, received a split without any: "
                        "use the view 'images' or a source with labels (class subfolders, y_train in a .npz)")
    return record["image"], record["label"]


def paired(record):
    """(source, image). Raises UserError, when a pipeline is built with it, on data without sources."""
    if "source" not in record:
        raise UserError("the view 'paired' expects images with sources, received images alone: give pairs= (--pairs edges), "
                        "domains= (--domains A,B) or a folder with trainA and trainB")
    return record["source"], record["image"]


def binarised(record):
    """Dynamic binarisation (Salakhutdinov and Murray, 2008): x ~ Bernoulli(pixel), float32 of 0 and 1."""
    return _bernoulli(record, noise.CORRUPTION)


def signal(record):
    """(coordinates, values) of samples of a signal, or (rays, colours) of pixels of posed images."""
    return record["coordinates"], record["values"]


def gradients(record):
    """(coordinates, gradients) of samples of a signal."""
    return record["coordinates"], record["gradients"]


def _bernoulli(record, use):
    """Draws x ~ Bernoulli(pixel) with the stream `use` of each record's seed: float32 of 0 and 1."""
    image = record["image"]
    return tf.cast(noise.uniform(record["seed"], tuple(image.shape[1:]), use) < image, tf.float32)


def discretised(record, spec):
    """The record with its image on the grey levels of the spec, exactly k / (spec.levels - 1); drawn if they are dynamic."""
    if spec.binarisation == "dynamic":
        return record | {"image": _bernoulli(record, noise.BINARISATION)}
    if spec.levels == 256:
        return record
    top = spec.levels - 1.0
    return record | {"image": tf.round(record["image"] * top) / top}


def corrupted(layer):
    """View (corrupted image, clean image); the corruption is drawn from the record's seeds.

    Args:
        layer: a `tfgen.layers.corruption.Corruption`, or any object with `seeded(images, seeds)`.
    """
    if not callable(getattr(layer, "seeded", None)):
        raise UserError(f"views.corrupted(layer) expects a layer with seeded(images, seeds), "
                        f"received {type(layer).__name__}: use one of tfgen.layers.corruption")

    def view(record):
        return layer.seeded(record["image"], record["seed"]), record["image"]

    return view


_BY_NAME = {"images": images, "labelled": labelled, "binarised": binarised, "paired": paired, "signal": signal,
            "gradients": gradients, "posed": signal}


def by_name(name):
    """The view called `name`, a key of `_BY_NAME`. Raises UserError with the nearest name otherwise."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    raise UserError(f"a view is one of {', '.join(map(repr, _BY_NAME))}, received {name!r}{did_you_mean(name, _BY_NAME)}")
