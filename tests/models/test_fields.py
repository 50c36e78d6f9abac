"""Fields: volume rendering, sampling along rays, NeRF, gradient origin networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny

from tfgen import GON, Field, NeRF, coordinates, errors
from tfgen.losses import Gradient, Value
from tfgen.models.fields import rendering
from tfgen.networks import siren
from tfgen.verbs.live import Live


def test_a_constant_density_has_the_closed_form():
    """exp(-density * length) of the background remains, whatever the depths, and the colour covers the rest."""
    depths = np.sort(np.random.default_rng(0).uniform(2.0, 5.0, (4, 9)), axis=1)
    density, colour, background, far = 0.7, np.array([0.2, 0.5, 0.9]), 1.0, 5.0
    made, weights = rendering.composite(tf.ones((4, 9, 3), tf.float64) * colour, density * tf.ones((4, 9), tf.float64),
                                        tf.constant(depths), far, background)
    clear = np.exp(-density * (far - depths[:, 0]))
    np.testing.assert_allclose(made, clear[:, None] * background + (1 - clear[:, None]) * colour, rtol=1e-12)
    ends = np.concatenate([depths[:, 1:], np.full((4, 1), far)], 1)
    wanted = np.exp(-density * (depths - depths[:, :1])) - np.exp(-density * (ends - depths[:, :1]))
    np.testing.assert_allclose(weights, wanted, rtol=1e-9)


def test_an_opaque_surface_hides_what_is_behind():
    colours = tf.constant([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    made, weights = rendering.composite(colours, tf.constant([[0.0, 1e6, 1e6]]), tf.constant([[1.0, 2.0, 3.0]]), 4.0, 0.5)
    np.testing.assert_allclose(weights, [[0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(made, [[0, 1, 0]], atol=1e-6)
    empty, _ = rendering.composite(colours, tf.zeros((1, 3)), tf.constant([[1.0, 2.0, 3.0]]), 4.0, 0.5)
    np.testing.assert_allclose(empty, [[0.5] * 3])


def test_inverse_cdf_of_a_histogram_worked_by_hand():
    """Shares 1/4, 0, 1/2, 1/4 over bins of lengths 1, 1, 2, 4: the distribution function is 1/4 at 1 and 2, 3/4 at 4."""
    edges, weights = tf.constant([[0.0, 1.0, 2.0, 4.0, 8.0]], tf.float64), tf.constant([[1e6, 0.0, 2e6, 1e6]], tf.float64)
    uniforms = tf.constant([[0.0, 0.125, 0.2499, 0.2501, 0.5, 0.75, 0.875, 1.0]], tf.float64)
    made = rendering.inverse_cdf(edges, weights, uniforms)
    np.testing.assert_allclose(made, [[0.0, 0.5, 0.9996, 2.0004, 3.0, 4.0, 6.0, 8.0]], atol=1e-5)
    # Without weights, depths are uniform over bins.
    made = rendering.inverse_cdf(edges, 0.0 * weights, tf.constant([[0.125, 0.625]], tf.float64))
    np.testing.assert_allclose(made, [[0.5, 3.0]])


def test_depths_lie_in_their_parts_and_finer_ones_where_the_weights_are():
    uniforms = np.random.default_rng(0).uniform(size=(3, 8)).astype("float32")
    depths = rendering.stratified(tf.constant(uniforms), 2.0, 6.0)
    assert np.array_equal(np.floor((depths.numpy() - 2.0) / 0.5), np.broadcast_to(np.arange(8), (3, 8)))
    np.testing.assert_allclose(rendering.stratified(tf.fill((1, 2), 0.5), 2.0, 6.0), [[3.0, 5.0]])
    weights = np.zeros((3, 8), np.float32)
    weights[:, 4] = 1.0
    merged = rendering.merged(depths, tf.constant(weights), tf.constant(uniforms[:, :5])).numpy()
    assert merged.shape == (3, 13) and (np.diff(merged) >= 0).all()
    depths = depths.numpy()
    low, high = (0.5 * (depths[:, at] + depths[:, at + 1]) for at in (3, 4))
    assert (((merged >= low[:, None]) & (merged <= high[:, None])).sum(1) >= 5).all()


class Linear:
    """Densities and colours of a NeRF that do not depend on the place: layers whose weights are 0 but for their biases."""

    @staticmethod
    def network(density, colour):
        inputs = keras.Input((3,)), keras.Input((3,))
        zeros, constant = keras.initializers.Zeros(), keras.initializers.Constant
        outputs = (keras.layers.Dense(1, kernel_initializer=zeros, bias_initializer=constant(value))(inputs[part])
                   for part, value in ((1, colour), (0, density)))
        return keras.Model(inputs, list(outputs))


def test_nerf_of_fog_has_the_closed_form_and_renders_what_its_rays_have():
    fog = Linear.network(0.4, 0.3)
    model = NeRF(fog, Linear.network(0.4, 0.3), (4, 6, 1), focal=5.0, near=1.0, far=3.0, samples=8, fine_samples=5)
    live = Live(model)
    rays = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    # The first depth is the middle of the first of 8 parts of [1, 3].
    clear = np.exp(-0.4 * (3.0 - 1.125))
    np.testing.assert_allclose(live("decode", rays), np.full((2, 5, 1), clear + (1 - clear) * 0.3), rtol=1e-5)
    other = NeRF(*(siren.radiance(8, 2, 1, name=name) for name in ("coarse", "fine")), (4, 6, 1), 5.0)
    live, pose = Live(other), np.eye(4, dtype="float32")
    pose[:3, 3] = 0.5, -1.0, 4.0
    seen = coordinates.rays_of_images(pose[None], (4, 6, 1), 5.0).numpy().reshape(1, 24, 6)
    np.testing.assert_allclose(live("render", pose[None]).reshape(1, 24, 1), live("decode", seen), atol=1e-5)


def test_sets_of_coordinates_of_any_size_in_one_signature():
    model = tiny("siren")
    live, random = Live(model), np.random.default_rng(0)
    for shape in ((1, 1), (3, 7), (2, 64)):
        places = random.uniform(-1, 1, (*shape, 2))  # float64 is taken, too
        wanted = model.network(places.reshape(-1, 2).astype("f4")).numpy().reshape(*shape, 1)
        np.testing.assert_allclose(live("decode", places), wanted, atol=1e-6)
    assert live.function("decode").experimental_get_tracing_count() == 1
    with pytest.raises(errors.UserError, match=r"expects coordinates of shape \(B, N, 2\), received \(2, 5, 3\)"):
        model.predict(np.zeros((2, 5, 3), "f4"), verbose=0)


def test_losses_are_of_what_is_observed():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.layers[0].set_weights([np.array([[2.0], [-1.0]], "f4"), np.array([0.5], "f4")])
    x = tf.constant([[1.0, 1.0], [0.0, 0.5]])
    # y = 2 a - b + 1/2: values 1.5 and 0, slopes 2 and -1 everywhere.
    values = Field(network, (4, 4, 1), Value()).compute_losses((x, tf.constant([[0.5], [1.0]])), training=False)
    assert float(values["loss"]) == pytest.approx(1.0) and float(values["psnr_db"]) == pytest.approx(0.0, abs=1e-5)
    slopes = Field(network, (4, 4, 1), Gradient()).compute_losses((x, tf.zeros((2, 2))), training=False)
    assert float(slopes["loss"]) == pytest.approx(2.5) and set(slopes) == {"loss"}


def linear_gon(step):
    """A GON whose field is a + b z at every place: network [s, z] -> w . [s, z] + b0."""
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    network.layers[0].set_weights([np.array([[0.0], [0.0], [0.5]], "f4"), np.array([0.25], "f4")])
    return GON(network, (2, 2, 1), step)


def test_the_latent_of_a_linear_gon_worked_by_hand():
    """E = sum_s (1/4 + z/2 - x_s)^2 over 4 places, so that dE/dz = sum_s (1/4 - x_s) at 0, and z = step (sum x_s - 1)."""
    model = linear_gon(0.1)
    x = np.array([[0.25, 0.75, 1.0, 0.0], [0.25] * 4], "f4").reshape(2, 2, 2, 1)
    np.testing.assert_allclose(model.encode(x), [[0.1 * (2.0 - 1.0)], [0.0]], atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(x)[0], np.full((2, 2, 1), 0.25 + 0.5 * 0.1), atol=1e-6)
    # A latent does not depend on the other images of its batch.
    np.testing.assert_allclose(model.encode(x[:1]), model.encode(x)[:1])


def test_the_gradient_of_a_gon_passes_through_its_latent():
    """With w the latent's weight: field = 1/4 + step w^2 S, S = 2 sum_s (x_s - 1/4) = 2, so d field / d w = 2 step w S."""
    model = linear_gon(0.1)
    x = np.array([0.25, 0.75, 1.0, 0.0], "f4").reshape(1, 2, 2, 1)
    kernel = model.network.layers[0].kernel
    with tf.GradientTape() as tape:
        loss = model.compute_losses(tf.constant(x), training=True)["loss"]
    made = 0.25 + 0.1 * 0.25 * 2.0
    slope = np.mean(2.0 * (made - x)) * 2.0 * 0.1 * 0.5 * 2.0
    assert float(tape.gradient(loss, kernel.value)[2, 0]) == pytest.approx(slope, rel=1e-5)
    assert float(loss) == pytest.approx(np.mean((made - x) ** 2), rel=1e-5)


def test_a_gon_decodes_at_any_coordinates():
    model = tiny("gon")
    z = model.encode(images(3))
    grid = coordinates.grid((8, 8))
    np.testing.assert_allclose(np.clip(model.at(z, grid), 0, 1).reshape(3, 8, 8, 1), model.decode(z), atol=1e-6)
    assert model.at(z, coordinates.grid((20, 30))).shape == (3, 600, 1)


@pytest.mark.parametrize("make, message", [
    (lambda: Field(siren.siren(2, [4], 1), (8, 1)), r"a network from \(1,\) to \(1,\) for a signal of \(8, 1\)"),
    (lambda: GON(siren.siren(2, [4], 1), (8, 8, 1)), "from 2 coordinates and a latent"),
    (lambda: NeRF(siren.siren(2, [4], 1), siren.siren(2, [4], 1), (8, 8, 1), 8.0), "networks that give colours"),
    (lambda: NeRF(*[siren.radiance(4, 1)] * 2, (8, 8, 3), 8.0, near=6.0, far=2.0), "0 <= near < far"),
    (lambda: NeRF(*[siren.radiance(4, 1)] * 2, (8, 8, 3), 8.0, samples=2), "at least 3 samples")])
def test_networks_that_do_not_fit_are_one_line(make, message):
    with pytest.raises(errors.UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
