"""Reads one signal, or posed views of a scene, from a file."""

import warnings

import numpy as np
from scipy.io import wavfile

from tfgen.data.readers import arrays, image_files
from tfgen.data.readers.resize import resize
from tfgen.errors import UserError

SUFFIXES = (*image_files.SUFFIXES, ".wav", ".npy")


def read_signal(path, fit):
    """The array of one signal, uint8 or float (*grid, C); None for files of another kind.

    Args:
        path: an image file, (H, W, C); a .wav file, (T, C), whose samples s in [-1, 1] become (s + 1) / 2; or a .npy file
            of an array.
        fit: `readers.resize.Fit`, applied to an image.

    Raises:
        UserError: for a file that cannot be read.
    """
    ending = path.suffix.lower()
    if not path.is_file() or ending not in SUFFIXES:
        return None
    if ending in image_files.SUFFIXES:
        image = image_files.decode(path, image_files.header(path)[0])
        return resize(image, fit.size, fit.mode) if fit.size else image
    if fit.size:
        raise UserError(f"image_size expects an image, received {path.name!r}: leave out --image-size")
    if ending == ".npy":
        return arrays.read_npy(path)
    try:
        return read_wav(path)
    except MemoryError:
        raise
    except Exception as error:  # SciPy's reader of broken files raises errors of many kinds
        raise UserError(f"expected sound in {str(path)!r}, received a file that cannot be read "
                        f"({' '.join(str(error).split())[:100]}): save it again") from None


def read_wav(path):
    """float32 (T, C) in [0, 1] of a .wav file: (s + 1) / 2 for samples s in [-1, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks without samples
        _, samples = wavfile.read(path)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.dtype == np.uint8:
        return samples.astype(np.float32) / 255.0
    span = np.iinfo(samples.dtype).max + 1.0 if samples.dtype.kind == "i" else 1.0
    return (0.5 * (samples / span) + 0.5).astype(np.float32).clip(0.0, 1.0)


def read_posed(path):
    """(images, poses, focal) of a .npz file with posed views, for `data.posed`; None for other files.

    Keys: images (or x_train, x_validation, x_test), poses (or poses_train ...) and focal.

    Raises:
        UserError: for a file that cannot be read, or has poses, but lacks images or the focal length.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    with arrays.npz(path) as (members, archive):
        if not any(key.split("_")[0] == "poses" for key in members):
            return None
        try:
            focal = float(archive[members["focal"]])
            if "poses" in members:
                return archive[members["images"]], archive[members["poses"]], focal
            splits = [key.removeprefix("poses_") for key in members if key.startswith("poses_")]
            return *({split: archive[members[f"{key}_{split}"]] for split in splits} for key in ("x", "poses")), focal
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"expected images, poses and focal in {str(path)!r}, or x_train, poses_train and so on, "
                            f"received {', '.join(sorted(members))} ({' '.join(str(error).split())[:80]}): save "
                            "those with np.savez") from None
