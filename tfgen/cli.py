"""The command line: thin wrappers of library functions."""

import importlib
import json
import os
import pathlib
import shlex
import sys
from typing import Annotated

import numpy as np
import typer

from tfgen import _start, catalogue, disks
from tfgen.errors import DiskFull, Failure, UserError


class Lazy:
    """A module that is imported when it is first used, after TensorFlow: help and mistyped names need neither."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        _start.libraries()
        return getattr(importlib.import_module(self._name), name)


data, evaluation, figures, latent, metrics, pictures, recipes, results_table, runs, seeds, sheets, tuning, verbs = (
    Lazy(f"tfgen.{name}") for name in ("data", "evaluation", "figures", "latent", "metrics", "pictures", "recipes",
                                       "results_table", "runs", "seeds", "sheets", "tuning", "verbs"))
callbacks, calibration, anomaly_report, export, folders = map(Lazy, (
    "tfgen.callbacks", "tfgen.detection.calibration", "tfgen.detection.report", "tfgen.serving.export",
    "tfgen.serving.folders"))

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
                  help="Deep generative models in Keras. Start with: tfgen train vae --data digits --out runs/vae")
data_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="List and prepare data sets.")
app.add_typer(data_app, name="data")
# Errors caused by the path that a user gave.
PATHS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
EXTRACTORS = {"classifier": lambda dataset: metrics.features.classifier(dataset),
              "inception_v3": lambda dataset: metrics.features.inception_v3()}


def recipes_beginning(incomplete):
    """Names for shell completion."""
    return [name for name in catalogue.names() if name.startswith(incomplete)]


Recipe = Annotated[str, typer.Argument(help="A recipe's name, see `tfgen list`.", autocompletion=recipes_beginning)]
Model = Annotated[pathlib.Path, typer.Argument(help="A run folder or a SavedModel folder.")]
DataName = Annotated[str, typer.Option("--data", help="A name (see `tfgen data list`), a folder or a file.")]
ImageSize = Annotated[str | None, typer.Option(help="Resize images to N x N pixels, or to HEIGHTxWIDTH, such as 24x32.")]
Resize = Annotated[str, typer.Option(help="How images are resized: stretch, crop (cover the size, keep the centre) or pad "
                                          "(fit inside, repeat the border).")]
GroupBy = Annotated[str | None, typer.Option(
    help="Regular expression for file names, such as ^[^_]+: files with the same match (first group) stay in one split.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Skip and list unreadable image files.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.")]
BatchSize = Annotated[int | None, typer.Option(help="Images per optimizer update; default: the recipe's, mostly 128.")]
Pairs = Annotated[str | None, typer.Option(
    help="Source of each image: edges, grey, low_resolution[:FACTOR] or erased[:SHARE], computed from it; "
         "side_by_side[_reversed] for files with both images A|B.")]
Domains = Annotated[str | None, typer.Option(
    help="Two classes as source and target domain of unpaired data, such as Sandal,Sneaker.")]
Normal = Annotated[str | None, typer.Option(
    help="Normal class(es): train on these only, test on all.")]
Anomalous = Annotated[str | None, typer.Option(help="Anomalous class(es): excluded from training.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of weights, noise and data order.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of a hyperparameter; may be repeated.")]
Options = Annotated[list[str] | None, typer.Option(
    "--option", help="NAME=VALUE of an option of the verb, such as label=3; may be repeated.")]
Images = Annotated[str | None, typer.Option(
    help="A folder of images, an image file, a data file or a data name; default: the test split of the model's data.")]
Count = Annotated[int, typer.Option("--n", min=1, help="Number of images.")]
ImageFiles = Annotated[pathlib.Path, typer.Option(
    "--images", help="A folder of images, searched with its subfolders, or an image file.")]
CountOrAll = Annotated[int | None, typer.Option("--n", min=1, help="Maximum number of images.")]
Out = Annotated[pathlib.Path, typer.Option(help="File to write: .png or .npy.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


def assignments(pairs, what):
    """["a=1"] -> {"a": "1"}."""
    values = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UserError(f"{what} expects NAME=VALUE, received '{pair}'")
        values[name.strip()] = value.strip()
    return values


def numbers(pairs):
    """["label=3"] -> {"label": 3}, the options of a verb."""
    values = {}
    for name, value in assignments(pairs, "--option").items():
        try:
            values[name] = int(value) if value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            raise UserError(f"--option expects a number for '{name}', received '{value}'") from None
    return values


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False):
    """Lists the recipes.

    Example: tfgen list --json
    """
    rows = catalogue.rows()
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(f"{row['name']:16} {row['family']:12} {row['summary']}")


@app.command()
def train(recipe: Annotated[str | None, typer.Argument(help="A recipe's name, see `tfgen list`.",
                                                       autocompletion=recipes_beginning)] = None,
          data_name: DataName = "digits", epochs: Annotated[int | None, typer.Option(
              help="Passes over the training data; default 20, with --resume the run's own number.")] = None,
          set_: Set = None, batch_size: BatchSize = None, seed: Seed = 0, image_size: ImageSize = None,
          pairs: Pairs = None, domains: Domains = None, normal: Normal = None, anomalous: Anomalous = None,
          resize: Resize = "stretch", group_by: GroupBy = None, skip_unreadable: SkipUnreadable = False,
          out: Annotated[pathlib.Path | None, typer.Option(help="Run folder; default runs/RECIPE-DATA.")] = None,
          resume: Annotated[pathlib.Path | None, typer.Option(help="Run folder to continue.")] = None,
          extend: Annotated[bool, typer.Option("--extend", help="With --resume and --epochs: stretch schedules and stages "
                                               "to the new end.")] = False,
          picture_every: Annotated[int, typer.Option(min=1, help="Epochs between pictures.")] = 1,
          tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard files.")] = False,
          quiet: Quiet = False):
    """Trains a recipe into a new run folder, or resumes a run.

    Example: tfgen train vae --data digits --epochs 20 --set latent_dim=8 --seed 0 --out runs/x
    """
    verbose = 0 if quiet else "auto"
    if (recipe is None) == (resume is None):
        raise UserError("expected a RECIPE or --resume RUN, one of them; see `tfgen train --help`")
    if extend and not (resume and epochs):
        raise UserError("--extend expects --resume RUN and --epochs N: leave it out, or give those")
    if resume:
        others = {"--set": set_, "--batch-size": batch_size, "--seed": seed, "--image-size": image_size, "--pairs": pairs,
                  "--domains": domains, "--normal": normal, "--anomalous": anomalous, "--out": out}
        if given := [name for name, value in others.items() if value]:
            raise UserError(f"a run goes on with the settings that it has: leave {', '.join(given)} out with --resume, or "
                            "train another run")
        runs.resume(resume, epochs, verbose, extend)
        out = resume
    else:
        catalogue.check(recipe)
        out = out or pathlib.Path("runs") / f"{recipe}-{pathlib.Path(data_name).stem}"
        dataset = data.load(data_name, image_size, None, pairs, domains, normal, anomalous, resize, group_by,
                            skip_unreadable)
        runs.train(recipe, dataset, out, 20 if epochs is None else epochs, assignments(set_, "--set"), batch_size, seed,
                   tensorboard, picture_every, verbose=verbose, command=shlex.join(["tfgen", *sys.argv[1:]]))
    print(f"run in {out}: pictures, curves.png, metrics.json, model.keras")


@app.command()
def tune(recipe: Recipe, data_name: DataName = "digits",
         trials: Annotated[int, typer.Option(min=1, help="Models to try.")] = 10,
         tuner: Annotated[str, typer.Option(help="random, bayesian or hyperband.")] = "random", epochs: Epochs = 5,
         set_: Set = None, batch_size: BatchSize = None, seed: Seed = 0, image_size: ImageSize = None,
         pairs: Pairs = None, domains: Domains = None, normal: Normal = None, anomalous: Anomalous = None,
         resize: Resize = "stretch", group_by: GroupBy = None, skip_unreadable: SkipUnreadable = False,
         steps: Annotated[int | None, typer.Option(min=1, help="Training steps per epoch in the trials.")] = None,
         out: Annotated[pathlib.Path | None, typer.Option(help="New folder; default runs/tune-RECIPE-DATA.")] = None,
         quiet: Quiet = False):
    """Searches a recipe's hyperparameters; the best run is OUT/best.

    Example: tfgen tune vae --data digits --trials 5 --tuner bayesian --epochs 3 --out runs/search
    """
    catalogue.check(recipe)
    out = out or pathlib.Path("runs") / f"tune-{recipe}-{pathlib.Path(data_name).stem}"
    dataset = data.load(data_name, image_size, None, pairs, domains, normal, anomalous, resize, group_by,
                        skip_unreadable)
    best = tuning.search(recipe, dataset, out, trials, tuner, epochs, batch_size, seed, assignments(set_, "--set"), steps,
                         verbose=0 if quiet else 1)
    print(f"best run in {out / 'best'}: " + ", ".join(f"{name}={value}" for name, value in best.items()))


def input_images(path, live, images, count, split="test"):
    """Input images of a verb: (float32 images, labels or None, [one line per unreadable file]).

    Args:
        path, live: path and verbs of the model.
        images: a folder of images or an image file, of which all images are used; a data file or data name, of which the
            test split is used (all images without splits); None uses `split` of the model's own data.
        count: maximum number of images; None uses all.
        split: split of the model's own data.
    """
    if images is None:
        about = live.about if isinstance(live, export.Served) else runs.read(path)
        if "data" not in about:
            raise UserError("this SavedModel does not say what it was made on; expected --images")
        if about["data"].get("local"):
            raise UserError(f"this SavedModel was made on '{about['data']['name']}', files of the computer it was made "
                            "on, and does not hold their path; expected --images")
        return *runs.examples(runs.load_data(about), count, split), []
    place = pathlib.Path(os.path.expanduser(images))
    known = images in [name for name, *_ in data.available()]  # a name takes precedence over a path, as in `load`
    arrays = data.loading.read_arrays(place) if place.exists() and not known else None
    if arrays is None and not known and (place.is_dir() or folders.is_file(place)):
        x, paths, unreadable = folders.read(live, place, count)
        return x, folders.labels_of(paths, place, live.class_names), unreadable
    if arrays:
        x, labels = arrays.get("test", arrays["train"])
        x, labels = x[:count].astype("float32") / 255.0, None if labels is None else labels[:count]
    else:
        x, labels = runs.examples(data.load(images), count)
    if x.shape[1:] != tuple(live.image_shape):
        raise UserError(f"expected images of {tuple(live.image_shape)}, {images} has {x.shape[1:]}")
    return x, labels, []


def verb_inputs(verb, model, images, count, option):
    """(verbs, images, labels or None, options, [unreadable file]) of a verb; conditional models get the labels as option."""
    live = runs.open_verbs(model)
    x, labels, unreadable = input_images(model, live, images, count)
    options = numbers(option)
    if "label" in live.options.get(verb, {}) and labels is not None:
        options.setdefault("label", labels)
    return live, x, labels, options, unreadable


def passed_over(lines):
    """Lists unreadable files on standard error; returns the exit code."""
    for line in lines:
        print(f"passed over: {line}", file=sys.stderr)
    return 1 if lines else 0


def write(out, values, draw=None):
    """Writes an array as .npy, or a picture by `draw(path)` as .png."""
    ending = out.suffix.lower()
    if ending == ".npy":
        with runs.files.written_aside(out) as aside, open(aside, "wb") as file:
            np.save(file, values)
    elif ending == ".png" and draw is not None:
        draw(out)
    else:
        raise UserError(f"expected --out to end in .npy{' or .png' if draw else ''}, received {out}")
    print(f"wrote {out}: {values.shape[0]} x {values.shape[1:]}")


@app.command()
def sample(model: Model, n: Count = 64, seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
           option: Options = None, label: Annotated[int | None, typer.Option(help="Class of all images.")] = None,
           truncation: Annotated[float | None, typer.Option(help="Largest |z| of a model such as biggan.")] = None,
           psi: Annotated[float | None, typer.Option(help="Truncation of styles of a model such as stylegan.")] = None,
           interpolate: Annotated[bool, typer.Option(
               "--interpolate", help="Each row interpolates between two samples.")] = False,
           sweep: Annotated[str | None, typer.Option(
               help="One row per sample, one column per value of this option.")] = None,
           class_rows: Annotated[bool, typer.Option("--class-rows", help="One row per class.")] = False,
           out: Out = pathlib.Path("samples.png")):
    """Writes samples; those of an autoencoder come from a Gaussian mixture fitted to its codes.

    Sheets (--interpolate, --sweep, --class-rows) have 8 columns, or one per value of the swept option.

    Example: tfgen sample runs/x --n 16 --seed 1 --out a.png
    """
    live = runs.open_verbs(model)
    drawn = seeds.of_samples(seed, n)
    given = {"label": label, "truncation": truncation, "psi": psi}
    options = numbers(option) | {key: value for key, value in given.items() if value is not None}
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
        columns = callbacks.label_columns(live) if label is None and "label" in live.options["sample"] else None
    elif {"encode", "decode"} <= set(live.names):
        images = latent.sample_autoencoder(live, live("encode", input_images(model, live, None, 5000, "train")[0]), drawn)
        columns = None
    else:
        raise UserError(f"this model cannot sample; it has {', '.join(live.names)}")
    write(out, images, lambda path: pictures.save_grid(path, images, columns))


@app.command()
def reconstruct(model: Model, images: Images = None, n: CountOrAll = None, option: Options = None,
                out: Out = pathlib.Path("reconstructions.png")):
    """Writes images above their reconstructions (.png), or the reconstructions (.npy).

    Without --n, 10 images, or all of --images for a .npy. Images of other sizes are resized like the training data.

    Example: tfgen reconstruct runs/x --n 10 --out r.png
    """
    count = n or (None if images and out.suffix.lower() == ".npy" else 10)
    live, x, _, options, unreadable = verb_inputs("reconstruct", model, images, count, option)
    made = live("reconstruct", x, **options)
    write(out, made, lambda path: pictures.save_rows(path, {"original": x, "reconstruction": made}))
    return passed_over(unreadable)


@app.command()
def encode(model: Model, images: Images = None, n: CountOrAll = None, option: Options = None,
           out: Out = pathlib.Path("codes.npy")):
    """Writes latents (.npy), or a 2-D scatter plot of them, coloured by class (.png).

    Without --n, all of --images, else 1000. Images of other sizes are resized like the training data.

    Example: tfgen encode runs/x --n 1000 --out codes.npy
    """
    live, x, labels, options, unreadable = verb_inputs("encode", model, images, n or (None if images else 1000), option)
    write(out, live("encode", x, **options), lambda path: latent.plot_codes(live, x, labels, path, **options))
    return passed_over(unreadable)


@app.command()
def translate(model: Model, images: ImageFiles,
              out: Annotated[pathlib.Path, typer.Option(help="Folder for the translations, which keep the images' names.")],
              back: Annotated[bool, typer.Option("--back", help="From the target domain to the source domain.")] = False,
              option: Options = None, resize_back: Annotated[bool, typer.Option(
                  "--resize-back", help="Resize each translation to its image's size.")] = False):
    """Translates a folder of images. Images of other sizes are resized like the training data.

    Files that cannot be read are passed over and listed at the end; the exit code is then 1.

    Example: tfgen translate runs/x --images photos --out translated
    """
    verb = "translate_back" if back else "translate"
    written, unreadable = folders.translate(runs.open_verbs(model), images, out, verb, resize_back, **numbers(option))
    print(f"wrote {written} translations to {out}")
    return passed_over(unreadable)


@app.command()
def score(model: Model, images: ImageFiles,
          out: Annotated[pathlib.Path, typer.Option(help="Folder for index.html, scores.csv and overlays.")],
          threshold: Annotated[float | None, typer.Option(
              help="Images with a higher score count as anomalous; default: the model's threshold.")] = None,
          top: Annotated[int, typer.Option(min=1, help="Number of images on the page, most anomalous first.")] = 100):
    """Scores a folder of images for anomalies. Images of other sizes are resized like the training data.

    Files that cannot be read are passed over and listed at the end; the exit code is then 1.

    Example: tfgen score runs/x --images photos --out report
    """
    report = anomaly_report.write(runs.open_verbs(model), images, out, threshold, top)
    print(f"scored {report.scored} images, {report.anomalous} anomalous at threshold {report.threshold:.4g}"
          f"{'' if np.isfinite(report.threshold) else f' ({anomaly_report.NOT_CALIBRATED})'}: {out / 'index.html'}")
    return passed_over(report.unreadable)


@app.command()
def evaluate(run: Annotated[pathlib.Path, typer.Argument(help="A run folder.")],
             split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
             k: Annotated[int, typer.Option(min=1, help="Number of importance samples of the bound.")] = 1,
             limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of images.")] = None,
             samples: Annotated[int, typer.Option(
                 min=0, help="Number of samples to compare with the images; 0: none.")] = 10_000,
             extractor: Annotated[str, typer.Option(
                 help="Features of that comparison: classifier (trained on the data on first use) or "
                      "inception_v3 (needs its weights on disk).")] = "classifier"):
    """Evaluates a run on a split; prints the figures as JSON and adds them to its metrics.json.

    Example: tfgen evaluate runs/x --split test --k 50
    """
    model, settings = runs.open_run(run)
    dataset = runs.load_data(settings)
    if extractor not in EXTRACTORS:
        raise UserError(f"--extractor expects one of {', '.join(EXTRACTORS)}, received '{extractor}'")
    path = run / "metrics.json"
    known = runs.files.read_json(path) if path.exists() else {}
    makes = samples and {"sample", "translate"} & set(verbs.verbs_of(model))
    values = evaluation.evaluate(model, dataset, recipes.find(settings["recipe"]), split, k, limit, samples=samples,
                           extractor=EXTRACTORS[extractor](dataset) if makes else None)
    runs.files.write_json(path, known | {split: values})
    print(json.dumps(values, indent=2))


@app.command("export")
def export_(run: Annotated[pathlib.Path, typer.Argument(help="A run folder.")],
            to: Annotated[pathlib.Path, typer.Option(help="Folder of the model's versions, to which one is added.")],
            version: Annotated[int | None, typer.Option(
                min=1, max=2**63 - 1, help="Version number; default: the next free one.")] = None,
            fpr: Annotated[float | None, typer.Option(
                help="False positive rate for which to calibrate an anomaly detector on the validation split; default: "
                     "keep the threshold of the run (0.05).")] = None):
    """Writes a SavedModel for TF Serving, one signature per verb, and verifies it.

    Example: tfgen export runs/x --to saved_models/vae
    """
    if (to / "run.json").exists():
        raise UserError(f"expected a folder of exports for --to, {to} holds a run: choose another, such as "
                        f"saved_models/{to.name}")
    model, settings = runs.open_run(run)
    about = {key: settings[key] for key in ("recipe", "spec", "hyperparameters", "versions")}
    about |= {"data": data.portable(settings["data"]), "reading": settings.get("reading", data.reading(settings["data"]))}
    scores = "score" in verbs.verbs_of(model)
    if fpr is not None and not scores:
        raise UserError(f"--fpr expects a model with score, this one has {', '.join(verbs.verbs_of(model))}: leave it out")
    if scores and (fpr is not None or not np.isfinite(float(model.threshold))):
        about["threshold"] = calibration.calibrate(model, runs.load_data(settings), fpr)
        print("threshold {threshold:.6g}: a false positive rate of at most {asked_fpr:g} on average, from {held_out} "
              "held-out normal images".format(**about["threshold"]))
    print(f"wrote {export.export(model, to, version, about)}: {', '.join(verbs.verbs_of(model))}")


@app.command()
def reproduce(name: Annotated[str | None, typer.Argument(help="Name of a figure; without it, lists all.")] = None):
    """Trains and measures a published figure and writes its record to results/.

    Example: tfgen reproduce vae
    """
    if name is None:
        for key, figure in figures.FIGURES.items():
            print(f"{key:12} {figure.title}")
    else:
        print(json.dumps(figures.reproduce(name)["values"], indent=2))


@app.command(hidden=True)
def results():
    """Writes RESULTS.md from the records in results/."""
    results_table.write_table()


@app.command("catalogue", hidden=True)
def catalogue_():
    """Writes what `tfgen list` shows anew, after a change of recipes."""
    _start.libraries()
    catalogue.write()


@data_app.command("list")
def data_list():
    """Lists the available data sets.

    Example: tfgen data list
    """
    for name, where, about in data.available():
        print(f"{name:20} {about}  [{where}]")


@data_app.command("prepare")
def data_prepare(name: Annotated[str, typer.Argument(help="fashion_mnist, mnist or kmnist.")],
                 source: Annotated[pathlib.Path, typer.Option("--from", help="Folder with the four IDX files.")]):
    """Builds a TFDS data set from files on disk.

    Example: tfgen data prepare fashion_mnist --from /usr/share/dataset-fashion-mnist
    """
    print(f"prepared {name} in {data.prepare(name, source)}")


def failure(error):
    """(exit code, one-line message) for the error that ended a command."""
    line = " ".join(str(error).split())
    if hasattr(error, "format_message"):  # a usage error of the command line; its class differs between versions
        return error.exit_code, error.format_message()
    if isinstance(error, UserError):
        return 2, line
    if disks.is_full(error) and not isinstance(error, DiskFull):
        return 1, f"no space left on a disk that is written to ({line[:200]}): make room, or choose another folder"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return (2 if isinstance(error, PATHS) else 1), f"{error.filename}: {error.strerror}; choose another place"
    if isinstance(error, (Failure, OSError)):
        return 1, line or type(error).__name__
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return 1, f"out of memory; a smaller --batch-size, --n or --image-size needs less ({line[:200]})"
    return 1, f"internal ({type(error).__name__}): {line}; TFGEN_DEBUG=1 shows the traceback"


def prepare_streams():
    """Replaces closed standard streams by the null device; escapes characters that a stream cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="replace"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def main():
    """Runs the command line: exit code 2 for a usage error, 1 for a failure, 130 for Ctrl-C; prints one line each.

    With TFGEN_DEBUG=1 every error is raised.
    """
    prepare_streams()
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe; discard the remaining output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, typer.Abort) as error:
        # Typer converts KeyboardInterrupt, whose message says how to resume, into Abort.
        print(str(error) or str(error.__cause__ or "") or "stopped", file=sys.stderr)
        code = 130
    except Exception as error:
        code, line = failure(error)
        if type(error).__name__ == "NoArgsIsHelpError":
            print(line)
        elif os.environ.get("TFGEN_DEBUG"):
            raise
        else:
            print(f"error: {line}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
