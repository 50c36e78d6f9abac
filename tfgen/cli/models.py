"""The commands on a run that measure and export it: evaluate, export."""

import json
import pathlib
from typing import Annotated

import numpy as np
import typer

from tfgen import files
from tfgen.cli.lazy import calibration, data, edge, evaluation, export, features, recipes, runs
from tfgen.errors import Failure, UserError
from tfgen.verbs import verbs_of

EXTRACTORS = {"classifier": lambda dataset: features.classifier(dataset),
              "inception_v3": lambda dataset: features.inception_v3()}
SAVED_MODEL = "saved_model"


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
    known = files.read_json(path) if path.exists() else {}
    makes = samples and {"sample", "translate"} & set(verbs_of(model))
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
            format_: Annotated[str, typer.Option(
                "--format", help="saved_model, or that of an edge runtime: onnx, openvino, litert, tfjs. --to is then the "
                                 "folder of the files.")] = "saved_model"):
    """Writes a SavedModel for TF Serving, one signature per verb, and verifies it.

    An edge runtime gets the verbs that it computes as the model does; the others are named with the reason (exit code 1).

    Example: tfgen export runs/x --to saved_models/vae
    """
    if (to / "run.json").exists():
        raise UserError(f"expected a folder of exports for --to, {to} holds a run: choose another, such as "
                        f"saved_models/{to.name}")
    if format_ != SAVED_MODEL:
        # Before the run is opened: what is missing is said at once.
        edge.runtime_of(format_)
        if version is not None:
            raise UserError("--version expects --format saved_model: edge exports have no versions, leave it out")
    model, settings = runs.open_run(run)
    about = {key: settings[key] for key in ("recipe", "spec", "hyperparameters", "versions")}
    about |= {"data": data.portable(settings["data"]), "reading": settings.get("reading", data.reading(settings["data"]))}
    scores = "score" in verbs_of(model)
    if fpr is not None and not scores:
        raise UserError(f"--fpr expects a model with score, this one has {', '.join(verbs_of(model))}: leave it out")
    if scores and (fpr is not None or not np.isfinite(float(model.threshold))):
        about["threshold"] = calibration.calibrate(model, runs.load_data(settings), fpr)
        print("threshold {threshold:.6g}: a false positive rate of at most {asked_fpr:g} on average, from {held_out} "
              "held-out normal images".format(**about["threshold"]))
    if format_ == SAVED_MODEL:
        print(f"wrote {export.export(model, to, version, about)}: {', '.join(verbs_of(model))}")
    else:
        export_edge(model, to, format_, signatures.split(",") if signatures is not None else None, about)


def export_edge(model, to, format_, names, about):
    """Writes an edge export and prints what became of each verb; raises a `Failure` if one is refused."""
    verdicts = edge.export_edge(model, to, format_, names, about)
    for name, verdict in verdicts.items():
        print(f"{name:16}{verdict.text}")
    kept = [name for name, verdict in verdicts.items() if not verdict.refused]
    print(f"wrote {to}: {', '.join(kept)}")
    if len(kept) < len(verdicts):
        raise Failure(f"{len(verdicts) - len(kept)} of {len(verdicts)} verbs are refused by {format_} and left out, the "
                      f"others are kept in {to}; --signatures {','.join(kept)} asks for these alone")
