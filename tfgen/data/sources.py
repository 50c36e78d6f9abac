"""From a name or a path to a Dataset."""

import json
import os
import pathlib

import numpy as np

from tfgen.data import files, folders, mvtec, pairings, tfds_store
from tfgen.data.classes import class_of, listed, title_of
from tfgen.data.one_class import one_class
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


def _whole(name, splits, size, side_by_side=False):
    """The splits resized, checked for one size and one number of channels, and carved."""
    if size is not None or side_by_side:
        splits = {split: (stack(repr(name), images, size, side_by_side), labels)
                  for split, (images, labels) in splits.items()}
    check_one_size(repr(name), (images.shape[1:3] for images, _ in splits.values()))
    channels = {split: images.shape[3] for split, (images, _) in splits.items()}
    if len(set(channels.values())) > 1:
        raise UserError(f"expected the same channels in all splits of {name!r}, received {channels}: convert them")
    return _carve(name, splits)


def _two_domains(name, splits, size):
    """{split: images} of A and {split: (images, None)} of B, from splits called trainA, trainB and so on."""
    a, b = (_whole(name, {split[:-1]: pair for split, pair in splits.items() if split[-1] == domain}, size)
            for domain in "AB")
    check_one_size(repr(name), (found["train"][0].shape[1:3] for found in (a, b)))
    return {split: images for split, (images, _) in a.items()}, b


def _two_classes(name, splits, domains, class_names, classes):
    """(the two names, {split: images} of the first class, {split: (images, None)} of the second)."""
    if classes is None or any(labels is None for _, labels in splits.values()):
        raise UserError(f"domains expect data with labels in all splits, received {name!r} without: use class subfolders, "
                        "or a folder with trainA and trainB")
    wanted = listed(domains)
    if len(wanted) != 2:
        raise UserError(f"domains expect two classes, received {domains!r}: give --domains A,B (domains=('A', 'B'))")
    found = [class_of(name, one, class_names, classes) for one in wanted]
    titles = [title_of(label, class_names) for label in found]
    if found[0] == found[1]:
        raise UserError(f"domains expect two different classes, received {titles[0]!r} twice: choose another")
    chosen = []
    for label, title in zip(found, titles, strict=True):
        chosen.append({split: images[labels == label] for split, (images, labels) in splits.items()})
        empty = [split for split, images in chosen[-1].items() if not len(images)]
        if empty:
            raise UserError(f"domains expect images of both classes in all splits of {name!r}, received none of {title!r} "
                            f"in {', '.join(empty)}: choose another class, or add images")
    return titles, chosen[0], {split: (images, None) for split, images in chosen[1].items()}


def _classes_of(splits, class_names):
    """(number of classes or None, their names or ())."""
    if splits["train"][1] is None:
        return None, ()
    top = 1 + max(int(labels.max()) for _, labels in splits.values() if labels is not None)
    classes = max(top, len(class_names))
    return classes, class_names if len(class_names) == classes else ()


def _dataset(source, name, splits, classes=None, class_names=(), view="images", sources=None, masks=None):
    shape = splits["train"][0].shape[1:]
    sizes = {split: len(images) for split, (images, _) in splits.items()}
    if callable(sources):
        source_shape = sources.source_shape(shape)
    else:
        source_shape = sources["train"].shape[1:] if sources else None
        sizes = {split: max(size, len(sources[split])) if sources else size for split, size in sizes.items()}
    spec = DataSpec(name, shape, classes, sizes, class_names, view, source_shape)
    return Dataset(spec, splits, source, sources, masks)


def _check_unasked(source, name, what):
    """Raises UserError if pairs or domains are asked of data that have a view of their own."""
    asked = [key for key in ("pairs", "domains") if key in source]
    if asked:
        raise UserError(f"{asked[0]} expect one set of images, received {name!r}, which has {what}: "
                        "leave out --pairs and --domains")


def _category(source, name, path):
    """The Dataset of a folder in MVTec AD's layout; a test split carved from train is all normal."""
    _check_unasked(source, name, "normal images and defects")
    splits, kinds, masks = mvtec.read_category(path, source["image_size"])
    splits = _carve(name, splits)
    images, labels = splits["test"]
    splits["test"] = images, np.zeros(len(images), np.int64) if labels is None else labels
    return _dataset(source, name, splits, class_names=kinds, view="one_class", masks=masks)


def _finish(source, name, splits, class_names):
    size, pairs, domains = source["image_size"], source.get("pairs"), source.get("domains")
    if "trainA" in splits:
        _check_unasked(source, name, "the domains A and B")
        sources, splits = _two_domains(name, splits, size)
        return _dataset(source, name, splits, view="unpaired", sources=sources)
    side_by_side = pairs in pairings.SIDE_BY_SIDE
    splits = _whole(name, splits, size, side_by_side)
    classes = _classes_of(splits, class_names)
    if domains is not None:
        source["domains"], sources, splits = _two_classes(name, splits, domains, classes[1], classes[0])
        return _dataset(source, f"{name}: {' -> '.join(source['domains'])}", splits, view="unpaired", sources=sources)
    if side_by_side:
        halves = {split: np.split(images, 2, axis=2)[::1 if pairs == "side_by_side" else -1]
                  for split, (images, _) in splits.items()}
        splits = {split: (halves[split][1], labels) for split, (_, labels) in splits.items()}
        return _dataset(source, name, splits, *classes, "paired", {split: half[0] for split, half in halves.items()})
    if pairs:
        return _dataset(source, name, splits, *classes, "paired", pairings.by_name(pairs))
    return _dataset(source, name, splits, *classes)


def _from_path(path, size, side_by_side):
    if path.is_dir():
        if files.has_idx(path):
            return files.read_idx_folder(path), ()
        if folders.domain_roots(path):
            return folders.read_domains(path, size), ()
        mvtec.check_single(path)
        return folders.read_folder(path, size, side_by_side)
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


def _load(source, name, data_dir, size, side_by_side):
    """The Dataset of a name or path, before any of its classes are told normal."""
    if name == "digits":
        return _finish(source, name, *_digits())
    ready = tfds_store.prepared(data_dir)
    if name in ready:
        return _finish(source, name, *tfds_store.read_prepared(name, ready[name], size, side_by_side))
    path = pathlib.Path(os.path.expanduser(name))
    if not name or not path.exists():
        raise _unknown(name, data_dir)
    title = path.resolve().name
    title = title.split(".")[0] or title
    source["name"] = str(path.resolve())
    if path.is_dir() and mvtec.is_category(path):
        return _category(source, title, path)
    return _finish(source, title, *_from_path(path, size, side_by_side))


def load(name, image_size=None, data_dir=None, pairs=None, domains=None, normal=None, anomalous=None):
    """Loads a dataset into memory. Nothing is ever downloaded.

    Args:
        name: 'digits' (built in); a TFDS dataset that is prepared on disk ('mnist', 'name/config'); or a path to a
            .npz file, an IDX file, a folder with four IDX files, or a folder of images (`read_folder`; `read_domains`
            for unpaired images in trainA, trainB …, `mvtec.read_category` for normal images in train/good). A prepared
            name goes before a path of the same spelling; './name' is always the path.
        image_size: side that all images are resized to, bilinear and square; None keeps theirs.
        data_dir: folder of prepared TFDS datasets; None takes TFDS' own.
        pairs: what each image is to be translated from: a pairing as for `pairings.by_name`, or 'side_by_side' where
            each file holds the source (left) and the image (right), or 'side_by_side_reversed' (source right).
        domains: two classes, by name or number, as a pair or as 'A,B': the images of the second become the images, and
            those of the first unpaired sources, without labels.
        normal, anomalous: classes as for `one_class`, for data to detect anomalies in.

    Returns:
        Dataset with the splits train, validation and test. A source without a test or a validation split gives a
        tenth (at most 5,000) of train, by a fixed permutation, for each (of unpaired images, in each domain).

    Raises:
        UserError: one line with what was expected, what was received and what to do.
    """
    if image_size is not None and (isinstance(image_size, bool) or not isinstance(image_size, (int, np.integer))
                                   or image_size < 1):
        raise UserError(f"image_size expects an int >= 1, received {image_size!r}: pass --image-size N, such as 32")
    views = {"pairs": pairs, "domains": domains, "normal": normal, "anomalous": anomalous}
    given = [f"{key}={value!r}" for key, value in views.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"expected one of {', '.join(views)}, received {' and '.join(given)}: leave out the others")
    name = str(name)
    source = {"name": name, "image_size": image_size, "data_dir": None if data_dir is None else str(data_dir)}
    side_by_side = pairs in pairings.SIDE_BY_SIDE
    if pairs is not None:
        source["pairs"] = pairs if side_by_side else pairings.by_name(pairs).name
    if domains is not None:
        source["domains"] = domains
    dataset = _load(source, name, data_dir, image_size, side_by_side)
    return dataset if normal is None and anomalous is None else one_class(dataset, normal, anomalous)


def portable(source):
    """The arguments of `load` that a data set was made by, as an export holds them: without paths of this computer.

    Args:
        source: `dataset.source`.

    Returns:
        The same with the last part of a path as its `name` and then `"local": True`, and without `data_dir`.
    """
    path = pathlib.Path(source["name"])
    return source | {"data_dir": None} | ({"name": path.name, "local": True} if path.is_absolute() else {})


def available(data_dir=None):
    """[(name, where, description)] of what `load` finds by name now: digits and the prepared TFDS datasets."""
    rows = [("digits", "built in", "1,797 handwritten digits, 8x8, 10 classes (scikit-learn)")]
    for name, folder in tfds_store.prepared(data_dir).items():
        try:
            text = json.loads((folder / "dataset_info.json").read_text("utf-8")).get("description", "")
        except (OSError, ValueError, AttributeError):
            text = "its dataset_info.json cannot be read: prepare it again"
        rows.append((name, str(folder), " ".join(str(text).split())[:200]))
    return rows
