"""Networks of the hierarchical VAE: shapes for images of any size, where they start, and places of an enlarged grid."""

import math

import numpy as np
import pytest

from tfgen import HierarchicalVAE, recipes
from tfgen.data import DataSpec
from tfgen.distributions import DiscretisedLogistic
from tfgen.networks import ladder

RNG = np.random.default_rng(0)


@pytest.mark.rotating
@pytest.mark.parametrize("shape, stem, grids", [
    ((28, 28, 1), 1, [(1, 1), (4, 4), (7, 7), (14, 14)]), ((8, 8, 1), 1, [(1, 1), (1, 1), (2, 2), (4, 4)]),
    ((9, 14, 3), 0, [(1, 1), (3, 4), (5, 7), (9, 14)]), ((33, 17, 2), 2, [(1, 1), (3, 2), (5, 3), (9, 5)])])
def test_grids_of_any_image(shape, stem, grids):
    likelihood = DiscretisedLogistic()
    parameters = likelihood.parameters(shape[-1])
    networks = ladder.hierarchy(shape, parameters, widths=[6, 5, 4, 3], hidden=[3, 3, 2, 2], counts=[1, 2, 1, 1],
                                channels=[5, 2, 2, 1], stem=stem)
    model = HierarchicalVAE(**networks, likelihood=likelihood)
    grids = [grids[0], grids[1], *grids[1:]]
    assert model.layer_shapes == [(*grid, d) for grid, d in zip(grids, (5, 2, 2, 2, 1), strict=True)]
    assert model.latent_shape == (sum(map(math.prod, model.layer_shapes)),)
    images = RNG.uniform(size=(2, *shape)).astype("float32")
    assert model.reconstruct(images).shape == images.shape and np.isfinite(model.log_prob(images)).all()


def test_the_priors_start_as_standard_normals():
    networks = ladder.hierarchy((8, 8, 1), 2, widths=[6, 4], hidden=[3, 2], counts=[2, 2], channels=[3, 2])
    for prior in networks["priors"]:
        h = RNG.normal(size=(3, *prior.inputs[0].shape[1:])).astype("float32")
        np.testing.assert_array_equal(prior(h), np.zeros((3, *prior.outputs[0].shape[1:])))


def test_log_variances_are_bounded():
    posterior = ladder.posterior((1, 1), 4, 3, 2)
    for weight in posterior.weights:
        weight.assign(100.0 * RNG.normal(size=weight.shape))
    h, e = RNG.normal(size=(2, 50, 1, 1, 4)).astype("float32")
    mean, log_var = np.split(posterior([h, e]).numpy(), 2, -1)
    assert np.abs(mean).max() > 1000 and 9.9 < np.abs(log_var).max() <= 10.0


def test_mistakes_name_what_was_received():
    with pytest.raises(ValueError, match=r"received widths \[4, 6\], .*channels \[3\]"):
        ladder.hierarchy((8, 8, 1), 2, widths=[4, 6], hidden=[4, 2], counts=[1, 1], channels=[3])


@pytest.mark.rotating
@pytest.mark.parametrize("shape, layers", [((28, 28, 1), 4), ((8, 8, 3), 4), ((64, 48, 3), 5), ((5, 5, 1), 4)])
def test_the_recipe_has_four_layers_or_more(shape, layers):
    model = recipes.find("hierarchical_vae").model(DataSpec("x", shape), filters=2, widest=4, units=8)
    assert len(model.layer_shapes) == layers and len(model.loss_names) == 3 + layers
    # The coarsest grid but for the top's.
    assert model.layer_shapes[0][:2] == (1, 1) and max(model.layer_shapes[1][:2]) <= 4


@pytest.mark.rotating
def test_the_likelihood_has_the_grey_levels_of_the_data():
    for levels in (2, 17, 256):
        for name in ("hierarchical_vae", "vae"):
            model = recipes.find(name).model(DataSpec("x", (8, 8, 1), levels=levels), likelihood="discretised_logistic")
            assert model.likelihood.top == levels - 1
