"""Mixtures of masks over one network."""

import math

import keras
import numpy as np
import pytest
import scipy.special
from cases import random_density
from helpers import all_images

from tfgen import MaskEnsemble
from tfgen.errors import UserError
from tfgen.networks import made
from tfgen.verbs.live import Live


def check_mixture(model, x, each, tmp_path):
    """Probabilities of each mask, (K, 16), sum to 1; log_prob is of the mixture, which samples follow; the file opens."""
    np.testing.assert_allclose(each.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.exp(model.log_prob(x)), each.mean(0), rtol=1e-4)
    count = 20_000
    drawn = Live(model)("sample", np.arange(count), batch_size=count).reshape(count, 4)
    found = np.bincount((drawn @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    assert np.abs(found - each.mean(0)).max() < 4 * np.sqrt(0.25 / count)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").log_prob(x), model.log_prob(x))


@pytest.mark.rotating
@pytest.mark.parametrize("hidden_layers", [1, 2])
def test_masks_make_a_mixture(hidden_layers, tmp_path):
    """Each mask's model is causal and its probabilities sum to 1; log_prob is of the mixture, which samples follow."""
    model = random_density("made", (2, 2, 1), 2, masks=3, hidden_layers=hidden_layers, order="random")
    x = all_images((2, 2, 1), 2)
    each = np.exp(model.log_probs(x).numpy().astype(float))
    assert np.abs(each[0] - each[1]).max() > 1e-3 and np.abs(each[1] - each[2]).max() > 1e-3
    assert float(model.compute_losses(x, True)["loss"]) == pytest.approx(-np.log(each).mean(), rel=1e-4)
    check_mixture(model, x, each, tmp_path)
    with pytest.raises(UserError, match="several outputs"):
        MaskEnsemble(random_density("made", (2, 2, 1), 2).network)


def ensemble(shape, orders, hidden=(12,), seed=0):
    """A MaskEnsemble of MADEs with one order of pixels per mask, and random weights."""
    network, rng = made.made(shape, hidden, masks=len(orders), orders=orders), np.random.default_rng(seed)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return MaskEnsemble(network, order=orders)


@pytest.mark.rotating
@pytest.mark.parametrize(("shape", "hidden"), [((2, 2, 1), (12,)), ((1, 2, 2), (12, 12))])
def test_each_mask_may_have_its_own_order(shape, hidden, tmp_path):
    """Each order's model is causal in it and its probabilities sum to 1; samples follow the mixture; the file opens."""
    orders = [[2, 0, 3, 1], [0, 1, 2, 3], [3, 2, 1, 0]] if shape[1] == shape[0] else [[1, 0], [0, 1], [1, 0]]
    model, x, size = ensemble(shape, orders, hidden), all_images(shape, 2), math.prod(shape)
    each = np.exp(model.log_probs(x).numpy().astype(float))
    flat, channels = x.reshape(len(x), size), shape[-1]
    for p, order in zip(each, orders):
        # The first pixel of the order has the distribution that its biases give.
        first = flat[:, order[0] * channels]
        weights = model.network.trainable_variables
        bias = sum(float(w[order[0] * channels]) for w in weights if w.shape == (size,))
        assert p[first == 1].sum() == pytest.approx(scipy.special.expit(bias), abs=1e-5)
    check_mixture(model, x, each, tmp_path)


def test_orders_of_masks_share_weights_by_pixel():
    """With hidden weights of 0: the order (a, b) has the logits bias_a and bias_b + kernel_ab x_a."""
    model, x = ensemble((1, 2, 1), [[0, 1], [1, 0]]), all_images((1, 2, 1), 2)
    hidden = [w for w in model.network.trainable_variables if 12 in w.shape]
    for weight in hidden:
        weight.assign(0 * weight)
    by_kind, pairs = {type(layer).__name__: layer for layer in model.network.layers}, x.reshape(4, 2)
    kernel, bias = (weight.numpy() for weight in by_kind["CausalDense"].weights)
    out = by_kind["DenseToImage"].bias.numpy() + bias
    for p, (a, b) in zip(np.exp(model.log_probs(x)), [(0, 1), (1, 0)]):
        first, second = out[a], out[b] + kernel[a, b] * pairs[:, a]
        wanted = [scipy.special.expit(np.where(pairs[:, i] == 1, logit, -logit)) for i, logit in ((a, first), (b, second))]
        np.testing.assert_allclose(p, wanted[0] * wanted[1], rtol=1e-5)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: ensemble((2, 2, 1), [[0, 1, 2, 3], [0, 1, 2, 2]]), r"permutation of 0 \.\.\. 3, received \[0, 1, 2, 2\]"),
    (lambda: MaskEnsemble(made.made((2, 2, 1), (4,), masks=3), order=[[0, 1, 2, 3]] * 2), "each of 3 masks, received 2"),
    (lambda: made.made((2, 2, 1), masks=2, orders=[[0, 1, 2, 3]]), "each of the masks=2, received 1")])
def test_wrong_arguments(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
