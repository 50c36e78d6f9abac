"""Models of codes: their stages, their priors over codes, their verbs."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, tiny

from tfgen import errors, noise, recipes, schedules
from tfgen.layers import VectorQuantizer
from tfgen.models import VQVAE, CodePrior
from tfgen.networks import pixelcnn, transformer
from tfgen.networks import vector_quantised as networks
from tfgen.samplers import autoregressive
from tfgen.verbs.live import Live

NAMES = sorted(name for name, recipe in recipes.RECIPES.items() if recipe.family == "vector_quantised")


def randomised(model, seed=0, scale=1.5):
    """Gives all priors weights so large that their conditional distributions differ."""
    rng = np.random.default_rng(seed)
    for prior in model.priors:
        for weight in prior.trainable_variables:
            size = 0.3 if len(weight.shape) == 1 else scale / math.sqrt(math.prod(weight.shape[:-1]))
            weight.assign(rng.normal(size=weight.shape) * size + (weight.path.endswith("gamma")))
    return model


def all_codes(grid, size):
    """Every grid of codes: int32 (size^(h w), h, w)."""
    found = list(itertools.product(range(size), repeat=math.prod(grid)))
    return np.array(found, "int32").reshape(-1, *grid)


def levels_alone(size):
    """The coarse codes of one pixel, as levels."""
    return tf.reshape(tf.range(size, dtype=tf.float32) / (size - 1), (size, 1, 1, 1))


@pytest.mark.parametrize("network", [
    lambda: pixelcnn.gated_pixelcnn((2, 2, 1), 3, 6, 2, 3, head=8, embedded=3),
    lambda: transformer.token_transformer((2, 2), 3, 8, 2, 2)])
def test_probabilities_of_all_grids_of_codes_sum_to_one(network):
    keras.utils.set_random_seed(0)
    prior = CodePrior(network())
    model = randomised(type("Model", (), {"priors": [prior]})())
    probability = np.exp(model.priors[0].log_prob_of(all_codes((2, 2), 3)).numpy().astype(float))
    assert len(probability) == 81 and probability.sum() == pytest.approx(1.0, abs=1e-4) and probability.std() > 1e-3


def test_probabilities_of_a_grid_given_the_coarser_one_sum_to_one_for_each_of_these():
    model = randomised(tiny("vqvae2", codebook_size=3))
    coarse, fine = model.priors
    assert coarse.grid == (1, 1) and fine.grid == (2, 2)
    codes, logs = all_codes((2, 2), 3), []
    for code in range(3):
        above = coarse.levels(np.full((len(codes), 1, 1), code))
        logs.append(fine.log_prob_of(codes, above).numpy().astype(float))
    np.testing.assert_allclose(np.exp(logs).sum(1), 1.0, atol=1e-4)
    assert np.abs(logs[0] - logs[1]).max() > 0.1
    # The joint distribution, of the coarse code and the fine ones.
    both = [model.log_prior([np.full((len(codes), 1, 1), code), codes]) for code in range(3)]
    assert np.exp(np.array(both, float)).sum() == pytest.approx(1.0, abs=1e-4)


def test_samples_of_a_conditioned_grid_are_those_of_one_parallel_pass():
    """The incremental sampler takes the conditioning map's row and pixel; noise of the second grid is its own."""
    model = randomised(tiny("vqvae2", codebook_size=5))
    coarse, fine = model.priors
    seeds = tf.constant([3, 4, 5], tf.int64)
    top = coarse.draw(seeds, 1.0, None, 0)
    made = fine.draw(seeds, 1.0, coarse.levels(top), 1)
    uniforms = autoregressive.noise_of(fine.likelihood, fine.image_shape, seeds, 1)
    again = fine.likelihood.draw(fine.parameters(fine.levels(made), coarse.levels(top)), uniforms, tf.ones(3))
    np.testing.assert_array_equal(fine.codes(again), made)
    assert np.abs(noise.uniform(seeds, (4,), noise.LIKELIHOOD) - tf.reshape(uniforms, (3, 4))).min() > 1e-6
    # A sample is these codes, decoded.
    np.testing.assert_allclose(model.sample(seeds), model.painted([top, made]), atol=1e-6)


@pytest.mark.rotating
@pytest.mark.parametrize("name", NAMES)
def test_codes_decode_to_the_reconstruction(name):
    model = tiny(name)
    x = batch(name)[0] if recipes.find(name).view == "labelled" else batch(name)
    model.quantised(tf.constant(x), training=True)  # a codebook from data
    live = Live(model)
    codes = live("encode", x)
    assert codes.dtype == np.int64 and codes.shape == (len(x), *model.latent_shape)
    assert codes.min() >= 0 and codes.max() < 8 and len(np.unique(codes)) > 1
    np.testing.assert_allclose(live("decode", codes), live("reconstruct", x), atol=1e-6)
    np.testing.assert_array_equal(live("decode", codes.astype("uint8")), live("decode", codes))
    with pytest.raises(errors.UserError, match=r"'z' expects whole numbers \(latents\), received float64"):
        live("decode", codes + 0.5)
    # Codes out of range count as the nearest in range.
    np.testing.assert_array_equal(live("decode", codes * 0 - 5), live("decode", codes * 0))
    np.testing.assert_array_equal(live("decode", codes * 0 + 99), live("decode", codes * 0 + 7))
    # The parts of the latent are the grids, the coarsest first.
    parts = [np.asarray(grid).reshape(len(x), -1) for grid in model.quantised(tf.constant(x))[1]]
    np.testing.assert_array_equal(codes.reshape(len(x), -1), np.concatenate(parts, 1))


@pytest.mark.rotating
@pytest.mark.parametrize("name", NAMES)
def test_each_stage_learns_and_moves_its_own_weights_alone(name):
    model = tiny(name, learning_rate=1e-2, prior_learning_rate=1e-2)
    key = "generator_loss" if name == "vqgan" else "loss"
    data = tf.data.Dataset.from_tensors(batch(name)).repeat(5)
    parts = {"autoencoder": lambda: [*model.encoder.variables, *model.decoder.variables],
             "prior": lambda: model.prior_variables}
    if name == "vqgan":
        parts |= {"perceptual": lambda: model.perceptual.trainable_variables,
                  "critic": lambda: model.critic.trainable_variables}
    moves = []
    ends = [*model.starts, model.starts[-1] + 10]
    for start, end in zip([0, *ends], ends):
        before = {part: [v.numpy() for v in found()] for part, found in parts.items()}
        assert int(model.step) == start and int(model.stage_at(model.step)) == len(moves)
        losses = model.fit(data.repeat(), steps_per_epoch=1, epochs=end - start, verbose=0).history[key]
        # The first step meets a codebook that is not yet from data; a critic that learns may raise the loss.
        assert losses[-1] < losses[1] or (name == "vqgan" and len(moves) == 2)
        moves.append({part for part, found in parts.items()
                      if any(np.any(v.numpy() != b) for v, b in zip(found(), before[part], strict=True))})
    wanted = [{"autoencoder"}, {"prior"}]
    assert moves == ([{"perceptual"}, {"autoencoder"}, {"autoencoder", "critic"}, {"prior"}] if name == "vqgan" else wanted)


def test_losses_are_those_of_a_float64_reference():
    model = tiny("vqvae", data_variance=0.5)
    x = batch("vqvae")
    model.quantised(tf.constant(x), training=True)
    found = model.compute_losses(tf.constant(x), training=False)
    vectors, codes, _ = model.quantised(tf.constant(x))
    book = model.quantizers[0].codebook.numpy().astype(float)
    # The vectors that the encoder quantises: what enters the quantizer.
    before = keras.Model(model.encoder.input, model.quantizers[0].input)
    z = before(x).numpy().astype(float)
    chosen = np.square(z[..., None, :] - book).sum(-1).argmin(-1)
    np.testing.assert_array_equal(codes[0], chosen)
    error = np.square(x - model.decoder(book[chosen].astype("float32")).numpy().astype(float)).mean()
    commitment = 0.25 * np.square(z - book[chosen]).mean()
    bits = -model.priors[0].log_prob_of(chosen).numpy().astype(float).mean() / (4 * math.log(2))
    assert float(found["squared_error"]) == pytest.approx(error, rel=1e-5)
    assert float(found["quantisation"]) == pytest.approx(commitment, rel=1e-4)
    assert float(found["bits_per_code"]) == pytest.approx(bits, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(error / 0.5 + commitment + bits, rel=1e-5)


@pytest.mark.rotating
@pytest.mark.parametrize("name, stops", [("vqvae", (5, 25)), ("vqgan", (25,)), ("dalle", (15, 25))])
def test_resumes_in_the_middle_of_a_stage(name, stops, tmp_path):
    """A saved model goes on in its stage, and makes the step that the unbroken one makes."""
    quiet = {"prior_dropout": 0.0} | ({"omission": 0.0} if name == "dalle" else {})
    model, data = tiny(name, **quiet), tf.data.Dataset.from_tensors(batch(name))
    for before in stops:
        model.fit(data.repeat(before - int(model.step)), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert int(loaded.step) == before
        assert int(loaded.stage_at(loaded.step)) == sum(before >= start for start in model.starts)
        ours, theirs = (one.fit(data.repeat(1), verbose=0).history for one in (model, loaded))
        assert {k: pytest.approx(v, rel=1e-4, abs=1e-6) for k, v in ours.items()} == theirs
        for a, b in zip(model.trainable_variables, loaded.trainable_variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


@pytest.mark.rotating
def test_a_trained_codebook_moves_with_the_optimizer():
    model = tiny("vqvae", codebook="trained")
    assert any(v is model.quantizers[0].codebook for v in model.autoencoder_variables)
    data = tf.data.Dataset.from_tensors(batch("vqvae"))
    model.fit(data.repeat(1), verbose=0)
    before = model.quantizers[0].codebook.numpy()
    model.fit(data.repeat(1), verbose=0)
    moved = np.abs(model.quantizers[0].codebook.numpy() - before).max(1)
    # Adam's first steps are of the size of the rate, for codes that were chosen.
    assert 0 < moved.max() < 10 * 2e-4


def test_stages_that_leave_the_prior_no_step_are_refused():
    for name, values in (("vqvae", {"autoencoder_share": 1.0}),
                         ("vqgan", {"perceptual_share": 0.5, "autoencoder_share": 0.5})):
        with pytest.raises(errors.UserError, match="leave the prior some of 40 steps, received 40 before it"):
            tiny(name, **values)


def test_rates_of_stages_start_anew():
    model = tiny("vqvae", cosine_decay=True, learning_rate=1e-2, prior_learning_rate=1e-3, prior_warmup_steps=5)
    rate = model.optimizer._learning_rate
    assert float(rate(0)) == pytest.approx(1e-2) and float(rate(10)) == pytest.approx(5e-3)
    assert float(rate(19)) < 1e-4 and float(rate(20)) == 0 and float(rate(25)) == pytest.approx(1e-3)
    assert float(rate(39)) < 1e-4 and model.optimizer.starts == [20]
    optimizer = tiny("vqgan", learning_rate=1e-2, prior_learning_rate=1e-3).optimizer
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.starts) == (0.5, 0.9, [10, 30])
    constant = optimizer._learning_rate
    assert [float(constant(step)) for step in (9, 10, 29, 30, 39)] == pytest.approx([1e-3, 1e-2, 1e-2, 1e-3, 1e-3])
    with pytest.raises(errors.UserError, match="one part more than increasing starts, received 2 parts and starts"):
        schedules.Consecutive([1.0, 2.0], [3, 3])
    stored = keras.saving.serialize_keras_object(optimizer)
    stored["config"]["learning_rate"]["config"]["betas"] = [0.5, 0.9]
    of_before = keras.saving.deserialize_keras_object(stored)._learning_rate
    assert [float(of_before(step)) for step in (9, 10, 30)] == pytest.approx([1e-3, 1e-2, 1e-3])


def test_networks_that_do_not_fit_are_refused():
    quantizer = VectorQuantizer(8)
    encoder = networks.encoder(SPEC.image_shape, quantizer, 3, 4)
    decoder = networks.decoder(SPEC.image_shape, 3, 4)

    def prior(grid=(2, 2), size=8):
        return CodePrior(pixelcnn.gated_pixelcnn((*grid, 1), size, 4, 1, embedded=size))

    assert VQVAE(encoder, decoder, [prior()]).latent_shape == (2, 2)
    for made, message in (
            (lambda: VQVAE(encoder, networks.decoder(SPEC.image_shape, 5, 4), [prior()]), r"\(2, 2, 3\)\], the decoder"),
            (lambda: VQVAE(encoder, networks.decoder((8, 8, 3), 3, 4), [prior()]), r"images of \(8, 8, 3\), the encoder"),
            (lambda: VQVAE(encoder, decoder, [prior((3, 3))]), r"\[\(2, 2, 8\)\], the priors take \[\(3, 3, 8\)\]"),
            (lambda: VQVAE(encoder, decoder, [prior(size=9)]), r"the priors take \[\(2, 2, 9\)\]"),
            (lambda: VQVAE(encoder, decoder, [CodePrior(pixelcnn.gated_pixelcnn(
                (2, 2, 1), 8, 4, 1, embedded=8, conditioning=networks.conditioning((1, 1), 8, (2, 2), 4)))]),
             r"must take the coarser codes, \[None\], they take \[\(1, 1, 1\)\]"),
            (lambda: VQVAE(encoder, decoder, [prior()], 0), "at least 1, received 0"),
            (lambda: VQVAE(encoder, decoder, [prior()], data_variance=0.0), "> 0, received 0.0"),
            (lambda: VQVAE(decoder, decoder, [prior()]), "VectorQuantizers, it gives 1")):
        with pytest.raises(errors.UserError, match=message):
            made()


def test_temperature_zero_takes_the_likeliest_codes():
    model = randomised(tiny("vqvae"))
    prior, seeds = model.priors[0], tf.constant([1, 2, 3, 4], tf.int64)
    cold = prior.draw(seeds, 0.0)
    np.testing.assert_array_equal(cold, np.argmax(prior.parameters(prior.levels(cold)), -1))
    assert np.ptp(cold, axis=0).max() == 0 and np.ptp(prior.draw(seeds, 1.0), axis=0).max() > 0


@pytest.mark.rotating
@pytest.mark.parametrize("name", ["vqvae", "vqgan"])
def test_codes_are_exact_under_mixed_precision(name):
    """1,024 codes as levels, of which bfloat16 tells half apart; a step of each stage is finite."""
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny(name, codebook_size=1024, total_steps=8)
        embedding = next(layer for layer in model.priors[0].network.layers if type(layer).__name__ == "LevelEmbedding")
        codes = np.arange(1024).reshape(-1, 1, 1)
        rows = tf.cast(embedding(model.priors[0].levels(codes))[:, 0, 0], tf.float32)
        np.testing.assert_array_equal(rows, tf.cast(tf.cast(embedding.table, "bfloat16"), "float32"))
        logs = model.fit(tf.data.Dataset.from_tensors(batch(name)).repeat(8), verbose=0).history
        assert all(np.isfinite(values).all() for values in logs.values())
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
