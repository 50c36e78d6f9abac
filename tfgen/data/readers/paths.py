"""Reads what a path holds: arrays, image files, domains, MVTec AD."""

from tfgen.data.readers import arrays, folders, mvtec
from tfgen.errors import UserError


def read_arrays(path):
    """{split: (images, labels)} of a .npz or IDX file or a folder of IDX files, or None for anything else."""
    if path.is_dir():
        return arrays.read_idx_folder(path) if arrays.has_idx(path) else None
    ending = path.suffix.lower()
    if ending == ".npz":
        return arrays.read_npz(path)
    return arrays.read_idx_file(path) if ending in (".gz", ".idx") or path.name.endswith("ubyte") else None


def read_path(path, reader):
    """({split: (images, labels)}, class names, {split: [path of each image file]})."""
    found = read_arrays(path)
    if found:
        return found, (), {}
    if not path.is_dir():
        raise UserError(f"expected a .npz file, an IDX file (*-ubyte, *.gz) or a folder, received {str(path)!r}: "
                        "give one of those")
    if folders.domain_roots(path):
        splits, paths = folders.read_domains(path, reader)
        return splits, (), paths
    mvtec.check_single(path)
    return folders.read_folder(path, reader)
