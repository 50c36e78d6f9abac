import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import UserError
from tfgen.evaluation import inception

WIDTH, CLASSES, EPSILON = 6, 4, 1e-3


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state, but for a slow test."""


def weights():
    generator = np.random.default_rng(0)
    shapes = {"kernel": (32, 32, 3, WIDTH), "mean": WIDTH, "variance": WIDTH, "beta": WIDTH, "gamma": WIDTH,
              "product": (WIDTH, CLASSES), "biases": CLASSES}
    drawn = {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return drawn | {"variance": np.square(drawn["variance"]) + 0.5, "kernel": drawn["kernel"] / 30}


def write_graph(path, mul="Mul"):
    """A small network with the names, fixed batch of one image and batch normalisation of the graph of 2015."""
    given = weights()
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, (1, 299, 299, 3), "ResizeBilinear")
        x = tf.multiply(tf.subtract(images, 128.0, "Sub"), 1 / 128, mul)
        x = tf.nn.conv2d(x, given["kernel"], 32, "VALID", name="conv")  # (1, 9, 9, WIDTH)
        for name in ("mean", "variance", "beta", "gamma"):
            tf.constant(given[name], name=name)
        pool = tf.nn.avg_pool2d(tf.nn.relu(x, "relu"), 9, 1, "VALID", name="pool_3")
        product = tf.matmul(tf.reshape(pool, (1, WIDTH)), given["product"], name="softmax/logits/MatMul")
        tf.nn.softmax(tf.add(product, given["biases"], "softmax/logits"), name="softmax")
    described = graph.as_graph_def()
    described.versions.producer = 8  # after which this batch normalisation is refused
    normed = described.node.add(name="norm", op="BatchNormWithGlobalNormalization",
                                input=["conv", "mean", "variance", "beta", "gamma"])
    normed.attr["T"].type = tf.float32.as_datatype_enum
    normed.attr["variance_epsilon"].f = EPSILON
    normed.attr["scale_after_normalization"].b = True
    next(node for node in described.node if node.name == "relu").input[0] = "norm"
    path.write_bytes(described.SerializeToString())


def by_numpy(images):
    """(features, probabilities) of images float64 (B, 299, 299, 3) in [0, 1]."""
    given = {name: value.astype(float) for name, value in weights().items()}
    x = (255.0 * images - 128.0) / 128.0
    blocks = x[:, :288, :288].reshape(-1, 9, 32, 9, 32, 3)
    x = np.einsum("nhawbc,abcd->nhwd", blocks, given["kernel"])
    x = (x - given["mean"]) / np.sqrt(given["variance"] + EPSILON) * given["gamma"] + given["beta"]
    features = np.maximum(x, 0).mean((1, 2))
    powers = np.exp(features @ given["product"])
    return features, powers / powers.sum(1, keepdims=True)


def test_features_and_probabilities_of_the_graph_of_2015(tmp_path, monkeypatch):
    """Any number of images, without the graph's own resizing and without the bias of the last layer."""
    path = tmp_path / "graph.pb"
    write_graph(path)
    monkeypatch.setenv("TFGEN_INCEPTION", str(path))
    extractor = inception.tf_inception()
    images = np.random.default_rng(1).random((3, 299, 299, 3), np.float32)
    for found, wanted in zip(extractor(images), by_numpy(images.astype(float))):
        assert np.ptp(wanted) > 0.1
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert extractor.num_classes == CLASSES and not extractor.has_distance
    assert extractor.describe() == {"extractor": "tf-inception-2015", "checksum": extractor.checksum,
                                    "resize": "bicubic to 299x299, antialiased, as clean-fid"}
    assert inception.tf_inception(path).checksum == extractor.checksum


def test_images_of_other_sizes_and_channels_are_resized_first(tmp_path):
    write_graph(tmp_path / "graph.pb")
    extractor = inception.tf_inception(tmp_path / "graph.pb")
    grey = np.random.default_rng(0).random((2, 28, 40, 1), np.float32)
    rows = extractor(grey)[0]
    np.testing.assert_allclose(extractor(np.repeat(grey, 3, axis=-1))[0], rows, rtol=1e-5)
    np.testing.assert_allclose(rows, by_numpy(inception.resized(grey).numpy().astype(float))[0], atol=1e-4)


def test_resized_images_stay_in_the_unit_range():
    edge = np.zeros((1, 40, 40, 1), np.float32)
    edge[:, :, 20:] = 1.0
    found = inception.resized(edge).numpy()
    assert found.shape == (1, 299, 299, 3) and (found.min(), found.max()) == (0.0, 1.0)


@pytest.mark.parametrize("extractor, what", [(inception.inception_v3, "Keras' weights"),
                                             (inception.tf_inception, "graph of 2015 .*TFGEN_INCEPTION")])
def test_without_weights_the_error_says_what_to_put_where(tmp_path, extractor, what):
    with pytest.raises(UserError, match=what) as error:
        extractor(tmp_path / "none.bin")
    message = str(error.value)
    assert "\n" not in message and f"at {tmp_path}/none.bin, received no such file: put none.bin there" in message


@pytest.mark.parametrize("broken", [b"not a graph", None])
def test_another_file_than_the_graph_of_2015_is_refused(tmp_path, broken):
    path = tmp_path / "graph.pb"
    if broken is None:
        write_graph(path, mul="Times")
    else:
        path.write_bytes(broken)
    with pytest.raises(UserError, match="does not load") as error:
        inception.tf_inception(path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_inception_from_a_file(tmp_path):
    path = tmp_path / "inception.weights.h5"
    keras.applications.InceptionV3(weights=None).save_weights(path)
    state = random.getstate()
    extractor = inception.inception_v3(path)
    assert random.getstate() == state
    grey = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    rows, probabilities = extractor(grey)
    assert rows.shape == (2, 2048) and probabilities.shape == (2, 1000)
    np.testing.assert_allclose(extractor(np.repeat(grey, 3, axis=-1))[0], rows, rtol=1e-4)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="does not load"):
        inception.inception_v3(path)
