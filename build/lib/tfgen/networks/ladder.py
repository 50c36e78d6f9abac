"""Networks of a hierarchical VAE: features bottom-up, and for each layer of latents a prior, a posterior and a merge."""

import math

from keras import Input, Model, initializers, layers

from tfgen.errors import require
from tfgen.networks.blocks import from_unit
from tfgen.networks.grids import crop_to, sizes, unpack


def kernel_of(grid):
    """3, or 1 on grids of at most two places a side, where neighbours are seen already (Child, 2021)."""
    return 3 if min(grid) > 2 else 1


def scaled(factor):
    """Glorot's uniform initializer times `factor`, the standard deviation's."""
    return initializers.VarianceScaling(factor**2, "fan_avg", "uniform")


def convolution(x, filters, size=1, **options):
    return layers.Conv2D(filters, size, padding="same", **options)(x)


def bottleneck(x, hidden, activation):
    """A 1x1 and a 3x3 convolution with `hidden` channels, an activation before each and after the last.

    A 1x1 convolution follows. Blocks of Child (2021) have a second 3x3 convolution.
    """
    x = layers.Activation(activation)(x)
    for size in (1, kernel_of(x.shape[1:3])):
        x = layers.Activation(activation)(convolution(x, hidden, size))
    return x


def residual(x, hidden, activation, factor):
    """x + f(x), f a bottleneck whose last convolution starts at `factor` times its usual scale."""
    made = convolution(bottleneck(x, hidden, activation), x.shape[-1], kernel_initializer=scaled(factor))
    return layers.Add()([x, made])


def statistics(x, channels, initializer):
    """Mean and log variance of a Gaussian, concatenated: 1x1 convolutions, the log variance r as 10 tanh(r / 10).

    The bounds keep KL terms and their gradients finite (Vahdat & Kautz, 2020, bound log standard deviations by 5).
    """
    raw = convolution(x, channels, kernel_initializer=initializer())
    log_var = layers.Rescaling(10.0)(layers.Activation("tanh")(layers.Rescaling(0.1)(raw)))
    return layers.Concatenate()([convolution(x, channels, kernel_initializer=initializer()), log_var])


def encoder(image_shape, widths, counts, hidden, stem=1, blocks=1, activation="silu"):
    """Images -> features for each layer of latents, top first, the first grid being 1x1.

    Args:
        image_shape: (H, W, C).
        widths: channels of each grid, coarsest first.
        counts: layers of latents on each grid, coarsest first.
        hidden: channels within the residual blocks of each grid.
        stem: number of times that the image is halved before the finest grid.
        blocks: residual blocks per grid.
        activation: Keras activation.

    Returns:
        A Functional model, (B, H, W, C) -> list of `sum(counts)` tensors (B, h, w, `widths` of its grid).
    """
    image = Input(image_shape, name="x")
    x, found = from_unit(image), []
    for level in reversed(range(len(widths))):
        if level == 0:
            x = layers.Conv2D(widths[0], x.shape[1:3])(layers.Activation(activation)(x))
        else:
            stride = 2 if found else 2**stem
            x = convolution(x, widths[level], max(3, 2 * stride - 1), strides=stride)
        for _ in range(blocks):
            x = residual(x, hidden[level], activation, math.sqrt(1.0 / (blocks * len(widths))))
        found += [x] * counts[level]
    return Model(image, found[::-1], name="encoder")


def prior(grid, width, channels, activation="silu"):
    """h -> mean and log variance of z given the layers above: at the start 0 and 0, whatever h (Child, 2021).

    Returns:
        A Functional model, (B, *grid, width) -> (B, *grid, 2 channels).
    """
    h = Input((*grid, width), name="h")
    return Model(h, statistics(layers.Activation(activation)(h), channels, initializers.Zeros), name="prior")


def posterior(grid, width, hidden, channels, activation="silu"):
    """[h, e] -> mean and log variance of z given the layers above and the image, from h + e.

    The last kernel starts at a tenth of its usual scale: the posterior starts near a standard normal, as does the prior.

    Returns:
        A Functional model, two (B, *grid, width) -> (B, *grid, 2 channels).
    """
    h, e = Input((*grid, width), name="h"), Input((*grid, width), name="e")
    made = bottleneck(layers.Add()([h, e]), hidden, activation)
    return Model([h, e], statistics(made, channels, lambda: scaled(0.1)), name="posterior")


def merge(grid, width, hidden, channels, factor, larger=None, larger_width=None, activation="silu"):
    """[h, z] -> the state below: h + W z, then a residual block, then the next grid if there is one.

    Args:
        grid: (h, w).
        width, channels: channels of h and of z.
        factor: scale of the initial weights of W and of the end of the residual block.
        larger, larger_width: grid and channels of the next layer's state, if it is another grid.

    Returns:
        A Functional model, (B, *grid, width) and (B, *grid, channels) -> (B, *grid, width) or (B, *larger, larger_width).
    """
    h, z = Input((*grid, width), name="h"), Input((*grid, channels), name="z")
    x = layers.Add()([h, convolution(z, width, kernel_initializer=scaled(factor))])
    x = residual(x, hidden, activation, factor)
    if larger is not None:
        x = enlarged(layers.Activation(activation)(x), larger, larger_width)
    return Model([h, z], x, name="merge")


def decoder(image_shape, grid, width, outputs, stem=1, activation="silu"):
    """The last state -> parameters of a likelihood: a convolution whose channels are the pixels of a place of the grid.

    Returns:
        A Functional model, (B, *grid, width) -> (B, H, W, outputs).
    """
    h = Input((*grid, width), name="h")
    x = convolution(layers.Activation(activation)(h), outputs * 4**stem, kernel_of(grid))
    return Model(h, crop_to(unpack(x, 2**stem, outputs), image_shape[:2]), name="decoder")


def enlarged(x, grid, width):
    """Features on `grid` with `width` channels, from those of a coarser grid: a linear map of each place to its places.

    From one place to a grid of any size, the map is fully connected, so that places differ.
    """
    if x.shape[1:3] == (1, 1):
        return layers.Reshape((*grid, width))(layers.Dense(math.prod(grid) * width)(layers.Flatten()(x)))
    return crop_to(unpack(convolution(x, 4 * width), 2, width), grid)


def hierarchy(image_shape, parameters, widths, hidden, counts, channels, stem=1, blocks=1, activation="silu"):
    """The networks of a `HierarchicalVAE`, whose top is a grid of one place, and each grid after the second twice as fine as
    the one before.

    Args:
        image_shape: (H, W, C).
        parameters: channels of the decoder's output, those of the likelihood.
        widths: channels of the states on each grid, coarsest first.
        counts: layers of latents on each grid, coarsest first.
        channels: channels of a latent on each grid, coarsest first.
        stem: number of times that the image is halved before the finest grid, 0 ... 3.
        blocks: residual blocks per grid of the encoder.
        activation: Keras activation.

    Returns:
        {"encoder": Model, "priors": [Model, ...], "posteriors": …, "merges": …, "decoder": Model}, the arguments of
        `HierarchicalVAE` of these names.

    Raises:
        UserError: if there are not as many widths, counts and channels, or a count is under 1.
    """
    require(len(widths) == len(hidden) == len(counts) == len(channels) > 1 and min(counts) >= 1,
            "expected a width, a count of at least 1 and channels for each grid, received "
            f"widths {widths}, counts {counts}, channels {channels}")
    grids = [(1, 1), *sizes(image_shape, stem + len(widths) - 2)[:len(widths) - 1]]
    # One entry per layer of latents: its grid, width and channels.
    ladder = [row for *row, count in zip(grids, widths, hidden, channels, counts) for _ in range(count)]
    factor = math.sqrt(1.0 / len(ladder))
    merges = []
    for (grid, width, inner, depth), (larger, larger_width, *_) in zip(ladder, [*ladder[1:], ladder[-1]]):
        changes = {} if (larger, larger_width) == (grid, width) else {"larger": larger, "larger_width": larger_width}
        merges.append(merge(grid, width, inner, depth, factor, **changes, activation=activation))
    return {"encoder": encoder(image_shape, widths, counts, hidden, stem, blocks, activation),
            "priors": [prior(grid, width, depth, activation) for grid, width, _, depth in ladder],
            "posteriors": [posterior(*row, activation) for row in ladder],
            "merges": merges,
            "decoder": decoder(image_shape, grids[-1], widths[-1], parameters, stem, activation)}
