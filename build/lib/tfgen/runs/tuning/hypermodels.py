"""Recipes as KerasTuner's hypermodels."""

import keras_tuner

from tfgen import recipes
from tfgen.data import DataSpec
from tfgen.errors import UserError
from tfgen.recipes.given import Given
from tfgen.runs.callbacks import StopOnNaN
from tfgen.runs.fitting import fit
from tfgen.runs.quality import SampleQuality, quality_callbacks

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

    Attributes:
        given: the `Given` of the model that was built last; None before.
    """

    def __init__(self, recipe, data, values=None):
        super().__init__(name=recipe.name)
        self.recipe = recipe
        self.dataset, self.spec = (None, data) if isinstance(data, DataSpec) else (data, data.spec)
        self.values = dict(values or {})
        self.given = None

    def steps(self, hp):
        """Function batches_per_step -> number of training steps of a trial, or None if unknown."""
        return None

    def build(self, hp):
        self.recipe.check_kind(self.spec)
        given = Given(hp, self.values, self.steps(hp))
        model = self.recipe.build(given, self.spec)
        if self.given is None:
            # Checked once: a later trial may take a branch that does not use all given values.
            given.check(self.recipe.name)
            if self.dataset is not None:
                self.recipe.views(self.dataset, model)
        self.given = given
        return model

    def fit(self, hp, model, *data, callbacks=(), **options):
        """Trains a trial, as in KerasTuner; arguments as for `model.fit`.

        Raises:
            UserError: before training, if the objective will not be in the logs.
        """
        return model.fit(*data, callbacks=self.measuring(model, callbacks, options.get("validation_data") is not None),
                         **options)

    def measuring(self, model, callbacks, validated, wanted=(), live=None):
        """`callbacks` and, before them, those that measure the objective which they read; errors as for `fit`.

        Args:
            wanted: names of objectives that no callback reads.
            live: the verbs of the model, see `SampleQuality`.
        """
        measures = quality_callbacks(self.recipe, self.dataset, live=live) if self.dataset is not None else []
        self.check(model, [*measures, *callbacks], validated, wanted)
        return [*measures, *callbacks]

    def check(self, model, callbacks, validated, wanted=()):
        own = [callback for callback in callbacks if type(callback).__module__.partition(".")[0] not in LIBRARIES]
        wanted = {*wanted, *(one.name for callback in callbacks for one in objectives(callback))}
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

    def fit(self, hp, model, seed, epochs, callbacks=(), verbose=0, initial_epoch=0, live=None):
        """Trains a trial; arguments as for `fitting.fit`. `live`: the verbs of the model, see `SampleQuality`.

        Raises:
            TrainingDiverged: for a loss that is not finite.
        """
        steps = self.epoch(model.batches_per_step)
        watching = self.measuring(model, callbacks, True, [self.recipe.objective[0]], live)
        return fit(model, self.dataset, self.recipe, self.batch_size, epochs, seed, initial_epoch * steps, steps,
                   callbacks=[StopOnNaN(), *watching], verbose=verbose)


def hypermodel(recipe, data, values=None):
    """The hypermodel of a recipe (a name or `Recipe`) for custom searches; arguments as for `RecipeHyperModel`.

    ```python
    tuner = keras_tuner.RandomSearch(tfgen.runs.tuning.hypermodel("vae", dataset),
                                     objective=keras_tuner.Objective("val_elbo", "max"), max_trials=5)
    ```
    """
    return RecipeHyperModel(recipes.find(recipe) if isinstance(recipe, str) else recipe, data, values)
