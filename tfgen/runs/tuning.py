"""Hyperparameter search over recipes with KerasTuner."""

import pathlib

import keras_tuner

from tfgen import data, files, recipes, seeds
from tfgen.data import DataSpec
from tfgen.errors import Failure, UserError, check_positive, did_you_mean
from tfgen.recipes.given import STEPS, Given
from tfgen.runs.fitting import fit
from tfgen.runs.quality import SampleQuality, quality_callbacks
from tfgen.runs.training import train

TUNERS = {"random": keras_tuner.RandomSearch, "bayesian": keras_tuner.BayesianOptimization,
          "hyperband": keras_tuner.Hyperband}
# Packages whose callbacks add no logs, except `SampleQuality`.
LIBRARIES = ("keras", "keras_tuner", "tfgen")


class Unmeasured(UserError, keras_tuner.errors.FatalError):
    """The objective will not be in the logs. A FatalError, so that KerasTuner aborts the search instead of the trial."""


class RecipeHyperModel(keras_tuner.HyperModel):
    """A recipe as KerasTuner `HyperModel`, with the callbacks that measure its objective.

    Args:
        recipe: a `Recipe`.
        data: a `tfgen.data.Dataset`, or its `DataSpec` for an objective that needs no images, such as `val_loss`.
        values: {hyperparameter: value} that are fixed in the search.
    """

    def __init__(self, recipe, data, values=None):
        super().__init__(name=recipe.name)
        self.recipe = recipe
        self.dataset, self.spec = (None, data) if isinstance(data, DataSpec) else (data, data.spec)
        self.values = dict(values or {})
        self.tried = False

    def steps(self, hp):
        """Function batches_per_step -> number of training steps of a trial, or None if unknown."""
        return None

    def build(self, hp):
        self.recipe.check_kind(self.spec)
        given = Given(hp, self.values, self.steps(hp))
        model = self.recipe.build(given, self.spec)
        if not self.tried:
            # Checked once: a later trial may take a branch that does not use all given values.
            given.check(self.recipe.name)
            if self.dataset is not None:
                self.recipe.views(self.dataset, model)
            self.tried = True
        return model

    def fit(self, hp, model, *data, callbacks=(), **options):
        """Trains a trial, as in KerasTuner; arguments as for `model.fit`.

        Raises:
            UserError: before training, if the objective will not be in the logs.
        """
        return model.fit(*data, callbacks=self.measuring(model, callbacks, options.get("validation_data") is not None),
                         **options)

    def measuring(self, model, callbacks, validated):
        """`callbacks` and, before them, those that measure the objective which they read; errors as for `fit`."""
        measures = quality_callbacks(self.recipe, self.dataset) if self.dataset is not None else []
        self.check(model, [*measures, *callbacks], validated)
        return [*measures, *callbacks]

    def check(self, model, callbacks, validated):
        own = [callback for callback in callbacks if type(callback).__module__.partition(".")[0] not in LIBRARIES]
        wanted = {one.name for callback in callbacks for one in objectives(callback)}
        logged = [*model.tracked_names(), *(f"val_{name}" for name in model.tracked_names() if validated),
                  *(callback.NAME for callback in callbacks if isinstance(callback, SampleQuality))]
        missing = sorted(wanted - set(logged))
        # The user's own callbacks may log more.
        if missing and not own:
            hint = "choose one of them" if validated else "choose one of them, or give validation_data"
            if missing[0] == SampleQuality.NAME:
                hint = ("give hypermodel(...) the data set in place of its spec" if self.dataset is None else
                        SampleQuality.unmeasurable(self.dataset) or "choose one of them")
            raise Unmeasured(f"the objective '{missing[0]}' will not be in the logs of '{self.recipe.name}', which have "
                             f"{', '.join(logged)}: {hint}")


def objectives(callback):
    """The objectives read by a KerasTuner callback; [] for other callbacks and the tuner's default objective."""
    objective = getattr(callback, "objective", None)
    found = getattr(objective, "objectives", [objective])
    return [one for one in found if isinstance(one, keras_tuner.Objective) and one.name != "default_objective"]


class Trials(RecipeHyperModel):
    """A `RecipeHyperModel` that trains as `runs.train`; images per step may depend on the hyperparameters."""

    def __init__(self, recipe, dataset, values, batch_size, epochs, steps):
        super().__init__(recipe, dataset, values)
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps

    def epoch(self, batches_per_step):
        """Number of training steps per epoch."""
        return self.steps_per_epoch or self.dataset.steps(self.batch_size * batches_per_step)

    def steps(self, hp):
        # Hyperband sets the epochs of each trial and continues from the weights and steps of an earlier trial.
        epochs = hp.values.get("tuner/epochs", self.epochs)
        return lambda batches_per_step: epochs * self.epoch(batches_per_step)

    def fit(self, hp, model, seed, epochs, callbacks=(), verbose=0, initial_epoch=0):
        steps = self.epoch(model.batches_per_step)
        return fit(model, self.dataset, self.recipe, self.batch_size, epochs, seed, initial_epoch * steps, steps,
                   callbacks=self.measuring(model, callbacks, validated=True), verbose=verbose)


def hypermodel(recipe, data, values=None):
    """The hypermodel of a recipe (a name or `Recipe`) for custom searches; arguments as for `RecipeHyperModel`.

    ```python
    tuner = keras_tuner.RandomSearch(tfgen.runs.tuning.hypermodel("vae", dataset),
                                     objective=keras_tuner.Objective("val_elbo", "max"), max_trials=5)
    ```
    """
    return RecipeHyperModel(recipes.find(recipe) if isinstance(recipe, str) else recipe, data, values)


def search(recipe, dataset, out, trials=10, tuner="random", epochs=5, batch_size=None, seed=0, values=None,
           steps=None, verbose=1):
    """Searches a recipe's hyperparameters on the validation split, then trains the best into `out/best`.

    Args:
        recipe: a recipe's name or `Recipe`.
        dataset: a `tfgen.data.Dataset`, or a name or path for `tfgen.data.load`.
        out: a new folder, which gets `trials/` (KerasTuner's), `search.json` and `best/` (a run folder).
        trials: maximum number of trials, >= 1.
        tuner: `random`, `bayesian` or `hyperband`.
        epochs: number of epochs per trial and of the best run; the maximum per trial for `hyperband`.
        batch_size, seed: as in `runs.train`.
        values: {hyperparameter: value} that are fixed in the search.
        steps: training steps per epoch in the trials; None uses full epochs.
        verbose: as in KerasTuner.

    Returns:
        {hyperparameter: value} of the best trial.

    Raises:
        UserError: for an unknown tuner or hyperparameter, or a folder that holds a search.
        Failure: if any trial failed.
    """
    recipe = recipes.find(recipe) if isinstance(recipe, str) else recipe
    dataset = data.load(dataset) if isinstance(dataset, (str, pathlib.Path)) else dataset
    batch_size = recipe.batch_size if batch_size is None else batch_size
    check_positive(trials=trials, epochs=epochs, batch_size=batch_size)
    seeds.folded(seed)
    if tuner not in TUNERS:
        raise UserError(f"there is no tuner '{tuner}'{did_you_mean(tuner, TUNERS)}; "
                        f"expected one of {', '.join(TUNERS)}")
    out = pathlib.Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder for --out, {out} is a file")
    check_free(out)
    model = Trials(recipe, dataset, values, batch_size, epochs, steps)
    seeds.set_random(seed)
    # Rejects invalid arguments before KerasTuner writes anything.
    model.build(keras_tuner.HyperParameters())
    with files.held(out):
        # Another search may have taken the folder in the meantime.
        check_free(out)
        return _search(model, out, trials, tuner, epochs, batch_size, seed, verbose)


def check_free(out):
    """Raises a `UserError` for a folder with a completed trial; other searches are overwritten."""
    if (out / "best").exists() or any('"COMPLETED"' in trial.read_text("utf-8")
                                      for trial in (out / "trials").glob("trial_*/trial.json")):
        raise UserError(f"{out} holds a search already; choose another --out")


def _search(model, out, trials, tuner, epochs, batch_size, seed, verbose):
    """Runs the search, writes its record and trains the best run."""
    recipe, dataset = model.recipe, model.dataset
    # Hyperband derives the number of trials from the epochs; `trials` is only an upper bound.
    budget = {"max_epochs": max(2, epochs)} if tuner == "hyperband" else {"max_trials": trials}
    search = TUNERS[tuner](model, objective=keras_tuner.Objective(*recipe.objective), seed=seeds.folded(seed),
                           directory=str(out), project_name="trials", overwrite=True, **budget)
    search.oracle.max_trials = trials
    search.search(seed=seed, epochs=epochs, verbose=verbose)
    tried = list(search.oracle.trials.values())
    if failed := [trial for trial in tried if trial.status not in ("COMPLETED", "STOPPED")]:
        raise Failure(f"{len(failed)} of {len(tried)} trials failed, the first ({failed[0].trial_id}) with: "
                           f"{(failed[0].message or 'no message').strip().splitlines()[-1]}")
    # Hyperparameters of the best trial's branch, without total_steps: the final run has its own length.
    best = recipe.build_with(search.get_best_hyperparameters(1)[0], dataset.spec)[1].chosen()
    best = {name: value for name, value in best.items() if name != STEPS or name in model.values}
    files.write_json(out / "search.json", {
        "recipe": recipe.name, "objective": list(recipe.objective), "tuner": tuner, "seed": seed, "best": best,
        "trials": [{"id": t.trial_id, "score": t.score, "hyperparameters": t.hyperparameters.values} for t in tried]})
    train(recipe, dataset, out / "best", epochs, best, batch_size, seed, verbose=verbose)
    return best
