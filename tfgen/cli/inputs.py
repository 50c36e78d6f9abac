"""Inputs of a verb from the command line, by kind, and outputs to files."""

import csv
import dataclasses
import os
import pathlib
import sys
from typing import Any

import numpy as np

from tfgen import files
from tfgen.cli.known_classes import matched, numbered
from tfgen.cli.lazy import (
    coordinates,
    data,
    drawing,
    folders,
    heat,
    latent,
    likelihood,
    opening,
    paths,
    pictures,
    seeds,
    tables,
    vectors,
)
from tfgen.errors import UserError
from tfgen.verbs.table import fits, text_of

# Number of images without --n, by the kind of the output.
COUNTS = {"images": 10, "maps": 10}


@dataclasses.dataclass
class Request:
    """What a command asks of a verb, and what reading its inputs finds.

    Attributes:
        verb: the `Verb`.
        model: path of the model.
        live: verbs of the model.
        given: {parameter of the command: value}.
        inputs: the verb's inputs, in order.
        labels: classes of the images, int64 (N,), or None.
        class_names: one name per class of the labels, or ().
        names: one name per image, for a table.
        unreadable: one line per unreadable file.
    """

    verb: Any
    model: pathlib.Path
    live: Any
    given: dict
    inputs: list = dataclasses.field(default_factory=list)
    labels: Any = None
    class_names: tuple = ()
    names: list | None = None
    unreadable: list = dataclasses.field(default_factory=list)

    def images(self):
        """The verb's images, or None if it takes none."""
        kinds = [field.kind for field in self.verb.inputs]
        return self.inputs[kinds.index("images")] if "images" in kinds else None


def images_of(path, live, images, count, split="test", verb=None):
    """Images for a model: (float32 images, labels or None, names of their classes or (), names or None, [one line per
    unreadable file]).

    Args:
        path, live: path and verbs of the model.
        images: a folder of images or an image file, of which all images are used; a data file or data name, of which the
            test split is used (all images without splits); None uses `split` of the model's own data.
        count: maximum number of images; None uses all.
        split: split of the model's own data.
        verb: name of the verb that is asked, whose option `label` the labels are for; None for one that takes none.
    """
    option = live.options.get(verb, {}).get("label")
    if images is None:
        about = opening.record_of(live, path)
        dataset = opening.data_of(about)
        if dataset is None:
            raise UserError((f"this SavedModel was made on '{about['data']['name']}', files of the computer it was made on, "
                             "and does not hold their path" if "data" in about else
                             "this SavedModel does not say what it was made on") + "; expected --images")
        return *drawing.examples(dataset, count, split), dataset.spec.class_names, None, []
    place = pathlib.Path(os.path.expanduser(images))
    known = images in [name for name, *_ in data.available()]  # a name takes precedence over a path, as in `load`
    if live.vectors and not known:
        return *vectors_of(place, live, opening.record_of(live, path), count, option), None, []
    arrays = paths.read_arrays(place) if place.exists() and not known else None
    if arrays is None and not known and (place.is_dir() or folders.is_file(place)):
        x, files_read, unreadable = folders.read(live, place, count)
        return x, *matched(*folders.labels_of(files_read, place), live, option), list(map(str, files_read)), unreadable
    if arrays:
        x, labels = arrays.get("test", arrays["train"])
        labels, class_names = numbered(place, labels, (), live, option)
        x, labels = x[:count].astype("float32") / 255.0, None if labels is None else labels[:count]
    else:
        dataset = data.load(images)
        x, labels = drawing.examples(dataset, count, "test")
        # A model that takes labels and whose classes have no names knows those of named data by their numbers.
        names = dataset.spec.class_names if live.class_names or option is None else ()
        labels, class_names = matched(labels, names, live, option)
    if x.shape[1:] != tuple(live.image_shape):
        raise UserError(f"expected images of {tuple(live.image_shape)}, {images} has {x.shape[1:]}")
    return x, labels, class_names, None, []


def vectors_of(place, live, record, count, option):
    """(float32 rows, labels or None, names of their classes or ()) of a table for a model of vectors, or windows of it as in
    the model's data.

    Args:
        place: path of a .csv, .npz or .npy file; of a .csv file the column of the classes, if it is there, is set apart.
        live: verbs of the model.
        record: of its run or export, or {}.
        count: maximum number of rows; None uses all.
        option: as for `known_classes.matched`.
    """
    shape, source, spec = tuple(live.image_shape), record.get("data", {}), record.get("spec", {})
    values, labels, class_names = tables.rows_of(place, source.get("label"), tuple(spec.get("columns", ())), shape[-1])
    labels, class_names = numbered(place, labels, class_names, live, option)
    if len(shape) == 2 and values.ndim < 3:
        values = values[:, None] if values.ndim == 1 else values
        if values.shape[1:] == shape[1:] and len(values) >= shape[0]:
            values, labels = vectors.windows(place.name, "the file", values, labels, shape[0],
                                             source.get("window_step", shape[0]))
    with np.errstate(over="ignore"):
        values = values.astype("float32") if values.dtype.kind in "fiub" else np.zeros(())
    if values.shape[1:] != shape or not values.size or not np.isfinite(values).all():
        wanted = f"rows of ({text_of('N', *shape)})"
        if len(shape) == 2:
            wanted += f" or a series of ({text_of('T', shape[1])}), T >= {shape[0]}"
        raise UserError(f"expected finite numbers, {wanted}, received {values.shape} in {place}: give this model's")
    return values[:count], None if labels is None else labels[:count], class_names


def read_images(request, field):
    given, verb = request.given, request.verb
    everything = given["images"] and not (given["out"].suffix.lower() == ".png" and verb.output.kind in COUNTS)
    count = given["n"] or (None if everything else COUNTS.get(verb.output.kind, 1000))
    x, request.labels, request.class_names, request.names, request.unreadable = images_of(
        request.model, request.live, given["images"], count, verb=verb.name)
    return x


def read_seeds(request, field):
    return seeds.of_samples(request.given["seed"], len(request.inputs[0]) if request.inputs else request.given["n"] or 64)


def read_array(request, field):
    """Rows of a .npy file; one row serves for all rows of the inputs before it."""
    path, shape = request.given[field.kind], request.live.shapes[request.verb.name][field.name]
    dtype = field.dtype(request.live)
    if path is None:
        raise UserError(f"{request.verb.call} of this model expects --{field.kind}, a .npy file, received none: give one")
    try:
        rows = np.load(path)
    except FileNotFoundError:
        raise UserError(f"expected a .npy file of {field.kind}, received {path}, which is not there: "
                        f"name one that is") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"expected {field.kind} in the .npy file {path}, it cannot be read "
                        f"({' '.join(str(error).split())[:100]}): write it with np.save or `tfgen encode`") from None
    kind = np.integer if dtype == "int64" else np.number
    if not (isinstance(rows, np.ndarray) and np.issubdtype(rows.dtype, kind) and rows.ndim == len(shape) + 1
            and fits(rows.shape[1:], shape) and len(rows) and np.isfinite(rows).all()):
        expected = text_of("B" if None in shape else "N", *shape)
        raise UserError(f"expected finite {field.kind} of shape ({expected}) in {path}, received "
                        f"{getattr(rows, 'dtype', type(rows).__name__)} {getattr(rows, 'shape', '')}: give this model's")
    rows = rows[:request.given.get("n")].astype(dtype)
    return np.repeat(rows, len(request.inputs[0]), axis=0) if len(rows) == 1 and request.inputs else rows


def read_coordinates(request, field):
    """Sets of coordinates of a .npy file; without one, the grid of the signal that the field was fitted to."""
    sides = request.live.image_shape[:-1]
    if request.given[field.kind] is None and request.live.coordinate_shape == (None, len(sides)):
        return coordinates.grid(sides).numpy()[None]
    return read_array(request, field)


READERS = {"images": read_images, "seeds": read_seeds, "coordinates": read_coordinates}


def read(request):
    """Reads the inputs of a verb; raises a `UserError` for inputs that only the verb's other form takes."""
    kinds = [field.kind for field in request.verb.inputs]
    if others := [kind for kind in ("latents", "coordinates") if request.given.get(kind) and kind not in kinds]:
        raise UserError(f"{request.verb.call} of this model expects --{kinds[0]}, received --{others[0]}: give that instead")
    for field in request.verb.inputs:
        request.inputs.append(READERS.get(field.kind, read_array)(request, field))


def passed_over(lines):
    """Lists unreadable files on standard error; returns the exit code."""
    for line in lines:
        print(f"passed over: {line}", file=sys.stderr)
    return 1 if lines else 0


def write(out, values, draw=None, table=None):
    """Writes an array as .npy, a picture by `draw(path)` as .png, or a table by `table(file)` as .csv."""
    ending = out.suffix.lower()
    if ending == ".npy":
        with files.written_aside(out) as aside, open(aside, "wb") as file:
            np.save(file, values)
    elif ending == ".png" and draw is not None:
        draw(out)
    elif ending == ".csv" and table is not None:
        with files.written_aside(out) as aside, open(aside, "w", newline="", encoding="utf-8", errors="replace") as file:
            table(csv.writer(file, lineterminator="\n"))
    else:
        endings = [".npy", *[".png"] * (draw is not None), *[".csv"] * (table is not None)]
        raise UserError(f"expected --out to end in {' or '.join(endings)}, received {out}")
    print(f"wrote {out}: {len(values)} {f'x {values.shape[1:]}' if values.ndim > 1 else 'values'}")


def write_rows(out, made, rows=None):
    """Writes vectors or windows as .npy, as lines in a .png or, vectors alone, as .csv; `rows` are those they belong to."""
    def draw(path):
        pictures.save_lines(path, ({} if rows is None else {"row": rows}) | {"made": made})

    write(out, made, draw, None if made.ndim != 2 else lambda table: table.writerows(made.tolist()))


def write_images(request, made, options):
    x = request.images()
    if request.live.vectors:
        write_rows(request.given["out"], made, x)
        return
    write(request.given["out"], made, lambda path: pictures.save_grid(path, made) if x is None else
          pictures.save_rows(path, {"x": x, request.verb.call: made}))


def write_latents(request, made, options):
    x = request.images()
    write(request.given["out"], made, None if x is None else lambda path: latent.plot_codes(
        request.live, x, request.labels, path, class_names=request.class_names, **options))


def write_values(request, made, options):
    names, name = request.names or range(len(made)), request.verb.output.name
    # As `evaluate` says it: a Bernoulli of grey levels is no probability.
    if name == "log_prob" and not likelihood.is_probability(request.live.normalised, request.images()):
        name = likelihood.UNNORMALISED
    write(request.given["out"], made, table=lambda rows: rows.writerows(
        [("row" if request.live.vectors else "image", name), *zip(names, made.tolist())]))
    print(f"mean {name} {made.mean(dtype=float):.6g}")


def write_signals(request, made, options):
    """Values at coordinates (B, N, C); those of the signal's own grid as an array or picture of its shape."""
    if request.given["coordinates"] is not None:
        return write(request.given["out"], made)
    signal = made.reshape(request.live.image_shape)
    write(request.given["out"], signal, (lambda path: pictures.save_image(path, signal.clip(0.0, 1.0)))
          if signal.ndim == 3 else None)


def write_maps(request, made, options):
    x = request.images()
    if request.live.vectors:
        write_rows(request.given["out"], made)
        return
    write(request.given["out"], made, lambda path: pictures.save_rows(
        path, {"x": x, request.verb.call: heat.overlays(x, made)}))


WRITERS = {"images": write_images, "sources": write_images, "latents": write_latents, "values": write_values,
           "maps": write_maps, "signals": write_signals}
