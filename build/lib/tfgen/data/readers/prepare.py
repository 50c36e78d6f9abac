"""Builds TFDS datasets from files that are already on this machine."""

import gzip
import importlib
import pathlib
import shutil
import tempfile

from tfgen.data.readers import arrays, tfds_store
from tfgen.errors import UserError

IDX_DATASETS = ("fashion_mnist", "kmnist", "mnist")


def _counts(builder_class):
    """Number of images per split that the TFDS builder reads, regardless of the file headers."""
    module = importlib.import_module(builder_class.__module__)
    return {"train": getattr(module, "_TRAIN_EXAMPLES", 60_000), "test": getattr(module, "_TEST_EXAMPLES", 10_000)}


def _validated(name, from_dir, counts):
    """Paths of the four files after reading and checking each completely."""
    paths = arrays.idx_paths(from_dir)
    for split, pair in paths.items():
        images, labels = arrays.read_idx_pair(*pair)
        if images.shape != (counts[split], 28, 28, 1):
            raise UserError(f"{name} expects {counts[split]} {split} images of 28x28, received {len(images)} of "
                            f"{images.shape[1]}x{images.shape[2]} in {str(from_dir)!r}: to use these files as they "
                            f"are, give that folder as the data")
        if labels.max() > 9:
            raise UserError(f"{name} expects labels 0 to 9, received {labels.max()} in {str(pair[1])!r}: "
                            "get the file again from its source")
    return paths


def prepare(name, from_dir, data_dir=None):
    """Builds a TFDS dataset from its four IDX files; returns at once if it is already prepared.

    All files are read and checked before anything is written, and TFDS renames the finished folder into place, so that
    a failure or Ctrl-C leaves no partial dataset.

    Args:
        name: 'fashion_mnist', 'kmnist' or 'mnist'.
        from_dir: folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each gzipped (.gz) or not.
        data_dir: folder of prepared datasets; None uses the TFDS default.

    Returns:
        pathlib.Path of the prepared dataset.

    Raises:
        UserError: another name, missing or broken files, or a wrong number of images.
    """
    if name not in IDX_DATASETS:
        raise UserError(f"prepare expects one of {', '.join(IDX_DATASETS)}, received {name!r}: "
                        f"for other datasets type: tfds build {name}")
    done = tfds_store.prepared(data_dir).get(name)
    if done:
        return done
    with tfds_store.quiet() as tfds:
        builder_class = tfds.builder_cls(name)
        paths = _validated(name, from_dir, _counts(builder_class))
        try:
            with tempfile.TemporaryDirectory(prefix="tfgen-prepare-") as scratch:
                _build(tfds, builder_class, paths, pathlib.Path(scratch), tfds_store.root(data_dir))
        except OSError as error:
            raise UserError(f"expected to write the dataset to {str(tfds_store.root(data_dir))!r}, received: "
                            f"{error.strerror or error}: free space or choose another data_dir") from None
    return tfds_store.prepared(data_dir)[name]


def _build(tfds, builder_class, paths, scratch, data_dir):
    source = scratch / "source"
    source.mkdir()
    for pair in paths.values():
        for path in pair:
            # The builder expects gzipped files.
            if path.name.endswith(".gz"):
                (source / path.name).symlink_to(path.absolute())
            else:
                with open(path, "rb") as plain, gzip.open(source / f"{path.name}.gz", "wb", 1) as packed:
                    shutil.copyfileobj(plain, packed)
    own = "URL" in vars(builder_class)
    url = builder_class.URL
    builder_class.URL = source.as_uri() + "/"
    try:
        builder_class(data_dir=str(data_dir)).download_and_prepare(download_dir=str(scratch / "downloads"))
    finally:
        if own:
            builder_class.URL = url
        else:
            del builder_class.URL
