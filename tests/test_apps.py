"""Every app by its fast path, in this process."""

import dataclasses
import importlib.util
import json
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from tfgen import data, metrics
from tfgen.errors import UserError
from tfgen.evaluation import features
from tfgen.figures import records

APPS = pathlib.Path(__file__).parents[1] / "apps"


@pytest.fixture
def app(monkeypatch, tmp_path):
    """Loads apps/NAME.py with records going to a temporary folder."""
    monkeypatch.setattr(records, "RESULTS", tmp_path)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, APPS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def fashion():
    try:
        return data.load("fashion_mnist")
    except UserError:
        pytest.skip("fashion_mnist is not prepared (tfgen data prepare)")


def test_few_labels(app, tmp_path):
    scores = app("few_labels").main(fast=True, out=tmp_path)
    assert set(scores) == {"from scratch", "pre-trained"}
    assert all(0 <= value <= 1 for arm in scores.values() for seeds in arm.values() for value in seeds)
    assert Image.open(tmp_path / "pictures" / "few_labels.png").size[0] > 400


def test_few_labels_looks_for_rates_until_the_best_is_within(app):
    few = app("few_labels")
    for peak in (2e-5, 1e-3, 7e-2):
        best, found = few.best_rate(lambda rate, peak=peak: -abs(np.log(rate / peak)), few.RATES)
        assert abs(np.log10(best / peak)) < 0.3 and min(found) < best < max(found)


def test_few_labels_compares_seed_by_seed(app):
    scores = {"from scratch": {100: [0.5, 0.6, 0.7]}, "pre-trained": {100: [0.52, 0.61, 0.73]}}
    mean, error = app("few_labels").gain(scores, 100)
    assert mean == pytest.approx(0.02) and error == pytest.approx(0.01 / np.sqrt(3))


def test_few_labels_subsets_are_balanced(app):
    labels = np.arange(1000) % 10
    chosen = app("few_labels").subset(labels, 100, 3)
    assert len(set(chosen)) == 100 and np.bincount(labels[chosen]).tolist() == [10] * 10


def test_kl_weight_sweep(app, tmp_path):
    made = app("kl_weight_sweep").main(fast=True, out=tmp_path / "sweep.png")
    assert made and Image.open(tmp_path / "sweep.png").size[0] > 400


def test_gan_failure_modes(app, tmp_path):
    made = app("gan_failure_modes").main(fast=True, out=tmp_path)
    assert 0 <= made["wgan_gp_high_quality"] <= 1 and [row["system"] for row in made["table"]] == ["gan", "wgan_gp", "sngan"]
    # The cure is told from the networks and the schedule that come with it.
    assert [row["system"] for row in made["ring"]] == ["collapsing_gan", "gan", "wgan_gp"]
    assert all(Image.open(tmp_path / f"{name}.png").size[0] > 400 for name in ("ring", "grid", "faces", "minmax"))
    assert not list(tmp_path.glob("*.json"))


def test_two_d_densities(app, tmp_path):
    made = app("two_d_densities").main(fast=True, out=tmp_path / "densities.png")
    assert [row["problem"] for row in made["table"]] == ["moons", "rings", "checkerboard"]
    # A density is no nearer to the truth than the truth, and integrates to 1.
    assert all(row["divergence"] > 0 and row["mass_on_the_grid"] < 1.01 for row in made["table"])
    assert made["checkerboard_entropy"] == pytest.approx(np.log(8)) and Image.open(tmp_path / "densities.png").size[0] > 400
    assert not list(tmp_path.glob("*.json"))


def test_likelihood_is_not_typicality(app, tmp_path):
    typicality = app("likelihood_is_not_typicality")
    digits = typicality.digits_like_mnist(3, 28)
    assert digits.shape == (3, 28, 28, 1) and digits[:, :4].max() == 0 and digits[:, 4:24, 4:24].max() > 0.9
    rows = typicality.main(fast=True, out=tmp_path / "bits.png")
    assert list(rows) == ["its own", "half as bright", "black", "inverted", "uniform noise"]
    assert all(0 <= row["auroc"] <= 1 and 0 <= row["share_likelier"] <= 1 for row in list(rows.values())[1:])
    assert Image.open(tmp_path / "bits.png").size[0] > 400 and not list(tmp_path.glob("*.json"))


def test_super_resolution(app, tmp_path):
    rows = app("super_resolution").main(fast=True, out=tmp_path)
    assert list(rows) == ["nearest", "bicubic", "U-Net, L1 alone", "pix2pix", "PULSE"]
    for row in rows.values():
        assert 0 < row["l1"] < 1 and 0 < row["psnr_db"] < 50 and -1 <= row["ssim"] <= 1 and 0 <= row["rmse_downscaled"] < 1
    # Enlarged pixels are the given ones; nothing else is as exact.
    assert rows.pop("nearest")["rmse_downscaled"] < 1e-6 < min(row["rmse_downscaled"] for row in rows.values())
    assert Image.open(tmp_path / "pictures" / "super_resolution.png").size[0] > 300
    assert not list(tmp_path.glob("*.json"))


def test_colourise(app, tmp_path):
    pytest.importorskip("skimage")
    rows = app("colourise").main(fast=True, out=tmp_path)
    assert list(rows) == ["grey", "mean colour", "luminance table", "luminance table of the same photograph", "pix2pix"]
    for row in rows.values():
        assert 0 < row["l1"] < 1 and 0 < row["psnr_db"] < 50 and 0 < row["ssim"] <= 1 and 0 < row["delta_e"] < 100
    assert Image.open(tmp_path / "pictures" / "colourise.png").size[1] > 1500
    assert not list(tmp_path.glob("*.json"))


def test_colourise_gives_each_brightness_its_mean_chroma(app):
    colourise = app("colourise")
    images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.2, 0.2]], np.float32)[None, None]
    dark = np.array([[0.1], [0.9]], np.float32)[None, None]  # red 0.299, green 0.587, blue 0.114 and grey 0.2 bright
    found = colourise.table_of(images, dark, 2)[0, 0]
    np.testing.assert_allclose(found[1], [-0.587, 0.413, -0.587], atol=1e-6)
    np.testing.assert_allclose(found[0], (np.array([0.701, -0.299, -0.299]) + [-0.114, -0.114, 0.886]) / 3, atol=1e-6)
    # A chroma has no luminance, so that it leaves the true one.
    assert np.abs(found @ [0.299, 0.587, 0.114]).max() < 1e-6


def test_colourise_blends_what_every_patch_says(app):
    colourise = app("colourise")
    grey = np.random.default_rng(0).random((2, 96, 80, 1))
    colours = np.array([0.3, -0.1, 0.2])
    found = colourise.translated(lambda verb, x: (x + colours).astype("float32"), grey)
    np.testing.assert_allclose(found, np.broadcast_to(colours - colours @ [0.299, 0.587, 0.114], found.shape), atol=1e-5)


def test_colourise_without_scikit_image_says_what_to_install(app, monkeypatch, capsys):
    colourise = app("colourise")
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(SystemExit, match="2"):
        colourise.main(fast=True)
    assert capsys.readouterr().err == "error: expected scikit-image, received none: pip install 'tfgen[apps]'\n"


def test_edges_to_fashion(app, tmp_path):
    rows = app("edges_to_fashion").main(fast=True, out=tmp_path)
    assert {"pix2pix", "mean image", "linear regression"} <= set(rows)
    assert all(-1 <= row["ssim"] <= 1 and 0 <= row["l1"] <= 1 and row["frechet_distance"] >= 0 for row in rows.values())
    assert Image.open(tmp_path / "pictures" / "edges_to_fashion.png").size[0] > 400


def test_sandals_to_boots(app, tmp_path):
    rows = app("sandals_to_boots").main(fast=True, out=tmp_path)
    assert all(0 <= row["accepted"] <= 1 for row in rows.values())
    assert [row["cycle_l1"] == 0 for row in rows.values()] == [True, False, True, False]
    assert Image.open(tmp_path / "pictures" / "sandals_to_boots.png").size[0] > 400


def test_every_app_has_a_test():
    text = pathlib.Path(__file__).read_text()
    assert all(f'app("{path.stem}")' in text for path in APPS.glob("*.py"))


def test_gan_zoo(app, tmp_path):
    rows = app("gan_zoo").main(fast=True, folder=tmp_path, only=["acgan", "aae"])
    assert set(rows) == {"acgan", "aae"} and (tmp_path / "acgan.npy").exists()
    assert rows["aae"]["label_agreement"] is None and 0 <= rows["acgan"]["label_agreement"] <= 1
    for row in rows.values():
        assert row["frechet_distance"] > 0 and row["steps"] > 0 and row["images_per_cpu_s"] > 0 and row["split"] == "test"


def test_gan_zoo_draws_what_is_there(app, tmp_path, monkeypatch):
    zoo = app("gan_zoo")
    monkeypatch.setattr(zoo, "zoo", lambda: ["gan", "aae"])
    zoo.main(fast=True, folder=tmp_path)
    assert Image.open(tmp_path / "gan_zoo.png").size[0] > 100
    # What was trained is not trained again.
    before = (tmp_path / "gan.json").stat().st_mtime_ns
    zoo.main(fast=True, folder=tmp_path)
    assert (tmp_path / "gan.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_conditional_samples_show_the_class_asked_for(app, tmp_path, fashion):
    """ACGAN on Fashion-MNIST: at least 90 % of 1,000 samples, after three minutes of CPU time."""
    extractor = features.classifier(fashion, cache="~/.cache/tfgen/extractors")
    row = app("gan_zoo").measure("acgan", fashion, extractor, 3.0, 64, tmp_path, 1000)
    assert row["label_agreement"] >= 0.9


@pytest.mark.slow
def test_translated_sandals_are_taken_for_boots(app, tmp_path, fashion):
    """CycleGAN on Fashion-MNIST: at least 85 % of validation sandals, cycle L1 under 0.08, after about 4 CPU minutes."""
    row = app("sandals_to_boots").main(steps=1200, split="validation", out=tmp_path)["sandal to ankle boot, CycleGAN"]
    assert row["accepted"] >= 0.85 and row["cycle_l1"] < 0.08


def test_surface_inspection(app, tmp_path):
    pytest.importorskip("skimage")
    surface = app("surface_inspection")
    rows = surface.main(fast=True, folder=tmp_path / "surfaces", out=tmp_path)["brick"]
    assert list(rows) == ["local statistics", *surface.DETECTORS] and {len(of) for of in rows.values()} == {1}
    for row, in rows.values():
        assert all(0 <= value <= 1 for key, value in row.items() if key != "threshold")
    assert rows["local statistics"][0]["aupro"] > 0.8
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "surfaces").rglob("*") if path.is_file()}
    assert surface.main(fast=True, folder=tmp_path / "surfaces", out=tmp_path)["brick"] == rows  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert Image.open(tmp_path / "pictures" / "surface_inspection.png").size[0] > 900
    assert not list(tmp_path.glob("*.json"))


def test_surface_inspection_knows_the_mean_of_millions_of_pixels(app):
    """Added up in float32, the centre is off by more than a hundredth after a million rows, by a deviation after 16."""
    train = np.random.default_rng(0).uniform(0.4, 0.6, (512, 64, 64, 1)).astype("float32")
    maps = app("surface_inspection").statistics(train)(train[:64])
    # The mean Mahalanobis distance over what mean and covariance are of is their number of dimensions.
    seen = app("surface_inspection").statistics(train[:64])(train[:64])
    assert np.mean(seen) == pytest.approx(6.0, rel=1e-3)
    np.testing.assert_allclose(maps.mean(), 6.0, rtol=5e-3)


def test_surface_inspection_chooses_poolings_by_the_validation_part(app):
    """Maps with one noisy pixel, which a blur takes away, and a mean over many pixels, which loses a small defect."""
    surface, random = app("surface_inspection"), np.random.default_rng(0)

    class Part:
        def __init__(self):
            self.flags = np.arange(40) % 2 == 1

        def anomalous(self, split):
            return self.flags

        def masks(self, split):
            masks = np.zeros((40, 32, 32), bool)
            masks[self.flags, 10:16, 10:16] = True
            return masks

    maps = 0.2 * random.random((40, 32, 32))
    maps[np.arange(40), random.integers(32, size=40), random.integers(32, size=40)] += 3.0
    maps[Part().masks("test")] += 0.5
    sights = {("brick", 0, "one"): {"maps validation": maps, "rest validation": np.zeros(40)}}
    (blur, top), tried = surface.choose("one", sights, {("brick", 0): Part()})
    assert blur > 0 and top < 0.16 and len(tried) == len(surface.BLURS) * len(surface.TOPS)
    assert max(row["worth"] for row in tried) > 0.95


def test_one_class_table(app, tmp_path, monkeypatch):
    table = app("one_class_table")
    monkeypatch.setattr(table, "data", FewDigits)
    monkeypatch.setattr(table, "DETECTORS", {name: table.DETECTORS[name] for name in ("ae_anomaly", "deep_svdd")})
    made = table.main(fast=True, seeds=1, out=tmp_path)
    assert set(made) == {*table.DETECTORS, *table.BASELINES}
    assert all(0 <= value <= 100 for row in made.values() for value in row["classes"]) and made["one-class SVM"]["mean"] > 80
    assert Image.open(tmp_path / "pictures" / "one_class_table.png").size[0] > 400
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(files) == len(made)
    assert table.main(fast=True, seeds=1, out=tmp_path) == made  # nothing is trained again
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == files
    table.DETECTORS["ae_anomaly"] = ({}, 16, 21)
    table.main(fast=True, seeds=1, out=tmp_path)  # but what has other settings
    assert [name for name, when in files.items() if (tmp_path / name).stat().st_mtime_ns != when] == ["ae_anomaly.json"]


def test_one_class_baselines_are_what_their_grids_are_best_at(app, tmp_path, monkeypatch):
    """The grid is measured by a command, and its best is what the table takes."""
    table = app("one_class_table")
    recorded = json.loads((APPS.parent / "results" / "one_class_baselines.json").read_text())["table"]
    for method, (_, grid, chosen) in table.BASELINES.items():
        assert recorded[method][0]["settings"] == chosen
        assert len(recorded[method]) == np.prod([len(values) for values in grid.values()])
    monkeypatch.setattr(table, "data", FewDigits)
    monkeypatch.setattr(table, "BASELINES", {"PCA": (table.pca, {"components": (1, 16)}, {})})
    found = table.main(choose=True, fast=True, out=tmp_path)["PCA"]
    assert {row["settings"]["components"] for row in found} == {16, 1} and found[0]["auroc"] >= found[1]["auroc"]
    digits = FewDigits.load("digits")
    x, aurocs = table.flat(digits.images("validation")), []
    for normal in (0, 1):
        score = table.pca(table.flat(data.one_class(digits, normal=normal).images("train")), 0, **found[0]["settings"])
        aurocs.append(metrics.auroc(digits.labels("validation") != normal, score(x)))
    assert found[0]["auroc"] == pytest.approx(100 * np.mean(aurocs))


def test_one_class_svm_is_scikit_learns(app):
    from sklearn.svm import OneClassSVM

    train, x = (np.random.default_rng(seed).normal(size=(60, 8)).astype("float32") for seed in (0, 1))
    found = app("one_class_table").svm(train, 0, gamma=1, nu=0.3, images=60)(x)
    np.testing.assert_allclose(found, -OneClassSVM(gamma="scale", nu=0.3).fit(train).score_samples(x), rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method, mark", [("ganomaly", 93), ("deep_svdd", 89)])
def test_one_class_marks(app, tmp_path, fashion, method, mark):
    """Mean AUROC over the ten classes of Fashion-MNIST's validation split, after about 5 CPU minutes."""
    assert app("one_class_table").main("validation", 1, method, tmp_path)[method]["mean"] >= mark


@pytest.mark.slow
def test_defects_on_grass_are_found(app, tmp_path):
    """draem on the hardest texture: image AUROC and AUPRO on the validation part, after about 4 CPU minutes."""
    pytest.importorskip("skimage")
    found, = app("surface_inspection").main("validation", "draem", "grass", 1, tmp_path, tmp_path)["grass"]["draem"]
    assert found["auroc"] >= 0.95 and found["aupro"] >= 0.8


class FewDigits:
    """`tfgen.data` whose digits have two classes."""

    one_class = staticmethod(data.one_class)

    @staticmethod
    def load(name):
        full = data.load(name)
        kept = {split: full.labels(split) < 2 for split in full.spec.sizes}
        spec = dataclasses.replace(full.spec, num_classes=2, class_names=("0", "1"),
                                   sizes={split: int(rows.sum()) for split, rows in kept.items()})
        return data.Dataset(spec, {split: (full.images(split)[rows], full.labels(split)[rows])
                                   for split, rows in kept.items()})
