"""Builds real TFDS data sets from files that are already on disk."""

import pathlib
import tempfile

from tfgen.data import files
from tfgen.data.sources import IDX_FAMILY, quiet_tfds
from tfgen.errors import UserError
from tfgen.suggest import did_you_mean


def prepare(name, folder, data_dir=None):
    """Builds TFDS' `fashion_mnist`, `mnist` or `kmnist` from the four `*-ubyte.gz` files in `folder`.

    The files are read and checked first; TFDS builds in a folder aside and renames it, so nothing is half-written.

    Args:
        name: which.
        folder: where the files are.
        data_dir: TFDS' folder; None: its default.

    Returns:
        The path of the prepared data set; at once, if it was there.

    Raises:
        UserError: for an unknown name, or files that are missing or damaged.
    """
    if name not in IDX_FAMILY:
        raise UserError(f"cannot prepare '{name}'{did_you_mean(name, IDX_FAMILY)}; expected one of "
                        f"{', '.join(IDX_FAMILY)} (others: `tfds build NAME`)")
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; expected one with train-images-idx3-ubyte.gz and its three fellows")
    tfds = quiet_tfds()
    builder = tfds.builder(name, data_dir=data_dir)
    if builder.is_prepared():
        return pathlib.Path(builder.data_dir)
    for split in files.IDX_NAMES.values():
        for kind in ("images-idx3", "labels-idx1"):
            if not (folder / f"{split}-{kind}-ubyte.gz").exists():
                raise UserError(f"expected {split}-{kind}-ubyte.gz in {folder}, it is not there")
    counts = {split: len(images) for split, (images, _) in files.idx_folder(folder).items()}
    if counts != {"train": 60_000, "test": 10_000}:
        raise UserError(f"expected 60000 training and 10000 test images in {folder}, received {counts}")
    # TFDS' builder fetches from its URL, which may be a folder.
    builder.URL = folder.resolve().as_uri() + "/"
    with tempfile.TemporaryDirectory() as downloads:
        builder.download_and_prepare(download_dir=downloads)
    return pathlib.Path(builder.data_dir)
