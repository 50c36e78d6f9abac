"""From a name or a path to a Dataset."""

import json
import pathlib

import numpy as np

from tfgen.data import files, folders, tfds_store
from tfgen.data.pipeline import Dataset
from tfgen.data.prepare import IDX_DATASETS
from tfgen.data.resize import check_one_size, stack
from tfgen.data.spec import DataSpec
from tfgen.errors import UserError
from tfgen.suggest import did_you_mean


def _permutation(count):
    """A fixed permutation of range(count); RandomState's stream never changes."""
    return np.random.RandomState(0).permutation(count)


def _take(pair, rows):
    images, labels = pair
    return images[rows], None if labels is None else labels[rows]


def _digits():
    """({split: (images, labels)}, class names): scikit-learn's 1,797 digits, levels 0 to 16 stretched to 0 to 255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    order = np.split(_permutation(len(images)), [1347, 1547])
    splits = {split: _take((images, labels), rows)
              for split, rows in zip(("train", "validation", "test"), order, strict=True)}
    return splits, tuple(str(digit) for digit in range(10))


def _carve(name, splits):
    """Fills in 'test', then 'validation', from the end of a fixed permutation of train: a tenth, at most 5,000."""
    for split in ("test", "validation"):
        if split in splits:
            continue
        count = len(splits["train"][0])
        part = min(5000, max(1, count // 10))
        if part >= count:
            raise UserError(f"expected at least {2 + ('test' not in splits)} images to split in {name!r}, received "
                            f"{count}: add images")
        order = _permutation(count)
        splits[split] = _take(splits["train"], order[-part:])
        splits["train"] = _take(splits["train"], order[:-part])
    return {split: splits[split] for split in ("train", "validation", "test")}


def _finish(source, name, splits, class_names):
    size = source["image_size"]
    if size is not None:
        splits = {split: (stack(repr(name), images, size), labels) for split, (images, labels) in splits.items()}
    check_one_size(repr(name), (images.shape[1:3] for images, _ in splits.values()))
    channels = {split: images.shape[3] for split, (images, _) in splits.items()}
    if len(set(channels.values())) > 1:
        raise UserError(f"expected the same channels in all splits of {name!r}, received {channels}: convert them")
    splits = _carve(name, splits)
    classes = None
    if splits["train"][1] is not None:
        top = 1 + max(int(labels.max()) for _, labels in splits.values() if labels is not None)
        classes = max(top, len(class_names))
        class_names = class_names if len(class_names) == classes else ()
    spec = DataSpec(name, splits["train"][0].shape[1:], classes, {s: len(a[0]) for s, a in splits.items()},
                    class_names if classes else ())
    return Dataset(spec, splits, source)


def _from_path(path, size):
    if path.is_dir():
        if files.has_idx(path):
            return files.read_idx_folder(path), ()
        return folders.read_folder(path, size)
    if path.suffix == ".npz":
        return files.read_npz(path), ()
    if path.suffix in (".gz", ".idx") or path.name.endswith("ubyte"):
        return files.read_idx_file(path), ()
    raise UserError(f"expected a .npz file, an IDX file (*-ubyte, *.gz) or a folder, received {str(path)!r}: "
                    "give one of those")


def _unknown(name, data_dir):
    """The UserError for a name that is neither prepared nor a path."""
    builders = tfds_store.builder_names()
    here = tfds_store.root(data_dir)
    known = name.split("/")[0] in builders
    if name in IDX_DATASETS:
        return UserError(f"expected {name!r} prepared in {str(here)!r}, received nothing there: "
                         f"type: tfgen data prepare {name} --from DIR (DIR has its four *-ubyte.gz files)")
    if known:
        return UserError(f"expected {name!r} prepared in {str(here)!r}, received nothing there: "
                         f"type: tfds build {name}")
    if name.startswith((".", "~", "/")) or pathlib.Path(name).suffix:
        return UserError(f"expected an existing file or folder, received {name!r}: check the path")
    choices = ["digits", *tfds_store.prepared(data_dir), *builders]
    return UserError(f"expected a dataset's name or an existing path, received {name!r}"
                     f"{did_you_mean(name, choices)}: see `tfgen data list`")


def load(name, image_size=None, data_dir=None):
    """Loads a dataset into memory. Nothing is ever downloaded.

    Args:
        name: 'digits' (built in); a TFDS dataset that is prepared on disk ('mnist', 'name/config'); or a path to a
            .npz file, an IDX file, a folder with four IDX files, or a folder of images (`read_folder`). A prepared
            name goes before a path of the same spelling; './name' is always the path.
        image_size: side that all images are resized to, bilinear and square; None keeps theirs.
        data_dir: folder of prepared TFDS datasets; None takes TFDS' own.

    Returns:
        Dataset with the splits train, validation and test. A source without a test or a validation split gives a
        tenth (at most 5,000) of train, by a fixed permutation, for each.

    Raises:
        UserError: one line with what was expected, what was received and what to do.
    """
    if image_size is not None and (isinstance(image_size, bool) or not isinstance(image_size, (int, np.integer))
                                   or image_size < 1):
        raise UserError(f"image_size expects an int >= 1, received {image_size!r}: pass --image-size N, such as 32")
    name = str(name)
    source = {"name": name, "image_size": image_size, "data_dir": None if data_dir is None else str(data_dir)}
    if name == "digits":
        return _finish(source, name, *_digits())
    ready = tfds_store.prepared(data_dir)
    if name in ready:
        return _finish(source, name, *tfds_store.read_prepared(name, ready[name], image_size))
    path = pathlib.Path(name).expanduser()
    if name and path.exists():
        title = path.resolve().name
        source["name"] = str(path.resolve())
        return _finish(source, title.split(".")[0] or title, *_from_path(path, image_size))
    raise _unknown(name, data_dir)


def available(data_dir=None):
    """[(name, where, description)] of what `load` finds by name now: digits and the prepared TFDS datasets."""
    rows = [("digits", "built in", "1,797 handwritten digits, 8x8, 10 classes (scikit-learn)")]
    for name, folder in tfds_store.prepared(data_dir).items():
        try:
            text = json.loads((folder / "dataset_info.json").read_text()).get("description", "")
        except (OSError, ValueError, AttributeError):
            text = "its dataset_info.json cannot be read: prepare it again"
        rows.append((name, str(folder), " ".join(str(text).split())[:200]))
    return rows
