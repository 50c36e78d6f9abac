"""Sheets of samples: what stands where."""

import types

import numpy as np
import pytest
from cases import tiny

from tfgen.errors import UserError
from tfgen.latent import sheets
from tfgen.verbs.live import Live
from tfgen.verbs.table import Option


def test_interpolation_ends_at_the_samples():
    for name in ("dcgan", "aae", "vae"):
        live = Live(tiny(name))
        made = sheets.interpolation(live, np.arange(4), steps=5)
        assert made.shape == (2, 5, 8, 8, 1)
        ends = live("sample", np.arange(4))
        np.testing.assert_allclose(made[:, 0], ends[::2], atol=1e-5)
        np.testing.assert_allclose(made[:, -1], ends[1::2], atol=1e-5)


def test_sweep_has_a_seed_a_row_and_a_value_a_column():
    live = Live(tiny("biggan"))
    made = sheets.sweep(live, "truncation", np.arange(3), [0.5, 6.0], label=1)
    np.testing.assert_allclose(made[:, 1], live("sample", np.arange(3), truncation=6.0, label=1), atol=1e-6)
    assert sheets.sweep(live, "label", np.arange(2)).shape == (2, 3, 8, 8, 1)
    options = Live(tiny("infogan")).options["sample"]
    codes = sheets.sweep_values(options["code_1"])
    assert codes[0] == -3 and codes[-1] == 3
    np.testing.assert_array_equal(sheets.sweep_values(options["category"]), [0, 1, 2])


@pytest.mark.parametrize("option, values", [
    (Option("int64", 18, 1, 1000, "steps"), [1, 144, 286, 429, 572, 715, 857, 1000]),
    (Option("int64", None, 0, 24, "class"), [0, 3, 7, 10, 14, 17, 21, 24]),
    (Option("int64", 1, 1, 4, "a number whose default is the lowest"), [1, 2, 3, 4]),
    (Option("float32", 0.0, 0.0, 7.0, "guidance"), np.arange(8.0)),
    (Option("int64", -1, -1, 2, "from the seed"), [0, 1, 2])])
def test_a_sweep_has_values_that_the_option_takes(option, values):
    made = sheets.sweep_values(option)
    np.testing.assert_allclose(made, values)
    assert (made.dtype.kind == "i") == (option.dtype == "int64")


def test_a_range_that_a_server_does_not_tell_is_not_gone_through():
    for option in (Option("int64", None, -2**63, 2**63 - 1, ""), Option("float32", None, -np.inf, np.inf, "")):
        live = types.SimpleNamespace(options={"sample": {"label": option}})
        with pytest.raises(UserError, match="does not tell it: draw one class with --label N"):
            sheets.classes(live)
        with pytest.raises(UserError, match="received 'label' of a server that does not tell it"):
            sheets.sweep(live, "label", np.arange(2))


def test_class_rows_share_their_columns_seeds():
    live = Live(tiny("cgan"))
    made = sheets.classes(live, columns=4, seed=1)
    assert made.shape == (3, 4, 8, 8, 1)
    np.testing.assert_allclose(made[2, 3], live("sample", np.array([(1 << 32) + 3]), label=2)[0], atol=1e-6)


@pytest.mark.parametrize("call, message", [
    (lambda live: sheets.sweep(live, "truncatoin", np.arange(2)), "has no option 'truncatoin'"),
    (lambda live: sheets.interpolation(live, np.arange(3)), "pairs of seeds, received 3"),
    (lambda live: sheets.classes(live), "take no label"),
])
def test_errors_name_what_is_there(call, message):
    with pytest.raises(UserError, match=message):
        call(Live(tiny("dcgan")))


def test_an_autoencoder_has_no_prior():
    with pytest.raises(UserError, match="expects a run whose model has a prior"):
        sheets.interpolation(Live(tiny("autoencoder")), np.arange(2))
