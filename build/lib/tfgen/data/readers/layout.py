"""What the image files of a folder are: splits, classes and masks, before any is decoded; and all of them as arrays."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """The image files of a folder.

    Attributes:
        splits: {split: ([(path, class name or None)], number of channels)}.
        class_names: names of the classes, in the order of their labels.
        mask: function (path, class name, (H, W)) -> bool (H, W) of labelled images, or None.
        category: whether the labels are kinds of defects, as in MVTec AD.
    """

    splits: dict
    class_names: tuple = ()
    mask: Callable | None = None
    category: bool = False

    def labels(self, items):
        """Labels of the images of a split, int64 (N,), or None if they have no classes."""
        if items[0][1] is None:
            return None
        return np.array([self.class_names.index(kind) for _, kind in items], np.int64)

    def mask_of(self, item, shape, fit):
        """Mask of an image whose size was `shape`, resized by `fit`; None without masks."""
        return None if self.mask is None or item[1] is None else fit.mask(self.mask(*item, shape))


@dataclasses.dataclass(frozen=True)
class Read:
    """What was read of a path.

    Attributes:
        splits: {split: (images uint8 (N, H, W, C) or `tfgen.data.stores.Shards`, labels int64 (N,) or None)}.
        class_names, category: as in `Layout`.
        masks: {split: bool (N, H, W)} of splits with masks.
        paths: {split: path of each image file}; empty for arrays.
    """

    splits: dict
    class_names: tuple = ()
    category: bool = False
    masks: dict = dataclasses.field(default_factory=dict)
    paths: dict = dataclasses.field(default_factory=dict)


def read(layout, reader):
    """All images of a layout in memory, a `Read`.

    Args:
        layout: a `Layout`.
        reader: the `tfgen.data.readers.folders.Reader` that found it; masks are resized like images.

    Raises:
        UserError: several sizes, a broken image, no readable image, or a missing mask or one of another size.
    """
    splits, masks, paths = {}, {}, {}
    for split, (items, channels) in layout.splits.items():
        images, kept, shapes = reader.stack(items, channels)
        splits[split], paths[split] = (images, layout.labels(kept)), [path for path, _ in kept]
        found = [layout.mask_of(item, shape, reader.fit) for item, shape in zip(kept, shapes, strict=True)]
        if found[0] is not None:
            masks[split] = np.stack(found)
    return Read(splits, layout.class_names, layout.category, masks, paths)
