"""Causal transformers over the pixels of an image."""

import keras
from keras import layers

from tfgen.layers import (
    AllowedTokens,
    CausalSelfAttention,
    Dropout,
    HorizontalConv,
    LevelEmbedding,
    PixelShift,
    PositionEmbedding,
)
from tfgen.networks.conditioning import label_input
from tfgen.networks.pixelcnn import class_bias, multiple


def image_transformer(image_shape, parameters, levels=256, units=512, blocks=12, heads=4, hidden=2048, dropout=0.3,
                      block_length=256, memory=256, num_classes=None, groups=None):
    """Image Transformer with local attention in one dimension (Parmar et al., 2018), images -> parameters of a likelihood.

    Pixel t is represented by the embedded levels of pixel t - 1 and its own position. Each block is self-attention and a
    rectified hidden layer, both followed by dropout, a residual connection and layer normalisation. The last layer adds the
    earlier channels of the pixel itself.

    For a softmax, the paper makes each colour value an element of the sequence, 3 H W in all; here an element is a pixel,
    whatever the likelihood, and block lengths count pixels. Positions have the paper's learned embeddings, not its sines;
    those of levels are not multiplied by the root of the width, as the authors' are.

    Args:
        image_shape: (H, W, C).
        parameters: channels of the output.
        levels: grey levels of the images, which are embedded.
        units: width of a pixel's representation, a multiple of `heads`.
        blocks: number of blocks.
        heads: attention heads.
        hidden: width of a block's hidden layer.
        dropout: rate, in training.
        block_length, memory: as `block` and `memory` of `tfgen.layers.CausalSelfAttention`.
        num_classes: if given, the network takes `[images, labels]`; the embedded label is added to each pixel.
        groups: colours within a pixel, as for `tfgen.networks.pixelcnn.pixelcnn`.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, parameters).
    """
    groups = groups or image_shape[-1]
    image = keras.Input(image_shape, name="x")
    inputs = image
    x = PositionEmbedding()(PixelShift()(LevelEmbedding(levels, units)(image)))
    if num_classes:
        inputs = [image, label_input()]
        x = layers.Add()([x, class_bias(inputs[1], num_classes, units)])

    def added(x, y):
        return layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, Dropout(dropout)(y)]))

    for _ in range(blocks):
        x = added(x, CausalSelfAttention(heads, block_length, memory)(x))
        x = added(x, layers.Dense(units)(layers.Dense(hidden, "relu")(x)))
    if groups > 1:
        width = multiple(units, groups)
        own = HorizontalConv(width, 0, strict=True, groups=groups, use_bias=False)(image)
        x = layers.ReLU()(layers.Add()([layers.Dense(width)(x), own]))
    return keras.Model(inputs, HorizontalConv(parameters, 0, groups=groups)(x), name="network")


def token_transformer(grid, tokens, units=128, blocks=4, heads=4, dropout=0.1, segments=None):
    """A causal transformer over a grid of tokens in raster order, as GPT-2 (Radford et al., 2019): tokens -> logits.

    Position t is represented by the embedded token t - 1 and its own position. A block is x + attention(norm(x)), then
    x + hidden layer(norm(x)) of 4 `units` GELUs, each with dropout; attention is over all positions so far. GPT-2 also has
    biases and dropout in attention, and weights that start from N(0, 0.02^2).

    Args:
        grid: (h, w); a sequence of T tokens is (T, 1).
        tokens: number of tokens, V; token k is given as the level k / (V - 1).
        units: width of a position's representation, a multiple of `heads`.
        blocks: number of blocks.
        heads: attention heads.
        dropout: rate, in training.
        segments: see `tfgen.layers.AllowedTokens`; None: every token may occur at every position.

    Returns:
        A Functional model, (B, h, w, 1) in [0, 1] -> (B, h, w, V).
    """
    sequence, length = keras.Input((*grid, 1), name="x"), grid[0] * grid[1]
    x = Dropout(dropout)(PositionEmbedding()(PixelShift()(LevelEmbedding(tokens, units)(sequence))))

    def norm(x):
        return layers.LayerNormalization(epsilon=1e-5)(x)

    for _ in range(blocks):
        x = layers.Add()([x, Dropout(dropout)(CausalSelfAttention(heads, length, 0)(norm(x)))])
        y = layers.Dense(units)(layers.Dense(4 * units, "gelu")(norm(x)))
        x = layers.Add()([x, Dropout(dropout)(y)])
    x = HorizontalConv(tokens, 0)(norm(x))
    return keras.Model(sequence, AllowedTokens(segments)(x) if segments else x, name="network")
