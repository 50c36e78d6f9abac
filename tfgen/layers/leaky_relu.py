"""The leaky rectifier of `networks.dcgan`, for penalties on a critic's gradient."""

import keras
import tensorflow as tf

from tfgen.serialization import serializable


@serializable
class LeakyReLU(keras.layers.LeakyReLU):
    """Keras' layer, whose gradient is the same; the gradient of that gradient ends here.

    The slope is constant on each side of 0, so that its derivative is 0. TensorFlow computes that derivative as an array of
    zeros, which in the gradient of a penalty, such as `tfgen.losses.GradientPenalty`, goes back through all layers before:
    two convolutions per layer of a critic without normalisation.

    Args:
        negative_slope: of negative values, >= 0.
    """

    def call(self, x):
        slope = float(self.negative_slope)

        @tf.custom_gradient
        def rectified(x):
            side = tf.stop_gradient(x)
            return tf.nn.leaky_relu(x, slope), lambda made: tf.raw_ops.LeakyReluGrad(
                gradients=made, features=side, alpha=slope)

        return rectified(x)
