"""The commands of data sets: data list, data prepare, data pack."""

import pathlib
from typing import Annotated

import typer

from tfgen.cli import options
from tfgen.cli.lazy import data


def list_():
    """Lists the available data sets.

    Example: tfgen data list
    """
    for name, where, about in data.available():
        print(f"{name:20} {about}  [{where}]")


def prepare(name: Annotated[str, typer.Argument(help="fashion_mnist, mnist or kmnist.")],
            source: Annotated[pathlib.Path, typer.Option("--from", help="Folder with the four IDX files.")]):
    """Builds a TFDS data set from files on disk.

    Example: tfgen data prepare fashion_mnist --from /usr/share/dataset-fashion-mnist
    """
    print(f"prepared {name} in {data.prepare(name, source)}")


def pack(folder: Annotated[pathlib.Path, typer.Argument(help="A folder of images, as for --data.")],
         out: Annotated[pathlib.Path, typer.Option(help="Folder to write; give it as --data afterwards.")],
         image_size: options.ImageSize = None, resize: options.Resize = "stretch",
         side_by_side: Annotated[bool, typer.Option(
             "--side-by-side", help="Each file holds two images A|B, which are resized separately.")] = False,
         skip_unreadable: options.SkipUnreadable = False):
    """Writes a folder of images as shards, from which `train` and `tune` read what memory cannot hold.

    Splits, pairs, domains, normal classes and grey levels are chosen afterwards, as for the folder itself.

    Example: tfgen data pack photographs/ --out packed --image-size 256
    """
    counts = data.pack(folder, out, image_size, resize, skip_unreadable, side_by_side)
    print(f"packed {', '.join(f'{count} {split}' for split, count in counts.items())} images in {out}")
