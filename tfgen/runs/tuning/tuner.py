"""The tuner: trains the trials that an oracle chooses, in this process."""

import pathlib
import time

import keras
import keras_tuner

from tfgen import files, seeds
from tfgen.errors import note
from tfgen.runs.regime import judged_from
from tfgen.runs.running import pictures_of
from tfgen.verbs.live import Live

# Seconds between two questions to an oracle that waits for other workers.
PAUSE = 0.2


class Halted(keras_tuner.errors.FatalError):
    """An error of files, which concerns all trials; its cause is that error."""


class Search(keras_tuner.Tuner):
    """Trains trials as `fitting.fit` does; writes their files and draws a picture of each.

    Each trial is a function of its hyperparameters and the seed. A trial of `hyperband` that is promoted goes on from
    the weights of the best epoch of the earlier trial.

    Args:
        oracle: of `oracles.oracle`.
        model: a `hypermodels.Trials` that has built a model.
        out: pathlib.Path, the folder of the search. It gets `trials/trial_ID/` and `pictures/ID.png`.
        seed: seed of weights, noise and data order.
        space: `keras_tuner.HyperParameters` of the model that has been built.
    """

    def __init__(self, oracle, model, out, seed, space):
        self.out, self.seed, self.space, self.asked = out, seed, space, float("-inf")
        super().__init__(oracle, model, directory=str(out), project_name="trials")

    def _populate_initial_space(self):
        # Called by KerasTuner's constructor, and meant to be overridden.
        if self._is_worker():
            return
        if pathlib.Path(self.oracle._get_oracle_fname()).exists():
            self.oracle.reload()
            return
        self.oracle.update_space(self.space)
        if self.space.inactive_scopes:
            self._activate_all_conditions()

    def save(self):
        """Nothing: the oracle saves itself."""

    def _build_hypermodel(self, hp):
        seeds.set_random(self.seed)
        model = super()._build_hypermodel(hp)
        if "tuner/trial_id" in hp.values:
            model.load_weights(self._get_checkpoint_fname(hp.values["tuner/trial_id"]))
        return model

    def pre_create_trial(self):
        # KerasTuner asks an oracle that waits again at once.
        time.sleep(max(0.0, self.asked + PAUSE - time.monotonic()))
        self.asked = time.monotonic()

    def run_trial(self, trial, epochs, verbose=0):
        """Trains a trial; its folder gets `training.json`: seconds, hyperparameters, {value: one number per epoch}."""
        try:
            return self.trained(trial.trial_id, trial.hyperparameters, epochs, verbose)
        except OSError as error:
            raise Halted from error
        except keras_tuner.errors.FatalError:
            raise
        except Exception as error:
            note(f"trial {trial.trial_id} failed: {(str(error).strip() or type(error).__name__).splitlines()[-1]}")
            raise

    def trained(self, trial_id, hp, epochs, verbose):
        begun, model = time.perf_counter(), self._try_build(hp)
        live, objective = Live(model), self.oracle.objective
        end, done = hp.values.get("tuner/epochs", epochs), hp.values.get("tuner/initial_epoch", 0)
        steps = self.hypermodel.epoch(model.batches_per_step)
        # What a longer trial goes on with: of a model of stages the last epoch, as early ones are not to be compared.
        best = not model.last_stage_begins(end * steps)
        keeping = [keras.callbacks.ModelCheckpoint(self._get_checkpoint_fname(trial_id), objective.name, 0, best, True,
                                                   objective.direction)] if "tuner/epochs" in hp.values else []
        history = self.hypermodel.fit(hp, model, self.seed, end, keeping, verbose, done, live)
        files.write_json(pathlib.Path(self.get_trial_dir(trial_id)) / "training.json", {
            "seconds": round(time.perf_counter() - begun, 3), "hyperparameters": self.hypermodel.given.chosen(),
            "history": {name: [float(value) for value in values] for name, values in history.history.items()}})
        history.history = judged(history.history, judged_from(model, steps, done + len(history.epoch)) - 1 - done)
        drawing = pictures_of(self.out, self.hypermodel.dataset, 1, live)
        drawing.set_model(model)
        drawing.draw_last(self.out / "pictures" / f"{trial_id}.png")
        return history


def judged(history, early):
    """{name: values of epochs} without the first `early` ones, which are before the last stage, unless none would be left:
    a model does not train there what it is judged by."""
    return {name: values[early:] if 0 < early < len(values) else values for name, values in history.items()}
