"""GANomaly, Skip-GANomaly, f-AnoGAN, Deep SVDD and the VAE as a detector."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny

from tfgen import AnomalyVAE, DeepSVDD, FAnoGAN, GANomaly, SkipGANomaly
from tfgen.layers import EraseRegion
from tfgen.layers.differences import StandardisedError
from tfgen.networks import dcgan, lenet, mlp

X = images(12)
SHAPE = X.shape[1:]


def values(weights):
    return [w.numpy() for w in weights]


def moved(weights, before):
    return max(np.abs(w.numpy() - old).max() for w, old in zip(weights, before, strict=True))


def fit(model, steps):
    model.fit(tf.data.Dataset.from_tensors(X).repeat(steps), verbose=0)


def ganomaly(**weights):
    model = GANomaly(mlp.encoder(SHAPE, [], 3), mlp.decoder(3, [], SHAPE, output_activation="sigmoid"),
                     mlp.encoder(SHAPE, [], 3), dcgan.critic(SHAPE, 2, features=True), **weights)
    model.compile("adam")
    return model


def test_ganomaly_minimises_its_three_terms_and_judges_by_codes():
    model = ganomaly(adversarial_weight=2.0, contextual_weight=3.0, encoder_weight=5.0)
    z = model.encoder(X)
    made = model.decoder(z)
    second = model.second_encoder(made)
    features = [model.critic(x)[1] for x in (X, made)]
    wanted = (2.0 * np.mean(np.square(features[0] - features[1])) + 3.0 * np.mean(np.abs(2 * X - 2 * made))
              + 5.0 * np.mean(np.square(z - second)))
    losses = model.generator_losses(X, model.generate(X, True), True)
    assert float(losses["generator_loss"]) == pytest.approx(float(wanted), rel=1e-5)
    np.testing.assert_allclose(model.score(X), np.abs(z - second).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(model.anomaly_map(X), np.square(X - made).mean(-1), rtol=1e-4, atol=1e-6)


def test_ganomaly_gives_a_code_of_zero_distance_where_the_second_encoder_inverts_the_decoder():
    model = ganomaly()
    model.encoder.set_weights([np.zeros_like(w) for w in model.encoder.get_weights()])
    code = model.second_encoder(model.decoder(tf.zeros((1, 3))))[0]
    *_, bias = model.second_encoder.get_weights()
    model.second_encoder.set_weights([model.second_encoder.get_weights()[0], bias - code])
    np.testing.assert_allclose(model.score(X), 0.0, atol=1e-6)


def test_ganomaly_networks_must_fit():
    with pytest.raises(ValueError, match=r"the decoder must make \(8, 8, 1\) from \(3,\), it makes \(8, 8, 1\) from \(4,\)"):
        GANomaly(mlp.encoder(SHAPE, [], 3), mlp.decoder(4, [], SHAPE), mlp.encoder(SHAPE, [], 3),
                 dcgan.critic(SHAPE, 2, features=True))
    with pytest.raises(ValueError, match=r"must give \[scores, features\], it gives 1"):
        GANomaly(mlp.encoder(SHAPE, [], 3), mlp.decoder(3, [], SHAPE), mlp.encoder(SHAPE, [], 3), dcgan.critic(SHAPE, 2))


def test_skip_ganomaly_weighs_pixels_and_features():
    generator = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")])
    model = SkipGANomaly(generator, dcgan.critic(SHAPE, 2, features=True), latent_weight=5.0, share=0.7,
                         adversarial_weight=2.0, contextual_weight=3.0)
    made = generator(X)
    (_, real), (scores, fake) = (model.critic(x) for x in (X, made))
    latent = np.square(real - fake).mean(-1)
    np.testing.assert_allclose(model.score(X), 0.7 * np.square(2 * (X - made)).mean((1, 2, 3)) + 0.3 * latent, rtol=1e-4)
    wanted = 2.0 * np.log1p(np.exp(-scores)).mean() + 3.0 * np.abs(2 * (X - made)).mean() + 5.0 * latent.mean()
    losses = model.generator_losses(X, model.generate(X, True), True)
    assert float(losses["generator_loss"]) == pytest.approx(float(wanted), rel=1e-4)


def test_skip_ganomaly_learns_what_is_usual_of_whole_images_and_judges_by_it():
    generator = keras.Sequential([keras.Input(SHAPE), keras.layers.BatchNormalization(),
                                  keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")])
    model = SkipGANomaly(generator, dcgan.critic(SHAPE, 2, features=True), share=1.0, corruption=EraseRegion(0.4, 0.6),
                         difference=StandardisedError(SHAPE, top=0.5, floor=0.01))
    made = model.generate(X, True)  # moves the averages of batch normalisation
    usual = np.square(X - model.reconstruct(X).numpy()).mean(0)
    assert np.abs(usual - np.square(X - made["image"].numpy()).mean(0)).max() > 0.01
    model.generator_losses(X, made, True)
    np.testing.assert_allclose(model.difference.usual.average, usual, atol=1e-5)
    maps = ((np.square(X - model.reconstruct(X).numpy()) + 0.01) / (usual + 0.01))[..., 0].reshape(len(X), -1)
    np.testing.assert_allclose(model.score(X), 4.0 * np.sort(maps)[:, 32:].mean(1), rtol=1e-3)
    model.generator_losses(X, model.generate(X, False), False)
    assert float(model.difference.usual.batches) == 1


def svdd(pretrain_steps):
    model = DeepSVDD(lenet.encoder(SHAPE, 4, 2, 8, levels=1), lenet.decoder(4, SHAPE, 2, levels=1), pretrain_steps)
    model.compile(keras.optimizers.Adam(0.01))
    return model


def test_deep_svdd_judges_by_the_distance_from_a_centre_away_from_zero():
    model = svdd(0)
    model.centre.assign([0.5, 0.02, -0.03, -2.0])
    codes = model.encode(X).numpy()
    np.testing.assert_allclose(model.score(X), np.square(codes - [0.5, 0.1, -0.1, -2.0]).sum(-1), rtol=1e-5)


def test_deep_svdd_centres_on_the_first_batch_without_pre_training():
    model = svdd(0)
    wanted = np.mean(model.encoder(X, training=True), axis=0)
    model = svdd_like(model)
    fit(model, 1)
    np.testing.assert_allclose(model.centre, wanted, atol=1e-5)
    fit(model, 5)
    np.testing.assert_allclose(model.centre, wanted, atol=1e-5)  # fixed


def svdd_like(model):
    """A model of the same weights whose normalisation has seen nothing."""
    copy = svdd(0)
    copy.encoder.set_weights(model.encoder.get_weights())
    return copy


def test_deep_svdd_is_pre_trained_as_an_autoencoder_and_then_pulls_together():
    model = svdd(40)
    model.compile(keras.optimizers.SGD(0.01))
    before = values(model.decoder.trainable_variables)
    first = model.by_stage(model.compute_losses, tf.constant(X), True)
    fit(model, 39)
    assert moved(model.decoder.trainable_variables, before) > 1e-3
    last = model.by_stage(model.compute_losses, tf.constant(X), True)
    assert 0 < float(last["reconstruction"]) < float(first["reconstruction"])
    fit(model, 1)
    centre, before, spread = model.centre.numpy(), values(model.decoder.trainable_variables), np.mean(model.score(X))
    fit(model, 40)
    assert moved(model.decoder.trainable_variables, before) == 0
    np.testing.assert_array_equal(model.centre, centre)
    assert np.mean(model.score(X)) < spread


def test_deep_svdd_refuses_biases():
    with pytest.raises(ValueError, match="must have no biases, received some in dense"):
        DeepSVDD(mlp.encoder(SHAPE, [], 4), lenet.decoder(4, SHAPE, 2, levels=1))


def test_the_networks_of_deep_svdd_have_no_constants():
    """A network without biases maps the black image to the same code at any depth and scale: zero."""
    network = lenet.encoder((28, 28, 1), 32)
    np.testing.assert_array_equal(network(np.zeros((1, 28, 28, 1))), 0.0)
    assert network.count_params() == sum(w.size for w in network.get_weights())
    assert lenet.decoder(32, (28, 29, 3)).output_shape == (None, 28, 29, 3)


def test_fanogan_trains_the_gan_first_and_then_the_encoder_alone(tmp_path):
    model = tiny("fanogan", total_steps=6, learning_rate=0.01)
    parts = (model.generator, model.critic, model.encoder)

    def movement(steps):
        before = [values(part.trainable_variables) for part in parts]
        fit(model, steps)
        return [moved(part.trainable_variables, old) for part, old in zip(parts, before)]

    generator, critic, encoder = movement(3)
    assert min(generator, critic) > 1e-5 and encoder == 0
    generator, critic, encoder = movement(2)
    assert generator == critic == 0 and encoder > 1e-3
    model.save(tmp_path / "model.keras")
    assert int(keras.models.load_model(tmp_path / "model.keras").step) == 5


def test_fanogan_encoder_learns_to_reconstruct_and_the_score_is_its_loss():
    model = FAnoGAN(mlp.decoder(3, [], SHAPE, output_activation="sigmoid"), dcgan.critic(SHAPE, 2, features=True),
                    mlp.encoder(SHAPE, [], 3), gan_steps=1, feature_weight=0.5)
    model.compile(keras.optimizers.Adam(0.01))
    fit(model, 1)
    first = np.mean(model.score(X))
    fit(model, 60)
    assert np.mean(model.score(X)) < first
    made = model.generator(model.encoder(X))
    (_, real), (_, fake) = (model.critic(x) for x in (X, made))
    wanted = np.square(2 * (X - made)).mean((1, 2, 3)) + 0.5 * np.square(real - fake).mean(-1)
    np.testing.assert_allclose(model.score(X), wanted, rtol=1e-4)
    held = model.evaluate(tf.data.Dataset.from_tensors(X), verbose=0, return_dict=True)
    assert held["izi_f"] == pytest.approx(float(wanted.mean()), rel=1e-4)


def test_a_vae_judges_by_difference_or_bound():
    networks = mlp.encoder(SHAPE, [], 6), mlp.decoder(3, [], SHAPE)
    model = AnomalyVAE(*networks)
    np.testing.assert_allclose(model.score(X), np.square(X - model.reconstruct(X)).mean((1, 2, 3)), rtol=1e-5)
    model = AnomalyVAE(*networks, bound_samples=4)
    np.testing.assert_allclose(model.score(X), -model.log_prob(X, k=4), rtol=1e-5)
    with pytest.raises(ValueError, match="takes no condition"):
        AnomalyVAE(mlp.encoder(SHAPE, [], 6, num_classes=2), mlp.decoder(3, [], SHAPE, num_classes=2), num_classes=2)


def test_usual_errors_of_a_vae_are_those_that_it_scores():
    """Of the posterior's mean, not of the draw that training takes."""
    model, x = tiny("vae_anomaly", standardise=True), images(32)
    model.compute_losses(x, True)
    np.testing.assert_allclose(model.difference.usual.average, np.mean(np.square(x - model.reconstruct(x)), 0), rtol=1e-4)
