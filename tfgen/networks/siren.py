"""Networks of coordinates: sines (SIREN), ReLU after Fourier features, and the radiance of a scene."""

import math

import keras

from tfgen.layers.fourier import AxisFrequencies, FourierFeatures, Sine, positional_encoding
from tfgen.layers.full_precision import FullPrecisionDense, FullPrecisionRescaling

uniform = keras.initializers.RandomUniform


def siren(dim, units, outputs, first_w0=30.0, w0=30.0, constant=True):
    """Fully connected network with sine activations (Sitzmann et al., 2020), and its initial weights.

        h_1 = sin(first_w0 (W_1 x + b_1)),   h_{l+1} = sin(w0 (W_l h_l + b_l)),   y = 1/2 + (W h + b) / 2

    W_1 ~ U(-1/n, 1/n) and the other W ~ U(-sqrt(6/n) / w0, sqrt(6/n) / w0) for n inputs, so that each sine's argument has
    about unit variance in every layer after the first: 1 in the second, then v -> 1 - exp(-2 v), towards 0.8.
    b_1 ~ U(-1/sqrt(n), 1/sqrt(n)) gives the first sines different phases; the other biases start at 0.

    Args:
        dim: D, number of coordinates, each in [-1, 1].
        units: units per hidden layer, at least one layer.
        outputs: C, number of values in [0, 1] (the network's own range is [-1, 1]).
        first_w0, w0: frequency of the sines of the first and of the other layers.
        constant: whether the last layer has a bias, which derivatives of the field leave open.

    Returns:
        A Functional model, (B, D) -> (B, C).
    """
    coordinates = keras.Input((dim,), name="coordinates")
    x = sine_layers(coordinates, units, first_w0, w0)
    x = keras.layers.Dense(outputs, use_bias=constant, kernel_initializer=hidden_weights(units[-1], w0), name="last")(x)
    return keras.Model(coordinates, keras.layers.Rescaling(0.5, 0.5)(x), name="siren")


def sine_layers(x, units, first_w0=30.0, w0=30.0):
    """The hidden layers of `siren` after a tensor (B, n)."""
    for layer, width in enumerate(units):
        n = x.shape[-1]
        if layer:
            dense = keras.layers.Dense(width, kernel_initializer=hidden_weights(n, w0), name=f"dense_{layer}")
        else:
            dense = FullPrecisionDense(width, kernel_initializer=uniform(-1.0 / n, 1.0 / n),
                                       bias_initializer=uniform(-1.0 / math.sqrt(n), 1.0 / math.sqrt(n)), name="first")
        x = Sine(w0 if layer else first_w0, name=f"sine_{layer}")(dense(x))
    return x


def hidden_weights(n, w0):
    """U(-sqrt(6/n) / w0, sqrt(6/n) / w0), a new initialiser."""
    bound = math.sqrt(6.0 / n) / w0
    return uniform(-bound, bound)


# Encodings of D coordinates in [0, 1], as layers: functions (D, number of features, scale).
ENCODINGS = {
    "gaussian": lambda dim, features, scale: FourierFeatures(features, keras.initializers.RandomNormal(stddev=scale)),
    "positional": lambda dim, features, scale: FourierFeatures(features // dim * dim, AxisFrequencies(
        [scale ** (j * dim / features) for j in range(features // dim)])),
    "basic": lambda dim, features, scale: FourierFeatures(dim, AxisFrequencies([1.0])),
    "none": None,
}


def relu(dim, units, outputs, encoding="gaussian", features=256, scale=10.0):
    """ReLU network of encoded coordinates (Tancik et al., 2020), with a sigmoid at the end.

    With v = (x + 1) / 2 in [0, 1]^D, the encodings are [cos(2 pi B v), sin(2 pi B v)] with a fixed matrix B:

    - "gaussian": `features` rows, entries ~ N(0, scale^2);
    - "positional": along each axis m = features / D frequencies scale^(j / m), j = 0 ... m - 1;
    - "basic": one frequency per axis, B = 1;
    - "none": v itself, a plain ReLU network.

    Args:
        dim: D, number of coordinates, each in [-1, 1].
        units: units per hidden layer.
        outputs: C, number of values in [0, 1].
        encoding: a key of `ENCODINGS`.
        features: number of frequency vectors of "gaussian" and "positional".
        scale: standard deviation or upper end of the frequencies, in cycles per length of the signal.

    Returns:
        A Functional model, (B, D) -> (B, C).
    """
    coordinates = keras.Input((dim,), name="coordinates")
    x = FullPrecisionRescaling(0.5, 0.5)(coordinates)
    if ENCODINGS[encoding]:
        x = ENCODINGS[encoding](dim, features, scale)(x)
    for layer, width in enumerate(units):
        dense = keras.layers.Dense if layer or ENCODINGS[encoding] else FullPrecisionDense
        x = dense(width, activation="relu", kernel_initializer=keras.initializers.HeNormal())(x)
    return keras.Model(coordinates, keras.layers.Dense(outputs, "sigmoid")(x), name="relu")


def radiance(units, layers=8, channels=3, position_frequencies=10, direction_frequencies=4, name="radiance"):
    """Radiance field of a scene (Mildenhall et al., 2020): density from the position, colour from both inputs.

    Positions pass `layers` ReLU layers, with the encoded position again after layer layers / 2 + 1; from there a linear
    layer gives the density, another features, which pass a ReLU layer of units / 2 with the encoded direction.

    Args:
        units: units per ReLU layer.
        layers: number of ReLU layers of the position.
        channels: C, colours in [0, 1].
        position_frequencies, direction_frequencies: numbers of frequencies of `positional_encoding`.

    Returns:
        A Functional model, [positions (P, 3), unit directions (P, 3)] -> [colours (P, C), densities (P, 1) >= 0 per unit
        of length].
    """
    position, direction = keras.Input((3,), name="positions"), keras.Input((3,), name="directions")
    place = x = positional_encoding(3, position_frequencies)(position)
    for layer in range(layers):
        x = keras.layers.Dense(units, "relu", kernel_initializer=keras.initializers.GlorotUniform())(x)
        if layer == layers // 2 and layer < layers - 1:
            x = keras.layers.Concatenate()([place, x])
    density = keras.layers.Dense(1, "relu", name="density")(x)
    facing = positional_encoding(3, direction_frequencies)(direction)
    seen = keras.layers.Concatenate()([keras.layers.Dense(units)(x), facing])
    seen = keras.layers.Dense(max(1, units // 2), "relu")(seen)
    colour = keras.layers.Dense(channels, "sigmoid", name="colour")(seen)
    return keras.Model([position, direction], [colour, density], name=name)
