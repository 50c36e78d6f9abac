"""What TensorFlow Probability's PixelCNN++ gives of made-up mixtures of logistics, and the command that computes it.

    python -m venv tfp && tfp/bin/pip install tensorflow==2.21.0 tf-keras==2.21.0 tensorflow-probability==0.25.0
    tfp/bin/python tests/references/of_tfp.py       # writes of_tfp.json beside this file

It wants a second Keras and stays out of the extras: the test reads the file.
"""

import json
import pathlib

import numpy as np

KNOWN = pathlib.Path(__file__).with_suffix(".json")
ROWS, HEIGHT, WIDTH, COMPONENTS = 2, 2, 3, 3
CHANNELS = (1, 3)


def case(channels):
    """(grey levels 0 to 255 (B, H, W, C), the network's output as `tfgen.distributions.MixtureOfLogistics` takes it)."""
    rng = np.random.default_rng(channels)
    x = rng.integers(256, size=(ROWS, HEIGHT, WIDTH, channels))
    x[0, 0] = [[0], [255], [1]]
    parts = 1 + 2 * channels + channels * (channels - 1) // 2
    made = rng.normal(size=(ROWS, HEIGHT, WIDTH, parts, COMPONENTS))
    # Log scales from steps of a level to all of the range.
    made[..., 1 + channels:1 + 2 * channels, :] = rng.uniform(-5.0, 0.0, (ROWS, HEIGHT, WIDTH, channels, COMPONENTS))
    return x.astype("float32"), made.reshape(ROWS, HEIGHT, WIDTH, -1).astype("float32")


def main():
    import importlib.metadata

    import tensorflow as tf
    import tensorflow_probability as tfp

    known = {}
    for channels in CHANNELS:
        x, made = case(channels)
        model = tfp.distributions.PixelCNN((HEIGHT, WIDTH, channels), num_resnet=1, num_hierarchies=1, num_filters=2,
                                           num_logistic_mix=COMPONENTS, dtype=tf.float64)
        made = tf.constant(made, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(made)
            # (B, H, W, parts, K) -> (B, H, W, K, parts)
            parts = tf.linalg.matrix_transpose(tf.reshape(made, (ROWS, HEIGHT, WIDTH, -1, COMPONENTS)))
            logits, means, scales, pairs = (part for part in tf.split(
                parts, [1, channels, channels, -1], axis=-1))
            given = logits[..., 0], means, tf.exp(scales), *([tf.tanh(pairs)] if channels > 1 else [])
            model.network = lambda *_, given=given, **__: given
            found = model.log_prob(tf.constant(x, tf.float64))
        gradient = np.ravel(tape.gradient(found, made))
        known[channels] = {"log_prob": found.numpy().tolist(), "gradient": [float(f"{value:.7g}") for value in gradient]}
    known["versions"] = {name: importlib.metadata.version(name) for name in ("tensorflow-probability", "tensorflow")}
    KNOWN.write_text(json.dumps(known) + "\n")


if __name__ == "__main__":
    main()
