"""KerasTuner's oracles, which choose the hyperparameters of trials, with files from which a killed search goes on."""

import functools
import pathlib

from keras_tuner import oracles
from keras_tuner.engine import hyperparameters as kinds

from tfgen import files
from tfgen.errors import UserError, did_you_mean

ENDED = ("COMPLETED", "FAILED", "STOPPED")


class Whole:
    """Begins with the recipe's defaults; makes the files of an oracle whole at any instant, and what it reads consistent.

    KerasTuner writes `trial.json` and `oracle.json` in place and one after the other, the latter while the trial that
    has ended still counts as ongoing.
    """

    def save(self):
        files.write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        files.write_json(pathlib.Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def _random_values(self):
        if self.start_order:
            return super()._random_values()
        space = self.get_space()
        return {one.name: one.default for one in space.space if space.is_active(one)}

    def reload(self):
        """Reads the state of a search: ended trials stay, the others are to be made again, under their own ids."""
        super().reload()
        # A trial that oracle.json does not know was never handed out.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        ended = [trial_id for trial_id, trial in self.trials.items() if trial.status in ENDED]
        self.end_order += [trial_id for trial_id in ended if trial_id not in self.end_order]
        for trial_id in ended:
            self.update_space(self.trials[trial_id].hyperparameters)
            self._record_values(self.trials[trial_id])
        # It takes the last one first.
        self._retry_queue = [trial_id for trial_id in reversed(self.start_order) if trial_id not in ended]


class Random(Whole, oracles.RandomSearchOracle):
    pass


class Bayesian(Whole, oracles.BayesianOptimizationOracle):
    pass


class Hyperband(Whole, oracles.HyperbandOracle):
    pass


class Grid(Whole, oracles.GridSearchOracle):
    """The grid: KerasTuner's own does not save its place. Values that a recipe fixes may differ between trials."""

    def reload(self):
        super().reload()
        # Of an ended trial whose successor exists, it makes no second one.
        self._ordered_ids, self._populate_next = type(self._ordered_ids)(), list(self.end_order)
        order = functools.cmp_to_key(lambda one, other: self._compare(self._values(one), self._values(other)))
        for trial_id in sorted(self.trials, key=order):
            self._ordered_ids.insert(trial_id)

    def _values(self, trial_id):
        return self.trials[trial_id].hyperparameters.values

    def _searched(self, values):
        fixed = {one.name: one.value for one in self.hyperparameters.space if isinstance(one, kinds.Fixed)}
        return {name: fixed.get(name, value) for name, value in values.items()}

    def _compare(self, a, b):
        return super()._compare(self._searched(a), self._searched(b))

    def _get_next_combination(self, values):
        return super()._get_next_combination(self._searched(values))


ORACLES = {"random": Random, "grid": Grid, "bayesian": Bayesian, "hyperband": Hyperband}


def check(tuner):
    """Raises a `UserError` for an unknown tuner."""
    if tuner not in ORACLES:
        raise UserError(f"there is no tuner '{tuner}'{did_you_mean(tuner, ORACLES)}; expected one of {', '.join(ORACLES)}")


def oracle(tuner, objective, trials, epochs, seed):
    """The oracle of a search.

    Args:
        tuner: `random`, `grid`, `bayesian` or `hyperband`.
        objective: a `keras_tuner.Objective`.
        trials: maximum number of trials, >= 1.
        epochs: maximum number of epochs per trial of `hyperband`, at least 2; the others take no notice.
        seed: 0 ... 2^32 - 2.
    """
    # Hyperband derives the number of trials of a sweep from the epochs, and here sweeps until there are enough.
    sweeps = {"max_epochs": max(2, epochs), "hyperband_iterations": trials}
    budget = sweeps if tuner == "hyperband" else {"max_trials": trials}
    # KerasTuner takes a seed of 0 for none. A failed trial stops no other.
    made = ORACLES[tuner](objective, seed=seed + 1, max_consecutive_failed_trials=trials + 1, **budget)
    made.max_trials = trials
    return made
