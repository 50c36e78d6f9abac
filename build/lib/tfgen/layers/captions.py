"""Captions of images from their classes and measured attributes, and captions as tokens."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen import replicas
from tfgen.errors import require
from tfgen.serialization import serializable
from tfgen.verbs.graphs import tokens_of
from tfgen.verbs.table import Text

# Pixels above this value belong to the object.
BACKGROUND = 0.1
# Attributes: the words for values below, between and above the given numbers of standard deviations from the mean.
SIZES = (("small",), (), ("large",))
SIZE_ENDS = (-0.5, 0.5)
SHADES = (("very", "dark"), ("dark",), ("light",), ("very", "light"))
SHADE_ENDS = (-0.67, 0.0, 0.67)
FIELDS = 3


@serializable
class Captions(keras.layers.Layer):
    """Words for images, `[small | large] [very] dark | light CLASS`, such as "large very dark ankle boot", as tokens.

    The object is the set of pixels whose mean over channels exceeds 0.1; its shade is their mean value, its size their
    share. Words follow from how many standard deviations these are from the mean: of all images for the shade (below -0.67,
    0 and 0.67, else above: four words of similar frequency), of the class for the size (below -0.5, above 0.5, in between no
    word). The statistics are weights of the layer, which `observe` adds to.

    A caption is a row of T tokens, left-aligned: the number of a word in `words`, from 1, and 0 behind the last one.

    Args:
        class_names: one name per class; their words, in small letters, are those of captions.

    Raises:
        UserError: for fewer than two names, equal ones, or a name without words.
    """

    def __init__(self, class_names, **kwargs):
        super().__init__(**kwargs)
        self.class_names = list(class_names)
        names = [" ".join(Text.split(name)) for name in self.class_names]
        require(len(set(names)) == len(names) >= 2 and all(names),
                f"captions expect at least two classes with distinct names, received {', '.join(self.class_names)}")
        self.names = names
        attributes = [word for words in (*SIZES, *SHADES) for word in words]
        self.words = list(dict.fromkeys([*attributes, *(word for name in names for word in name.split())]))
        self.most = sum(max(map(len, rows)) for rows in (SIZES, SHADES, [name.split() for name in names]))
        # The tokens of each word group, by the number of the group: one table per field.
        self.tables = [self.table(rows) for rows in (SIZES, SHADES, [name.split() for name in names])]
        # Per class: number of images, sums and sums of squares of shade and size.
        self.counts, self.sums, self.squares = (
            self.add_weight((len(names), width), "zeros", trainable=False, dtype="float32", name=name)
            for name, width in (("counts", 1), ("sums", 2), ("squares", 2)))
        self.built = True

    def table(self, rows):
        """Tokens of rows of words, with zeros behind: int32 (rows, most words)."""
        made = np.zeros((len(rows), max(map(len, rows))), "int32")
        for index, words in enumerate(rows):
            made[index, :len(words)] = [self.words.index(word) + 1 for word in words]
        return made

    @property
    def size(self):
        """Number of tokens, the empty one included."""
        return len(self.words) + 1

    def option(self):
        """The option `caption` of a verb."""
        return Text(tuple(self.words), self.most, tuple(self.names), f"caption, such as '{self.example}'")

    @property
    def example(self):
        return " ".join(["large very dark", self.names[-1]])

    @staticmethod
    def measured(images):
        """Shade and size of the objects in images (B, H, W, C): (B, 2)."""
        grey = ops.mean(ops.cast(images, "float32"), axis=-1)
        inside = ops.cast(grey > BACKGROUND, "float32")
        size = ops.mean(inside, axis=(1, 2))
        return ops.stack([ops.mean(grey * inside, axis=(1, 2)) / ops.maximum(size, 1e-6), size], axis=-1)

    def observe(self, images, label):
        """Adds images and their classes int (B,) to the statistics."""
        one_hot, found = ops.one_hot(label, len(self.names), dtype="float32"), self.measured(images)
        self.counts.assign_add(replicas.summed(ops.sum(one_hot, axis=0)[:, None]))
        self.sums.assign_add(replicas.summed(ops.matmul(ops.transpose(one_hot), found)))
        self.squares.assign_add(replicas.summed(ops.matmul(ops.transpose(one_hot), ops.square(found))))

    def scores(self, images, label):
        """Standard scores of shade, over all images, and of size, within the class: two (B,)."""
        found = self.measured(images)

        def score(values, counts, sums, squares):
            mean = sums / ops.maximum(counts, 1.0)
            variance = ops.maximum(squares / ops.maximum(counts, 1.0) - ops.square(mean), 1e-8)
            return (values - mean) / ops.sqrt(variance)

        shade = score(found[:, 0], *(ops.sum(part[:, 0]) for part in (self.counts, self.sums, self.squares)))
        own = [ops.take(part[:, -1], label, axis=0) for part in (self.counts, self.sums, self.squares)]
        return shade, score(found[:, 1], *own)

    def tokens(self, images, label, omitted=None):
        """Tokens of the captions of images: int32 (B, T).

        Args:
            images: (B, H, W, C) in [0, 1].
            label: int (B,).
            omitted: bool (B, 3), which of size, shade and class the caption leaves out; None: none.
        """
        shade, size = self.scores(images, label)
        groups = [ops.sum(ops.cast(score[:, None] >= np.array(ends, "float32"), "int32"), axis=-1)
                  for score, ends in ((size, SIZE_ENDS), (shade, SHADE_ENDS))]
        fields = [ops.take(table, group, axis=0) for table, group in zip(self.tables, [*groups, label])]
        if omitted is not None:
            fields = [ops.where(omitted[:, index, None], 0, field) for index, field in enumerate(fields)]
        return self.aligned(ops.concatenate(fields, axis=-1))

    @staticmethod
    def aligned(tokens):
        """Rows of tokens with the empty ones behind the others."""
        order = tf.argsort(tf.cast(tokens == 0, tf.int32), axis=-1, stable=True)
        return tf.gather(tokens, order, batch_dims=1)

    def tokenised(self, texts):
        """Tokens of texts, string (B,): int32 (B, T). In a graph, unknown words and long texts fail with the words known."""
        return tokens_of(texts, self.words, self.most, "a caption")

    def texts(self, tokens):
        """Texts of tokens int (B, T): a list of str."""
        return [" ".join(self.words[token - 1] for token in row if token) for row in np.asarray(tokens)]
