"""Distances of images by the features of a network, and the task without labels on which such a network is trained."""

import tensorflow as tf
from keras import ops


def perceptual_distance(ours, theirs, weights=None):
    """Distance of two batches of images by their feature maps, as LPIPS (Zhang et al., 2018, arXiv:1801.03924).

    sum over layers of the mean over positions of sum_c w_c (a_c / ||a|| - b_c / ||b||)^2, with a and b the features of a
    layer at a position.

    Args:
        ours, theirs: lists of feature maps (B, h, w, c), one per layer.
        weights: one w >= 0 per layer, a number or (c,), such as LPIPS' weights of people's judgements; None uses 1
            ("baseline" in the authors' code).

    Returns:
        (B,), >= 0.
    """
    weights = [1.0] * len(ours) if weights is None else weights
    return sum(ops.mean(ops.sum(w * ops.square(unit(a) - unit(b)), axis=-1), axis=(1, 2))
               for a, b, w in zip(ours, theirs, weights, strict=True))


def unit(features):
    """Features scaled to unit length at each position."""
    features = ops.cast(features, "float32")
    return features / ops.sqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + 1e-10)


def rotations(images):
    """(images (4 B, H, H, C) rotated by 0, 90, 180 and 270 degrees, index of the rotation (4 B,)) (Gidaris et al., 2018)."""
    turned = tf.concat([tf.image.rot90(images, turns) for turns in range(4)], axis=0)
    return turned, tf.repeat(tf.range(4, dtype=tf.int64), tf.shape(images)[0])


def reflections(images):
    """(images (4 B, H, W, C): original, rotated by 180 degrees, mirrored, upside down; index of that (4 B,))."""
    mirrored = tf.reverse(images, [2])
    made = tf.concat([images, tf.reverse(mirrored, [1]), mirrored, tf.reverse(images, [1])], axis=0)
    return made, tf.repeat(tf.range(4, dtype=tf.int64), tf.shape(images)[0])


def turned(images):
    """`rotations` of square images, else `reflections`."""
    return (rotations if images.shape[1] == images.shape[2] else reflections)(images)
