"""How a class label enters a network."""

import keras


def label_input():
    """A label input: int32 (B,)."""
    return keras.Input((), dtype="int32", name="label")


def with_label(x, label, num_classes):
    """Features (B, n) with the one-hot label behind them: (B, n + num_classes)."""
    return keras.layers.Concatenate()([x, keras.ops.one_hot(label, num_classes)])
