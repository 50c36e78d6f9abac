"""Inputs of verbs from files."""

import types

import numpy as np
import pytest

from tfgen.cli import inputs
from tfgen.errors import UserError


def model(names, label=True):
    option = {"label": types.SimpleNamespace(high=3)} if label else {}
    return types.SimpleNamespace(class_names=names, options={"sample": option})


@pytest.mark.parametrize("names, given, expected", [
    (("1", "2", "4"), [4, 1], [2, 0]), ((), [3, 1], [3, 1]), (("cat", "dog"), [1, 0], [1, 0])])
def test_labels_of_arrays_are_the_models_unless_its_classes_are_other_numbers(names, given, expected):
    assert inputs.numbered("a.npz", np.array(given), (), model(names)).tolist() == expected
    assert inputs.numbered("a.npz", None, (), model(names)) is None


def test_a_class_that_the_model_does_not_know():
    with pytest.raises(UserError, match="expected the classes 1, 2, 4 in a.npz, received '3'"):
        inputs.numbered("a.npz", np.array([4, 3]), (), model(("1", "2", "4")))
    assert inputs.numbered("a.npz", np.array([4, 3]), (), model(("1", "2", "4"), label=False)).tolist() == [4, 3]
