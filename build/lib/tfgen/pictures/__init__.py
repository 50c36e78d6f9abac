"""Pictures written to files: grids and rows of images (`images`), curves and tables (`plots`), scatter plots (`scatter`),
rows of numbers (`lines`)."""

from tfgen.pictures import plots, scatter
from tfgen.pictures.images import grid, known_ending, panels, printable, save_grid, save_image, save_rows
from tfgen.pictures.lines import save_lines

__all__ = ["grid", "known_ending", "panels", "plots", "printable", "save_grid", "save_image", "save_lines", "save_rows",
           "scatter"]
