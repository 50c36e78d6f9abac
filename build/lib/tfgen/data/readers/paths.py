"""Reads what a path holds: arrays, image files, domains, MVTec AD."""

from tfgen.data.readers import arrays, folders, layout, mvtec
from tfgen.errors import UserError


def read_arrays(path):
    """{split: (images, labels)} of a .npz or IDX file or a folder of IDX files, or None for anything else."""
    if path.is_dir():
        return arrays.read_idx_folder(path) if arrays.has_idx(path) else None
    ending = path.suffix.lower()
    if ending == ".npz":
        return arrays.read_npz(path)
    return arrays.read_idx_file(path) if ending in (".gz", ".idx") or path.name.endswith("ubyte") else None


def layout_of(path, reader):
    """The `Layout` of a folder of image files, of whichever kind. Raises UserError for anything else."""
    if not path.is_dir():
        raise UserError(f"expected a .npz file, an IDX file (*-ubyte, *.gz) or a folder, received {str(path)!r}: "
                        "give one of those")
    if mvtec.is_category(path):
        return mvtec.category_of(path, reader)
    if folders.domain_roots(path):
        return folders.domains_of(path, reader)
    mvtec.check_single(path)
    return folders.classes_of(path, reader)


def read_path(path, reader):
    """What a path holds, a `Read`: arrays, or the images of a folder."""
    category = path.is_dir() and mvtec.is_category(path)
    arrays_found = None if category else read_arrays(path)
    return layout.Read(arrays_found) if arrays_found else layout.read(layout_of(path, reader), reader)
