import pathlib
import random

import keras
import numpy as np
import pytest

from tfgen import data, recipes, runs
from tfgen.errors import UserError
from tfgen.networks import imagenet
from tfgen.serving.export import export
from tfgen.serving.saved_model import Served


@pytest.fixture(autouse=True)
def fresh_state():
    """Nothing here has Keras state, but for a slow test."""


@pytest.mark.parametrize("shape, message", [
    ((32, 32, 1), r"ResNet-50 expects Keras' weights without top at .*/none\.h5, received no such file: put none\.h5 there"),
    ((32, 32, 4), "ResNet-50 expects images of 1 or 3 channels, received 4")])
def test_what_is_refused(tmp_path, shape, message):
    with pytest.raises(UserError, match=message) as error:
        imagenet.resnet50(shape, tmp_path / "none.h5")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet50.weights.h5"
    keras.applications.ResNet50(include_top=False, weights=None).save_weights(path)
    return path


@pytest.mark.slow
def test_features_of_a_file(weights):
    state = random.getstate()
    network = imagenet.resnet50((48, 64, 3), weights)
    assert random.getstate() == state and not network.trainable_variables
    images = np.random.default_rng(0).random((2, 48, 64, 3), np.float32)
    maps = network(images)
    # The shorter side becomes 224 pixels; ResNet-50 halves twice before its first blocks.
    assert [tuple(one.shape[1:]) for one in maps] == [(56, 75, 256), (28, 38, 512), (14, 19, 1024)]
    whole = keras.applications.ResNet50(include_top=False, weights=None)
    whole.load_weights(weights)
    enlarged = keras.ops.image.resize(images, (224, 299))
    theirs = keras.Model(whole.input, whole.get_layer("conv4_block6_out").output)(
        keras.applications.resnet50.preprocess_input(255.0 * enlarged))
    np.testing.assert_allclose(maps[2], theirs, rtol=1e-3, atol=1e-3)
    # Grey is the same in all channels.
    grey = images[..., :1]
    found = imagenet.resnet50((48, 64, 1), weights)(grey)[0]
    np.testing.assert_allclose(found, network(np.repeat(grey, 3, -1))[0], atol=1e-4)
    pathlib.Path(weights.with_name("cut.h5")).write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="does not load"):
        imagenet.resnet50((48, 64, 3), weights.with_name("cut.h5"))


@pytest.mark.slow
def test_a_detector_with_features_of_imagenet(weights, tmp_path, monkeypatch):
    """Trained, saved, opened and exported without the file of weights."""
    monkeypatch.setattr(imagenet, "RESNET50", str(weights))
    dataset = data.one_class(data.load("digits"), normal=1)
    values = {"network": "resnet50", "features": 8}
    runs.train("padim", dataset, tmp_path / "run", 1, values, batch_size=32, verbose=0)
    monkeypatch.setattr(imagenet, "RESNET50", "none")
    model, _ = runs.open_run(tmp_path / "run")
    images = dataset.images("test")[:4].astype("float32") / 255.0
    scores = model.score(images).numpy()
    assert np.isfinite(scores).all() and np.ptp(scores) > 0 and model.anomaly_map(images).shape == (4, 8, 8)
    export(model, tmp_path / "saved")
    np.testing.assert_allclose(Served(tmp_path / "saved")("score", images), scores, rtol=1e-3)
    with pytest.raises(UserError, match="received no such file"):
        recipes.find("padim").model(dataset.spec, network="resnet50")
