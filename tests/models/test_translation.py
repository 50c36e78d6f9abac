"""pix2pix and CycleGAN: their losses by hand, their state, their verbs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import data, recipes
from tfgen.layers import SeededDropout
from tfgen.networks import translation
from tfgen.serving import export, saved_model

SHAPE = (8, 8, 1)
BIG = (256, 256, 3)


def pairs(rows=4, seed=0):
    generator = np.random.default_rng(seed)
    return tuple(tf.constant(generator.random((rows, *SHAPE), "float32")) for _ in range(2))


def paired(norm="instance", dropout=0.0, **arguments):
    return tfgen.Pix2Pix(translation.unet(SHAPE, SHAPE, 4, norm, dropout),
                         translation.patchgan(SHAPE, SHAPE, 4, 1, norm), **arguments)


def cyclic(norm="instance", **arguments):
    return tfgen.CycleGAN(*(translation.residual(SHAPE, SHAPE, 4, 1, norm) for _ in range(2)),
                          *(translation.patchgan(SHAPE, None, 4, 1, norm) for _ in range(2)), **arguments)


def as_paper(x):
    return 2.0 * np.asarray(x, np.float64) - 1.0


def log_loss(scores, target):
    """Binary cross-entropy of logits, mean, float64."""
    p = 1.0 / (1.0 + np.exp(-np.asarray(scores, np.float64)))
    return -np.mean(target * np.log(p) + (1.0 - target) * np.log(1.0 - p))


def test_pix2pix_losses_are_the_papers():
    """E[log D(x, y)] + E[log(1 - D(x, G(x)))], halved for D, and 100 E|y - G(x)| in images of [-1, 1]."""
    model = paired()
    x, y = pairs()
    made = model.generate((x, y), training=False)
    real, fake = (model.critic([x, image]) for image in (y, made))
    found = model.critic_losses((x, y), made, False) | model.generator_losses((x, y), made, False)
    assert float(found["critic_loss"]) == pytest.approx(0.5 * (log_loss(real, 1.0) + log_loss(fake, 0.0)), rel=1e-5)
    l1 = np.mean(np.abs(as_paper(y) - as_paper(made)))
    assert float(found["generator_loss"]) == pytest.approx(log_loss(fake, 1.0) + 100.0 * l1, rel=1e-5)
    assert float(found["l1"]) == pytest.approx(l1 / 2.0, rel=1e-5)


def test_pix2pix_without_a_critic_is_regression():
    model = paired(adversarial_weight=0.0, l1_weight=1.0)
    x, y = pairs()
    losses = model.generator_losses((x, y), model.generate((x, y), False), False)
    assert float(losses["generator_loss"]) == pytest.approx(2.0 * float(losses["l1"]), rel=1e-6)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_real_and_made_images_never_share_batch_statistics(norm):
    model, (x, y) = paired(norm), pairs()
    assert model.joint_batches == (norm == "instance")
    made = model.generate((x, y), True)
    alone = model.objective.critic(*(model.critic([x, image], training=True) for image in (y, made)))
    together = model.critic_losses((x, y), made, True)["critic_loss"]
    assert float(together) == pytest.approx(0.5 * float(alone), rel=1e-5)


def test_noise_of_a_translation_is_its_seeds():
    keras.utils.set_random_seed(1)
    model = paired(dropout=0.5)
    x, _ = pairs()
    same, other = model.translate(x), model.translate(x, tf.constant([0, 1, 2, 3], tf.int64))
    np.testing.assert_array_equal(same, model.translate(x))
    np.testing.assert_array_equal(same[0], other[0])
    assert np.abs(same[1:] - other[1:]).max() > 1e-6
    np.testing.assert_allclose(model.translate(x[2:], tf.constant([2, 3], tf.int64)), other[2:], atol=1e-6)
    layers = [layer for layer in model.generator.layers if isinstance(layer, SeededDropout)]
    assert len(layers) == 2 and len({layer.use for layer in layers}) == 2
    assert not paired().verb_options("translate")


def test_cyclegan_losses_are_the_papers():
    """Least squares without halves, both ways; 10 times the cycles and 5 times the identities, of images in [-1, 1]."""
    model = cyclic(adversarial_weight=2.0)
    a, b = pairs()
    g, f = model.generator, model.back_generator
    made = model.generate((a, b), training=False)
    found = model.critic_losses((a, b), made, False) | model.generator_losses((a, b), made, False)

    def l1(image, other):
        return np.mean(np.abs(as_paper(image) - as_paper(other)))

    def square(critic, image, target):
        return np.mean(np.square(np.asarray(critic(image), np.float64) - target))

    cycle = l1(f(g(a)), a) + l1(g(f(b)), b)
    identity = l1(g(b), b) + l1(f(a), a)
    adversarial = square(model.critic, g(a), 1.0) + square(model.source_critic, f(b), 1.0)
    assert float(found["generator_loss"]) == pytest.approx(adversarial + 10.0 * cycle + 5.0 * identity, rel=1e-5)
    assert float(found["cycle"]) == pytest.approx(cycle / 4.0, rel=1e-5)
    assert float(found["identity"]) == pytest.approx(identity / 4.0, rel=1e-5)
    critics = (square(model.critic, b, 1.0) + square(model.critic, g(a), 0.0)
               + square(model.source_critic, a, 1.0) + square(model.source_critic, f(b), 0.0))
    assert float(found["critic_loss"]) == pytest.approx(0.25 * critics, rel=1e-5)


def test_one_pass_for_translation_and_identity_gives_the_same():
    a, b = pairs()
    keras.utils.set_random_seed(2)
    one = cyclic()
    two = cyclic()
    two.set_weights(one.get_weights())
    two.joint_batches = False
    for ours, theirs in zip(keras.tree.flatten(one.generate((a, b), True)), keras.tree.flatten(two.generate((a, b), True))):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.rotating
def test_critics_see_the_pool_in_training_only():
    model = cyclic(pool_size=4)
    model.compile("adam")
    model.fit(tf.data.Dataset.from_tensors(pairs(3)).repeat(2), verbose=0)
    assert [int(pool.count) for pool in model.pools] == [4, 4]
    kept = [pool.images.numpy() for pool in model.pools]
    model.evaluate(tf.data.Dataset.from_tensors(pairs(3)), verbose=0)
    for pool, images in zip(model.pools, kept):
        np.testing.assert_array_equal(pool.images, images)
    assert not cyclic(pool_size=0).pools


@pytest.mark.rotating
def test_a_file_keeps_the_pool(tmp_path):
    model = cyclic(pool_size=4)
    model.compile("adam")
    model.fit(tf.data.Dataset.from_tensors(pairs(3)).repeat(2), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.pools, loaded.pools):
        assert int(theirs.count) == 4 and np.abs(ours.images).max() > 0
        np.testing.assert_array_equal(ours.images, theirs.images)


def test_networks_must_fit_each_other():
    other = (8, 8, 3)
    with pytest.raises(ValueError, match=r"critic must take \[sources, images\]"):
        tfgen.Pix2Pix(translation.unet(SHAPE, other, 2), translation.patchgan(SHAPE, SHAPE, 2, 1))
    generator, back = translation.residual(SHAPE, other, 2, 1), translation.residual(other, SHAPE, 2, 1)
    critics = [translation.patchgan(shape, None, 2, 1) for shape in (SHAPE, other)]
    with pytest.raises(ValueError, match="domains of one shape"):
        tfgen.CycleGAN(generator, back, *critics)
    with pytest.raises(ValueError, match="back_generator must fit"):
        tfgen.CycleGAN(generator, generator, *critics, identity_weight=0.0)
    with pytest.raises(ValueError, match="source_critic must fit"):
        tfgen.CycleGAN(generator, back, *critics[::-1], identity_weight=0.0)


def test_rates_hold_then_fall_to_zero():
    schedule = tfgen.schedules.HoldThenDecay(0.2, 100)
    assert [round(float(schedule(step)), 6) for step in (0, 50, 75, 100, 200)] == [0.2, 0.2, 0.1, 0.0, 0.0]
    spec = data.DataSpec("x", SHAPE, sizes={"train": 30}, view="unpaired", source_shape=SHAPE)
    model = recipes.find("cyclegan").model(spec, filters=2, blocks=1)
    rates = [optimizer._learning_rate for optimizer in (model.optimizer, model.critic_optimizer)]
    assert all(rate.start == 2e-4 and rate.steps == 6000 for rate in rates)
    with pytest.raises(ValueError, match="at least 1 step"):
        tfgen.schedules.HoldThenDecay(0.2, 0)


def test_objectives_are_exchangeable():
    spec = data.DataSpec("x", SHAPE, view="paired", source_shape=SHAPE)
    for name, kind in recipes.hyperparameters.OBJECTIVES.items():
        model = recipes.find("pix2pix").model(spec, filters=2, objective=name)
        assert isinstance(model.objective, kind) and model.augmentation.scale == 1.0 and model.augmentation.flip
    model = recipes.find("cyclegan").model(spec, filters=2, generator="unet")
    assert len(model.generator.inputs) == 1 and model.generator.name.startswith("unet")


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_the_papers_size_builds_steps_and_exports(name, tmp_path):
    spec = data.DataSpec("big", BIG, sizes={"train": 2}, view="unpaired", source_shape=BIG)
    model = recipes.find(name).model(spec, filters=2, **({"pool_size": 2, "blocks": 2} if name == "cyclegan" else {}))
    assert model.augmentation.scale == 286 / 256 and model.critic.output_shape[1:3] == (30, 30)
    x = np.random.default_rng(0).random((1, *BIG), "float32")
    logs = model.fit(tf.data.Dataset.from_tensors((x, 1.0 - x)), verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    path = export.export(model, tmp_path / "served")
    made = saved_model.Served(path)("translate", x)
    assert made.shape == (1, *BIG) and 0 <= made.min() <= made.max() <= 1
