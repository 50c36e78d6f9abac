"""Loads a Dataset from a name or a path."""

import os
import pathlib

import numpy as np

from tfgen.data import options, packing, pairings, stores
from tfgen.data.classes import class_of, classes_of, listed, title_of
from tfgen.data.dataset import Dataset
from tfgen.data.levels import check as check_levels
from tfgen.data.levels import discretise
from tfgen.data.names import unknown
from tfgen.data.one_class import one_class
from tfgen.data.readers import folders, tables, tfds_store
from tfgen.data.readers import signals as signal_files
from tfgen.data.readers.layout import Read
from tfgen.data.readers.paths import read_path
from tfgen.data.readers.resize import Fit, check_halves, check_one_size, stack
from tfgen.data.readers.shards import is_packed
from tfgen.data.signals import posed, signal
from tfgen.data.spec import DataSpec
from tfgen.data.splits import carve, copies_line, group_pattern, groups_of, permutation, take
from tfgen.data.vectors import vectors
from tfgen.errors import UserError, note


def _digits():
    """({split: (images, labels)}, class names): scikit-learn's 1,797 digits, levels 0 to 16 rescaled to 0 to 255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    order = np.split(permutation(len(images)), [1347, 1547])
    splits = {split: take((images, labels), rows)
              for split, rows in zip(("train", "validation", "test"), order, strict=True)}
    return splits, tuple(str(digit) for digit in range(10))


def _fit(source):
    return Fit.asked(source["image_size"], source.get("resize", "stretch"))


def _train_groups(source, name, paths, split="train"):
    """Groups of the files of a training split, or None without `group_by`."""
    if "group_by" not in source:
        return None
    if split not in paths:
        raise UserError(f"group_by expects a folder of image files, received {name!r}: leave out --group-by")
    return groups_of(paths[split], group_pattern(source["group_by"]))


def _resized(name, images, fit, side_by_side):
    """Images resized by `fit`; those of shards are already, and two halves of each are only checked."""
    if not isinstance(images, stores.Shards):
        return stack(repr(name), images, fit, side_by_side)
    if side_by_side:
        check_halves(repr(name), images.shape[2])
    return images


def _resize_and_check(name, splits, fit, side_by_side=False, groups=None):
    """Resizes the splits, checks for one size and number of channels, and carves missing splits from train."""
    if fit.size is not None or side_by_side:
        splits = {split: (_resized(name, images, fit, side_by_side), labels) for split, (images, labels) in splits.items()}
    check_one_size(repr(name), (images.shape[1:3] for images, _ in splits.values()))
    channels = {split: images.shape[3] for split, (images, _) in splits.items()}
    if len(set(channels.values())) > 1:
        raise UserError(f"expected the same channels in all splits of {name!r}, received {channels}: convert them")
    return carve(name, splits, groups)


def _two_domains(source, name, splits, paths):
    """{split: images} of A and {split: (images, None)} of B, from splits trainA, trainB …"""
    parts = {domain: {split[:-1]: pair for split, pair in splits.items() if split[-1] == domain} for domain in "AB"}
    a, b = (_resize_and_check(name, part, _fit(source), groups=_train_groups(source, name, paths, f"train{domain}"))
            for domain, part in parts.items())
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
        chosen.append({split: stores.take(images, labels == label) for split, (images, labels) in splits.items()})
        empty = [split for split, images in chosen[-1].items() if not len(images)]
        if empty:
            raise UserError(f"domains expect images of both classes in all splits of {name!r}, received none of {title!r} "
                            f"in {', '.join(empty)}: choose another class, or add images")
    return titles, chosen[0], {split: (images, None) for split, images in chosen[1].items()}


def _numbered(splits, class_names):
    """(splits with labels 0, 1, …, number of classes or None, their names or ())."""
    if splits["train"][1] is None:
        return splits, None, ()
    labels, *classes = classes_of({split: labels for split, (_, labels) in splits.items()}, class_names)
    return {split: (images, labels[split]) for split, (images, _) in splits.items()}, *classes


def _dataset(source, name, splits, classes=None, class_names=(), view="images", sources=None, masks=None):
    shape = splits["train"][0].shape[1:]
    sizes = {split: len(images) for split, (images, _) in splits.items()}
    if callable(sources):
        source_shape = sources.source_shape(shape)
    else:
        source_shape = sources["train"].shape[1:] if sources else None
        sizes = {split: max(size, len(sources[split])) if sources else size for split, size in sizes.items()}
    spec = DataSpec(name, shape, classes, sizes, class_names, view, source_shape)
    for images_of in ({split: images for split, (images, _) in splits.items()}, sources if view == "unpaired" else {}):
        if line := copies_line(name, images_of):
            note(line)
    return Dataset(spec, splits, source, sources, masks)


def _check_unasked(source, name, what):
    """Raises UserError if `pairs` or `domains` are given for data that already has a view."""
    asked = [key for key in ("pairs", "domains") if key in source]
    if asked:
        raise UserError(f"{asked[0]} expect one set of images, received {name!r}, which has {what}: "
                        "leave out --pairs and --domains")


def _category(source, name, found):
    """The Dataset of a folder in MVTec AD's layout; a test split carved from train has normal images only."""
    _check_unasked(source, name, "normal images and defects")
    splits = carve(name, found.splits, _train_groups(source, name, found.paths))
    images, labels = splits["test"]
    splits["test"] = images, np.zeros(len(images), np.int64) if labels is None else labels
    return _dataset(source, name, splits, class_names=found.class_names, view="one_class", masks=found.masks)


def _apply_view(source, name, found):
    """The Dataset of what was read, with the view that the source asks for."""
    if found.category:
        return _category(source, name, found)
    pairs, domains, splits, paths = source.get("pairs"), source.get("domains"), found.splits, found.paths
    if "trainA" in splits:
        _check_unasked(source, name, "the domains A and B")
        sources, splits = _two_domains(source, name, splits, paths)
        return _dataset(source, name, splits, view="unpaired", sources=sources)
    side_by_side = pairs in pairings.SIDE_BY_SIDE
    splits = _resize_and_check(name, splits, _fit(source), side_by_side, _train_groups(source, name, paths))
    splits, *classes = _numbered(splits, found.class_names)
    if domains is not None:
        source["domains"], sources, splits = _two_classes(name, splits, domains, classes[1], classes[0])
        return _dataset(source, f"{name}: {' -> '.join(source['domains'])}", splits, view="unpaired", sources=sources)
    if side_by_side:
        halves = {split: stores.halves(images)[::1 if pairs == "side_by_side" else -1]
                  for split, (images, _) in splits.items()}
        splits = {split: (halves[split][1], labels) for split, (_, labels) in splits.items()}
        return _dataset(source, name, splits, *classes, "paired", {split: half[0] for split, half in halves.items()})
    if pairs:
        return _dataset(source, name, splits, *classes, "paired", pairings.by_name(pairs))
    return _dataset(source, name, splits, *classes)


def _vectors(source, name, table):
    """The Dataset of a `tables.Table`."""
    values, labels = ({split: pair[part] for split, pair in table.splits.items()} for part in (0, 1))
    return vectors(values, labels, name, source.get("window"), source.get("window_step"), table.class_names, source,
                   source.get("normal"), source.get("anomalous"), table.columns)


def _load(source, name, data_dir):
    """The Dataset of a name or path, before the conversion to one-class data."""
    if name == "digits":
        return _apply_view(source, name, Read(*_digits()))
    if name in tables.BUILT_IN:
        return _vectors(source, name, tables.built_in(name))
    fit, side_by_side = _fit(source), source.get("pairs") in pairings.SIDE_BY_SIDE
    ready = tfds_store.prepared(data_dir)
    if name in ready:
        return _apply_view(source, name, Read(*tfds_store.read_prepared(name, ready[name], fit, side_by_side)))
    path = pathlib.Path(os.path.expanduser(name))
    if not name or not path.exists():
        raise unknown(name, data_dir)
    title = path.resolve().name
    title = title.split(".")[0] or title
    source["name"] = str(path.resolve())
    if (values := signal_files.read_signal(path, fit)) is not None:
        return signal(values, title, source.get("every", 1), source)
    if (found := signal_files.read_posed(path)) is not None:
        return posed(*found, title, source)
    if (found := tables.read(path, source.get("label"))) is not None:
        return _vectors(source, title, found)
    if is_packed(path):
        found, resizing = packing.read(path, fit, "group_by" in source)
        return _apply_view(_record_fit(source, **resizing), title, found)
    reader = folders.Reader(repr(str(path)), fit, source.get("skip_unreadable", False), side_by_side)
    dataset = _apply_view(source, title, read_path(path, reader))
    reader.finish()
    return dataset


def _settle(dataset):
    """Holds the images of shards in memory if they fit; says so, or that they are read as they are needed, in one line."""
    if not isinstance(dataset, Dataset) or not (size := dataset.streamed()):
        return
    free = stores.available_memory()
    fits = size <= stores.SHARE * free
    if fits:
        dataset.hold()
    place = "held in memory" if fits else "read from the shards as they are needed"
    note(f"{dataset.spec.name}: {stores.gigabytes(size)} of images, {stores.gigabytes(free)} of memory available: {place}")


def _record_fit(source, image_size, resize):
    """Records a resizing in a source, which is changed and returned."""
    size = Fit.asked(image_size, resize).size
    source["image_size"] = size and (size[0] if size[0] == size[1] else list(size))
    return source | ({} if resize == "stretch" else {"resize": resize})


def _source(name, image_size, data_dir, resize, group_by, skip_unreadable):
    """The arguments of `load` as recorded in a run; recently added ones only if they differ from their defaults."""
    source = _record_fit({"name": name, "data_dir": None if data_dir is None else str(data_dir)}, image_size, resize)
    if group_by is not None:
        source["group_by"] = group_pattern(group_by).pattern
    return source | ({"skip_unreadable": True} if skip_unreadable else {})


def load(name, image_size=None, data_dir=None, pairs=None, domains=None, normal=None, anomalous=None, resize="stretch",
         group_by=None, skip_unreadable=False, levels=None, binarise=None, every=None, label=None, window=None,
         window_step=None):
    """Loads a dataset. Nothing is ever downloaded.

    Images are held in memory; those of a packed folder only if they need at most half of what is available, else they are
    read from its shards as they are needed. Batches are equal to the bit. One line on standard error says which.

    Prints one warning on standard error for images duplicated across splits, and one per skipped file.

    Args:
        name: 'digits', or vectors 'iris', 'wine' or 'breast_cancer' (built in); a TFDS dataset that is prepared on disk
            ('mnist', 'name/config'); or a path to a .npz file, an IDX file, a folder with four IDX files, a folder of images
            (`folders.classes_of`; `folders.domains_of` for unpaired images in trainA, trainB …, `mvtec.category_of` for
            normal images in train/good), or a folder that `pack` has written. A prepared dataset takes precedence over a
            path of the same name; './name' always means the path. One image file, .wav or .npy file is one signal
            (`tfgen.data.signal`), a .npz file with poses the views of a scene (`tfgen.data.posed`). A .csv file, or a .npz
            file with arrays (N, D), is a table of vectors (`tfgen.data.vectors`).
        image_size: size to which all images are resized, bilinear with antialiasing: N (a square), 'HxW' or (H, W); None
            keeps their size.
        data_dir: folder of prepared TFDS datasets; None uses the TFDS default.
        pairs: translation source of each image: a pairing as for `pairings.by_name`; 'side_by_side' if each file holds
            the source (left) and the image (right); 'side_by_side_reversed' for the source on the right.
        domains: two classes, by name or number, as a pair or as 'A,B'. Images of the second class are the targets, images
            of the first are the unpaired sources. Labels are dropped.
        normal, anomalous: classes as for `one_class`, for anomaly detection.
        resize: resizing mode: 'stretch', 'crop' or 'pad', as for `tfgen.data.readers.resize.resize`.
        group_by: regular expression searched in the names of image files. Files with the same first group (or, without
            groups in the expression, the same match) stay together when a split is carved from train.
        skip_unreadable: skip unreadable image files instead of raising an error.
        levels: number of grey levels per value, 2 to 256, to which images are quantised, as for `discretise`.
        binarise: 'dynamic' or 'threshold', for binary images, as for `discretise`.
        every: of a signal, train on every k-th sample along each axis, see `tfgen.data.signal`; None: on all.
        label: of a .csv file, the column of the classes, by name or number.
        window, window_step: of a table whose rows are the times of a series, times per window and from one to the next, see
            `tfgen.data.vectors`.

    Returns:
        Dataset (of one signal a `Signal`, of a scene `PosedImages`) with the splits train, validation and test. Each missing
        test or validation split takes a tenth (at most 5,000) of the training images by a fixed permutation, per domain for
        unpaired data. With `group_by` it takes the smallest number of whole groups with at least as many images.

    Raises:
        UserError: one line with what was expected, what was received and what to do.
    """
    views = {"pairs": pairs, "domains": domains, "normal": normal, "anomalous": anomalous}
    given = [f"{key}={value!r}" for key, value in views.items() if value is not None]
    if len(given) > 1:
        raise UserError(f"expected one of {', '.join(views)}, received {' and '.join(given)}: leave out the others")
    check_levels(levels, binarise)
    source = _source(str(name), image_size, data_dir, resize, group_by, skip_unreadable)
    if pairs is not None:
        source["pairs"] = pairs if pairs in pairings.SIDE_BY_SIDE else pairings.by_name(pairs).name
    if domains is not None:
        source["domains"] = domains
    own = {"every": every, "label": label, "window": window, "window_step": window_step}
    asked = own | {"normal": normal, "anomalous": anomalous}
    source |= {key: value for key, value in asked.items() if value is not None}
    dataset = _load(source, str(name), data_dir)
    options.check(dataset, **own, **views, image_size=image_size, group_by=group_by, skip_unreadable=skip_unreadable,
                  levels=levels, binarise=binarise)
    dataset = discretise(dataset, levels, binarise)
    dataset = dataset if normal is None and anomalous is None else one_class(dataset, normal, anomalous)
    _settle(dataset)
    return dataset


def portable(source):
    """The arguments of `load` for the record of an export, without paths of this computer.

    Args:
        source: `dataset.source`.

    Returns:
        `source` with `data_dir` None; if `name` is a path, with its last component as `name` and `"local": True`.
    """
    path = pathlib.Path(source["name"])
    return source | {"data_dir": None} | ({"name": path.name, "local": True} if path.is_absolute() else {})
