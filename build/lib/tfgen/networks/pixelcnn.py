"""PixelCNN, PixelRNN and Gated PixelCNN: causal convolutions, images -> parameters of a discrete likelihood per value."""

import keras
from keras import layers

from tfgen.layers import Dropout, Gate, HorizontalConv, LevelEmbedding, RowLSTM, VerticalConv
from tfgen.networks.blocks import from_unit
from tfgen.networks.conditioning import label_input


def masked_conv(x, filters, kernel_size, strict, groups):
    """Convolution with mask A (strict) or B: the sum of one over the rows above and one over the pixels to the left."""
    reach = kernel_size // 2
    y = HorizontalConv(filters, reach, strict, groups)(x)
    return layers.Add()([VerticalConv(filters, reach, reach, reach, strict=True, use_bias=False)(x), y]) if reach else y


def pixelcnn(image_shape, parameters, filters=16, blocks=15, head=32, groups=None):
    """PixelCNN (van den Oord et al., 2016, PixelRNN, table 1): mask A of 7x7, residual blocks with masks B of 3x3.

    Args:
        image_shape: (H, W, C).
        parameters: channels of the output.
        filters: h; maps have 2 h channels, and blocks narrow them to h.
        blocks: number of residual blocks: ReLU, 1x1 to h, ReLU, 3x3, ReLU, 1x1 to 2 h.
        head: channels of the two last hidden layers of 1x1.
        groups: number of colours within a pixel, each of which sees the earlier ones: channel i of a map belongs to colour
            i mod groups, and widths are rounded up to multiples. None: C; 1 for a likelihood that joins the channels.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, parameters).
    """
    groups = groups or image_shape[-1]
    filters, head = multiple(filters, groups), multiple(head, groups)
    image = keras.Input(image_shape, name="x")
    x = masked_conv(from_unit(image), 2 * filters, 7, True, groups)
    for _ in range(blocks):
        y = x
        for width, size in ((filters, 1), (filters, 3), (2 * filters, 1)):
            y = masked_conv(layers.ReLU()(y), width, size, False, groups)
        x = layers.Add()([x, y])
    for width in (head, head, parameters):
        x = masked_conv(layers.ReLU()(x), width, 1, False, groups)
    return keras.Model(image, x, name="network")


def pixelrnn(image_shape, parameters, units=16, blocks=7, head=32, groups=None):
    """PixelRNN with Row LSTMs (van den Oord et al., 2016, PixelRNN, table 1): mask A of 7x7, then residual Row LSTMs.

    The paper's optional skip connections from each layer to the output are left out, as in `pixelcnn`.

    Args:
        image_shape: (H, W, C).
        parameters: channels of the output.
        units: h, channels of each LSTM; maps have 2 h channels.
        blocks: number of LSTMs: input-to-state with mask B over 3 columns, state-to-state over 3 columns, 1x1 to 2 h.
        head: channels of the two last hidden layers of 1x1.
        groups: as for `pixelcnn`.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, parameters).
    """
    groups = groups or image_shape[-1]
    units, head = multiple(units, groups), multiple(head, groups)
    image = keras.Input(image_shape, name="x")
    x = masked_conv(from_unit(image), 2 * units, 7, True, groups)
    for _ in range(blocks):
        y = RowLSTM(units)(HorizontalConv(4 * units, 1, groups=groups)(x))
        x = layers.Add()([x, masked_conv(y, 2 * units, 1, False, groups)])
    for width in (head, head, parameters):
        x = masked_conv(layers.ReLU()(x), width, 1, False, groups)
    return keras.Model(image, x, name="network")


def gated_pixelcnn(image_shape, parameters, filters=64, blocks=7, kernel_size=5, head=64, dropout=0.0, num_classes=None,
                   groups=None, embedded=0, conditioning=None):
    """Gated PixelCNN (van den Oord et al., 2016, Conditional Image Generation, figure 2), which has no blind spot.

    The vertical stack sees all rows above, the horizontal stack the pixels to the left and, by 1x1, the vertical stack; each
    block is gated, tanh(W_f x + V_f y) sigmoid(W_g x + V_g y) with the label or the map y of a conditional network, and
    residual in the horizontal stack, except for the first, which would pass on the pixel itself.

    Args:
        image_shape: (H, W, C).
        parameters: channels of the output.
        filters: channels of both stacks.
        blocks: number of gated layers, of which the first has kernels of 7x7 and masks A.
        kernel_size: of the other layers, odd.
        head: channels of the last hidden layer, of 1x1.
        dropout: rate after each gate, in training.
        num_classes: if given, the network takes `[images, labels]`.
        groups: as for `pixelcnn`.
        embedded: number of levels of images whose levels are codes, without an order, and so are embedded; 0: grey levels.
        conditioning: a Functional model, a condition -> map (B, H, W, k), if the network takes `[images, condition]`.

    Returns:
        A Functional model, (B, H, W, C) in [0, 1] -> (B, H, W, parameters).
    """
    groups = groups or image_shape[-1]
    filters, head = multiple(filters, groups), multiple(head, groups)
    image = keras.Input(image_shape, name="x")
    inputs, biases = image, []
    if num_classes:
        inputs = [image, label_input()]
        biases.append(lambda: class_bias(inputs[1], num_classes, 2 * filters))
    if conditioning:
        inputs = [image, keras.Input(conditioning.inputs[0].shape[1:], name="condition")]
        known = conditioning(inputs[1])
        biases.append(lambda: layers.Dense(2 * filters, use_bias=False)(known))
    vertical = horizontal = LevelEmbedding(embedded, filters)(image) if embedded else from_unit(image)
    for block in range(blocks):
        first, reach = block == 0, 3 if block == 0 else kernel_size // 2
        above = VerticalConv(2 * filters, reach, reach, reach, strict=first)(vertical)
        left = HorizontalConv(2 * filters, reach, first, groups)(horizontal)
        left = layers.Add()([left, layers.Dense(2 * filters, use_bias=False)(above)])
        for bias in biases:
            above, left = (layers.Add()([x, bias()]) for x in (above, left))
        vertical, left = (Dropout(dropout)(Gate()(x)) if dropout else Gate()(x) for x in (above, left))
        made = HorizontalConv(filters, 0, groups=groups)(left)
        horizontal = made if first else layers.Add()([horizontal, made])
    x = horizontal
    for width in (head, parameters):
        x = HorizontalConv(width, 0, groups=groups)(layers.ReLU()(x))
    return keras.Model(inputs, x, name="network")


def class_bias(label, num_classes, channels):
    """A bias per class: (B,) -> (B, 1, 1, channels)."""
    return layers.Reshape((1, 1, channels))(layers.Embedding(num_classes, channels)(label))


def multiple(width, groups):
    """The smallest multiple of `groups` that is at least `width`."""
    return -(-width // groups) * groups
