"""Places and patches of grids."""

import numpy as np
import pytest
import tensorflow as tf
from keras import Input, Model

from tfgen import recipes
from tfgen.data import DataSpec
from tfgen.networks import diffusion_unet, grids

RNG = np.random.default_rng(0)


def test_patches_are_space_to_depth_and_back():
    inputs, places = Input((6, 4, 3)), Input((3, 5, 8))
    x = RNG.normal(size=(2, 6, 4, 3)).astype("float32")
    np.testing.assert_array_equal(Model(inputs, grids.to_patches(inputs, 2))(x), tf.nn.space_to_depth(x, 2))
    z = RNG.normal(size=(2, 3, 5, 8)).astype("float32")
    np.testing.assert_array_equal(Model(places, grids.unpack(places, 2, 2))(z), tf.nn.depth_to_space(z, 2))


@pytest.mark.parametrize("shape", [(5, 7, 2), (3, 3, 1)])
def test_sides_that_patches_do_not_divide_are_filled_up(shape):
    inputs = Input(shape)
    made = grids.crop_to(grids.unpack(grids.to_patches(inputs, 3), 3, shape[-1]), shape[:2])
    x = RNG.normal(size=(2, *shape)).astype("float32")
    np.testing.assert_array_equal(Model(inputs, made)(x), x)


def test_the_unet_of_patches_has_the_grids_of_its_places():
    network = diffusion_unet.unet((9, 14, 3), 4, (1, 2), 1, (1,), 1, patch=2, outputs=6)
    assert network.output.shape == (None, 9, 14, 6)
    assert {layer.output.shape[1:3] for layer in network.layers if "conv2d" in layer.name} == {(5, 7), (3, 4)}
    model = recipes.find("edm").model(DataSpec("images", (28, 28, 1)), filters=8, patch=4, residual_blocks=1)
    assert {layer.output.shape[1:3] for layer in model.network.layers if "conv2d" in layer.name} == {(7, 7)}
