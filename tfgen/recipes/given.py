"""The `hp` of a recipe: KerasTuner's hyperparameters with given values."""

import operator

from keras_tuner.engine import hyperparameters as kinds

from tfgen.errors import UserError, did_you_mean

STEPS = "total_steps"


class Given:
    """`keras_tuner.HyperParameters` with given values, each checked when the recipe asks for it.

    A recipe is thus built once, and may ask for a hyperparameter in one branch only. All other attributes (`values`,
    `space`, `conditional_scope` and so on) are those of `hp`.

    Args:
        hp: `keras_tuner.HyperParameters` of a trial, or without values.
        values: {hyperparameter: value or its text}; not searched.
        steps: function batches_per_step -> number of training steps, >= 1; None: unknown.

    Attributes:
        asked: {hyperparameter: default} of those that the recipe asked for, in the order of asking.
    """

    def __init__(self, hp, values=None, steps=None):
        self.hp = hp
        self.given = dict(values or {})
        self.steps = steps
        self.asked = {}

    def __getattr__(self, name):
        return getattr(self.hp, name)

    def _ask(self, kind, name, *arguments, **options):
        parameter = getattr(kinds, kind)(name, *arguments, **options)
        self.asked.setdefault(name, parameter.default)
        if name not in self.given:
            return getattr(self.hp, kind)(name, *arguments, **options)
        return self.hp.Fixed(name, parse(parameter, self.given[name]))

    def Int(self, name, *arguments, **options):
        return self._ask("Int", name, *arguments, **options)

    def Float(self, name, *arguments, **options):
        return self._ask("Float", name, *arguments, **options)

    def Choice(self, name, *arguments, **options):
        return self._ask("Choice", name, *arguments, **options)

    def Boolean(self, name, *arguments, **options):
        return self._ask("Boolean", name, *arguments, **options)

    def Fixed(self, name, *arguments, **options):
        return self._ask("Fixed", name, *arguments, **options)

    def Setting(self, name, values, default):
        """One of `values`: the given one, else `default`. Searches do not vary it."""
        if name in self.given:
            return self.Choice(name, values, default=default)
        self.Fixed(name, default)
        return default

    def Steps(self, name, default=0):
        """A number of steps, 0 ... 100,000,000: the given value, else `default`. Searches do not vary it."""
        if name in self.given:
            return self.Int(name, 0, 100_000_000, default=default)
        self.Fixed(name, default)
        # A search's first trial has registered its own value, which may not be that of this one.
        self.hp.values[name] = default
        return default

    def total_steps(self, batches_per_step=1, default=0):
        """Number of training steps, at which schedules and stages end: the hyperparameter `total_steps`.

        Args:
            batches_per_step: batches per training step, the model's `critic_steps`.
            default: value if neither the training nor the caller gives one; 0: unknown.
        """
        return self.Steps(STEPS, default if self.steps is None else self.steps(batches_per_step))

    def check(self, recipe):
        """Raises a `UserError` for a given value that the recipe did not ask for."""
        if unknown := [name for name in self.given if name not in self.asked]:
            raise UserError(f"recipe '{recipe}' has no hyperparameter '{unknown[0]}'{did_you_mean(unknown[0], self.asked)}; "
                            f"with these values it has {', '.join(self.asked)}")

    def chosen(self):
        """{hyperparameter: value} of all hyperparameters that the recipe asked for."""
        return {name: self.hp.values[name] for name in self.asked if name in self.hp.values}


def parse(parameter, value):
    """Converts `value` (or its text) to the type of a KerasTuner hyperparameter.

    Raises:
        UserError: if it has the wrong type or lies outside the range.
    """
    if isinstance(parameter, kinds.Choice):
        by_text = {str(choice): choice for choice in parameter.values}
        if str(value) not in by_text:
            raise UserError(f"'{parameter.name}' expects one of {', '.join(by_text)}, received {value}")
        return by_text[str(value)]
    if isinstance(parameter, kinds.Boolean):
        if str(value).lower() not in ("true", "false"):
            raise UserError(f"'{parameter.name}' expects true or false, received {value}")
        return str(value).lower() == "true"
    if isinstance(parameter, kinds.Fixed):
        raise UserError(f"'{parameter.name}' is fixed at {parameter.value} for this data")
    whole = isinstance(parameter, kinds.Int)
    low, high = parameter.min_value, parameter.max_value
    try:
        number = float(value) if not whole else int(value) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not low <= number <= high:
        raise UserError(f"'{parameter.name}' expects {'a whole number' if whole else 'a number'} in {low} ... {high}, "
                        f"received {value}")
    return number
