"""One-class data: converts labelled data to normal images and anomalies."""

import dataclasses

import numpy as np

from tfgen.data import stores
from tfgen.data.classes import class_of, listed, title_of
from tfgen.data.dataset import Dataset
from tfgen.data.vectors import rescaled
from tfgen.errors import UserError


def _check(dataset, normal, anomalous):
    spec = dataset.spec
    if (normal is None) == (anomalous is None):
        raise UserError(f"one_class expects normal or anomalous, received {'neither' if normal is None else 'both'}: "
                        "give the classes of one of them")
    if spec.view != "images":
        raise UserError(f"normal and anomalous expect images with labels, received {spec.name!r} with view={spec.view!r}: "
                        "leave out --normal and --anomalous")
    if spec.num_classes is None or any(dataset.labels(split) is None for split in spec.sizes):
        raise UserError(f"normal and anomalous expect data with labels in all splits, received {spec.name!r} without: "
                        "use class subfolders, or a folder with train/good")


def _sides(dataset, wanted):
    """Sorted numbers of the requested classes, and of all other classes that have images."""
    spec = dataset.spec
    chosen = sorted({class_of(spec.name, one, spec.class_names, spec.num_classes) for one in listed(wanted)})
    known = np.unique(np.concatenate([dataset.labels(split) for split in spec.sizes]))
    return chosen, [label for label in known.tolist() if label not in chosen]


def _check_windows(dataset, normals, kinds, side):
    """Raises UserError for windows whose labels do not say whether one of their times is anomalous."""
    ranked = max(normals, default=0) < min(kinds, default=1)
    if len(dataset.spec.image_shape) == 2 and not ranked and side not in dataset.source:
        raise UserError(f"expected windows that know their normal times, received {dataset.spec.name!r}: give {side} to "
                        "data.vectors, too, or number the normal classes from 0 on")


def _check_sides(dataset, normals, kinds):
    """Raises UserError unless both sides have classes with images in every split in which they are kept."""
    spec = dataset.spec
    if not normals or not kinds:
        raise UserError(f"expected a normal and an anomalous class of {spec.name!r} at least, received {len(normals)} "
                        f"normal and {len(kinds)} anomalous: name one or several, not all")
    for split in spec.sizes:
        missing = set(normals + kinds if split == "test" else normals) - set(dataset.labels(split).tolist())
        if missing:
            titles = ", ".join(title_of(label, spec.class_names) for label in sorted(missing))
            raise UserError(f"expected images of normal classes in all splits of {spec.name!r} and of the others in test, "
                            f"received none of {titles} in {split}: choose other classes, or add images")


def one_class(dataset, normal=None, anomalous=None):
    """Converts labelled data for anomaly detection: train and validation keep normal images only, test keeps all.

    Either some classes are normal and all others anomalous (one-class: Ruff et al., 2018), or some are anomalous and
    all others normal (leave-one-out: Akcay et al., 2018, arXiv:1805.06725).

    Args:
        dataset: Dataset of view "images", or of vectors, with labels in all splits.
        normal: the normal classes, by name or number: 3, "3", "Sandal,Bag" or a sequence; None with `anomalous`.
        anomalous: the anomalous classes, in the same format; None with `normal`.

    Returns:
        Dataset of view "one_class". Labels of its test split: 0 for normal classes, 1, 2 … for the anomalous classes in
        their order. Label 0 has the name of the normal class, or "normal" for several.

    Raises:
        UserError: both arguments or neither, data of another view or without labels, an unknown class, no class left
            on one side, no images of a class in a split.
    """
    _check(dataset, normal, anomalous)
    side, wanted = ("normal", normal) if anomalous is None else ("anomalous", anomalous)
    chosen, others = _sides(dataset, wanted)
    normals, kinds = (chosen, others) if side == "normal" else (others, chosen)
    _check_windows(dataset, normals, kinds, side)
    _check_sides(dataset, normals, kinds)
    new = np.zeros(dataset.spec.num_classes, np.int64)  # new label of each class
    new[kinds] = np.arange(1, 1 + len(kinds))
    arrays = {}
    for split in dataset.spec.sizes:
        images, labels = dataset.images(split), new[dataset.labels(split)]
        arrays[split] = (images, labels) if split == "test" else (stores.take(images, labels == 0), None)
    titles = {label: title_of(label, dataset.spec.class_names) for label in normals + kinds}
    asked = [titles[label] for label in chosen]
    name = f"{dataset.spec.name}: {'' if side == 'normal' else 'not '}{', '.join(asked)}"
    spec = dataclasses.replace(
        rescaled(dataset.spec, arrays["train"][0]), name=name, num_classes=None,
        sizes={split: len(images) for split, (images, _) in arrays.items()}, view="one_class",
        class_names=(titles[normals[0]] if len(normals) == 1 else "normal", *(titles[label] for label in kinds)))
    return Dataset(spec, arrays, dataset.source | {side: asked})
