"""Where signals are sampled: coordinates of grids in [-1, 1]^D, and rays of pinhole cameras."""

import tensorflow as tf


def of_places(places, sides):
    """Coordinates of places on a grid: the centres of `n` equal cells of [-1, 1] along each axis, (2 i + 1) / n - 1.

    Args:
        places: integers (..., D), indices in the order of the array's axes: (row, column) for an image.
        sides: numbers of places along the axes, (D,).

    Returns:
        float32 (..., D) in (-1, 1).
    """
    return (2.0 * tf.cast(places, tf.float32) + 1.0) / tf.constant(sides, tf.float32) - 1.0


def grid(sides):
    """Coordinates of all places of a grid, the last axis fastest: float32 (product of sides, D)."""
    places = tf.stack(tf.meshgrid(*map(tf.range, sides), indexing="ij"), axis=-1)
    return of_places(tf.reshape(places, (-1, len(sides))), sides)


def rays(poses, places, image_shape, focal):
    """Rays through the centres of pixels of a pinhole camera that looks along its -z axis, with x right and y up.

    Args:
        poses: camera-to-world matrices (..., 4, 4); the fourth column is the camera's position.
        places: (row, column) of pixels, integers (..., 2).
        image_shape: (H, W, C).
        focal: focal length in pixels.

    Returns:
        float32 (..., 6): origin and direction of unit length, in world coordinates.
    """
    height, width = image_shape[:2]
    row, column = tf.unstack(tf.cast(places, tf.float32) + 0.5, axis=-1)
    seen = tf.stack([(column - width / 2.0) / focal, (height / 2.0 - row) / focal, -tf.ones_like(row)], axis=-1)
    directions = tf.linalg.l2_normalize(tf.linalg.matvec(poses[..., :3, :3], seen), axis=-1)
    return tf.concat([tf.broadcast_to(poses[..., :3, 3], tf.shape(directions)), directions], axis=-1)


def rays_of_images(poses, image_shape, focal):
    """Rays of all pixels of cameras with `poses` (B, 4, 4): float32 (B, H, W, 6)."""
    height, width = image_shape[:2]
    places = tf.stack(tf.meshgrid(tf.range(height), tf.range(width), indexing="ij"), axis=-1)
    poses = tf.cast(poses, tf.float32)[:, None, None]
    return rays(poses, tf.broadcast_to(places, (tf.shape(poses)[0], height, width, 2)), image_shape, focal)
