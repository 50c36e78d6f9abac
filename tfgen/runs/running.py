"""A run from a training step to its end: the training with its callbacks, then figures and pictures."""

import contextlib
import functools
import sys

from tfgen import data, evaluation, files
from tfgen.attempts import Attempts
from tfgen.detection import calibration
from tfgen.runs import callbacks, drawing, field_drawing, strategies, vector_drawing
from tfgen.runs.doctor import doctor_of
from tfgen.runs.fitting import fit
from tfgen.runs.folder import determined, read_history, save
from tfgen.runs.quality import quality_callbacks
from tfgen.runs.regime import Patience, Regime, go_back, judged_from
from tfgen.runs.tensorboard import Board
from tfgen.serialization import computing_in
from tfgen.verbs.live import Live
from tfgen.verbs.table import verbs_of


def follow(out, settings, recipe, dataset, model, step):
    """Trains in a process that is not the chief of its strategy and writes nothing; returns the model."""
    strategy, regime = model.distribute_strategy, Regime(**settings.get("regime", {}))
    checkpoint = callbacks.Checkpoint(out, steps=regime.checkpoint_steps, writes=False, within=step % dataset.steps(
        settings["batch_size"] * model.batches_per_step) > 0)
    with strategies.survivors(strategy, out):
        if not strategies.agreed(strategy, False):
            fit(model, dataset, recipe, settings["batch_size"], settings["epochs"], settings["seed"], step,
                order=settings.get("order", 1), steps_per_execution=regime.execution(settings["steps_per_execution"]),
                callbacks=[callbacks.StopOnNaN(), strategies.Together(), checkpoint])
        strategies.agreed(strategy, False)  # Until the chief has finished, too.
    return model


def run(out, settings, recipe, dataset, model, step, verbose, further=(), kept=None):
    """Fits from `step` on, then calibrates, saves, draws and measures.

    Args:
        further: the callbacks of `Regime.further`.
        kept: what the checkpoint has kept of callbacks.
    """
    if verbose == "auto":
        # A progress bar in a terminal, one line per epoch in a log file.
        verbose = 1 if sys.stdout.isatty() else 2
    # Callbacks and figures share the verbs, which take seconds to trace.
    attempt, live = Attempts(), Live(model)
    quality = quality_callbacks(recipe, dataset, attempt, live)
    steps = dataset.steps(settings["batch_size"] * model.batches_per_step)
    regime = Regime(**settings.get("regime", {}))
    rows = [row for row in read_history(out) if row["epoch"] <= step // steps]
    pictures = pictures_of(out, dataset, settings["picture_every"], live)
    pictures.last = step // steps
    history = callbacks.History(out, rows, settings["picture_every"], judged_from(model, steps, settings["epochs"]))
    patience = Patience(history, recipe.objective, regime.patience, settings.get("patient_since", 0))
    doctors = dict(zip(("doctor",), doctor_of(model, out, rows, quality, attempt, live), strict=False))
    for name, value in (kept or {}).items():
        doctors[name].restore(value)
    strategy = model.distribute_strategy
    alone = strategies.processes(strategy) == 1
    # Processes read a checkpoint's values together: not when one of them is asked to, but at a step that all know.
    minutes = regime.checkpoint_minutes if alone else None
    checkpoint = callbacks.Checkpoint(out, regime.keep_checkpoints, regime.checkpoint_steps, minutes, history,
                                      recipe.objective, step % steps > 0, doctors, determined(settings))
    stopper = callbacks.StopOnInterrupt(checkpoint) if alone else contextlib.nullcontext()
    # Callbacks that reject non-finite losses come before callbacks that save.
    watching = [callbacks.StopOnNaN(), *quality, history, pictures, *doctors.values(), patience,
                *further]
    if settings["tensorboard"]:
        watching.append(Board(out, settings["hyperparameters"], history, recipe.objective))
    watching += [checkpoint, stopper] if alone else [strategies.Together(), checkpoint]
    try:
        with stopper, strategies.survivors(strategy, out):
            over = strategies.agreed(strategy, patience.over)
            fit(model, dataset, recipe, settings["batch_size"], step // steps if over else settings["epochs"],
                settings["seed"], step, order=settings.get("order", 1),
                steps_per_execution=regime.execution(settings["steps_per_execution"]), callbacks=watching, verbose=verbose)
    except callbacks.Interrupted:
        save(regime.finished(model), out)
        raise KeyboardInterrupt(f"stopped after step {int(model.optimizer.iterations.numpy())}; "
                                f"go on with `tfgen train --resume {out}`") from None
    try:
        if regime.keep == "best":
            go_back(out, model, history, steps, recipe.objective)
        model = ended(out, regime, recipe, dataset, model, attempt, live)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped after the training, before all of its figures; make them with `tfgen train "
                                f"--resume {out}`") from None
    with strategies.survivors(strategy, out):
        strategies.agreed(strategy, False)
    return model


def ended(out, regime, recipe, dataset, model, attempt, live):
    """The model of a training that has ended, on one device and in float32: calibrated, saved, drawn and measured."""
    if regime.precision != "float32" or model.distribute_strategy.num_replicas_in_sync > 1:
        model = computing_in(model, "float32")
        live = Live(model)
    # The threshold is a weight of the model, so that it comes before saving.
    figures = attempt("threshold", calibrated, model, dataset, recipe, default={})
    save(model, out)
    for what, finisher in {"pictures of codes": functools.partial(drawing.draw_codes, out, live=live),
                           "figures": functools.partial(measured, live=live)}.items():
        figures |= attempt(what, finisher, model, dataset, recipe, default={})
    files.write_json(out / "metrics.json", figures)
    return model


def pictures_of(out, dataset, every, live):
    """The callback that draws pictures of a training on a dataset."""
    if dataset.spec.vectors:
        return vector_drawing.VectorPictures(out, *drawing.examples(dataset), (dataset.spec.location, dataset.spec.scale),
                                             every, live)
    if isinstance(dataset, data.Dataset):
        return drawing.Pictures(out, *drawing.examples(dataset), every, drawing.sources_of(dataset), live)
    return field_drawing.FieldPictures(out, dataset, every, live)


# Finishers: functions (model, dataset, recipe) -> entries of `metrics.json`, called once after the training.


def calibrated(model, dataset, recipe):
    """The threshold of an anomaly detector, from the validation split; sets it in the model."""
    return {"threshold": calibration.calibrate(model, dataset)} if "score" in verbs_of(model) else {}


def measured(model, dataset, recipe, live=None):
    """Figures on the validation split, with a comparison of samples if they are the recipe's objective.

    `live` as for `tfgen.evaluation.evaluate`.
    """
    samples = 10_000 if quality_callbacks(recipe, dataset) else 0
    return {"validation": evaluation.evaluate(model, dataset, recipe, "validation", samples=samples, live=live)}
