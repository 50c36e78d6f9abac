import os

import numpy as np
import pytest
from PIL import Image

from tfgen import latent
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.errors import UserError
from tfgen.verbs import Option

QUANTILE_975 = 1.959963984540054


class Linear:
    """encode: z = x W + label, decode: x = (z - label) W^T, with orthonormal columns in W; the label is optional."""

    def __init__(self, width=2, conditional=False):
        self.names = ["encode", "decode"]
        self.matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(16, width)))[0].astype(np.float32)
        about = {"label": Option("int64", None, 0, 9, "class")} if conditional else {}
        self.options = {"encode": about, "decode": about}
        self.calls = []

    def __call__(self, name, inputs, batch_size=128, **options):
        assert inputs.dtype == np.float32 and set(options) == set(self.options[name])
        shift = options.get("label", np.zeros(len(inputs)))[:, None].astype(np.float32)
        self.calls.append((name, inputs, options))
        if name == "encode":
            return inputs.reshape(len(inputs), -1) @ self.matrix + shift
        return ((inputs - shift) @ self.matrix.T).reshape(-1, 4, 4, 1)


def images_of(live, codes):
    return (np.asarray(codes, np.float32) @ live.matrix.T).reshape(-1, 4, 4, 1)


def test_spherical_by_hand():
    arc = latent.spherical(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 3)
    np.testing.assert_allclose(arc, [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-15)
    thirds = latent.spherical(np.array([2.0, 0.0]), np.array([0.0, 2.0]), 4)
    np.testing.assert_allclose(thirds[1], [3**0.5, 1], atol=1e-15)


def test_spherical_keeps_the_norm_and_the_ends():
    a, b = np.random.default_rng(1).normal(size=(2, 4, 4, 8)).astype(np.float32)
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    arc = latent.spherical(a, b, 9)
    assert arc.shape == (9, 4, 4, 8) and arc.dtype == np.float32
    np.testing.assert_array_equal(arc[[0, -1]], [a, b])
    np.testing.assert_allclose(np.linalg.norm(arc.reshape(9, -1), axis=1), np.linalg.norm(a), rtol=1e-6)
    cosines = np.sum(arc[1:] * arc[:-1], axis=(1, 2, 3)) / np.linalg.norm(a) ** 2
    np.testing.assert_allclose(cosines, cosines[0], rtol=1e-5)


@pytest.mark.parametrize("a, b", [([1.0, 2.0], [2.0, 4.0]), ([1.0, 0.0], [1.0, 1e-9]), ([0.0, 0.0], [1.0, 1.0]),
                                  ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])])
def test_spherical_falls_back_to_the_line(a, b):
    np.testing.assert_array_equal(latent.spherical(np.array(a), np.array(b), 5),
                                  latent.linear(np.array(a), np.array(b), 5))


def test_linear_by_hand():
    line = latent.linear(np.array([0, 4]), np.array([2, 0]), 3)
    np.testing.assert_array_equal(line, [[0, 4], [1, 2], [2, 0]])
    with pytest.raises(UserError, match="at least 2 steps"):
        latent.linear(np.zeros(2), np.zeros(2), 1)
    with pytest.raises(UserError, match="one shape"):
        latent.spherical(np.zeros(2), np.zeros(3), 4)


@pytest.mark.parametrize("kind", [latent.linear, latent.spherical])
def test_interpolate_decodes_the_path(tmp_path, kind):
    live = Linear(width=3)
    a, b = np.random.default_rng(2).normal(size=(2, 5, 3)).astype(np.float32)
    images = latent.interpolate(live, images_of(live, a), images_of(live, b), 4, tmp_path / "x.png", kind)
    expected = np.stack([images_of(live, kind(*pair, 4)) for pair in zip(a, b)])
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert Image.open(tmp_path / "x.png").size == (4 * 49 + 1, 5 * 49 + 1)


def test_interpolate_keeps_the_label_of_a_row():
    live = Linear(conditional=True)
    ends = images_of(live, [[1, 2], [3, 4]])
    images = latent.interpolate(live, ends, ends, 3, label=[7, 5])
    np.testing.assert_array_equal(live.calls[-1][2]["label"], [7, 7, 7, 5, 5, 5])
    np.testing.assert_allclose(images, np.stack([ends] * 3, 1), atol=1e-5)
    latent.interpolate(live, ends, ends, 3)
    np.testing.assert_array_equal(live.calls[-1][2]["label"], [0, 0, 0, 1, 1, 1])


def test_attribute_arithmetic(tmp_path):
    live = Linear(width=3)
    rng = np.random.default_rng(3)
    have, lack, codes = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)), rng.normal(size=(2, 3))
    vector = latent.attribute_vector(live, images_of(live, have), images_of(live, lack))
    np.testing.assert_allclose(vector, have.mean(0) - lack.mean(0), atol=1e-6)
    images = latent.add_attribute(live, images_of(live, codes), vector, [-1, 0, 2.5], tmp_path / "x.png")
    expected = np.stack([images_of(live, codes + amount * vector) for amount in (-1, 0, 2.5)], 1)
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert Image.open(tmp_path / "x.png").size == (3 * 49 + 1, 2 * 49 + 1)


def test_attributes_say_what_they_expect():
    live = Linear(width=3)
    one = images_of(live, np.zeros((1, 3)))
    with pytest.raises(UserError, match="received 1 and 0"):
        latent.attribute_vector(live, one, one[:0])
    with pytest.raises(UserError, match=r"latents' shape \(3,\), received \(2,\)"):
        latent.add_attribute(live, one, np.zeros(2), [1.0])
    with pytest.raises(UserError, match="list of amounts"):
        latent.add_attribute(live, one, np.zeros(3), 1.0)
    with pytest.raises(UserError, match="no option 'label'; they take none"):
        latent.add_attribute(live, one, np.zeros(3), [1.0], label=3)
    with pytest.raises(UserError, match="'label' expects values in 0 ... 9, received 10 ... 10"):
        latent.manifold(Linear(conditional=True), label=10)
    live.names = ["decode"]
    with pytest.raises(UserError, match="without 'encode'; it has decode"):
        latent.add_attribute(live, one, np.zeros(3), [1.0])


def test_manifold_latents_are_quantiles():
    latents = latent.manifold_latents(5, 0.95)
    assert latents.shape == (5, 5, 2) and latents.dtype == np.float32
    q = QUANTILE_975
    np.testing.assert_allclose(latents[[0, 0, -1, -1], [0, -1, 0, -1]], [[-q, q], [q, q], [-q, -q], [q, -q]], rtol=1e-6)
    np.testing.assert_array_equal(latents[2, 2], [0, 0])
    # The median of the upper half: 0.7375 of the probability.
    np.testing.assert_allclose(latents[1, 2], [0, 0.635657], atol=1e-5)


def test_manifold_decodes_upward(tmp_path):
    live = Linear()
    images = latent.manifold(live, 3, tmp_path / "x.png")
    np.testing.assert_allclose(images[0, 0], images_of(live, [[-QUANTILE_975, QUANTILE_975]])[0], atol=1e-6)
    assert images.shape == (3, 3, 4, 4, 1) and Image.open(tmp_path / "x.png").size == (144, 144)
    live = Linear(conditional=True)
    latent.manifold(live, 3, label=4)
    np.testing.assert_array_equal(live.calls[-1][2]["label"], [4] * 9)
    latent.manifold(live, 3)
    np.testing.assert_array_equal(live.calls[-1][2]["label"], [0] * 9)


def test_manifold_says_what_it_expects():
    with pytest.raises(UserError, match="two-dimensional latents"):
        latent.manifold(Linear(width=3))
    live = Linear()
    live.latent_shape = (4, 4, 2)
    with pytest.raises(UserError, match=r"shape \(4, 4, 2\)"):
        latent.manifold(live)
    with pytest.raises(UserError, match="extent between 0 and 1"):
        latent.manifold(Linear(), extent=1.0)


def two_components():
    rng = np.random.default_rng(4)
    factor = np.array([[0.5, 0.0], [0.4, 0.3]])
    near, far = rng.normal(size=(1500, 2)) @ factor.T + [4, 0], rng.normal(size=(4500, 2)) * [1.0, 0.2] + [-4, 1]
    return rng.permutation(np.concatenate([near, far])), factor @ factor.T


def test_mixture_recovers_its_parts():
    codes, covariance = two_components()
    prior = GaussianMixturePrior(components=2).fit(codes)
    order = np.argsort(-prior.means[:, 0])
    np.testing.assert_allclose(prior.weights[order], [0.25, 0.75], atol=1e-3)
    np.testing.assert_allclose(prior.means[order], [[4, 0], [-4, 1]], atol=0.06)
    found = prior.factors @ prior.factors.transpose(0, 2, 1)
    np.testing.assert_allclose(found[order], [covariance, np.diag([1.0, 0.04])], atol=0.06)
    samples = prior.sample(np.arange(6000))
    near = samples[:, 0] > 0
    np.testing.assert_allclose(near.mean(), 0.25, atol=0.025)
    np.testing.assert_allclose(samples[near].mean(0), [4, 0], atol=0.08)
    np.testing.assert_allclose(np.cov(samples[near].T), covariance, atol=0.05)


def test_mixture_sample_depends_on_its_seed_alone():
    prior = GaussianMixturePrior(3).fit(two_components()[0].reshape(-1, 2, 1))
    seeds = np.array([5, 2**62 + 1, 0, 5], np.int64)
    together = prior.sample(seeds)
    assert together.shape == (4, 2, 1) and together.dtype == np.float32
    np.testing.assert_array_equal(together, np.concatenate([prior.sample(seeds[i:i + 1]) for i in range(4)]))
    np.testing.assert_array_equal(together[0], together[3])
    assert len(np.unique(together.reshape(4, -1), axis=0)) == 3
    fresh = prior.sample(np.array([-1, -1]))
    assert not np.array_equal(fresh[0], fresh[1]) and not np.array_equal(fresh, prior.sample(np.array([-1, -1])))
    assert prior.sample(np.empty(0, np.int64)).shape == (0, 2, 1)


@pytest.mark.parametrize("codes", [np.zeros((50, 3)), np.random.default_rng(5).normal(size=(2, 30)),
                                   1e-6 * np.random.default_rng(5).normal(size=(40, 3))])
def test_mixture_of_few_or_equal_codes(codes):
    prior = GaussianMixturePrior(10).fit(codes)
    samples = prior.sample(np.arange(2000))
    assert np.isfinite(samples).all() and len(prior.weights) <= 10
    np.testing.assert_allclose(samples.var(0).mean(), codes.var(0).mean(), rtol=0.2, atol=1e-10)


def test_mixture_survives_its_file(tmp_path):
    prior = GaussianMixturePrior(2, seed=3).fit(two_components()[0])
    prior.save(tmp_path / "deep" / "prior.npz")
    loaded = GaussianMixturePrior.load(tmp_path / "deep" / "prior.npz")
    np.testing.assert_array_equal(loaded.sample(np.arange(9)), prior.sample(np.arange(9)))
    assert (loaded.components, loaded.seed, loaded.latent_shape) == (2, 3, (2,))
    assert os.listdir(tmp_path / "deep") == ["prior.npz"]


def test_mixture_says_what_it_expects(tmp_path):
    prior = GaussianMixturePrior()
    for call in (lambda: prior.sample(np.arange(2)), lambda: prior.save(tmp_path / "x.npz")):
        with pytest.raises(UserError, match=r"call fit\(codes\) first"):
            call()
    for codes in (np.zeros((1, 3)), np.array([[1.0], [np.nan]])):
        with pytest.raises(UserError, match="at least 2 finite codes"):
            prior.fit(codes)
    with pytest.raises(UserError, match="whole seeds"):
        prior.fit(np.eye(3)).sample(np.zeros(2))
    with pytest.raises(UserError, match="at least 1 component"):
        GaussianMixturePrior(0)
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "other.npz", a=1)
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("missing.npz", "text.npz", "other.npz", "array.npy"):
        with pytest.raises(UserError, match="that GaussianMixturePrior.save wrote"):
            GaussianMixturePrior.load(tmp_path / name)


def test_sample_autoencoder_decodes_the_mixture(tmp_path):
    live, codes = Linear(), two_components()[0]
    images = latent.sample_autoencoder(live, codes, np.arange(6), tmp_path / "x.png", components=2)
    np.testing.assert_allclose(
        images, images_of(live, GaussianMixturePrior(2).fit(codes).sample(np.arange(6))), atol=1e-5)
    assert Image.open(tmp_path / "x.png").size == (3 * 49 + 1, 2 * 49 + 1)


def test_pca_finds_the_plane():
    rng = np.random.default_rng(6)
    basis = np.linalg.qr(rng.normal(size=(12, 2)))[0]
    plane = rng.normal(size=(300, 2)) * [5.0, 1.0]
    points = latent.project((plane @ basis.T + 3).reshape(300, 3, 4))
    assert points.shape == (300, 2) and points.dtype == np.float32
    distances = np.linalg.norm(plane[:50, None] - plane[None, :50], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(points[:50, None] - points[None, :50], axis=-1), distances, atol=1e-4)
    assert points[:, 0].var() > points[:, 1].var()


@pytest.mark.rotating
def test_tsne_separates_clusters_and_repeats():
    rng = np.random.default_rng(7)
    codes = rng.normal(size=(80, 60)) + 20 * np.repeat(np.eye(2, 60), 40, 0)
    points = latent.project(codes, "tsne")
    gap = np.linalg.norm(points[:40].mean(0) - points[40:].mean(0))
    assert gap > 2 * max(points[:40].std(0).max(), points[40:].std(0).max())
    np.testing.assert_array_equal(points, latent.project(codes, "tsne"))


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("codes", [np.arange(5.0)[:, None], np.ones((6, 4)), np.random.default_rng(8).random((5, 70))])
def test_project_odd_codes(method, codes):
    points = latent.project(codes, method)
    assert points.shape == (len(codes), 2) and np.isfinite(points).all()


@pytest.mark.parametrize("codes, method, message", [
    (np.zeros((9, 3)), "umap", "'pca' or 'tsne', received 'umap'"), (np.zeros((4, 3)), "tsne", "at least 5"),
    (np.full((9, 3), np.nan), "pca", "27 values not finite")])
def test_project_says_what_it_expects(codes, method, message):
    with pytest.raises(UserError, match=message):
        latent.project(codes, method)


def test_plot_codes_draws_wide_and_plane_codes(tmp_path):
    codes = np.random.default_rng(9).normal(size=(30, 5))
    live = Linear(width=5)
    points = latent.plot_codes(live, images_of(live, codes), np.arange(30) % 3, tmp_path / "wide.png")
    np.testing.assert_allclose(points, latent.project(codes), atol=1e-4)
    live = Linear(width=2, conditional=True)
    points = latent.plot_codes(live, images_of(live, codes[:, :2]), None, tmp_path / "plane.png", label=2)
    np.testing.assert_allclose(points, codes[:, :2] + 2, atol=1e-5)
    assert sorted(os.listdir(tmp_path)) == ["plane.png", "wide.png"]
