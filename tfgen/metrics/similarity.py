"""How near made images are to the ones wanted, pixel by pixel and window by window."""

import numpy as np
import tensorflow as tf

from tfgen.errors import UserError

# Below it (100 dB) an error is rounding.
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
    and covariance weighed by a Gaussian of sigma 1.5 in an 11 x 11 window; averaged over the windows that lie within
    the image and over channels (`tf.image.ssim`). The window of images with a side under 11 is as large as the greatest
    odd number that fits, so their values compare with each other only. Computed in float32: right to
    about 1e-4 where images are flat.

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
        made, wanted: float images (N, H, W, C) in [0, 1], N >= 1, image i of one beside image i of the other.
        batch_size: images at a time.

    Returns:
        {"l1": in [0, 1], "psnr_db": in dB, "ssim": in [-1, 1]}, numbers of JSON types.

    Raises:
        UserError: another rank, shapes that differ, no images, or values that are not finite or outside [0, 1].
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
