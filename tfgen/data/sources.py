"""Where data comes from: digits, TFDS on disk, files. One `load` for all."""

import logging
import pathlib

import numpy as np
import sklearn.datasets
from PIL import Image

from tfgen.data import files
from tfgen.data.pipeline import Dataset, complete
from tfgen.errors import UserError
from tfgen.suggest import did_you_mean

IDX_FAMILY = ("fashion_mnist", "kmnist", "mnist")


def load(name, image_size=None, data_dir=None):
    """A data set by name or path; nothing is downloaded.

    Args:
        name: `digits` (1,797 real 8x8 digits, in scikit-learn), any TFDS data set that is prepared on disk, an `.npz`
            or IDX file, a folder with MNIST's IDX files, or a folder of pictures.
        image_size: resize to this height and width in pixels; None: as they are.
        data_dir: TFDS' folder; None: TFDS' own default.

    Returns:
        A `Dataset`, in memory as uint8, with splits train, validation and test. Where a source lacks one, it is the
        last tenth (at most 5,000 images) of a fixed permutation of the training split.

    Raises:
        UserError: for a name or file that cannot be used.
    """
    path = pathlib.Path(name)
    if image_size is not None and image_size < 1:
        raise UserError(f"--image-size expects at least 1 pixel, received {image_size}")
    class_names = ()
    if name == "digits":
        splits, class_names = digits(), tuple("0123456789")
    elif path.exists():
        splits, class_names = from_path(path, image_size)
    else:
        splits, class_names = from_tfds(str(name), data_dir, image_size)
    if image_size:
        splits = {split: (resize(images, image_size), labels) for split, (images, labels) in splits.items()}
    source = {"name": str(path.resolve()) if path.exists() and name != "digits" else str(name),
              "image_size": image_size, "data_dir": None if data_dir is None else str(data_dir)}
    return Dataset(path.stem if path.exists() else str(name), complete(splits), class_names, source)


def digits():
    """scikit-learn's digits: 1,347 for training, 200 for validation, 250 for testing, from a fixed permutation."""
    loaded = sklearn.datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    images = np.round(loaded.images[order] * (255 / 16)).astype(np.uint8)[..., None]
    labels = loaded.target[order].astype(np.int64)
    ends = {"train": (0, 1347), "validation": (1347, 1547), "test": (1547, 1797)}
    return {split: (images[a:b], labels[a:b]) for split, (a, b) in ends.items()}


def from_path(path, image_size=None):
    """({split: (images, labels)}, class names) of a file or folder."""
    if path.is_dir():
        if files.is_idx_folder(path):
            return files.idx_folder(path), ()
        return files.image_folder(path, image_size)
    if path.suffix == ".npz":
        return files.npz(path), ()
    if "-ubyte" in path.name or path.suffix == ".idx":
        return {"train": (files.as_images(files.read_idx(path), path), None)}, ()
    raise UserError(f"expected a folder, an .npz or an IDX (-ubyte, -ubyte.gz) file, received {path}")


def resize(images, size):
    """uint8 (N, H, W, C) -> (N, size, size, C), bilinear."""
    if images.shape[1:3] == (size, size):
        return images
    made = [np.asarray(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).resize(
        (size, size), Image.Resampling.BILINEAR)) for image in images]
    return np.stack(made).reshape(len(images), size, size, images.shape[-1])


def quiet_tfds():
    """TFDS, without its log lines and progress bars."""
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    return tfds


def from_tfds(name, data_dir=None, image_size=None):
    """({split: (images, labels)}, class names) of a TFDS data set that is prepared on disk."""
    tfds = quiet_tfds()
    base = name.split("/")[0].split(":")[0]
    if "/" in name.strip("/") and not base.isidentifier() or name.startswith((".", "/", "~")):
        raise UserError(f"there is no file or folder {name}; expected a path that exists, or a name of `tfgen data list`")
    known = ["digits", *tfds.list_builders()]
    if base not in known:
        raise UserError(f"there is no data set '{name}'{did_you_mean(base, known)}; expected a path, 'digits' or a TFDS "
                        "name, see `tfgen data list`")
    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.is_prepared():
        how = f"tfgen data prepare {base} --from FOLDER" if base in IDX_FAMILY else f"tfds build {name}"
        raise UserError(f"'{name}' is not prepared in {builder.data_dir}; type `{how}`")
    keys = builder.info.supervised_keys
    features = builder.info.features
    image_key = "image" if "image" in features else (keys or ("image",))[0]
    label_key = "label" if "label" in features else None
    if image_key not in features or len(features[image_key].shape) != 3:
        raise UserError(f"expected a data set of images, '{name}' has {', '.join(features)}")
    splits = {}
    for split in builder.info.splits:
        kept = {"train": "train", "test": "test", "validation": "validation"}.get(split)
        if kept is None:
            continue
        images, labels, sizes = [], [], set()
        for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)):
            image = example[image_key]
            if image_size:
                image = resize(image[None], image_size)[0]
            images.append(image)
            sizes.add(image.shape)
            labels.append(example[label_key] if label_key else 0)
            if len(sizes) > 1:
                raise UserError(f"expected images of one size in '{name}', received {sorted(sizes)}; pass --image-size N")
        splits[kept] = np.stack(images), np.array(labels, np.int64) if label_key else None
    if "train" not in splits:
        raise UserError(f"expected a split 'train' in '{name}', it has {', '.join(builder.info.splits)}")
    return splits, tuple(features[label_key].names) if label_key else ()


def available(data_dir=None):
    """What can be loaded now: a list of (name, where, description)."""
    tfds = quiet_tfds()
    rows = [("digits", "scikit-learn", "1,797 grey images of 8 x 8, 10 classes")]
    root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if any(folder.glob("**/dataset_info.json")):
            rows.append((folder.name, str(folder), "TFDS, prepared"))
    return rows
