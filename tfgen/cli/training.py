"""The commands that make runs: list, train, tune."""

import json
import pathlib
import shlex
import sys
from typing import Annotated

import typer

from tfgen import catalogue
from tfgen.cli.lazy import data, runs, tuning
from tfgen.cli.options import (
    Anomalous,
    BatchSize,
    Binarise,
    DataName,
    Domains,
    Epochs,
    Every,
    GroupBy,
    ImageSize,
    Label,
    Levels,
    Normal,
    Pairs,
    Quiet,
    Resize,
    Seed,
    Set,
    SkipUnreadable,
    Window,
    WindowStep,
    assignments,
    recipes_beginning,
)
from tfgen.errors import UserError


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


# What a resumed run, or search, may be told.
WITH_RESUME = {"--resume", "--epochs", "--extend", "--force", "--strategy", "--replicas", "--quiet"}
WITH_RESUMED_SEARCH = {"--resume", "--join", "--force", "--workers", "--listen", "--quiet"}


def given_options(context):
    """Names of the options that a command line has."""
    return [parameter.opts[0] for parameter in context.command.params
            if context.get_parameter_source(parameter.name).name == "COMMANDLINE"]


def train(context: typer.Context,
          recipe: Annotated[str | None, typer.Argument(help="A recipe's name, see `tfgen list`.",
                                                       autocompletion=recipes_beginning)] = None,
          data_name: DataName = "digits", epochs: Annotated[int | None, typer.Option(
              help="Passes over the training data; default 20, with --resume the run's own number.")] = None,
          set_: Set = None, batch_size: BatchSize = None, seed: Seed = 0, image_size: ImageSize = None,
          pairs: Pairs = None, domains: Domains = None, normal: Normal = None, anomalous: Anomalous = None,
          resize: Resize = "stretch", group_by: GroupBy = None, skip_unreadable: SkipUnreadable = False,
          levels: Levels = None, binarise: Binarise = None, every: Every = None, label: Label = None,
          window: Window = None, window_step: WindowStep = None,
          out: Annotated[pathlib.Path | None, typer.Option(help="Run folder; default runs/RECIPE-DATA.")] = None,
          resume: Annotated[pathlib.Path | None, typer.Option(help="Run folder to continue.")] = None,
          extend: Annotated[bool, typer.Option("--extend", help="With --resume and --epochs: stretch schedules and stages "
                                               "to the new end.")] = False,
          force: Annotated[bool, typer.Option("--force", help="With --resume: go on although settings, data, versions of "
                                              "libraries or oneDNN's kernels have changed.")] = False,
          start: Annotated[pathlib.Path | None, typer.Option(
              "--from", help="A run of the same recipe, whose hyperparameters and weights this one begins with.")] = None,
          patience: Annotated[int | None, typer.Option(
              min=1, help="Stop after so many epochs without a better objective on the validation split.")] = None,
          keep: Annotated[str, typer.Option(help="Whose weights the run ends with: last, or best, of the best epoch by the "
                                                 "recipe's objective.")] = "last",
          clip_norm: Annotated[float | None, typer.Option(
              help="Scale gradients down to this norm, each player's over all of its weights.")] = None,
          accumulate: Annotated[int | None, typer.Option(
              min=1, help="Compute each update in so many parts, each of --batch-size images; default 1.")] = None,
          schedule: Annotated[str | None, typer.Option(
              help="What the recipe's learning rates are multiplied by: constant (default), cosine or linear, to 0 at the "
                   "end.")] = None,
          warmup: Annotated[int | None, typer.Option(
              min=0, help="Training steps in which they first rise from 0; default 0.")] = None,
          scheduled: Annotated[str | None, typer.Option(
              help="Whose rates: both players' (default), the generator's or the critic's.")] = None,
          precision: Annotated[str | None, typer.Option(
              help="float32 (default), or bfloat16 for the layers' computations; weights, last layers and losses stay in "
                   "float32.")] = None,
          deterministic: Annotated[bool, typer.Option(
              "--deterministic", help="Use operations that give the same bits in every run, on GPUs too; slower "
                                      "there.")] = False,
          strategy: Annotated[str | None, typer.Option(
              help="mirrored: on several devices of this machine; multiworker: on those of all processes in TF_CONFIG; "
                   "default: on one device.")] = None,
          replicas: Annotated[int | None, typer.Option(
              min=1, help="Devices of mirrored; default: all GPUs. Without GPUs: logical devices of the CPU, to try "
                          "it.")] = None,
          callback: Annotated[list[str] | None, typer.Option(
              help="MODULE:FUNCTION, called with the run folder and its settings, gives a Keras callback, such as that of "
                   "an experiment tracker; may be repeated.")] = None,
          keep_checkpoints: Annotated[int, typer.Option(
              min=1, help="Checkpoints to keep, besides that of the best epoch by the recipe's objective.")] = 2,
          checkpoint_steps: Annotated[int | None, typer.Option(
              min=1, help="Training steps between checkpoints within an epoch, rounded up to a divisor of its steps or a "
                          "multiple of one; default: none.")] = None,
          checkpoint_minutes: Annotated[float, typer.Option(
              min=0.0, help="Minutes between checkpoints within an epoch; 0: none. Every epoch ends with one.")] = 10.0,
          picture_every: Annotated[int, typer.Option(min=1, help="Epochs between pictures.")] = 1,
          tensorboard: Annotated[bool, typer.Option("--tensorboard",
                                                    help="Also write TensorBoard files, with pictures.")] = False,
          quiet: Quiet = False):
    """Trains a recipe into a new run folder, or resumes a run.

    Example: tfgen train vae --data digits --epochs 20 --set latent_dim=8 --seed 0 --out runs/x
    """
    verbose = 0 if quiet else "auto"
    if (recipe is None) == (resume is None):
        raise UserError("expected a RECIPE or --resume RUN, one of them; see `tfgen train --help`")
    if extend and not (resume and epochs):
        raise UserError("--extend expects --resume RUN and --epochs N: leave it out, or give those")
    if force and not resume:
        raise UserError("--force expects --resume RUN: leave it out")
    if replicas and strategy is None:
        raise UserError("--replicas expects --strategy mirrored: leave it out, or give that")
    devices = runs.strategies.strategy_of(strategy, replicas) if strategy else None
    if resume:
        given = [name for name in given_options(context) if name not in WITH_RESUME]
        if given:
            raise UserError(f"a run goes on with the settings that it has: leave {', '.join(given)} out with --resume, or "
                            "train another run")
        runs.resume(resume, epochs, verbose, extend, force, devices)
        out = resume
    else:
        catalogue.check(recipe)
        out = out or pathlib.Path("runs") / f"{recipe}-{pathlib.Path(data_name).stem}"
        dataset = data.load(data_name, image_size, None, pairs, domains, normal, anomalous, resize, group_by,
                            skip_unreadable, levels, binarise, every, label, window, window_step)
        runs.train(recipe, dataset, out, 20 if epochs is None else epochs, assignments(set_, "--set"), batch_size, seed,
                   tensorboard, picture_every, verbose=verbose, command=shlex.join(["tfgen", *sys.argv[1:]]),
                   start=start, regime=runs.regime.Regime(
                       keep_checkpoints, checkpoint_steps, checkpoint_minutes or None, patience, keep, clip_norm,
                       accumulate or 1, schedule or "constant", warmup or 0, scheduled or "both", precision or "float32",
                       deterministic, tuple(callback or ())), strategy=devices)
    if devices is None or runs.strategies.chief(devices):
        print(f"run in {out}: pictures, curves.png, metrics.json, model.keras")


def tune(context: typer.Context,
         recipe: Annotated[str | None, typer.Argument(help="A recipe's name, see `tfgen list`.",
                                                      autocompletion=recipes_beginning)] = None,
         data_name: DataName = "digits",
         trials: Annotated[int, typer.Option(min=1, help="Models to try.")] = 10,
         tuner: Annotated[str, typer.Option(help="random, grid, bayesian or hyperband.")] = "random", epochs: Epochs = 5,
         set_: Set = None, batch_size: BatchSize = None, seed: Seed = 0, image_size: ImageSize = None,
         pairs: Pairs = None, domains: Domains = None, normal: Normal = None, anomalous: Anomalous = None,
         resize: Resize = "stretch", group_by: GroupBy = None, skip_unreadable: SkipUnreadable = False,
         levels: Levels = None, binarise: Binarise = None, every: Every = None, label: Label = None,
         window: Window = None, window_step: WindowStep = None,
         steps: Annotated[int | None, typer.Option(min=1, help="Training steps per epoch in the trials.")] = None,
         out: Annotated[pathlib.Path | None, typer.Option(help="New folder; default runs/tune-RECIPE-DATA.")] = None,
         resume: Annotated[pathlib.Path | None, typer.Option(
             help="Folder of a search to go on with; trials that have ended stay.")] = None,
         force: Annotated[bool, typer.Option("--force", help="With --resume: go on although data, hyperparameters or "
                                             "versions of libraries have changed.")] = False,
         workers: Annotated[int, typer.Option(min=0, help="Processes of this machine that train trials at the same time; "
                                                          "one that dies is started again and gets its trial back.")] = 1,
         listen: Annotated[str | None, typer.Option(
             help="HOST:PORT for workers of other machines, which share OUT; prints what to run there. For trusted "
                  "networks only.")] = None,
         worker_of: Annotated[pathlib.Path | None, typer.Option(
             "--join", help="Folder of a search whose trials this process trains, as its environment says.")] = None,
         quiet: Quiet = False):
    """Searches a recipe's hyperparameters on the validation split; the best run is OUT/best, the report OUT/report.md.

    Example: tfgen tune vae --data digits --trials 5 --tuner bayesian --epochs 3 --out runs/search
    """
    verbose = 0 if quiet else 1
    if [recipe, resume, worker_of].count(None) != 2:
        raise UserError("expected a RECIPE, --resume OUT or --join OUT, one of them; see `tfgen tune --help`")
    if force and not resume:
        raise UserError("--force expects --resume OUT: leave it out")
    if recipe is None:
        if given := [name for name in given_options(context) if name not in WITH_RESUMED_SEARCH]:
            raise UserError(f"a search goes on with the settings that it has: leave {', '.join(given)} out with --resume "
                            "and --join, or begin another search")
    if worker_of:
        tuning.join(worker_of, verbose)
        return
    if resume:
        best, out = tuning.resume(resume, workers, listen, verbose, force), resume
    else:
        catalogue.check(recipe)
        out = out or pathlib.Path("runs") / f"tune-{recipe}-{pathlib.Path(data_name).stem}"
        dataset = data.load(data_name, image_size, None, pairs, domains, normal, anomalous, resize, group_by,
                            skip_unreadable, levels, binarise, every, label, window, window_step)
        best = tuning.search(recipe, dataset, out, trials, tuner, epochs, batch_size, seed, assignments(set_, "--set"),
                             steps, verbose, workers, listen)
    print(f"best run in {out / 'best'}, report in {out / 'report.md'}: "
          + ", ".join(f"{name}={value}" for name, value in best.items()))
