"""Inception-v3 as a feature extractor, with weights that somebody has put on the machine; nothing is downloaded."""

import os

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgen.evaluation.features import Extractor, traced
from tfgen.networks import imagenet

KERAS_FILE = "~/.keras/models/inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
GRAPH_FILE = "~/.cache/tfgen/classify_image_graph_def.pb"
SIDE = 299
RESIZE = f"bicubic to {SIDE}x{SIDE}, antialiased, as clean-fid"


def resized(images):
    """Images (B, H, W, C) in [0, 1], C = 1 or 3 -> (B, 299, 299, 3), as clean-fid (Parmar et al., 2022, arXiv:2104.11222).

    Bicubic (Keys, 1981, a = -1/2) with antialiasing, clipped to [0, 1] and not rounded; grey is repeated to 3 channels.
    """
    shape = tf.concat([tf.shape(images)[:-1], [3]], axis=0)
    images = tf.ensure_shape(tf.broadcast_to(images, shape), (None, None, None, 3))
    return tf.clip_by_value(tf.image.resize(images, (SIDE, SIDE), "bicubic", antialias=True), 0.0, 1.0)


def inception_v3(weights=None):
    """Pool features (2048) and ImageNet classes of Keras' Inception-v3 (Szegedy et al., 2016, arXiv:1512.00567).

    Images of any size, grey or RGB, are `resized`. The weights are those of Keras, so distances are close but not equal to
    published ones, which use weights of 2015: see `tf_inception`.

    Args:
        weights: path of the .h5 weights with top; None uses Keras' cache, ~/.keras/models.

    Raises:
        UserError: for a missing file or one with other weights.
    """
    what = "inception_v3 expects Keras' weights with top"
    path = imagenet.weights_file(weights or KERAS_FILE, what, "give weights=PATH")
    network = imagenet.with_weights(lambda: keras.applications.InceptionV3(weights=None), path, what)
    both = keras.Model(network.input, [network.get_layer("avg_pool").output, network.output])
    return Extractor("keras-inception-v3", traced(lambda images: both(resized(images) * 2.0 - 1.0, training=False)),
                     both.get_weights(), RESIZE, num_classes=1000)


def tf_inception(weights=None):
    """Pool features (2048) and classes of TensorFlow's Inception of 2015, the network of published Fréchet distances.

    Images of any size, grey or RGB, are `resized` and enter the graph behind its own resizing, as (255 x - 128) / 128, as in
    clean-fid. Probabilities are of the last matrix product without its bias, as in the score of Salimans et al. (2016).

    Args:
        weights: path of classify_image_graph_def.pb, from the archive inception-2015-12-05.tgz; None uses
            $TFGEN_INCEPTION, else ~/.cache/tfgen/classify_image_graph_def.pb.

    Raises:
        UserError: for a missing file or one with another graph.
    """
    what = "tf_inception expects TensorFlow's graph of 2015 (of inception-2015-12-05.tgz)"
    path = imagenet.weights_file(weights or os.environ.get("TFGEN_INCEPTION") or GRAPH_FILE, what,
                                 "name its path in TFGEN_INCEPTION")
    content, graph = path.read_bytes(), tf.Graph()
    try:
        described = tf.compat.v1.GraphDef.FromString(content)
        with graph.as_default():
            images = tf.compat.v1.placeholder(tf.float32, (None, None, None, None))
            pool, product = tf.import_graph_def(described, {"Mul:0": resized(images) * (255.0 / 128.0) - 1.0},
                                                ["pool_3:0", "softmax/logits/MatMul"])
            features = tf.squeeze(pool, (1, 2))
            probabilities = tf.nn.softmax(tf.matmul(features, product.inputs[1]))
    except (DecodeError, ValueError) as error:
        raise imagenet.refused(what, path, error) from None
    # A session, because TensorFlow's functions refuse the batch normalisation of 2015.
    session = tf.compat.v1.Session(graph=graph)
    return Extractor("tf-inception-2015", lambda x: session.run([features, probabilities], {images: x}),
                     [np.frombuffer(content, np.uint8)], RESIZE, num_classes=probabilities.shape[-1])
