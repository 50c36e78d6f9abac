"""Values of hyperparameters: given once, checked where they are asked for."""

import keras_tuner
import pytest
from cases import SPEC

from tfgen.errors import UserError
from tfgen.recipes.given import Given


def asked(values=None, steps=None, build=lambda hp: None):
    given = Given(keras_tuner.HyperParameters(), values, steps)
    made = build(given)
    given.check("test")
    return made, given


def test_a_float_whose_default_is_whole_takes_fractions():
    for value in (0.5, "0.5", "5e-1"):
        assert asked({"a": value}, build=lambda hp: hp.Float("a", 0, 10, default=1))[0] == 0.5


def test_a_branch_that_is_not_the_default_is_asked_in_its_turn():
    def build(hp):
        return hp.Float("level", 0.0, 1.0, default=0.5) if hp.Choice("kind", ["a", "b"]) == "b" else None

    made, given = asked({"kind": "b", "level": "0.25"}, build=build)
    assert made == 0.25 and given.chosen() == {"kind": "b", "level": 0.25}
    with pytest.raises(ValueError, match="no hyperparameter 'level'.*it has kind"):
        asked({"level": 0.25}, build=build)


@pytest.mark.parametrize("value", ["2.0", 2.5, "x", None, 11, float("nan")])
def test_whole_numbers_are_whole(value):
    with pytest.raises(ValueError, match="expects a whole number in 1 ... 10"):
        asked({"n": value}, build=lambda hp: hp.Int("n", 1, 10, default=3))


def test_steps_of_the_run_by_what_a_step_takes():
    made, given = asked(steps=lambda batches: 60 // batches, build=lambda hp: hp.total_steps(hp.Int("k", 1, 5, default=3)))
    assert made == 20 and given.chosen() == {"k": 3, "total_steps": 20}
    assert asked({"total_steps": "7"}, lambda batches: 60, lambda hp: hp.total_steps())[0] == 7
    assert asked(build=lambda hp: hp.total_steps(default=9))[0] == 9


def test_no_search_varies_steps():
    _, given = asked(build=lambda hp: (hp.Steps("warm", 5), hp.total_steps(), hp.Int("n", 1, 3)))
    assert [type(p).__name__ for p in given.space] == ["Fixed", "Fixed", "Int"]


def test_no_search_varies_settings():
    made, given = asked(build=lambda hp: hp.Setting("network", ["own", "other"], "own"))
    assert made == "own" and [type(p).__name__ for p in given.space] == ["Fixed"]
    assert asked({"network": "other"}, build=lambda hp: hp.Setting("network", ["own", "other"], "own"))[0] == "other"
    with pytest.raises(UserError, match="'network' expects one of own, other, received mine"):
        asked({"network": "mine"}, build=lambda hp: hp.Setting("network", ["own", "other"], "own"))


def test_a_recipe_takes_keras_tuners_own_hyperparameters():
    from tfgen import recipes

    model = recipes.find("sparse")(keras_tuner.HyperParameters(), SPEC)
    assert model.compiled
