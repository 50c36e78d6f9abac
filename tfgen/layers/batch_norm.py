"""Batch normalisation of images by TensorFlow's fused operation."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import replicas


@keras.saving.register_keras_serializable(package="tfgen")
class FusedBatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of maps (B, H, W, C), computed in training by one operation per direction.

    Results, weights and arguments are those of Keras' layer, which reads the maps several times: on one CPU thread, forward
    and backward together take less than half its time. Float64 layers, features that are no maps, masks, `renorm`,
    inference, and training on several replicas run Keras' own code.
    """

    def call(self, inputs, training=None, mask=None):
        plain = (training and self.trainable and mask is None and self.compute_dtype != "float64"
                 and len(inputs.shape) == 4 and self.axis in (-1, 3) and not getattr(self, "renorm", False))
        if not plain or replicas.current():
            return super().call(inputs, training=training, mask=mask)
        # The operation adds up bfloat16 in float32.
        x = inputs if inputs.dtype == tf.bfloat16 else tf.cast(inputs, tf.float32)
        channels = self.moving_mean.shape[0]
        gamma = ops.cast(self.gamma, "float32") if self.scale else tf.ones(channels)
        beta = ops.cast(self.beta, "float32") if self.center else tf.zeros(channels)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=self.epsilon, is_training=True)
        # The operation gives the unbiased variance, Keras averages the biased one.
        count = tf.cast(tf.size(x), tf.float32) / channels
        for running, found in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1.0) / count)):
            running.assign(ops.cast(running, "float32") * self.momentum + tf.stop_gradient(found) * (1.0 - self.momentum))
        return tf.cast(y, self.compute_dtype)
