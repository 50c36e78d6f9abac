"""Searches: their settings, their trials in this process or in workers, the best run."""

import contextlib
import datetime
import os
import pathlib
import shutil
import time

import keras_tuner
import tensorflow as tf
from keras_tuner.engine.hyperparameters import Fixed
from keras_tuner.src import config

from tfgen import data, files, recipes, seeds
from tfgen.data.order import ORDER
from tfgen.disks import room_in
from tfgen.errors import Failure, UserError, check_positive, note, require
from tfgen.recipes.given import STEPS
from tfgen.runs import checkpoints, resuming, training
from tfgen.runs.folder import DETERMINING, changes, described, kernels, library_versions, load_data
from tfgen.runs.quality import SampleQuality
from tfgen.runs.tuning import oracles, report, workers
from tfgen.runs.tuning.hypermodels import Trials
from tfgen.runs.tuning.tuner import Halted, Search


def search(recipe, dataset, out, trials=10, tuner="random", epochs=5, batch_size=None, seed=0, values=None,
           steps=None, verbose=1, workers=1, listen=None):
    """Searches a recipe's hyperparameters on the validation split, then trains the best into `out/best`.

    Args:
        recipe: a recipe's name or `Recipe`.
        dataset: a `tfgen.data.Dataset`, or a name or path for `tfgen.data.load`.
        out: a new folder, which gets `search.json`, `trials/` (KerasTuner's files and `training.json` of each),
            `pictures/`, `report.md`, `parallel.png` and `best/` (a run folder).
        trials: maximum number of trials, >= 1.
        tuner: `random`, `grid`, `bayesian` or `hyperband`.
        epochs: number of epochs per trial and of the best run; the maximum per trial for `hyperband`.
        batch_size, seed: as in `runs.train`.
        values: {hyperparameter: value} that are fixed in the search.
        steps: training steps per epoch in the trials; None uses full epochs.
        verbose: as in KerasTuner.
        workers: number of processes on this machine that train trials at the same time, >= 0; 1 without `listen`: this one.
        listen: HOST:PORT at which workers of other machines ask for trials as well; None: none do. Whoever reaches the
            address takes part in the search: choose one of a trusted network.

    Returns:
        {hyperparameter: value} of the best trial.

    Raises:
        UserError: for an unknown tuner or hyperparameter, or a folder that holds a search.
        Failure: after the report, if any trial failed; if a worker cannot go on.
    """
    recipe = recipes.find(recipe) if isinstance(recipe, str) else recipe
    dataset = data.load(dataset) if isinstance(dataset, (str, pathlib.Path)) else dataset
    batch_size = recipe.batch_size if batch_size is None else batch_size
    check_positive(trials=trials, epochs=epochs, batch_size=batch_size)
    seeds.folded(seed)
    oracles.check(tuner)
    check_workers(workers, listen)
    out = pathlib.Path(out)
    require(not out.exists() or out.is_dir(), f"expected a folder for --out, {out} is a file")
    check_free(out)
    settings = described(recipe, dataset, dict(values or {})) | {
        "seed": seed, "order": ORDER, "epochs": epochs, "batch_size": batch_size, "content": dataset.digest(),
        "objective": list(recipe.objective), "tuner": tuner, "max_trials": trials, "steps": steps,
        **kernels(), "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    # Rejects invalid arguments before anything is written.
    recipe.check_kind(dataset.spec)
    if recipe.objective[0] == SampleQuality.NAME and (reason := SampleQuality.unmeasurable(dataset)):
        raise UserError(f"the objective '{SampleQuality.NAME}' will not be in the logs, for these data do not allow it: "
                        f"{reason}")
    model, space = trials_of(settings, recipe, dataset)
    settings["space"] = space_of(space)
    with files.held(out), room_in(out, lambda: advice(out)):
        # Another search may have taken the folder in the meantime.
        check_free(out)
        for left in ("trials", "pictures"):
            shutil.rmtree(out / left, ignore_errors=True)
        files.write_json(out / "search.json", settings)
        return _search(out, settings, model, space, workers, listen, verbose)


def resume(out, workers=1, listen=None, verbose=1, force=False):
    """Goes on with a search that was stopped: ended trials stay, one that was being trained is trained again.

    Args:
        out: folder of the search.
        workers, listen, verbose: as for `search`.
        force: go on although data, search space, versions of libraries or oneDNN's kernels have changed.

    Raises:
        UserError: for a folder without a search, one that has ended, or such a change without `force`.
        Failure: as for `search`.
    """
    out = pathlib.Path(out)
    check_workers(workers, listen)
    settings = read(out)
    require("finished" not in settings, f"expected a search that has not ended in {out}, received one that has, with its "
                                        f"report in {out / 'report.md'}: choose another --out for a new search")
    with files.held(out), room_in(out, lambda: advice(out)):
        files.sweep(out)
        model, space = reopened(out, settings, force)
        if force:
            # Workers compare with what the search goes on with.
            settings |= {"versions": library_versions(), "content": model.dataset.digest(), "space": space_of(space),
                         **kernels()}
            files.write_json(out / "search.json", settings)
        return _search(out, settings, model, space, workers, listen, verbose, force)


def join(out, verbose=1):
    """Trains trials of a search of another process, as the environment of this one says, until none is left.

    Raises:
        UserError: without that environment, a search in the folder, or its data, versions of libraries and kernels.
    """
    workers.check_environment()
    workers.follow_supervisor()
    out = pathlib.Path(out)
    settings = read(out)
    model, space = reopened(out, settings, force=False)
    run(Search(oracle_of(settings), model, out, settings["seed"], space), settings, verbose)


def check_workers(workers, listen):
    require(workers >= 0, f"workers expects a number of processes of at least 0, received {workers}")
    require(workers or listen, "no workers on this machine expect an address for others: give --listen HOST:PORT, or at "
                               "least one worker")


def check_free(out):
    """Raises a `UserError` for a folder with a completed trial, or with other files where a search writes; searches without
    a completed trial are overwritten."""
    if (out / "best").exists() or any('"COMPLETED"' in trial.read_text("utf-8")
                                      for trial in (out / "trials").glob("trial_*/trial.json")):
        raise UserError(f"{out} holds a search already; go on with `tfgen tune --resume {out}` or choose another --out")
    if not (out / "search.json").exists():
        taken = [name for name in ("run.json", "trials", "pictures", "report.md", "parallel.png") if (out / name).exists()]
        require(not taken, f"expected a new folder or one of a search for --out, found {' and '.join(taken)} in {out}: "
                           "choose another")


def advice(out):
    """What to do on a full disk."""
    return f"ended trials are whole: make room, then go on with `tfgen tune --resume {out}`"


def read(out):
    """The settings of a search.

    Raises:
        UserError: if the folder holds none.
    """
    path = out / "search.json"
    require(path.exists(), f"expected a search in {out}, received a folder without search.json or none: make one with "
                           f"`tfgen tune RECIPE --out {out}`")
    settings = files.read_json(path)
    require(isinstance(settings, dict) and "max_trials" in settings,
            f"expected the settings of a search in {path}, received those of an earlier version or other content: begin "
            "another search")
    return settings


def reopened(out, settings, force):
    """(`Trials`, space) of a search from its settings; refuses what has changed since."""
    recipe, dataset = recipes.find(settings["recipe"]), load_data(settings)
    model, space = trials_of(settings, recipe, dataset)
    # Searches of before do not say whether oneDNN's kernels were on.
    kept = {key: settings[key] for key in (*DETERMINING, "versions", *kernels()) if key in settings}
    found = changes(kept, settings, dataset)
    now = space_of(space)
    found += [f"hyperparameter {name} {settings['space'].get(name)} -> {now.get(name)}"
              for name in {**settings["space"], **now} if settings["space"].get(name) != now.get(name)]
    if found:
        told = f"found {', '.join(found)}"
        require(force, f"expected in {out} what the search began with, {told}, with which its trials cannot be compared: "
                       "put it back, or go on with --force")
        note(f"{told} since the search in {out} began")
    return model, space


def trials_of(settings, recipe, dataset):
    """(`Trials` that has built a model, the `keras_tuner.HyperParameters` which that asked for)."""
    model = Trials(recipe, dataset, settings["hyperparameters"], settings["batch_size"], settings["epochs"],
                   settings["steps"])
    seeds.set_random(settings["seed"])
    space = keras_tuner.HyperParameters()
    model.build(space)
    return model, space


def space_of(hp):
    """{hyperparameter: what `search.json` keeps of its range} of the searched ones."""
    kept = ("min_value", "max_value", "step", "sampling", "values", "default")
    return {one.name: {key: value for key, value in one.get_config().items() if key in kept} for one in hp.space
            if not isinstance(one, Fixed)}


def oracle_of(settings):
    return oracles.oracle(settings["tuner"], keras_tuner.Objective(*settings["objective"]), settings["max_trials"],
                          settings["epochs"], seeds.folded(settings["seed"]) % (2**32 - 1))


def run(tuner, settings, verbose):
    """Trains trials in this process until none is left; raises errors of files."""
    with quiet_libraries():
        try:
            tuner.search(epochs=settings["epochs"], verbose=verbose)
        except Halted as error:
            raise error.__cause__ from None


@contextlib.contextmanager
def quiet_libraries():
    """Without TFGEN_DEBUG=1, KerasTuner prints no traceback of a failed trial, whose message the search keeps, and
    TensorFlow no warning that a function is traced again, as each trial's must be."""
    before, level = config.DEBUG, tf.get_logger().level
    if not os.environ.get("TFGEN_DEBUG"):
        config.DEBUG = False
        tf.get_logger().setLevel("ERROR")
    try:
        yield
    finally:
        config.DEBUG = before
        tf.get_logger().setLevel(level)


def _search(out, settings, model, space, count, listen, verbose, force=False):
    """Trains the trials, reports, then trains the best run."""
    begun, tuner = time.perf_counter(), Search(oracle_of(settings), model, out, settings["seed"], space)
    try:
        if count == 1 and listen is None:
            run(tuner, settings, verbose)
        else:
            tuner.oracle.verbose = verbose
            with workers.Chief(tuner.oracle, listen or "127.0.0.1:0") as chief:
                if listen:
                    print(workers.instructions(chief, out), flush=True)
                workers.supervise(chief, out, count)
                chief.wait()
        rows = report.rows(out, tuner.oracle)
        failed = [row for row in rows if row["status"] != "COMPLETED"]
        # The final run has its own length.
        best = {name: value for name, value in report.chosen(out, rows).items()
                if name != STEPS or name in settings["hyperparameters"]}
        report.write(out, settings, rows, best)
        if best:
            _train_best(out, settings, model, best, verbose, force)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; go on with `tfgen tune --resume {out}`") from None
    files.write_json(out / "search.json", settings | {
        "best": best, "trials": rows, "seconds": round(time.perf_counter() - begun, 3),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")})
    if failed:
        told = f"the best of the others is in {out / 'best'}" if best else "there is no best run"
        raise Failure(f"{len(failed)} of {len(rows)} trials failed, the first ({failed[0]['id']}: "
                      f"{report.listed(failed[0]['hyperparameters'])}) with: {failed[0]['message']}; {told}, all are in "
                      f"{out / 'report.md'}")
    return best


def _train_best(out, settings, model, best, verbose, force):
    """Trains the run of the best hyperparameters, or goes on with it."""
    if checkpoints.all_of(out / "best"):
        resuming.resume(out / "best", verbose=verbose, force=force)
    else:
        training.train(model.recipe, model.dataset, out / "best", settings["epochs"], best, settings["batch_size"],
                       settings["seed"], picture_every=settings["epochs"], verbose=verbose)
