"""Pictures written to files: grids and rows of images (`images`), curves and tables (`plots`), scatter plots (`scatter`)."""

from tfgen.pictures import plots, scatter
from tfgen.pictures.images import grid, known_ending, panels, printable, save_grid, save_image, save_rows

__all__ = ["grid", "known_ending", "panels", "plots", "printable", "save_grid", "save_image", "save_rows", "scatter"]
