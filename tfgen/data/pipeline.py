"""A data set in memory as uint8, and its batches as pure functions of (seed, step)."""

import numpy as np
import tensorflow as tf

from tfgen.data import views
from tfgen.data.spec import DataSpec
from tfgen.errors import UserError

SPLITS = ("train", "validation", "test")


class Dataset:
    """Images of three splits with their labels.

    Args:
        name: of the data set.
        splits: {"train" | "validation" | "test": (uint8 (N, H, W, C), int64 (N,) or None)}.
        class_names: one a class, or ().
        source: the arguments of `tfgen.data.load` that give this data set again.

    Attributes:
        spec: its `DataSpec`.
    """

    def __init__(self, name, splits, class_names=(), source=None):
        shapes = {split: images.shape[1:] for split, (images, _) in splits.items()}
        if len(set(shapes.values())) != 1:
            raise UserError(f"expected images of one shape in all splits of '{name}', received {shapes}")
        if empty := [split for split in SPLITS if split not in splits or not len(splits[split][0])]:
            raise UserError(f"'{name}' has no images for {', '.join(empty)}; expected at least a few images")
        self.splits = {split: splits[split] for split in SPLITS}
        labels = [labels for _, labels in self.splits.values()]
        classes = None
        if all(part is not None for part in labels):
            classes = max(len(class_names), 1 + max(int(part.max()) for part in labels))
        self.spec = DataSpec(name, shapes["train"], classes,
                             {split: len(images) for split, (images, _) in self.splits.items()}, class_names)
        self.source = source or {"name": name}
        self._tensors = {}

    def images(self, split):
        """uint8 (N, H, W, C)."""
        return self._split(split)[0]

    def labels(self, split):
        """int64 (N,), or None."""
        return self._split(split)[1]

    def _split(self, split):
        if split not in self.splits:
            raise UserError(f"there is no split '{split}'; expected one of {', '.join(SPLITS)}")
        return self.splits[split]

    def steps(self, batch_size):
        """Steps an epoch of training, at least 1."""
        return max(1, self.spec.sizes["train"] // batch_size)

    def train(self, batch_size, seed=0, view=views.images, start=0):
        """Endless training batches; give `fit` `steps_per_epoch=dataset.steps(batch_size)`.

        Batch k is a function of (seed, k) alone. With g = k * batch_size + j, image j of it is number g mod n of
        pass g // n, and each pass visits every image once, in an order of its own.

        Args:
            batch_size: images a batch, all batches alike.
            seed: int.
            view: see `tfgen.data.views`.
            start: the first k.

        Returns:
            A `tf.data.Dataset`, infinite.
        """
        self._check(batch_size)
        count = self.spec.sizes["train"]

        def place(position):
            order = tf.stack([tf.constant(seed, tf.int64), position // count])
            return position, tf.random.experimental.index_shuffle(position % count, order, count - 1)

        positions = tf.data.Dataset.range(start * batch_size, np.iinfo(np.int64).max).map(place)
        return self._gather(positions.batch(batch_size, drop_remainder=True), "train", view, seed)

    def batches(self, split, batch_size=128, view=views.images, limit=None):
        """A split in its own order, the last batch perhaps smaller: a finite `tf.data.Dataset`.

        Args:
            split: `train`, `validation` or `test`.
            batch_size: images a batch.
            view: see `tfgen.data.views`.
            limit: images at most; None for all.
        """
        self._check(batch_size)
        count = min(len(self.images(split)), limit or np.iinfo(np.int64).max)
        positions = tf.data.Dataset.range(count).map(lambda index: (index, index))
        return self._gather(positions.batch(batch_size), split, view, 0)

    @staticmethod
    def _check(batch_size):
        if batch_size < 1:
            raise UserError(f"batch_size expects at least 1, received {batch_size}")

    def _gather(self, positions, split, view, seed):
        if split not in self._tensors:
            with tf.device("cpu"):
                self._tensors[split] = [None if part is None else tf.constant(part) for part in self._split(split)]
        images, labels = self._tensors[split]

        def record(position, index):
            made = {"image": tf.cast(tf.gather(images, index), tf.float32) / 255.0,
                    "seed": position + tf.constant(seed % 2**20 << 40, tf.int64)}
            if labels is not None:
                made["label"] = tf.gather(labels, index)
            return view(made)

        return positions.map(record).prefetch(tf.data.AUTOTUNE)


def carve(images, labels, most=5000, share=0.1, seed=0):
    """(kept, held out) parts of a split: the last `share` of a fixed permutation, at most `most` images."""
    order = np.random.default_rng(seed).permutation(len(images))
    held = min(most, max(1, int(share * len(images))))
    return tuple((images[part], None if labels is None else labels[part])
                 for part in (np.sort(order[:-held]), np.sort(order[-held:])))


def complete(splits):
    """Adds a test split, then a validation split, carved out of the training split where there is none."""
    splits = dict(splits)
    for missing in ("test", "validation"):
        if missing not in splits:
            if len(splits["train"][0]) < 3:
                raise UserError(f"expected at least 3 images to split, received {len(splits['train'][0])}")
            splits["train"], splits[missing] = carve(*splits["train"])
    return splits
