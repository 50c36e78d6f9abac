"""Data sets by name: what is available, and what to do about a name that is not."""

import json
import pathlib

from tfgen.data.readers import tfds_store
from tfgen.data.readers.prepare import IDX_DATASETS
from tfgen.data.readers.tables import BUILT_IN
from tfgen.errors import UserError, did_you_mean


def unknown(name, data_dir):
    """The UserError for a name that is neither prepared nor a path."""
    builders = tfds_store.builder_names()
    here = tfds_store.root(data_dir)
    known = name.split("/")[0] in builders
    if name in IDX_DATASETS:
        return UserError(f"expected {name!r} prepared in {str(here)!r}, received nothing there: "
                         f"type: tfgen data prepare {name} --from DIR (DIR has its four *-ubyte.gz files)")
    if known:
        return UserError(f"expected {name!r} prepared in {str(here)!r}, received nothing there: "
                         f"type: tfds build {name}")
    if name.startswith((".", "~", "/")) or pathlib.Path(name).suffix:
        return UserError(f"expected an existing file or folder, received {name!r}: check the path")
    choices = ["digits", *BUILT_IN, *tfds_store.prepared(data_dir), *builders]
    return UserError(f"expected a dataset's name or an existing path, received {name!r}"
                     f"{did_you_mean(name, choices)}: see `tfgen data list`")


def available(data_dir=None):
    """[(name, location, description)] of all datasets that `load` finds by name: those of scikit-learn and prepared TFDS
    datasets."""
    rows = [("digits", "built in", "1,797 handwritten digits, 8x8, 10 classes (scikit-learn)"),
            ("iris", "built in", "150 vectors of 4 lengths of flowers, 3 classes (scikit-learn)"),
            ("wine", "built in", "178 vectors of 13 measurements, 3 classes (scikit-learn)"),
            ("breast_cancer", "built in", "569 vectors of 30 measurements of cell nuclei, 2 classes (scikit-learn)")]
    for name, folder in tfds_store.prepared(data_dir).items():
        try:
            text = json.loads((folder / "dataset_info.json").read_text("utf-8")).get("description", "")
        except (OSError, ValueError, AttributeError):
            text = "its dataset_info.json cannot be read: prepare it again"
        rows.append((name, str(folder), " ".join(str(text).split())[:200]))
    return rows
