"""The likelihood of PixelCNN++ beside TensorFlow Probability's."""

import json

import numpy as np
import of_tfp
import pytest
import tensorflow as tf

from tfgen.distributions import MixtureOfLogistics


@pytest.mark.parametrize("channels", of_tfp.CHANNELS)
def test_a_mixture_of_logistics(channels):
    """Of each grey level, the ends with the tails, with means that follow the channels before: log p and its gradient."""
    x, made = of_tfp.case(channels)
    known, made = json.loads(of_tfp.KNOWN.read_text())[str(channels)], tf.constant(made)
    with tf.GradientTape() as tape:
        tape.watch(made)
        found = MixtureOfLogistics(of_tfp.COMPONENTS).log_prob(made, x / 255.0)
    np.testing.assert_allclose(found, known["log_prob"], rtol=1e-5)
    np.testing.assert_allclose(np.ravel(tape.gradient(found, made)), known["gradient"], rtol=1e-3, atol=1e-4)
