"""Captions and codes in one sequence."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import SPEC, batch, tiny

from tfgen import errors, recipes
from tfgen.data import DataSpec
from tfgen.layers import AllowedTokens
from tfgen.samplers import autoregressive
from tfgen.verbs.live import Live


@pytest.fixture(scope="module")
def model():
    """A tiny model with three codes whose weights are so large that captions matter."""
    keras.utils.set_random_seed(0)
    made, rng = tiny("dalle", codebook_size=3, prior_head_units=8), np.random.default_rng(0)
    for weight in [*made.prior_variables, *made.decoder.trainable_variables, made.quantizers[0].codebook]:
        size = 0.3 if len(weight.shape) == 1 else 4.0 / math.sqrt(math.prod(weight.shape[:-1]))
        weight.assign(rng.normal(size=weight.shape) * size + (weight.path.endswith("gamma")))
    return made


def test_codes_given_a_caption_have_probabilities_that_sum_to_one(model):
    codes = np.array(list(itertools.product(range(3), repeat=4)), "int32").reshape(-1, 2, 2)
    found = []
    for caption in ("0", "very dark 1"):
        words = np.repeat(model.captions.tokenised(tf.constant([caption])), len(codes), 0)
        of_words, of_codes = (np.asarray(part, float) for part in model.log_probs(words, codes))
        assert np.exp(of_codes).sum() == pytest.approx(1.0, abs=1e-4)
        np.testing.assert_allclose(of_words, of_words[0], rtol=1e-5)  # words come first, and see no code
        found.append(of_codes)
    assert np.abs(found[0] - found[1]).max() > 0.1


@pytest.mark.rotating
def test_words_have_probabilities_that_sum_to_one(model):
    """Over all rows of tokens, of which captions are few."""
    size, length = model.captions.size, model.captions.most
    assert length == 4
    total, codes = 0.0, np.zeros((size**2, 2, 2), "int32")
    rest = np.array(list(itertools.product(range(size), repeat=2)))
    for first in itertools.product(range(size), repeat=2):
        words = np.concatenate([np.tile(first, (len(rest), 1)), rest], 1)
        total += np.exp(np.asarray(model.log_probs(words, codes)[0], float)).sum()
    assert total == pytest.approx(1.0, abs=1e-3)


def test_no_word_occurs_among_the_codes_nor_a_code_among_the_words():
    layer = AllowedTokens([(2, 3), (1, 4)])
    logits = np.random.default_rng(0).normal(size=(1, 3, 1, 7)).astype("float32")
    shares = tf.nn.softmax(layer(logits))[0, :, 0].numpy()
    assert np.all((shares > 0) == [[1, 1, 1, 0, 0, 0, 0]] * 2 + [[0, 0, 0, 1, 1, 1, 1]])
    made = [layer.step(logits[:, row:row + 1], (), (row, 0))[0] for row in range(3)]
    np.testing.assert_array_equal(np.concatenate(made, 1), layer(logits))
    with pytest.raises(errors.UserError, match=r"sums \(positions, tokens\) \(3, 7\), received \(3, 8\)"):
        AllowedTokens([(2, 4), (1, 4)]).build((None, 3, 1, 7))


def test_a_sample_is_one_of_its_caption(model):
    """The codes of a sample are what one parallel pass draws with the caption in front; other captions give others."""
    live, seeds = Live(model), np.arange(6)
    made = live("sample", seeds, caption="dark 1")
    np.testing.assert_array_equal(made, live("sample", seeds, caption=["Dark, 1"] * 6))
    assert np.abs(made - live("sample", seeds, caption="very light 2")).max() > 0
    words = model.captions.tokenised(tf.constant(["dark 1"] * 6))
    prior, rows = model.prior, model.captions.most
    given = prior.levels(model.sequence(words, np.zeros((6, 2, 2), "int32")))
    whole = prior.complete(given, tf.cast(tf.range(rows + 4)[None, :, None] < rows, tf.float32) * tf.ones((6, 1, 1)), seeds)
    uniforms = autoregressive.noise_of(prior.likelihood, prior.image_shape, tf.constant(seeds))
    again = prior.likelihood.draw(prior.parameters(whole), uniforms, tf.ones(6))
    np.testing.assert_array_equal(prior.codes(again)[:, rows:], prior.codes(whole)[:, rows:])
    np.testing.assert_array_equal(prior.codes(whole)[:, :rows, 0], words)
    codes = tf.reshape(prior.codes(whole)[:, rows:] - model.captions.size, (6, 2, 2))
    np.testing.assert_allclose(made, live("decode", codes.numpy()), atol=1e-6)
    by_default = live("sample", seeds)  # the names of the classes, in turn
    np.testing.assert_array_equal(by_default, live("sample", seeds, caption=["0", "1", "2"] * 2))
    cold = live("sample", seeds, caption="1", temperature=0.0)
    assert np.ptp(cold, axis=0).max() == 0
    for bad, message in (("dusky 1", "knows the words small, .*, 0, 1, 2, received 'dusky'"),
                         (3, "expects texts, such as '0'"), (["1", "2"], r"expects one value or 6, received shape \(2,\)")):
        with pytest.raises(errors.UserError, match=message) as caught:
            live("sample", seeds, caption=bad)
        assert "\n" not in str(caught.value)


@pytest.mark.rotating
def test_statistics_are_gathered_in_the_first_stage_alone():
    made = tiny("dalle")
    data = tf.data.Dataset.from_tensors(batch("dalle"))
    made.fit(data.repeat(20), verbose=0)
    assert made.captions.counts.numpy().sum() == 20 * 16 and int(made.stage_at(made.step)) == 1
    before = [v.numpy() for v in made.captions.variables]
    logs = made.fit(data.repeat(10), verbose=0).history
    assert logs["bits_per_word"][0] > 0 and logs["bits_per_code"][0] > 0
    for ours, theirs in zip(before, made.captions.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_loss_weighs_words_and_codes():
    made = tiny("dalle", caption_weight=0.25)
    x, label = batch("dalle")
    made.captions.observe(x, label)
    codes = made.quantised(tf.constant(x))[1]
    words = made.captions.tokens(x, label)
    bits = [-np.mean(np.asarray(part, float)) / (length * math.log(2))
            for part, length in zip(made.log_probs(words, codes[0]), (made.captions.most, 4))]
    loss, found = made.prior_losses(codes, (x, label), training=False)
    np.testing.assert_allclose([found["bits_per_word"], found["bits_per_code"]], bits, rtol=1e-5)
    assert float(loss) == pytest.approx(0.25 * bits[0] + 0.75 * bits[1], rel=1e-5)


def test_data_without_labels_are_refused():
    with pytest.raises(errors.UserError, match="dalle expects labelled data, 'plain' has no labels; use vqvae"):
        recipes.find("dalle").model(DataSpec("plain", SPEC.image_shape))
