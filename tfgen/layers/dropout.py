"""Dropout whose noise depends on neither the number of replicas nor the precision."""

import keras

from tfgen import replicas
from tfgen.errors import require


@keras.saving.register_keras_serializable(package="tfgen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose values for a row are those of its place in the whole batch, see `tfgen.replicas`.

    In bfloat16 they are those of float32; Keras draws numbers of 8 bits there, and so other ones.

    Raises:
        UserError: for a `noise_shape`: each value is dropped by itself.
    """

    def __init__(self, rate, noise_shape=None, **others):
        require(noise_shape is None, f"{type(self).__name__} drops each value by itself, received noise_shape={noise_shape}")
        super().__init__(rate, **others)

    def call(self, inputs, training=False):
        return replicas.dropout(inputs, self.rate, self.seed_generator) if training and self.rate else inputs
