"""Batches in parts: the same update as of the whole batch, where nothing is a statistic of a batch."""

import keras
import numpy as np
import pytest
from cases import dataset, optimizers, tiny

from tfgen.errors import UserError
from tfgen.runs.regime import Regime

VALUES = {"autoencoder": {}, "vae": {}, "cyclegan": {"pool_size": 0}, "siren": {}}


def updated(name, parts, monkeypatch, values):
    """Variables after an update by a batch in so many parts."""
    keras.utils.set_random_seed(0)
    model = tiny(name, **values)
    # Their updates are the gradients; Adam's are as large where these are rounding errors.
    model.compile(*(keras.optimizers.SGD(0.01) for _ in optimizers(model)))
    model.accumulate = parts
    if name == "vae":
        # Its noise differs from part to part.
        monkeypatch.setattr(keras.random, "normal", lambda shape, **_: keras.ops.zeros(shape))
    logs = model.fit(dataset(name, 1), verbose=0).history
    return [v.numpy() for owner in (model, *optimizers(model)) for v in owner.variables if "seed" not in v.path], logs


@pytest.mark.rotating
@pytest.mark.parametrize("name", sorted(VALUES))
def test_parts_update_as_the_whole_batch(name, monkeypatch):
    (whole, losses), (parts, found) = (updated(name, count, monkeypatch, VALUES[name]) for count in (1, 2))
    assert losses.keys() == found.keys()
    # The logarithm of a mean is not the mean of logarithms.
    for key in losses.keys() - {"psnr_db"}:
        np.testing.assert_allclose(found[key], losses[key], rtol=1e-4, err_msg=key)
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", [None, 1e-3])
def test_gradients_of_embeddings_are_those_of_their_weights(norm):
    """After the first update Adam holds m = (1 - beta_1) g and v = (1 - beta_2) g^2, and g has the norm that it was clipped
    to: also where a batch has several images of a class, and the tape a row for each."""
    model = Regime(clip_norm=norm).prepared(tiny("cgan"))
    model.fit(dataset("cgan", 1), verbose=0)
    for optimizer in optimizers(model):
        gradients = [m.numpy() / (1 - optimizer.beta_1) for m in optimizer._momentums]
        for g, v in zip(gradients, optimizer._velocities, strict=True):
            np.testing.assert_allclose(v, (1 - optimizer.beta_2) * g**2, rtol=1e-3, atol=1e-15)
        if norm:
            np.testing.assert_allclose(np.sqrt(sum((g**2).sum() for g in gradients)), norm, rtol=1e-4)


def test_batches_that_cannot_be_divided_are_refused():
    model = tiny("autoencoder")
    model.accumulate = 5
    with pytest.raises(UserError, match="accumulate=5 expects batches of a fixed number of images, a multiple of 5"):
        model.fit(dataset("autoencoder", 1), verbose=0)
