"""The adversarial step and the members of its family, against hand-worked values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny

from tfgen import AAE, ACGAN, BEGAN, EBGAN, GAN, InfoGAN, losses, optimizers
from tfgen.distributions import priors
from tfgen.layers import AdaptiveAugmentation, CriticAugmentation
from tfgen.losses.penalties import R1, GradientPenalty
from tfgen.models.base.averages import decay_at
from tfgen.networks import dcgan, mlp
from tfgen.verbs.live import Live

SHAPE = (8, 8, 1)


def networks(latent=3, shape=SHAPE):
    return mlp.decoder(latent, [6], shape, output_activation="sigmoid"), mlp.encoder(shape, [6], 1)


def scalar_gan(**arguments):
    """G(z) = a z and D(x) = c x on single numbers: every update can be worked by hand."""
    def linear(name):
        inputs = keras.Input((1,))
        return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name=name)(inputs))

    model = GAN(linear("a"), linear("c"), losses.Wasserstein(), **arguments)
    return with_weights(model)


def with_weights(model, a=2.0, c=0.5):
    """Sets a and c, and the copies made of them."""
    copies = ([model.ema_generator] if model.ema else []) + model.past[:1]
    for network in (model.generator, *copies):
        network.set_weights([np.array([[a]])])
    for network in (model.critic, *model.past[1:]):
        network.set_weights([np.array([[c]])])
    return model


class Ones(priors.Normal):
    """Latents that are all one."""

    def draw(self, rows, dim, seed_generator):
        return tf.ones((rows, dim))


def sgd(rate):
    return keras.optimizers.SGD(rate)


def test_generator_learns_through_the_updated_critic():
    """Critic: c += 0.1 (mean x - a); generator: a += 0.1 c, with the new c."""
    model = scalar_gan(prior=Ones())
    model.compile(sgd(0.1), sgd(0.1))
    logs = model.train_on_batch(tf.constant([[5.0], [7.0]]), return_dict=True)
    c = 0.5 + 0.1 * (6.0 - 2.0)
    assert float(model.critic.weights[0][0, 0]) == pytest.approx(c)
    assert float(model.generator.weights[0][0, 0]) == pytest.approx(2.0 + 0.1 * c)
    assert logs["critic_loss"] == pytest.approx(0.5 * 2.0 - 0.5 * 6.0)
    assert logs["generator_loss"] == pytest.approx(-2.0 * c)
    assert logs["generator_gradient"] == pytest.approx(c)


def test_critic_steps_take_a_part_of_the_batch_each():
    model = scalar_gan(prior=Ones(), critic_steps=2)
    model.compile(sgd(0.1), sgd(0.1))
    model.train_on_batch(tf.constant([[5.0], [7.0], [1.0], [3.0]]))
    c = 0.5 + 0.1 * (6.0 - 2.0) + 0.1 * (2.0 - 2.0)
    assert float(model.critic.weights[0][0, 0]) == pytest.approx(c)
    assert float(model.generator.weights[0][0, 0]) == pytest.approx(2.0 + 0.1 * c)
    assert int(model.optimizer.iterations) == 1 and int(model.critic_optimizer.iterations) == 2


def test_critic_steps_need_a_divisible_batch():
    model = scalar_gan(critic_steps=3)
    model.compile(sgd(0.1), sgd(0.1))
    with pytest.raises(ValueError, match="critic_steps=3 expects batches of a multiple of 3 images.*received 4"):
        model.train_on_batch(tf.ones((4, 1)))


def test_one_generator_forward_a_step():
    model = tiny("dcgan")
    calls = []
    forward = model.generator.call
    model.generator.call = lambda *given, **named: calls.append(1) or forward(*given, **named)
    model.fit(tf.data.Dataset.from_tensors(images()).repeat(3), verbose=0)
    assert len(calls) == 1  # one trace of the step, one call in it


def test_averaged_generator_follows_its_decay_and_makes_the_samples():
    model = scalar_gan(prior=Ones(), ema=0.9)
    model.compile(sgd(0.1), sgd(0.1))
    average = 2.0
    for step in (1, 2, 3):
        model.train_on_batch(tf.constant([[5.0], [7.0]]))
        average += 9 / (step + 10) * (float(model.generator.weights[0][0, 0]) - average)
    assert float(model.ema_generator.weights[0][0, 0]) == pytest.approx(average, rel=1e-5)
    assert float(decay_at(model.ema, 1000)) == pytest.approx(0.9)
    z = model.prior.seeded(tf.constant([4], tf.int64), 1)
    np.testing.assert_allclose(model.sample(tf.constant([4], tf.int64)), average * z, rtol=1e-5)


def test_averages_of_weights_come_with_averages_of_their_statistics():
    generator, critic = networks()
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(64), keras.layers.BatchNormalization(momentum=0.5),
                                  keras.layers.Reshape(SHAPE)])
    model = GAN(generator, critic, ema=0.9)
    model.compile("sgd", "sgd")
    average = np.zeros(64)
    for step in (1, 2, 3):
        model.train_on_batch(images())
        mean = generator.layers[1].moving_mean.numpy()
        average += 9 / (step + 10) * (mean - average)
    assert np.abs(average - mean).max() > 0.01
    np.testing.assert_allclose(model.ema_generator.layers[1].moving_mean, average, atol=1e-6)


def test_historical_averaging_pulls_to_the_mean_of_the_past():
    """After two steps the mean is that of three weights; the third loss has weight (a - mean)^2 + …"""
    model = scalar_gan(prior=Ones(), historical_averaging=0.5)
    model.compile(sgd(0.1), sgd(0.0))
    past, gap = [2.0], None
    for _ in range(3):
        a = float(model.generator.weights[0][0, 0])
        gap = a - np.mean(past)
        logs = model.train_on_batch(tf.constant([[5.0], [7.0]]), return_dict=True)
        assert logs["generator_loss"] == pytest.approx(-0.5 * a + 0.5 * gap**2, rel=1e-4)
        assert float(model.generator.weights[0][0, 0]) == pytest.approx(a + 0.1 * (0.5 - gap), rel=1e-4)
        past.append(float(model.generator.weights[0][0, 0]))
        model.reset_metrics()
    assert abs(gap) > 0.02


class Tripled(CriticAugmentation):
    """T(x) = 3 x + spread u: worked by hand for spread 0."""

    def __init__(self, spread=0.0, **arguments):
        super().__init__(**arguments)
        self.spread, self.uniform = spread, []

    def corrupt(self, x, uniforms):
        self.uniform.append(uniforms)
        return 3.0 * x + self.spread * uniforms


def test_the_critic_sees_changed_images_in_all_that_trains():
    """c += 0.1 (3 mean x - 3 a - 4 c), the penalty 4/2 c^2 of d D / d T(x) = c; a += 0.1 3 c with the new c."""
    model = scalar_gan(prior=Ones(), penalties=[R1(4.0)], critic_augmentation=Tripled())
    model.compile(sgd(0.1), sgd(0.1))
    x = tf.constant([[5.0], [7.0]])
    logs = model.train_on_batch(x, return_dict=True)
    c = 0.5 + 0.1 * (18.0 - 6.0 - 4 * 0.5)
    assert float(model.critic.weights[0][0, 0]) == pytest.approx(c)
    assert float(model.generator.weights[0][0, 0]) == pytest.approx(2.0 + 0.1 * 3 * c)
    assert logs["critic_loss"] == pytest.approx(0.5 * (6.0 - 18.0) + 2 * 0.5**2)
    assert logs["generator_loss"] == pytest.approx(-6.0 * c)
    # Neither in validation nor in samples.
    a = float(model.generator.weights[0][0, 0])
    held = model.test_on_batch(x, return_dict=True)
    assert held["critic_real"] == pytest.approx(6.0 * c)
    z = model.prior.seeded(tf.constant([4], tf.int64), 1)
    np.testing.assert_allclose(model.sample(tf.constant([4], tf.int64)), a * z, rtol=1e-5)
    np.testing.assert_allclose(model.decode(z), a * z, rtol=1e-5)


def test_each_sight_of_the_critic_is_drawn_anew():
    """Real and generated images, and generated ones again for the generator."""
    model = scalar_gan(prior=Ones(), critic_augmentation=Tripled(0.1, seed=1))
    model.compile(sgd(0.1), sgd(0.1), run_eagerly=True)
    model.train_on_batch(tf.constant([[5.0], [7.0]]))
    drawn = np.concatenate(model.critic_augmentation.uniform)
    assert drawn.shape == (6, 1) and len(np.unique(drawn)) == 6


def test_a_change_that_changes_nothing_leaves_a_training_as_it_is_to_the_bit():
    class Same(CriticAugmentation):
        def corrupt(self, x, uniforms):
            return x

    def trained(**arguments):
        keras.utils.set_random_seed(3)
        model = GAN(*networks(), penalties=[GradientPenalty()], **arguments)
        model.compile("adam")
        model.fit(tf.data.Dataset.from_tensors(images()).repeat(5), verbose=0)
        return model.get_weights()

    for plain, same in zip(trained(), trained(critic_augmentation=Same(seed=1)), strict=True):
        np.testing.assert_array_equal(plain, same)


@pytest.mark.rotating
def test_adaptive_augmentation_travels_with_the_model(tmp_path):
    model = GAN(*networks(), losses.Hinge(), critic_steps=2, critic_augmentation=AdaptiveAugmentation(-0.9, 2, 64, seed=1))
    model.compile("adam")
    history = model.fit(tf.data.Dataset.from_tensors(images(8)).repeat(3), validation_data=tf.data.Dataset.from_tensors(
        images(8)), verbose=0, epochs=2).history
    layer = model.critic_augmentation
    # Six steps of 2 x 4 real images: a move of 16 / 64 after each second one, if signs go on being over -0.9.
    assert int(layer.step) == 6 and float(layer.p) in (0.25, 0.75) and {"augmentation_p", "real_sign"} < set(history)
    assert history["val_augmentation_p"][-1] == float(layer.p)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.critic_augmentation.get_config() == layer.get_config()
    for ours, theirs in zip(layer.weights, loaded.critic_augmentation.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not layer.trainable_variables


def test_batches_are_joined_unless_statistics_would_mix():
    assert GAN(*networks()).joint_batches
    assert not GAN(dcgan.generator((16, 16, 1), 3, 2), dcgan.critic((16, 16, 1), 2, norm="batch")).joint_batches
    model = GAN(*networks())
    apart = GAN(*networks())
    apart.set_weights(model.get_weights())
    apart.joint_batches = False
    x, z = images(4), tf.random.normal((4, 3))
    made = {"image": model.make(z), "latent": z}
    for key, value in model.critic_losses(x, made, True).items():
        assert float(value) == pytest.approx(float(apart.critic_losses(x, made, True)[key]), rel=1e-5)


def test_validation_losses_have_no_penalty():
    model = GAN(*networks(), losses.Wasserstein(), penalties=[GradientPenalty(1e6)])
    x = images(4)
    made = model.generate(x, training=False)
    assert abs(float(model.critic_losses(x, made, False)["critic_loss"])) < 100 < float(
        model.critic_losses(x, made, True)["critic_loss"])


def test_auxiliary_classifier_loss():
    model = tiny("acgan", class_weight=2.0)
    logits, label = np.array([[2.0, 0.0, 1.0]], "float32"), np.array([2])
    entropy = -(1.0 - np.log(np.exp([2.0, 0.0, 1.0]).sum()))
    assert float(model.generator_head_loss([logits], label, None)) == pytest.approx(2 * entropy, rel=1e-5)
    assert float(model.critic_head_loss([logits], [logits], label, None)) == pytest.approx(4 * entropy, rel=1e-5)
    model = tiny("acgan", class_weight=2.0, fake_weight=0.0, generator_weight=0.1)
    assert float(model.generator_head_loss([logits], label, None)) == pytest.approx(0.2 * entropy, rel=1e-5)
    assert float(model.critic_head_loss([logits], [2 * logits], label, None)) == pytest.approx(2 * entropy, rel=1e-5)


def infogan(categories=3, codes=2, noise_dim=4):
    width = noise_dim + categories + codes
    return InfoGAN(dcgan.generator(SHAPE, width, 2), dcgan.critic(SHAPE, 2, head=categories + codes), categories, codes)


def test_information_bound_is_tight_for_a_head_that_knows():
    """At q = p(c|x) with c known, the bound is the entropy log K; codes at their means give the Gaussian's density."""
    model = infogan()
    latent = np.zeros((2, 9), "float32")
    latent[0, 4], latent[1, 6] = 1, 1
    latent[:, 7:] = [[0.5, -0.5], [0.1, 0.2]]
    head = np.concatenate([100 * latent[:, 4:7], latent[:, 7:]], 1).astype("float32")
    discrete, continuous = model.information(tf.constant(head), tf.constant(latent))
    assert float(discrete) == pytest.approx(np.log(3), rel=1e-5)
    assert float(continuous) == pytest.approx(2 * np.log(2) - np.log(2 * np.pi), rel=1e-5)
    # A head with log deviations.
    wide = tf.constant(np.concatenate([head, np.full((2, 2), -1.0, "float32")], 1))
    assert float(model.information(wide, tf.constant(latent))[1]) == pytest.approx(2 * np.log(2) - np.log(2 * np.pi) + 2.0)
    InfoGAN(dcgan.generator(SHAPE, 9, 2), dcgan.critic(SHAPE, 2, head=7), 3, 2)
    with pytest.raises(ValueError, match="must have 5 values, 3 logits and 2 means, or 2 log deviations more, it has 6"):
        InfoGAN(dcgan.generator(SHAPE, 9, 2), dcgan.critic(SHAPE, 2, head=6), 3, 2)


def test_codes_are_inputs_of_sample():
    model = infogan()
    seeds = tf.range(6, dtype=tf.int64)
    free = model.latents(seeds).numpy()
    assert np.all(free[:, 4:7].sum(1) == 1) and np.all(np.abs(free[:, 7:]) <= 1)
    asked = model.latents(seeds, tf.fill([6], 2), [tf.fill([6], 0.25), tf.fill([6], InfoGAN.DRAWN)]).numpy()
    np.testing.assert_array_equal(asked[:, :4], free[:, :4])
    np.testing.assert_array_equal(asked[:, 4:7], np.tile([0, 0, 1], (6, 1)))
    np.testing.assert_array_equal(asked[:, 7:], np.stack([np.full(6, 0.25), free[:, 8]], 1).astype("float32"))
    live = Live(model)
    assert set(live.options["sample"]) == {"category", "code_1", "code_2"}
    assert np.abs(live("sample", np.arange(2), category=0) - live("sample", np.arange(2), category=1)).max() > 1e-5


def test_equilibrium_control_moves_by_the_rule():
    inputs = keras.Input((1,))
    generator = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    inputs = keras.Input((1,))
    critic = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model = BEGAN(generator, critic, diversity=0.5, gain=0.1, prior=Ones())
    with_weights(model).k.assign(0.2)
    model.compile(sgd(0.0), sgd(0.0))
    logs = model.train_on_batch(tf.constant([[6.0]]), return_dict=True)
    real, fake = 3.0, 1.0
    assert logs["critic_loss"] == pytest.approx(real - 0.2 * fake)
    assert logs["convergence"] == pytest.approx(real + abs(0.5 * real - fake))
    assert float(model.k) == pytest.approx(0.2 + 0.1 * (0.5 * real - fake))
    model.k.assign(1.0)
    model.train_on_batch(tf.constant([[600.0]]))
    assert float(model.k) == 1.0


def test_truncated_latents_have_the_truncated_distribution():
    prior = priors.TruncatedNormal()
    seeds = tf.range(20000, dtype=tf.int64)
    for bound in (0.5, 1.0, 6.0):
        z = prior.seeded(seeds, 2, tf.fill([20000], bound)).numpy()
        assert np.abs(z).max() <= bound
        density = np.exp(-bound**2 / 2) / np.sqrt(2 * np.pi)
        from scipy.stats import norm
        variance = 1 - 2 * bound * density / (2 * norm.cdf(bound) - 1)
        assert z.var() == pytest.approx(variance, rel=0.03)
    mixed = prior.seeded(seeds[:4], 2, tf.constant([0.5, 6.0, 0.5, 6.0]))
    np.testing.assert_allclose(mixed[0], prior.seeded(seeds[:1], 2, tf.constant([0.5]))[0], rtol=1e-6)


def test_uniform_latents_fill_their_cube():
    z = priors.Uniform().seeded(tf.range(5000, dtype=tf.int64), 3).numpy()
    assert z.min() < -0.99 and z.max() > 0.99 and abs(z.mean()) < 0.02
    drawn = priors.Uniform().draw(5000, 3, keras.random.SeedGenerator(1)).numpy()
    assert drawn.min() < -0.99 and drawn.max() > 0.99


def test_a_loss_that_is_no_number_is_remembered_with_its_step():
    model = scalar_gan(prior=Ones())
    model.compile(sgd(0.1), sgd(0.1))
    batches = np.ones((6, 2, 1), "float32")
    batches[3] = np.nan
    model.fit(tf.data.Dataset.from_tensor_slices(batches), verbose=0)
    assert model.guard.found() == ("critic_loss", 4)


@pytest.mark.parametrize("make, message", [
    (lambda: GAN(networks()[0], mlp.encoder((9, 9, 1), [4], 1)),
     r"makes images of \(8, 8, 1\), the critic takes \(9, 9, 1\)"),
    (lambda: GAN(*networks(), num_classes=3), "with num_classes=3 the generator must take 2 input"),
    (lambda: GAN(dcgan.generator(SHAPE, 3, 2, num_classes=3), networks()[1], num_classes=3),
     "with num_classes=3 the critic must take 2 input"),
    (lambda: GAN(*networks(), critic_steps=0), "critic_steps expects at least 1, received 0"),
    (lambda: GAN(*networks(), ema=1.0), r"ema expects a decay in \[0, 1\), received 1.0"),
    (lambda: ACGAN(dcgan.generator(SHAPE, 3, 2, num_classes=3), dcgan.critic(SHAPE, 2, head=4), 3),
     r"widths \[1, 3\] \(score first\), it gives \[1, 4\]"),
    (lambda: InfoGAN(dcgan.generator(SHAPE, 5, 2), dcgan.critic(SHAPE, 2, head=7), 3, 2),
     "must take noise and 5 code values, its latents have width 5"),
    (lambda: EBGAN(*networks()), r"it gives \[1\]"),
    (lambda: GAN(*networks(), losses.Wasserstein(), critic_augmentation=AdaptiveAugmentation()),
     "scores are about a boundary of real and generated images, received Wasserstein: take DiffAugment"),
    (lambda: BEGAN(*networks(), diversity=0.0), "diversity expects"),
    # d critic_loss / d energy of generated images must be -k, whatever the objective.
    (lambda: BEGAN(*networks(), objective=losses.EnergyMargin()), "expects Energy, received EnergyMargin"),
    (lambda: InfoGAN(dcgan.generator(SHAPE, 6, 2, num_classes=3), dcgan.critic(SHAPE, 2, head=5, num_classes=3), 3, 2,
                     num_classes=3), "takes no condition, received num_classes=3"),
    (lambda: AAE(mlp.encoder(SHAPE, [4], 2), mlp.decoder(2, [4], SHAPE), mlp.encoder((3,), [4], 1)),
     r"codes of shape \(2,\), the encoder takes \(3,\)"),
    (lambda: dcgan.generator((6, 6, 1), 3), "at least 8x8 pixels, received 6x6"),
])
def test_mismatches_are_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_conditional_model_needs_labels():
    model = tiny("cgan")
    with pytest.raises(ValueError, match="expects batches .images, labels., received images alone"):
        model.evaluate(tf.data.Dataset.from_tensors(images()), verbose=0)


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 13, 3), (32, 16, 1)])
def test_networks_fit_any_size(shape):
    from tfgen.networks import resnet

    GAN(dcgan.generator(shape, 4, 2), dcgan.critic(shape, 2))
    made = resnet.generator(shape, 7, 3, 2, split_latent=True)
    GAN(made, resnet.critic(shape, 3, 2), num_classes=3)
    out = made([np.zeros((2, 7), "float32"), np.array([0, 1])])
    assert out.shape == (2, *shape) and float(tf.reduce_min(out)) >= 0


def test_a_schedule_is_copied_for_a_critic_of_as_many_updates_alone():
    """The critic's optimizer counts `critic_steps` updates per step: with a copy, its rate would fall that much faster."""
    schedule = keras.optimizers.schedules.PolynomialDecay(1e-3, 10, 0.0)
    GAN(*networks()).compile(keras.optimizers.Adam(schedule))
    GAN(*networks(), critic_steps=5).compile(keras.optimizers.Adam(1e-3))
    for optimizer in (keras.optimizers.Adam(schedule), optimizers.RestartedAdam(1e-3, starts=[4])):
        with pytest.raises(ValueError, match="makes 5 updates per step and expects a schedule of its own, received one"):
            GAN(*networks(), critic_steps=5).compile(optimizer)
    scaled = [keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate)) for rate in (1e-3, schedule)]
    GAN(*networks(), critic_steps=5).compile(scaled[0])
    with pytest.raises(ValueError, match="expects a schedule of its own, received one"):
        GAN(*networks(), critic_steps=5).compile(scaled[1])


def test_a_critic_of_codes_with_batch_statistics_sees_prior_and_codes_apart():
    critic = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    model = AAE(mlp.encoder(SHAPE, [4], 2), mlp.decoder(2, [4], SHAPE), critic)
    found = []
    for scale in (1.0, 5.0):
        model.seed_generator.state.assign([0, 1])
        found.append(model.critic_losses(images(8), scale * tf.ones((8, 2)), True))
    assert float(found[0]["critic_real"]) == float(found[1]["critic_real"])


def test_compile_refuses_one_optimizer_for_both():
    model = GAN(*networks())
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="an optimizer each"):
        model.compile(optimizer, optimizer)
    with pytest.raises(ValueError, match="takes an optimizer"):
        model.compile("adam", loss="mse")
