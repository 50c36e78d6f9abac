"""Apps of anomaly detection, by their fast paths, in this process."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom

from tfgen import data, files, metrics
from tfgen.errors import UserError

pytestmark = pytest.mark.rotating


def test_surface_inspection(app, tmp_path):
    pytest.importorskip("skimage")
    surface = app("surface_inspection")
    some = {"only": "padim,draem", "folder": tmp_path / "surfaces", "out": tmp_path}
    rows = surface.main(fast=True, **some)["brick"]
    assert list(rows) == [*surface.BASELINES, "padim", "draem"] and {len(of) for of in rows.values()} == {1}
    for row, in rows.values():
        assert all(0 <= value <= 1 for key, value in row.items() if key not in ("threshold", "held_out", "normal"))
        # At least j of 8 are above the largest of 20 with a probability of 8/28 7/27 …: 0.074 for j = 2, 0.017 for j = 3.
        assert (row["held_out"], row["normal"], row["fpr_expected"]) == (20, 8, 1 / 21)
        assert (row["fpr_low"], row["fpr_high"], row["fpr_within"]) == (0, 2 / 8, row["fpr"] <= 2 / 8)
    assert rows["local statistics"][0]["aupro"] > 0.8
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "surfaces").rglob("*") if path.is_file()}
    assert surface.main(fast=True, **some)["brick"] == rows  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert Image.open(tmp_path / "pictures" / "surface_inspection.png").size[0] > 900
    assert not list(tmp_path.glob("*.json"))


def test_the_record_of_surfaces_keeps_networks_of_the_same_settings(app, tmp_path, monkeypatch):
    surface = app("surface_inspection")
    record = files.read_json(pathlib.Path(__file__).parents[2] / "results" / "surface_inspection.json")
    record["settings"]["ae_anomaly"] = {"filters": 1}
    files.write_json(tmp_path / "surface_inspection.json", record)
    monkeypatch.setattr(surface.records, "RESULTS", tmp_path)
    seeds = len(record["seeds"])
    kept = surface.kept(["region_anomaly"], seeds)
    with pytest.raises(UserError, match=f"expected --seeds {seeds} as the record has for draem.*, received {seeds + 1}"):
        surface.kept(["region_anomaly"], seeds + 1)
    assert set(kept["steps"]) == set(kept["chosen"]) == {row["method"] for row in kept["trainings"]} >= {"draem"}
    assert not {"ae_anomaly", "region_anomaly", *surface.BASELINES} & {row["method"] for row in kept["table"]}
    for key, value in record["values"].items():
        method = re.sub("(, std|_min|_max)$", "", key).rpartition(", ")[2]
        assert kept["values"].get(key) == (value if method in kept["steps"] else None)
    # Crops of another size, or otherwise divided, are not to be compared.
    files.write_json(tmp_path / "surface_inspection.json", record | {"data": record["data"] | {"side": 32}})
    assert not surface.kept(["region_anomaly"], seeds)["table"]


def test_rates_of_surfaces_by_hand(app):
    """6 of 96 false positives, and one of two rates within the interval, of one method; the other method has none."""
    interval = {"fpr_expected": 2 / 49, "fpr_low": 0.0, "fpr_high": 0.1, "normal": 48, "held_out": 48}
    rows = [{"method": "a", "fpr": 1 / 48, "fpr_within": True, **interval},
            {"method": "a", "fpr": 5 / 48, "fpr_within": False, **interval},
            {"method": "b", "fpr": 0.0, "fpr_within": True, **interval}]
    found = app("surface_inspection").rates_of(rows)
    assert found["fpr within its interval"] == 2 / 3 and found["fpr within its interval, a"] == 0.5
    assert [found[f"expected fpr, b{end}"] for end in ("", "_min", "_max")] == [2 / 49, 0.0, 0.1]
    assert found["pooled fpr, a"] == 6 / 96 and found["pooled fpr, b"] == found["pooled fpr, b_min"] == 0
    # Clopper and Pearson (1934): without a hit in n, up to 1 - 0.025^(1/n); else tails of 0.025 at either end.
    assert found["pooled fpr, b_max"] == pytest.approx(1 - 0.025 ** (1 / 48))
    assert binom.cdf(6, 96, found["pooled fpr, a_max"]) == pytest.approx(0.025)
    assert binom.sf(5, 96, found["pooled fpr, a_min"]) == pytest.approx(0.025)


def test_surface_inspection_looks_anew_at_other_data(app, tmp_path, monkeypatch):
    """What the baselines have seen, which have no settings, is not taken for the cells of another division."""
    surface, trained = app("surface_inspection"), []

    class Images:
        def images(self, split):
            return np.zeros((2, 4, 4, 1), "uint8")

    def train(method, dataset, seed, fast):
        trained.append(method)
        return (lambda x: (np.full(x.shape[:3], len(trained), "float32"), np.zeros(len(x)))), Images().images("test"), {}

    monkeypatch.setattr(surface, "train", train)
    monkeypatch.setattr(surface.data, "load", lambda place: Images())

    def look(counts):
        found, _ = surface.seen(tmp_path / "one.json", "local statistics", {"test": "here"}, 0, False, counts)
        return found["maps test"][0, 0, 0]

    assert [look(surface.COUNTS), look(surface.COUNTS), look((8, 8, 8, 8))] == [1, 1, 2]
    monkeypatch.setitem(surface.surfaces.PARTS, "selection", 12)
    assert look((8, 8, 8, 8)) == 3 and len(trained) == 3


def test_surface_neighbours_are_far_from_what_is_unusual(app):
    random = np.random.default_rng(0)
    train = random.uniform(0.4, 0.6, (8, 32, 32, 1)).astype("float32")
    strange = train[:2].copy()
    strange[0, 10:16, 10:16] = 0.0
    maps = app("surface_inspection").neighbours(train, memory=2000)(strange)
    assert maps.shape == (2, 32, 32) and maps[0, 12:14, 12:14].min() > 3 * maps[1].max()


def test_surface_inspection_knows_the_mean_of_millions_of_pixels(app):
    """Added up in float32, the centre is off by more than a hundredth after a million rows, by a deviation after 16."""
    train = np.random.default_rng(0).uniform(0.4, 0.6, (512, 64, 64, 1)).astype("float32")
    maps = app("surface_inspection").statistics(train)(train[:64])
    # The mean Mahalanobis distance over what mean and covariance are of is their number of dimensions.
    seen = app("surface_inspection").statistics(train[:64])(train[:64])
    assert np.mean(seen) == pytest.approx(6.0, rel=1e-3)
    np.testing.assert_allclose(maps.mean(), 6.0, rtol=5e-3)


def test_surface_inspection_chooses_poolings_by_the_selection_part(app):
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
    sights = {("brick", 0, "one"): {"maps selection": maps, "rest selection": np.zeros(40)}}
    (blur, top), tried = surface.choose("one", sights, {("brick", 0): Part()})
    assert blur > 0 and top < 0.16 and len(tried) == len(surface.BLURS) * len(surface.TOPS)
    assert max(row["worth"] for row in tried) > 0.95


def test_anomalies_in_tables(app, tmp_path, monkeypatch):
    """Methods on every task, in percent; faults are planted in the test part of the series alone."""
    tables = app("anomalies_in_tables")
    # One of two stages with a score, and one with a density.
    monkeypatch.setattr(tables, "DETECTORS", {name: tables.DETECTORS[name] for name in ("deep_svdd", "maf")})
    made = tables.main(fast=True, out=tmp_path)
    wanted = {*tables.VECTORS, "series", *(f"series: {kind}" for kind in tables.FAULTS)}
    assert set(made) == {*tables.BASELINES.values(), *tables.DETECTORS} and all(set(of) == wanted for of in made.values())
    assert all(0 <= mean <= 100 for of in made.values() for mean, _ in of.values()) and made["kNN"]["series"][0] > 80
    assert {path.name for path in tmp_path.glob("*.png")} == {"anomalies_in_tables.png", "faults_of_a_series.png"}
    _, labels = tables.series(0)
    assert not labels[:round(0.8 * len(labels))].any() and set(labels) == {0, 1, 2, 3, 4}


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


def test_one_class_table_compares_skip_connections(app, monkeypatch):
    table = app("one_class_table")
    before = table.DETECTORS["skip_ganomaly"]

    def measured(method, full, normal, split, seed, fast):
        assert split == "validation"
        return {"class": normal, "seed": seed, "auroc": 90.0 - table.DETECTORS[method][0]["skips"] + normal, "fpr": 0.05,
                "cpu_minutes": 0.1}

    monkeypatch.setattr(table, "measure", measured)
    made = table.main(skips=True, fast=True)
    assert {name: row["mean"] for name, row in made.items()} == {
        "0 of 2": 94.5, "1 of 2": 93.5, "2 of 2": 92.5}
    assert table.DETECTORS["skip_ganomaly"] == before


def test_one_class_baselines_are_what_their_grids_are_best_at(app, tmp_path, monkeypatch):
    """The grid is measured by a command, and its best is what the table takes."""
    table = app("one_class_table")
    recorded = files.read_json(pathlib.Path(__file__).parents[2] / "results" / "one_class_baselines.json")["table"]
    for method, (_, grid, chosen) in table.BASELINES.items():
        assert recorded[method][0]["settings"] == chosen
        assert len(recorded[method]) == np.prod([len(values) for values in grid.values()])
    monkeypatch.setattr(table, "data", FewDigits)
    monkeypatch.setattr(table, "BASELINES", {"PCA": (table.baselines.pca, {"components": (1, 16)}, {})})
    found = table.main(choose=True, fast=True, out=tmp_path)["PCA"]
    assert {row["settings"]["components"] for row in found} == {16, 1} and found[0]["auroc"] >= found[1]["auroc"]
    digits = FewDigits.load("digits")
    x, aurocs = table.flat(digits.images("validation")), []
    for normal in (0, 1):
        train = table.flat(data.one_class(digits, normal=normal).images("train"))
        score = table.baselines.pca(train, 0, **found[0]["settings"])
        aurocs.append(metrics.auroc(digits.labels("validation") != normal, score(x)))
    assert found[0]["auroc"] == pytest.approx(100 * np.mean(aurocs))


def test_one_class_svm_is_scikit_learns(app):
    from sklearn.svm import OneClassSVM

    train, x = (np.random.default_rng(seed).normal(size=(60, 8)).astype("float32") for seed in (0, 1))
    found = app("one_class_table").svm(train, 0, gamma=1, nu=0.3, images=60)(x)
    np.testing.assert_allclose(found, -OneClassSVM(gamma="scale", nu=0.3).fit(train).score_samples(x), rtol=2e-3)


def test_one_class_neighbours_are_those_of_all_distances(app):
    train, x = (np.random.default_rng(seed).normal(size=(60, 8)).astype("float32") for seed in (0, 1))
    table = app("one_class_table")

    def wanted(x, train):
        return np.sort(np.linalg.norm(x[:, None] - train[None], axis=-1), axis=1)[:, :3].mean(1)

    np.testing.assert_allclose(table.baselines.knn(train, 0, neighbours=3)(x), wanted(x, train), rtol=1e-4)
    centred = train - train.mean(0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    codes = [(rows - train.mean(0)) @ axes[:4].T / (spread[:4] / np.sqrt(59)) for rows in (x, train)]
    found = table.knn_of_codes(train, 0, components=4, whiten=True, neighbours=3)(x)
    np.testing.assert_allclose(found, wanted(*codes), rtol=1e-3)


def test_a_part_of_the_table_keeps_recorded_methods_of_the_same_settings(app, tmp_path, monkeypatch):
    table = app("one_class_table")
    files.write_json(tmp_path / "one_class_table.json", {
        "seeds": [0, 1, 2],
        "table": {name: {"mean": 90.0} for name in ("ae_anomaly", "ganomaly", "PCA", "kNN", "of before")},
        "budget": {"threads": 1, "ae_anomaly": table.budget_of("ae_anomaly"), "PCA": {"settings": {"components": 1}},
                   "ganomaly": table.budget_of("ganomaly"), "kNN": table.budget_of("kNN"), "of before": {}}})
    monkeypatch.setattr(table.records, "RESULTS", tmp_path)
    assert set(table.kept(["ganomaly"], 3)) == {"ae_anomaly", "kNN"}
    # Means over other numbers of seeds do not mix.
    assert table.kept(["ganomaly"], 1) == {}
    monkeypatch.setattr(table.records, "RESULTS", tmp_path / "nowhere")
    assert table.kept([], 3) == {}


@pytest.mark.slow
@pytest.mark.parametrize("method, mark", [("ganomaly", 93), ("deep_svdd", 89)])
def test_one_class_marks(app, tmp_path, fashion, method, mark):
    """Mean AUROC over the ten classes of Fashion-MNIST's validation split, after about 5 CPU minutes."""
    assert app("one_class_table").main("validation", 1, method, tmp_path)[method]["mean"] >= mark


@pytest.mark.slow
def test_defects_on_grass_are_found(app, tmp_path):
    """draem on the hardest texture: image AUROC and AUPRO on the selection part, after some CPU minutes."""
    pytest.importorskip("skimage")
    found, = app("surface_inspection").main("selection", "draem", "grass", 1, tmp_path, tmp_path)["grass"]["draem"]
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
