"""KerasTuner over a recipe's own hyperparameters."""

import pathlib

import keras
import keras_tuner

from tfgen import data, files, recipes, runs
from tfgen.errors import UserError
from tfgen.suggest import did_you_mean

TUNERS = {"random": keras_tuner.RandomSearch, "bayesian": keras_tuner.BayesianOptimization,
          "hyperband": keras_tuner.Hyperband}


class RecipeHyperModel(keras_tuner.HyperModel):
    """A recipe for data like `spec` as KerasTuner's `HyperModel`.

    Args:
        recipe: a `Recipe`.
        spec: a `tfgen.data.DataSpec`.
        values: {hyperparameter: value} that are not searched.
    """

    def __init__(self, recipe, spec, values=None):
        super().__init__(name=recipe.name)
        self.recipe = recipe
        self.spec = spec
        self.fixed = {key: recipe.hyperparameters(spec, {key: value}).values[key]
                      for key, value in (values or {}).items()}

    def build(self, hp):
        for name, value in self.fixed.items():
            hp.Fixed(name, value)
        return self.recipe(hp, self.spec)


class Trials(RecipeHyperModel):
    """The same, fitted to a data set as `runs.train` does: what a step takes may depend on the hyperparameters."""

    def fit(self, hp, model, dataset, batch_size, seed, steps, callbacks=(), **options):
        view, held_out = self.recipe.views(dataset, model)
        rows = batch_size * model.batches_per_step
        # What measures the objective comes before what reads it.
        return model.fit(dataset.train(rows, seed, view, augment=model.augmentation),
                         steps_per_epoch=steps or dataset.steps(rows),
                         validation_data=dataset.batches("validation", batch_size, held_out), shuffle=False,
                         callbacks=[*runs.quality_callbacks(self.recipe, dataset), *callbacks], **options)



def hypermodel(recipe, spec, values=None):
    """The hypermodel of a recipe (its name or a `Recipe`), for a search of one's own.

    ```python
    tuner = keras_tuner.RandomSearch(tfgen.tuning.hypermodel("vae", dataset.spec),
                                     objective=keras_tuner.Objective("val_elbo", "max"), max_trials=5)
    ```
    """
    return RecipeHyperModel(recipes.find(recipe) if isinstance(recipe, str) else recipe, spec, values)


def search(recipe, dataset, out, trials=10, tuner="random", epochs=5, batch_size=None, seed=0, values=None,
           steps=None, verbose=1):
    """Searches a recipe's hyperparameters on the validation split, then trains the best into `out/best`.

    Args:
        recipe: a recipe's name or `Recipe`.
        dataset: a `tfgen.data.Dataset` or what `tfgen.data.load` takes.
        out: a new folder: `trials/` (KerasTuner's), `search.json`, `best/` (a run like any other).
        trials: models tried at most, >= 1.
        tuner: `random`, `bayesian` or `hyperband`.
        epochs: of each trial, and of the best run.
        batch_size, seed: as in `runs.train`.
        values: {hyperparameter: value} that are not searched.
        steps: training steps an epoch in the trials; None for whole epochs.
        verbose: KerasTuner's.

    Returns:
        {hyperparameter: value} of the best trial.

    Raises:
        UserError: for an unknown tuner or hyperparameter, or a folder that holds a search.
        RuntimeError: if a trial failed; a search that hides failures is worth nothing.
    """
    recipe = recipes.find(recipe) if isinstance(recipe, str) else recipe
    dataset = data.load(dataset) if isinstance(dataset, (str, pathlib.Path)) else dataset
    batch_size = recipe.batch_size if batch_size is None else batch_size
    runs.check_positive(trials=trials, epochs=epochs, batch_size=batch_size)
    if tuner not in TUNERS:
        raise UserError(f"there is no tuner '{tuner}'{did_you_mean(tuner, TUNERS)}; "
                        f"expected one of {', '.join(TUNERS)}")
    out = pathlib.Path(out)
    if (out / "trials").exists() or (out / "best").exists():
        raise UserError(f"{out} holds a search already; choose another --out")
    # The length of a trial is not searched.
    values = runs.planned(recipe, dataset.spec, values, epochs * (steps or dataset.steps(batch_size)))
    model = Trials(recipe, dataset.spec, values)
    keras.utils.set_random_seed(seed)
    recipe.views(dataset, recipe.model(dataset.spec, **model.fixed))
    # Hyperband plans its trials from the epochs; the number asked for is then only a cap.
    budget = {"max_epochs": max(2, epochs)} if tuner == "hyperband" else {"max_trials": trials}
    search = TUNERS[tuner](model, objective=keras_tuner.Objective(*recipe.objective), seed=seed,
                           directory=str(out), project_name="trials", overwrite=True, **budget)
    search.oracle.max_trials = trials
    search.search(dataset=dataset, batch_size=batch_size, seed=seed, steps=steps, epochs=epochs, verbose=verbose)
    tried = list(search.oracle.trials.values())
    if failed := [trial for trial in tried if trial.status not in ("COMPLETED", "STOPPED")]:
        raise RuntimeError(f"{len(failed)} of {len(tried)} trials failed, the first ({failed[0].trial_id}) with: "
                           f"{(failed[0].message or 'no message').strip().splitlines()[-1]}")
    best = search.get_best_hyperparameters(1)[0].values
    space = {p.name for p in recipe.hyperparameters(dataset.spec).space}
    best = {name: value for name, value in best.items() if name in space} | model.fixed
    files.write_json(out / "search.json", {
        "recipe": recipe.name, "objective": list(recipe.objective), "tuner": tuner, "seed": seed, "best": best,
        "trials": [{"id": t.trial_id, "score": t.score, "hyperparameters": t.hyperparameters.values} for t in tried]})
    runs.train(recipe, dataset, out / "best", epochs, best, batch_size, seed, verbose=verbose)
    return best
