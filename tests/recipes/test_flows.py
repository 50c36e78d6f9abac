import pytest

from tfgen import layers, recipes
from tfgen.data import DataSpec
from tfgen.distributions import bijectors

DIGITS = DataSpec("digits", (8, 8, 1), levels=16)
SMALL = {"units": 4, "hidden_layers": 1, "couplings": 1}


def test_rates_rise_and_fall_as_asked():
    def rate(**values):
        found = recipes.find("nice").model(DIGITS, **SMALL, **values).optimizer._learning_rate
        return found if callable(found) else lambda step: float(found)

    assert rate()(10_000) == pytest.approx(1e-3)
    rising = rate(warmup_steps=100)
    assert [float(rising(step)) for step in (0, 50, 100, 900)] == pytest.approx([0, 5e-4, 1e-3, 1e-3])
    falling = rate(cosine_decay=True, total_steps=1000)
    assert [float(falling(step)) for step in (0, 500, 1000)] == pytest.approx([1e-3, 5e-4, 0], abs=1e-9)
    both = rate(cosine_decay=True, total_steps=1000, warmup_steps=200)
    assert [float(both(step)) for step in (0, 100, 200, 600, 1000)] == pytest.approx([0, 5e-4, 1e-3, 5e-4, 0], abs=1e-9)
    # Only schedules that end with the training bind a run to its length.
    assert "total_steps" not in recipes.find("nice").hyperparameters(DIGITS, SMALL)


def test_schedules_end_with_a_training_of_known_length():
    nice = recipes.find("nice")
    model, given = nice.model_for(1000, DIGITS, SMALL | {"cosine_decay": True})
    assert given == SMALL | {"cosine_decay": True, "total_steps": 1000}
    assert [float(model.optimizer._learning_rate(step)) for step in (0, 1000)] == pytest.approx([1e-3, 0], abs=1e-9)
    # What is given stays, and what the recipe does not ask for is not added.
    assert nice.model_for(1000, DIGITS, SMALL | {"cosine_decay": True, "total_steps": 7})[1]["total_steps"] == 7
    assert nice.model_for(1000, DIGITS, SMALL)[1] == SMALL


@pytest.mark.parametrize("channels, margin", [(1, 1e-6), (3, 0.05)])
def test_maf_has_the_authors_logit(channels, margin):
    model = recipes.find("maf").model(DataSpec("images", (4, 4, channels)), units=4, hidden_layers=1, flow_steps=1)
    assert model.bijector.bijectors[0].alpha == margin


def test_levels_of_the_data_reach_the_dequantisation():
    assert recipes.find("nice").model(DIGITS, **SMALL).dequantisation.levels == 16


def parts(bijector, kind):
    return [layer for layer in bijector._flatten_layers() if type(layer) is kind]


def test_papers_architectures():
    spec = DataSpec("mnist", (28, 28, 1))
    nice = recipes.find("nice").model(spec)
    networks = [part.network for part in parts(nice.bijector, bijectors.AdditiveCoupling)]
    assert [[layer.units for layer in network.layers[1:]] for network in networks] == [[1000] * 5 + [392]] * 4
    realnvp = recipes.find("realnvp").model(spec, residual_blocks=0, filters=2)
    masks = [(part.mask, part.network.input_shape[1]) for part in parts(realnvp.bijector, bijectors.AffineCoupling)]
    assert sorted(masks) == sorted([("checkerboard", 28)] * 3 + [("channels", 14)] * 3 + [("checkerboard", 14)] * 3
                                   + [("channels", 7)] * 3 + [("checkerboard", 7)] * 4)
    glow = recipes.find("glow").model(spec, flow_steps=2, filters=2)
    taken = sorted(part.network.input_shape[1:] for part in parts(glow.bijector, bijectors.AffineCoupling))
    assert taken == [(7, 7, 4), (7, 7, 4), (14, 14, 2), (14, 14, 2)]
    assert glow.latent_shape == realnvp.latent_shape == (784,)
    assert len(parts(realnvp.bijector, layers.FusedBatchNorm)) == 32


@pytest.mark.parametrize("name", ["glow", "realnvp"])
def test_variational_dequantisation_is_an_option(name):
    model = recipes.find(name).model(DIGITS, dequantisation="variational", dequantisation_filters=4, filters=2,
                                     **({"flow_steps": 1} if name == "glow" else {"residual_blocks": 0, "couplings": 1}))
    assert model.dequantisation.levels == 16 and len(model.dequantisation.trainable_variables) > 10
