"""The commands of the verbs, derived from the table of verbs; `sample`, `score` and translations have their own."""

import inspect
import pathlib
from typing import Annotated

import numpy as np
import typer

from tfgen.cli.inputs import COUNTS, WRITERS, Request, images_of, passed_over, read, write, write_rows
from tfgen.cli.lazy import detection_tiles, drawing, folders, latent, opening, pictures, report, seeds, sheets, thresholds
from tfgen.cli.options import Count, CountOrAll, ImageFiles, Images, Model, Options, values_of
from tfgen.errors import UserError, require
from tfgen.verbs.table import FIELD_VERBS, KINDS, VERBS, require_verb, verb_of

Out = Annotated[pathlib.Path, typer.Option(help="File to write: .png (a picture) or .npy.")]
# Inputs that a command can do without.
NEEDLESS = {"coordinates": "; without, the grid of the signal that the field was fitted to"}
Table = Annotated[pathlib.Path, typer.Option(help="File to write: .csv or .npy.")]


def parameter(name, annotation, default=inspect.Parameter.empty):
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parameters_of(verb):
    """Parameters of the command of a verb: those of its inputs by kind, --n, --option and --out."""
    yield parameter("model", Model)
    forms = [form for form in (verb, FIELD_VERBS.get(verb.name)) if form]
    for kind in dict.fromkeys(field.kind for form in forms for field in form.inputs):
        if kind == "images":
            yield parameter("images", Images, None)
        elif kind == "seeds":
            yield parameter("seed", Annotated[int, typer.Option(min=0, help="Seed of the noise.")], 0)
        else:
            # A model takes the inputs of one form.
            given = Annotated[pathlib.Path | None if forms[1:] else pathlib.Path, typer.Option(
                help=f"A .npy file of {KINDS[kind].help}{NEEDLESS.get(kind, '')}.")]
            yield parameter(kind, given, *[None] * len(forms[1:]))
    yield parameter("n", CountOrAll, None)
    yield parameter("option", Options, None)
    yield parameter("out", Table if verb.output.kind == "values" else Out, pathlib.Path(verb.example.split()[-1]))


def derived(verb):
    """The command of a verb: reads its inputs, runs it, writes its main output."""

    def command(**given):
        live = opening.open_verbs(given["model"])
        require_verb(live, verb.name)
        form = verb_of(live, verb.name)
        request = Request(form, given["model"], live, given)
        read(request)
        options = values_of(given["option"], request.live.options[verb.name])
        label = request.live.options[verb.name].get("label")
        if label is not None and request.labels is not None:
            options.setdefault("label", request.labels)
        # Without, successive images would count as of successive classes.
        require("label" in options or label is None or label.default is not None or request.images() is None,
                f"{verb.name} of a model of classes expects labels, received images without: give a folder per class, or "
                f"--option label=N with N in 0 to {label and label.high}")
        WRITERS[form.output.kind](request, request.live(verb.name, *request.inputs, **options), options)
        return passed_over(request.unreadable)

    found = list(parameters_of(verb))
    command.__signature__ = inspect.Signature(found)
    command.__annotations__ = {one.name: one.annotation for one in found}
    text = []
    if any(field.kind == "images" for field in verb.inputs):
        text = [("Without --n: 10 images, or all of --images for a .npy. " if verb.output.kind in COUNTS else
                 "Without --n: all of --images, else 1000. ") + "Images of other sizes are resized like the training data."]
    return described(verb, command, *text)


def described(verb, command, *text):
    """Gives a command its help: the verb's description, `text`, and the verb's example."""
    command.__doc__ = "\n\n".join([verb.sentence, *text, f"Example: tfgen {verb.name} {verb.example}"])
    return command


def translating(verb):
    """The command of a verb that translates a folder of images."""

    def command(model: Model, images: ImageFiles,
                out: Annotated[pathlib.Path, typer.Option(
                    help="Folder for the translations, which keep the images' names.")],
                option: Options = None, resize_back: Annotated[bool, typer.Option(
                    "--resize-back", help="Resize each translation to its image's size.")] = False):
        live = opening.open_verbs(model)
        options = values_of(option, live.options.get(verb.name, {}))
        written, unreadable = folders.translate(live, images, out, verb.name, resize_back, **options)
        print(f"wrote {written} translations to {out}")
        return passed_over(unreadable)

    return described(verb, command, "Takes a folder of images. Images of other sizes are resized like the training data.",
                     "Files that cannot be read are passed over and listed at the end; the exit code is then 1.")


def sampling(verb):
    """The command of the verb `sample`, with sheets."""
    return described(verb, sample, "Samples of an autoencoder come from a Gaussian mixture fitted to its codes.",
                     "Sheets (--interpolate, --sweep, --class-rows) have 8 columns, or one per value of the swept option.")


def sample(model: Model, n: Count = 64, seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
           option: Options = None, label: Annotated[int | None, typer.Option(help="Class of all images.")] = None,
           caption: Annotated[str | None, typer.Option(
               help="Caption of all images of a model such as dalle; an unknown word is answered with those known.")] = None,
           truncation: Annotated[float | None, typer.Option(help="Largest |z| of a model such as biggan.")] = None,
           psi: Annotated[float | None, typer.Option(help="Truncation of styles of a model such as stylegan.")] = None,
           interpolate: Annotated[bool, typer.Option(
               "--interpolate", help="Each row interpolates between two samples.")] = False,
           sweep: Annotated[str | None, typer.Option(
               help="One row per sample, one column per value of this option.")] = None,
           class_rows: Annotated[bool, typer.Option("--class-rows", help="One row per class.")] = False,
           out: Out = pathlib.Path("samples.png")):
    live = opening.open_verbs(model)
    drawn = seeds.of_samples(seed, n)
    given = {"label": label, "caption": caption, "truncation": truncation, "psi": psi}
    options = values_of(option, live.options.get("sample", {}))
    options |= {key: value for key, value in given.items() if value is not None}
    if interpolate + class_rows + (sweep is not None) > 1:
        raise UserError("expected one of --interpolate, --sweep and --class-rows, received several")
    if interpolate or class_rows or sweep:
        rows = max(1, n // 8)
        images = (sheets.interpolation(live, seeds.of_samples(seed, 2 * rows), **options) if interpolate else
                  sheets.sweep(live, sweep, drawn[:rows], **options) if sweep else
                  sheets.classes(live, seed=seed, **options))
        columns, images = images.shape[1], images.reshape(-1, *images.shape[2:])
    elif "sample" in live.names:
        images = live("sample", drawn, **options)
        conditional = {"label", "caption"} & set(live.options["sample"]) - set(options)
        columns = drawing.label_columns(live) if conditional else None
    elif {"encode", "decode"} <= set(live.names):
        images = latent.sample_autoencoder(live, live("encode", images_of(model, live, None, 5000, "train")[0]), drawn)
        columns = None
    else:
        raise UserError(f"this model cannot sample; it has {', '.join(live.names)}")
    if live.vectors:
        write_rows(out, images)
        return
    write(out, images, lambda path: pictures.save_grid(path, images, columns))


def scoring(verb):
    """The command of the verb `score`, which writes a report."""
    return described(verb, score, "Takes a folder of images. Images of other sizes are resized like the training data.",
                     "Files that cannot be read are passed over and listed at the end; the exit code is then 1.")


def score(model: Model, images: ImageFiles,
          out: Annotated[pathlib.Path, typer.Option(help="Folder for index.html, scores.csv and overlays.")],
          threshold: Annotated[float | None, typer.Option(
              help="Images with a higher score count as anomalous; default: the model's threshold.")] = None,
          top: Annotated[int | None, typer.Option(
              min=1, help="Number of images on the page, most anomalous first (default 100), or of a table's rows to name "
                          "(default 5).")] = None,
          tiles: Annotated[float | None, typer.Option(
              help="Judge images at their own size by tiles of the model's size that overlap by this share, such as 0.5; "
                   "default: resize them.")] = None):
    live = opening.open_verbs(model)
    if live.vectors:
        require_verb(live, "score")
        if tiles is not None:
            raise UserError(f"--tiles expects a model of images, received {model}, one of vectors: leave it out")
        score_vectors(model, live, images, out, threshold, top or 5)
        return None
    made = report.write(live if tiles is None else detection_tiles.Tiled(live, tiles), images, out, threshold, top or 100)
    print(f"scored {made.scored} images, {made.anomalous} anomalous at threshold {made.threshold:.4g}"
          f"{'' if np.isfinite(made.threshold) else f' ({report.NOT_CALIBRATED})'}: {out / 'index.html'}")
    return passed_over(made.unreadable)


def score_vectors(model, live, path, out, threshold, top):
    """Writes scores.csv of a table: row, score, whether it is anomalous; names the `top` highest scores."""
    rows, *_ = images_of(model, live, str(path), None)
    made = live.outputs("score", rows)
    limit = float(made["threshold"][0]) if threshold is None else threshold
    called = thresholds.exceeds(made["score"], limit)
    write(out / "scores.csv", made["score"], table=lambda table: table.writerows(
        [("row", "score", "is_anomaly"), *zip(range(len(rows)), made["score"].tolist(), called.astype(int).tolist())]))
    print(f"scored {len(rows)} rows, {int(called.sum())} anomalous at threshold {limit:.4g}"
          f"{'' if np.isfinite(limit) else f' ({report.NOT_CALIBRATED})'}")
    highest = np.argsort(-made["score"], kind="stable")[:top]
    print("highest scores: " + ", ".join(f"row {row} ({made['score'][row]:.4g})" for row in highest))


OWN = {"sample": sampling, "translate": translating, "translate_back": translating, "score": scoring}
COMMANDS = {name: OWN.get(name, derived)(verb) for name, verb in VERBS.items()}
