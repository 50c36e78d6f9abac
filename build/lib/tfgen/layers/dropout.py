"""Dropout whose noise does not depend on the number of replicas."""

import keras

from tfgen import replicas


@keras.saving.register_keras_serializable(package="tfgen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose values for a row are those of its place in the whole batch, see `tfgen.replicas`."""

    def call(self, inputs, training=False):
        if replicas.current() is None:
            return super().call(inputs, training=training)
        return replicas.dropout(inputs, self.rate, self.seed_generator) if training and self.rate else inputs
