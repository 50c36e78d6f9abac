"""Which options of `load` belong to which kind of data."""

from tfgen.data.spec import KINDS, VECTORS
from tfgen.errors import UserError

IMAGES, SIGNAL = "images", KINDS["signal"]
# {option: kinds of data, as `DataSpec.kind` says them, that it applies to}
APPLY = {**dict.fromkeys(("pairs", "domains", "group_by", "skip_unreadable", "levels", "binarise"), (IMAGES,)),
         **dict.fromkeys(("normal", "anomalous"), (IMAGES, VECTORS)), "image_size": (IMAGES, SIGNAL, KINDS["posed"]),
         "every": (SIGNAL,), **dict.fromkeys(("label", "window", "window_step"), (VECTORS,))}


def check(dataset, **given):
    """Raises a `UserError` for options, given or None, of another kind of data than a dataset holds."""
    kind = dataset.spec.kind
    for key, value in given.items():
        if value not in (None, False) and kind not in APPLY[key]:
            wanted = " or ".join("a set of images" if one == IMAGES else one for one in APPLY[key])
            raise UserError(f"{key} expects {wanted}, received '{dataset.spec.name}', which holds {kind}: leave out "
                            f"--{key.replace('_', '-')}")
