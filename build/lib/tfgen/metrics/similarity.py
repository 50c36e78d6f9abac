"""Similarity of generated images to target images: L1, PSNR and SSIM."""

import numpy as np
import tensorflow as tf

from tfgen.errors import UserError

# Lower bound of the mean squared error, which limits PSNR to 100 dB; smaller errors are rounding.
LEAST_ERROR = 1e-10


def psnr(made, wanted):
    """Peak signal-to-noise ratio of each image in dB: -10 log10 MSE, at most 100.

    Args:
        made, wanted: float images (N, H, W, C) in [0, 1].

    Returns:
        (N,).
    """
    error = np.mean(np.square(np.subtract(made, wanted)), axis=(1, 2, 3))
    return -10.0 * np.log10(np.maximum(error, LEAST_ERROR))


def ssim(made, wanted):
    """Structural similarity of each image (Wang et al., 2004), in [-1, 1], 1 for equal images.

    (2 m n + c1)(2 cov + c2) / ((m^2 + n^2 + c1)(var + var' + c2)), c1 = 0.01^2, c2 = 0.03^2, with means m, n, variances
    and covariance weighted by a Gaussian of sigma 1.5 in an 11 x 11 window; averaged over all windows inside the image
    and over channels (`tf.image.ssim`). Images with a side below 11 use the largest odd window that fits, so that their
    values are only comparable with each other. Computed in float32, accurate to about 1e-4 for flat images.

    Args:
        made, wanted: float images (N, H, W, C) in [0, 1].

    Returns:
        float32 (N,).
    """
    side = min(11, *np.shape(made)[1:3])
    return tf.image.ssim(tf.cast(made, tf.float32), tf.cast(wanted, tf.float32), max_val=1.0,
                         filter_size=side - 1 + side % 2, filter_sigma=1.5, k1=0.01, k2=0.03).numpy()


def similarity(made, wanted, batch_size=256):
    """Means over images of the absolute difference, `psnr` and `ssim`.

    Args:
        made, wanted: float images (N, H, W, C) in [0, 1], N >= 1; image i of one is compared with image i of the other.
        batch_size: images per batch.

    Returns:
        {"l1": in [0, 1], "psnr_db": in dB, "ssim": in [-1, 1]}, numbers of JSON types.

    Raises:
        UserError: another rank, different shapes, no images, or values that are non-finite or outside [0, 1].
    """
    made, wanted = np.asarray(made), np.asarray(wanted)
    if made.ndim != 4 or made.shape != wanted.shape or not made.size:
        raise UserError(f"similarity expects two arrays of images (N, H, W, C) of one shape, N >= 1, received "
                         f"{made.shape} and {wanted.shape}: give as many images of one size on both sides")
    for name, images in (("made", made), ("wanted", wanted)):
        low, high = images.min(), images.max()
        if not (np.issubdtype(images.dtype, np.floating) and low >= 0 and high <= 1):
            raise UserError(f"similarity expects float images in [0, 1], received {name} images of {images.dtype} in "
                             f"{low:g} ... {high:g}: divide 8-bit images by 255, clip others")
    parts = []
    for start in range(0, len(made), batch_size):
        pair = made[start:start + batch_size], wanted[start:start + batch_size]
        parts.append([np.mean(np.abs(pair[0] - pair[1]), axis=(1, 2, 3)), psnr(*pair), ssim(*pair)])
    values = np.concatenate(parts, axis=1).mean(axis=1, dtype=float)  # (3, N) -> (3,)
    return dict(zip(("l1", "psnr_db", "ssim"), map(float, values)))
