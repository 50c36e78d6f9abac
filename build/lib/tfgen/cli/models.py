"""The commands that measure and export a run, and those on exports: evaluate, export, check-export, serving-config."""

import json
import pathlib
from typing import Annotated

import numpy as np
import typer

from tfgen import files
from tfgen.cli import options
from tfgen.cli.lazy import (
    calibration,
    check,
    configuration,
    edge,
    evaluation,
    export,
    features,
    forms,
    inception,
    live,
    native,
    recipes,
    runs,
)
from tfgen.errors import Failure, UserError
from tfgen.verbs import verbs_of

EXTRACTORS = {"classifier": lambda dataset: features.classifier(dataset),
              "inception_v3": lambda dataset: inception.inception_v3(),
              "tf_inception": lambda dataset: inception.tf_inception()}
SAVED_MODEL = "saved_model"


def evaluate(run: Annotated[pathlib.Path, typer.Argument(help="A run folder.")],
             split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
             k: Annotated[int, typer.Option(min=1, help="Number of importance samples of the bound.")] = 1,
             limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of images.")] = None,
             samples: Annotated[int, typer.Option(
                 min=0, help="Number of samples to compare with the images; 0: none.")] = 10_000,
             extractor: Annotated[str, typer.Option(
                 help="Features of that comparison: classifier (trained on the data on first use), inception_v3 (Keras') or "
                      "tf_inception (that of published distances); both need weights on disk.")] = "classifier"):
    """Evaluates a run on a split; prints the figures as JSON and adds them to its metrics.json.

    Example: tfgen evaluate runs/x --split test --k 50
    """
    model, settings = runs.open_run(run)
    dataset = runs.load_data(settings)
    if extractor not in EXTRACTORS:
        raise UserError(f"--extractor expects one of {', '.join(EXTRACTORS)}, received '{extractor}'")
    path = run / "metrics.json"
    known = files.read_json(path) if path.exists() else {}
    makes = samples and not dataset.spec.vectors and {"sample", "translate"} & set(verbs_of(model))
    values = evaluation.evaluate(model, dataset, recipes.find(settings["recipe"]), split, k, limit, samples=samples,
                                 extractor=EXTRACTORS[extractor](dataset) if makes else None)
    files.write_json(path, known | {split: values})
    print(json.dumps(values, indent=2))


def export_(run: Annotated[pathlib.Path, typer.Argument(help="A run folder.")],
            to: Annotated[pathlib.Path, typer.Option(help="Folder of the model's versions, to which one is added.")],
            version: Annotated[int | None, typer.Option(
                min=1, max=2**63 - 1, help="Version number; default: the next free one.")] = None,
            fpr: Annotated[float | None, typer.Option(
                help="False positive rate for which to calibrate an anomaly detector on the validation split; default: "
                     "keep the threshold of the run (0.05).")] = None,
            signatures: Annotated[str | None, typer.Option(
                help="Verbs to export, such as encode,sample; default: all of the model.")] = None,
            precision: Annotated[str, typer.Option(
                help="float32, or bfloat16: layers compute in bfloat16, outputs may differ by 0.03; weights, inputs and "
                     "outputs stay float32.")] = "float32",
            xla: Annotated[bool, typer.Option(
                "--xla", help="Compile each signature with XLA, once per batch size.")] = False,
            warmup_batch_sizes: Annotated[str, typer.Option(
                help="Rows of the requests with which a server warms up, one per signature and size; none: no "
                     "warm-up.")] = "1,8,32",
            pictures: Annotated[int, typer.Option(
                min=0, help="Test images of the run's data to keep with the export, for `tfgen ui` on a machine without "
                            "that data; by default none leaves this one.")] = 0,
            check_: Annotated[bool, typer.Option(
                "--check", help="Afterwards run every signature in TensorFlow's C++ loader, see check-export.")] = False,
            format_: Annotated[str, typer.Option(
                "--format", help="saved_model, or that of an edge runtime: onnx, openvino, litert, tfjs. --to is then the "
                                 "folder of the files.")] = SAVED_MODEL):
    """Writes a SavedModel for TF Serving, one signature per verb, and verifies it.

    An edge runtime gets the verbs that it computes as the model does; the others are named with the reason (exit code 1).

    Example: tfgen export runs/x --to saved_models/vae
    """
    form = form_of(signatures, precision, xla, warmup_batch_sizes)
    if (to / "run.json").exists():
        raise UserError(f"expected a folder of exports for --to, {to} holds a run: choose another, such as "
                        f"saved_models/{to.name}")
    if format_ != SAVED_MODEL:
        # Before the run is opened: what is missing is said at once.
        edge.runtime_of(format_)
        given = {"--version": version is not None, "--precision": precision != "float32", "--xla": xla, "--check": check_,
                 "--pictures": pictures > 0}
        if any(given.values()):
            raise UserError(f"{next(name for name in given if given[name])} expects --format saved_model, received "
                            f"{format_}: leave it out")
    model, settings = runs.open_run(run)
    about = runs.origin(settings)
    scores = "score" in verbs_of(model)
    if fpr is not None and not scores:
        raise UserError(f"--fpr expects a model with score, this one has {', '.join(verbs_of(model))}: leave it out")
    if scores and (fpr is not None or not np.isfinite(float(model.threshold))):
        about["threshold"] = calibration.calibrate(model, runs.load_data(settings), fpr)
        print("threshold {threshold:.6g}: a false positive rate of at most {asked_fpr:g} on average, from {held_out} "
              "held-out normal images".format(**about["threshold"]))
    if format_ != SAVED_MODEL:
        export_edge(model, to, format_, form, about)
        return
    kept = runs.to_keep(runs.load_data(settings), pictures) if pictures else None
    path = export.export(model, to, version, about, form=form, pictures=kept)
    print(f"wrote {path}: {', '.join(form.names(verbs_of(model)))}")
    if check_:
        report([path])


def export_edge(model, to, format_, form, about):
    """Writes an edge export and prints what became of each verb; raises a `Failure` if one is refused."""
    verdicts = edge.export_edge(model, to, format_, form.signatures, about)
    for name, verdict in verdicts.items():
        print(f"{name:16}{verdict.text}")
    kept = [name for name, verdict in verdicts.items() if not verdict.refused]
    print(f"wrote {to}: {', '.join(kept)}")
    if len(kept) < len(verdicts):
        raise Failure(f"{len(verdicts) - len(kept)} of {len(verdicts)} verbs are refused by {format_} and left out, the "
                      f"others are kept in {to}; --signatures {','.join(kept)} asks for these alone")


def form_of(signatures, precision, xla, warmup_batch_sizes):
    """`serving.forms.Form` from the texts of the options."""
    sizes = () if warmup_batch_sizes == "none" else options.numbers(
        warmup_batch_sizes, "--warmup-batch-sizes", "1,32, or none")
    return forms.Form(precision, xla, tuple(signatures.split(",")) if signatures is not None else None, sizes)


def report(paths, model=None):
    """Checks SavedModels in TensorFlow's C++ loader, prints a table each, and raises a `Failure` for those that differ."""
    wrong = []
    with native.Loader() as loader:
        for path in paths:
            rows = check.check(path, loader, live.Live(model) if model else None)
            print("\n".join(check.table(path, rows)))
            wrong += [f"'{row.signature}' of {path} by {row.difference:.2g}" for row in rows
                      if row.difference > check.tolerance_of(path)]
    if wrong:
        raise Failure(f"outputs differ from the model's: {', '.join(wrong)}")


def check_export(path: Annotated[pathlib.Path, typer.Argument(help="A SavedModel, or a folder of versions.")],
                 run: Annotated[pathlib.Path | None, typer.Option(
                     help="The run to compare with; default: the outputs of the model that the export has kept.")] = None):
    """Runs every signature of exports in TensorFlow's C++ loader, without Python's TensorFlow; prints the largest
    difference from the model's outputs, the time per row, and the size.

    Example: tfgen check-export saved_models/vae
    """
    report(check.versions(path), runs.open_run(run)[0] if run else None)


def serving_config(folder: Annotated[pathlib.Path, typer.Argument(help="A folder of exports, such as saved_models.")],
                   to: Annotated[pathlib.Path | None, typer.Option(
                       help="Folder to write to; default: the folder of exports.")] = None,
                   max_batch_size: Annotated[int | None, typer.Option(
                       min=1, help="Rows of the largest batch of a server; default: those of the largest warm-up.")] = None,
                   batch_sizes: options.BatchSizes = None):
    """Writes models.config, batching_parameters.txt, monitoring.config and compose.yaml for TF Serving in Docker.

    Example: tfgen serving-config saved_models
    """
    paths = configuration.write(folder, to, largest_batch=max_batch_size,
                                sizes=options.numbers(batch_sizes, "--batch-sizes"))
    print(f"wrote {', '.join(paths)} in {to or folder}: start a server there with `docker compose up cpu` or `... up gpu`")
