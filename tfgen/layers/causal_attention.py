"""What a causal transformer over pixels is made of, each with a parallel and an incremental form."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.causal import CausalLayer
from tfgen.layers.slices import sliced
from tfgen.serialization import serializable


@serializable
class LevelEmbedding(keras.layers.Layer):
    """A learned vector per grey level and channel, summed over channels: (B, H, W, C) in [0, 1] -> (B, H, W, units).

    Args:
        levels: number n of grey levels; an image value x has the level round(x (n - 1)).
        units: width of the vectors.
    """

    pointwise = True

    def __init__(self, levels, units, **kwargs):
        super().__init__(**kwargs)
        self.levels = levels
        self.units = units
        # Half precision cannot tell the levels of many codes apart.
        self.autocast = False

    def build(self, input_shape):
        start = keras.initializers.RandomNormal(0.0, self.units**-0.5)
        self.table = self.add_weight((input_shape[-1] * self.levels, self.units), start, name="table")

    def call(self, x):
        level = ops.cast(ops.round(ops.cast(x, "float32") * (self.levels - 1)), "int32")
        rows = level + self.levels * ops.arange(x.shape[-1], dtype="int32")
        return ops.sum(ops.take(ops.cast(self.table, self.compute_dtype), rows, axis=0), axis=-2)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)


@serializable
class PixelShift(CausalLayer):
    """The map of the previous pixel in raster order, 0 at the first."""

    strict = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.channels = input_shape[-1]

    def call(self, x):
        height, width, channels = x.shape[1:]
        flat = ops.reshape(x, (-1, height * width, channels))
        return ops.reshape(ops.pad(sliced(flat, 1, 0, -1), [[0, 0], [1, 0], [0, 0]]), (-1, height, width, channels))

    def start(self, batch):
        return tf.zeros((batch, 1, 1, self.channels), self.compute_dtype)

    def step(self, x, state, at):
        return state, x


@serializable
class PositionEmbedding(CausalLayer):
    """Adds learned vectors: of the row to one half of the channels, of the column to the other (Parmar et al., 2018); of a
    sequence, (T, 1), of the row to all channels."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, input_shape):
        height, width, channels = input_shape[1:]
        start = keras.initializers.RandomNormal(0.0, channels**-0.5)
        of_row = channels if width == 1 else channels // 2
        self.rows = self.add_weight((height, of_row), start, name="rows")
        start = keras.initializers.RandomNormal(0.0, channels**-0.5)
        self.columns = self.add_weight((width, channels - of_row), start, name="columns")

    def call(self, x):
        height, width = x.shape[1:3]
        rows = ops.broadcast_to(ops.expand_dims(self.rows, 1), (height, width, self.rows.shape[1]))
        columns = ops.broadcast_to(ops.expand_dims(self.columns, 0), (height, width, self.columns.shape[1]))
        return x + ops.cast(ops.concatenate([rows, columns], -1), x.dtype)

    def step(self, x, state, at):
        row, column = (tf.gather(tf.convert_to_tensor(table), index) for table, index in zip((self.rows, self.columns), at))
        return x + tf.cast(tf.concat([row, column], 0), x.dtype), state


@serializable
class AllowedTokens(CausalLayer):
    """Gives logits of tokens that do not occur at a position -1e9: (B, H, W, V) -> float32 (B, H, W, V).

    Args:
        segments: [(positions, tokens)] in order: that many positions of the raster each take one of that many tokens, of
            which each segment has its own, numbered on from those of the segments before. Sums: H W and V.
    """

    def __init__(self, segments, **kwargs):
        super().__init__(**kwargs)
        self.segments = [tuple(segment) for segment in segments]

    def build(self, input_shape):
        height, self.width, tokens = input_shape[1:]
        sums = tuple(sum(part) for part in zip(*self.segments))
        wanted = (height * self.width, tokens)
        require(sums == wanted, f"AllowedTokens expects segments with sums (positions, tokens) {wanted}, received {sums}")
        ends = np.cumsum(self.segments, axis=0)
        segment = np.searchsorted(ends[:, 0], np.arange(height * self.width), side="right")
        own = np.searchsorted(ends[:, 1], np.arange(tokens), side="right")
        self.bias = np.where(segment[:, None] == own, 0.0, -1e9).astype("float32").reshape(height, self.width, tokens)

    def call(self, x):
        return ops.cast(x, "float32") + self.bias

    def step(self, x, state, at):
        return ops.cast(x, "float32") + tf.constant(self.bias)[at[0], at[1]], state

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, "float32")


@serializable
class CausalSelfAttention(CausalLayer):
    """Multi-head self-attention over the pixels so far, the own one included, local in one dimension (Parmar et al., 2018).

    The H W pixels in raster order are divided into blocks of `block` queries. A query at t in the block that starts at b
    attends to the pixels b - memory ... t: softmax(q k^T / sqrt(d)) v, with heads of d = channels / heads.

    The incremental form keeps keys and values in two caches: a large one of complete rows, written and cut to what the row
    attends to once per row, and a small one of the own row, written by each pixel.

    Args:
        heads: number of heads, a divisor of the channels.
        block: number of queries per block, >= 1; H W or more attends to all pixels so far.
        memory: number of pixels before a block that its queries attend to, >= 0.
    """

    def __init__(self, heads=4, block=256, memory=256, **kwargs):
        super().__init__(**kwargs)
        require(heads >= 1 and block >= 1 and memory >= 0, f"CausalSelfAttention expects heads >= 1, block >= 1 and "
                                                           f"memory >= 0, received {heads}, {block}, {memory}")
        self.heads = heads
        self.block = block
        self.memory = memory

    def build(self, input_shape):
        self.height, self.width, channels = input_shape[1:]
        require(channels % self.heads == 0, f"CausalSelfAttention expects channels that heads={self.heads} divides, "
                                            f"received {channels}")
        self.size = channels // self.heads
        self.project = keras.layers.Dense(3 * channels, use_bias=False, dtype=self.dtype_policy, name="project")
        self.merge = keras.layers.Dense(channels, use_bias=False, dtype=self.dtype_policy, name="merge")
        self.project.build(input_shape)
        self.merge.build(input_shape)

    def projected(self, x, length):
        """Queries (scaled), keys and values, each (B, heads, length, d), of maps with `length` pixels."""
        split = ops.reshape(self.project(x), (-1, length, 3, self.heads, self.size))
        q, k, v = (ops.transpose(split[:, :, index], (0, 2, 1, 3)) for index in range(3))
        return q / math.sqrt(self.size), k, v

    def call(self, x):
        length = self.height * self.width
        q, k, v = self.projected(x, length)
        block = min(self.block, length)
        blocks = -(-length // block)
        memory = min(self.memory, length) if blocks > 1 else 0
        # Blocks (B, heads, blocks, block, d); the window of a block is its memory and itself.
        rest = blocks * block - length
        q = ops.reshape(ops.pad(q, [[0, 0], [0, 0], [0, rest], [0, 0]]), (-1, self.heads, blocks, block, self.size))
        keys = np.arange(blocks)[:, None] * block - memory + np.arange(memory + block)  # (blocks, memory + block)
        queries = np.arange(blocks)[:, None] * block + np.arange(block)
        seen = (keys[:, None] >= 0) & (keys[:, None] <= queries[:, :, None])  # (blocks, block, memory + block)
        index = np.clip(keys, 0, length - 1)
        k, v = (ops.take(part, index, axis=2) if blocks > 1 else ops.expand_dims(part, 2) for part in (k, v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 2, 4, 3)))
        made = ops.matmul(self.weights_of(scores, seen), v)
        made = sliced(ops.reshape(made, (-1, self.heads, blocks * block, self.size)), 2, 0, length)
        return self.merge(ops.reshape(ops.transpose(made, (0, 2, 1, 3)), (-1, *x.shape[1:])))

    @staticmethod
    def weights_of(scores, seen):
        """Softmax over the keys that are seen (bool, broadcasts), in float32."""
        masked = ops.where(seen, ops.cast(scores, "float32"), -1e9)
        return ops.cast(ops.softmax(masked, axis=-1), scores.dtype)

    def start(self, batch):
        return tf.zeros((2, batch, self.heads, self.height, self.width, self.size), self.compute_dtype)

    def first_seen(self, position):
        """The first pixel that the query at `position` attends to."""
        return tf.maximum(0, position - position % self.block - self.memory)

    def begin_row(self, state, row):
        # Complete rows that a query of the row attends to, and an empty row.
        first = self.first_seen(row * self.width) // self.width
        shape = (2, tf.shape(state)[1], self.heads, (row - first) * self.width, self.size)
        past = tf.reshape(state[:, :, :, first:row], shape)
        return state, past, tf.zeros_like(state[:, :, :, 0])

    def end_row(self, state, row):
        rows, _, own = state
        return tf.where((tf.range(self.height) == row)[:, None, None], own[:, :, :, None], rows)

    def step(self, x, state, at):
        rows, past, own = state
        q, k, v = self.projected(x, 1)
        own = tf.where((tf.range(self.width) == at[1])[:, None], tf.stack([k, v]), own)
        start, length = at[0] * self.width, tf.shape(past)[3]
        position, key = start + at[1], tf.range(start - length, start + self.width)
        seen = (key >= self.first_seen(position)) & (key <= position)
        scores = tf.concat([tf.matmul(q, part[0], transpose_b=True) for part in (past, own)], -1)
        before, current = tf.split(self.weights_of(scores, seen), [length, self.width], -1)
        made = tf.matmul(before, past[1]) + tf.matmul(current, own[1])  # (B, heads, 1, d)
        return self.merge(tf.reshape(made, (-1, 1, 1, self.heads * self.size))), (rows, past, own)
