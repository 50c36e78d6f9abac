"""Samplers of autoregressive models: pixel after pixel, in one graph.

Both take the same noise, so that they give the same images: `naive` runs the whole network for each pixel, `incremental`
recomputes only what a new pixel changes.
"""

import tensorflow as tf

from tfgen import noise


def noise_of(likelihood, image_shape, seeds, grid=0):
    """The noise of every pixel, a function of its image's seed alone: float32 (B, H, W, uniforms) in (0, 1).

    grid: number of the grid, for a sample that consists of several; each has noise of its own.
    """
    return noise.uniform(seeds, (*image_shape[:2], likelihood.uniforms(image_shape[-1])), noise.LIKELIHOOD + 256 * grid)


def _turns(likelihood, channels):
    """Channels to draw after each evaluation at a pixel: one by one, or all if the likelihood joins them."""
    return [tf.ones(channels, bool)] if likelihood.joint else [tf.range(channels) == c for c in range(channels)]


def naive(network, likelihood, uniforms, temperature, given, masks, labels=None, pixels=None):
    """Samples with one run of the whole network per pixel (and channel): the reference.

    Args:
        network: Functional model, images (or [images, labels]) -> parameters of `likelihood`.
        likelihood: a `tfgen.distributions.Likelihood` with `draw`.
        uniforms: `noise_of` the images, (B, H, W, uniforms).
        temperature: float32 (B,).
        given: images (B, H, W, C), of which the pixels with mask 1 are kept.
        masks: bool (B, H, W, 1).
        labels: int (B,), for a network that takes them.
        pixels: number of pixels after which to stop, for timing; None: all.

    Returns:
        Images (B, H, W, C).
    """
    height, width, channels = given.shape[1:]
    end = height * width if pixels is None else pixels

    def body(index, images):
        for turn in _turns(likelihood, channels):
            parameters = network(images if labels is None else [images, labels], training=False)
            made = likelihood.draw(tf.cast(parameters, tf.float32), uniforms, temperature)
            here = (tf.range(height * width) == index)[:, None] & turn
            images = tf.where(tf.reshape(here, (height, width, channels)) & ~masks, made, images)
        return index + 1, images

    start = tf.where(masks, given, 0.0)
    return tf.while_loop(lambda index, _: index < end, body, (0, start), parallel_iterations=1)[1]


def incremental(form, likelihood, uniforms, temperature, given, masks, labels=None):
    """Samples with the incremental form of a network; arguments and result as for `naive`.

    Args:
        form: `Incremental` of the network.
    """
    height, width, channels = given.shape[1:]
    batch = tf.shape(given)[0]
    constants, turns = form.per_batch(labels), _turns(likelihood, channels)

    def by_row(x):
        """(B, H, W, k) -> (H, W, B, 1, 1, k), read by row and pixel."""
        return tf.transpose(x, (1, 2, 0, 3))[:, :, :, None, None]

    uniforms, given, masks = by_row(uniforms), by_row(given), by_row(masks)

    def arrays():
        # One more element takes what columns between the cells of a coarser grid write.
        return {key: tf.TensorArray(tf.float32, x.shape[2] + 1, element_shape=(None, 1, 1, x.shape[-1]))
                for key, x in form.buffered.items()}

    def written(array, x, column, value):
        stride = form.stride(x)
        return array.write(tf.where(column % stride == 0, column // stride, x.shape[2]), tf.cast(value, tf.float32))

    def joined(array, size):
        return tf.transpose(array.stack()[:size, :, 0, 0], (1, 0, 2))[:, None]  # (B, 1, size, k)

    def one_row(row, states, images):
        row_values, of_rows, of_pixels = form.begin_row(constants, states, row, batch)

        def one_pixel(column, states, pixels, buffers):
            at, mask, made = (row, column), masks[row, column], tf.where(masks[row, column], given[row, column], 0.0)
            for turn in turns:
                parameters, values, found = form.pixel(constants, row_values, states, made, at)
                drawn = likelihood.draw(tf.cast(parameters, tf.float32), uniforms[row, column], temperature)
                made = tf.where(turn & ~mask, drawn, made)
            values, found = form.end_pixel(values, found, made, at)
            buffers = {key: written(buffers[key], x, column, values[key]) for key, x in form.buffered.items()}
            return column + 1, found, pixels.write(column, made), buffers

        pixels = tf.TensorArray(tf.float32, width, element_shape=(None, 1, 1, channels))
        _, of_pixels, pixels, buffers = tf.while_loop(lambda column, *_: column < width, one_pixel,
                                                      (0, of_pixels, pixels, arrays()), parallel_iterations=1)
        rows = {key: joined(buffers[key], x.shape[2]) for key, x in form.buffered.items()}
        return row + 1, form.end_row(of_rows, of_pixels, rows, row), images.write(row, joined(pixels, width)[:, 0])

    images = tf.TensorArray(tf.float32, height, element_shape=(None, width, channels))
    made = tf.while_loop(lambda row, *_: row < height, one_row, (0, form.start(batch), images), parallel_iterations=1)[-1]
    return tf.transpose(made.stack(), (1, 0, 2, 3))
