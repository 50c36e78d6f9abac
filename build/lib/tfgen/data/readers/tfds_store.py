"""TensorFlow Datasets on disk: finds prepared datasets and reads their arrays. Never downloads."""

import contextlib
import io
import os
import pathlib
import re

import numpy as np

from tfgen.data.readers.resize import Fit, stack
from tfgen.errors import UserError


@contextlib.contextmanager
def quiet():
    """Context manager: the TFDS module with log lines, progress bars and prints suppressed."""
    import tensorflow_datasets as tfds
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield tfds
    finally:
        logging.set_verbosity(level)


def root(data_dir=None):
    """The folder of prepared datasets: `data_dir`, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(os.path.expanduser(chosen)).absolute()


def prepared(data_dir=None):
    """{name or name/config: folder of the newest version} of datasets prepared under `root(data_dir)`."""
    base, newest = root(data_dir), {}
    for depth in ("*/*", "*/*/*"):
        for file in base.glob(f"{depth}/dataset_info.json"):
            *name, version = file.parent.relative_to(base).parts
            if re.fullmatch(r"\d+\.\d+\.\d+", version):
                order = tuple(map(int, version.split(".")))
                newest["/".join(name)] = max(newest.get("/".join(name), ((), None)), (order, file.parent))
    return {name: folder for name, (_, folder) in sorted(newest.items())}


def builder_names():
    """Names of the datasets that TFDS can build."""
    with quiet() as tfds:
        return tfds.list_builders(with_community_datasets=False)


def _keys(tfds, name, info):
    """(key of the image, key of the label or None) among a dataset's features."""
    features = info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        features = {}
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if not images:
        raise UserError(f"expected a dataset with images, received {name!r} with the features "
                        f"{', '.join(features) or 'none'}: choose an image dataset")
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image, label = ([wanted] if wanted in keys else keys for wanted, keys in (("image", images), ("label", labels)))
    if features[image[0]].np_dtype != np.uint8:
        raise UserError(f"expected 8-bit images, received {name!r} with {np.dtype(features[image[0]].np_dtype)}: "
                        "choose another dataset")
    return image[0], (label or [None])[0]


def arrays_of(tfds, builder, name, split, fit=Fit(), side_by_side=False):
    """(images uint8 (N, H, W, C), labels int64 (N,) or None) of one split, in the order on disk."""
    image, label = _keys(tfds, name, builder.info)
    fixed = None not in builder.info.features[image].shape
    decoders = None
    if len(builder.info.features) > 2:
        decoders = tfds.decode.PartialDecoding({key: True for key in (image, label) if key})
    data = builder.as_dataset(split=split, shuffle_files=False, batch_size=1024 if fixed else None,
                              decoders=decoders, read_config=tfds.ReadConfig(try_autocache=False))
    images, labels = [], []
    for record in data.as_numpy_iterator():
        if fixed and fit.size is not None:
            images.append(stack(repr(name), record[image], fit, side_by_side))
        else:
            images.append(record[image])
        if label:
            labels.append(record[label])
    if not images:
        raise UserError(f"expected images in the split {split!r} of {name!r}, received none: prepare it again")
    images = np.concatenate(images) if fixed else stack(repr(name), images, fit, side_by_side)
    return images, np.hstack(labels).astype(np.int64) if label else None


def read_prepared(name, folder, fit=Fit(), side_by_side=False):
    """({split: (images, labels)}, class names) of a prepared dataset.

    Needs a split 'train' or a single split; also reads 'validation' and 'test'. Datasets of two domains, such as
    cycle_gan, keep their splits 'trainA', 'trainB' …

    Raises:
        UserError: no images, several image sizes, or unreadable files.
    """
    import tensorflow as tf

    with quiet() as tfds:
        try:
            builder = tfds.builder_from_directory(str(folder))
            found = list(builder.info.splits)
            domains = [s + d for s in ("train", "validation", "test") for d in "AB" if s + d in found]
            if {"trainA", "trainB"} <= set(domains):
                return {s: (arrays_of(tfds, builder, name, s, fit)[0], None) for s in domains}, ()
            if "train" not in found and len(found) != 1:
                raise UserError(f"expected a split 'train' in {name!r}, received {', '.join(found) or 'none'}: "
                                "choose another dataset or config")
            wanted = {s: s for s in ("train", "validation", "test") if s in found} or {"train": found[0]}
            label = _keys(tfds, name, builder.info)[1]
            splits = {ours: arrays_of(tfds, builder, name, theirs, fit, side_by_side) for ours, theirs in wanted.items()}
            return splits, tuple(builder.info.features[label].names or ()) if label else ()
        except UserError:
            raise
        except (tf.errors.OpError, OSError, EOFError, ValueError, KeyError) as error:
            detail = " ".join(str(error).split())[:200]
            raise UserError(f"expected a readable dataset {name!r} in {str(folder)!r}, received: {detail}: "
                            "delete that folder and prepare it again") from None
