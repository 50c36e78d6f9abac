"""Verbs on numpy arrays, in batches."""

import time

import numpy as np
from cases import tiny

from tfgen import seeds
from tfgen.verbs.live import Live, resolve_options


def test_a_sample_of_no_given_label_depends_on_its_own_seed_alone():
    """Not on the batches that it comes in; so many samples have as many of each class as there can be."""
    live = Live(tiny("cgan"))
    drawn = seeds.of_samples(3, 25)
    labels = resolve_options(live, "sample", 25, {}, drawn)["label"]
    np.testing.assert_array_equal(labels, np.arange(25) % (live.options["sample"]["label"].high + 1))
    whole = live("sample", drawn)
    np.testing.assert_allclose(np.concatenate([live("sample", part) for part in np.split(drawn, [4, 11])]), whole, atol=1e-6)
    assert np.abs(live("sample", drawn[11:12], label=0) - whole[11]).max() > 1e-6
    # Fresh noise, whose seeds are all alike, has labels in turns by row.
    np.testing.assert_array_equal(resolve_options(live, "sample", 25, {}, np.full(25, -1))["label"], labels)


def test_labels_of_large_seeds_are_found_at_once():
    """The remainder, not by subtractions."""
    live, drawn = Live(tiny("cgan")), 2**32 - 1 - np.arange(5000)
    begun = time.process_time()
    labels = resolve_options(live, "sample", 5000, {}, drawn)["label"]
    assert time.process_time() - begun < 1.0
    np.testing.assert_array_equal(labels, drawn % (live.options["sample"]["label"].high + 1))
