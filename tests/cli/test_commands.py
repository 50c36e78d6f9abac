"""Commands of runs and their models."""

import json
import pathlib

import numpy as np
import pytest
from cases import SMALL, images, tiny
from PIL import Image

from tfgen.serving import export


def test_from_training_to_a_served_model(tfgen, opened_once):
    seed = 99999999999  # wider than Keras' own
    assert tfgen("train", "vae", "--data", "digits", "--epochs", 1, "--seed", seed, "--out", "run", *SMALL)[0] == 0
    assert tfgen("sample", "run", "--n", 16, "--seed", seed, "--out", "a.png")[0] == 0
    code, out, _ = tfgen("export", "run", "--to", "served")
    assert code == 0 and "served/1" in out
    assert tfgen("sample", "served", "--n", 16, "--seed", seed, "--out", "b.png")[0] == 0
    a, b = (np.asarray(Image.open(name)).astype(int) for name in ("a.png", "b.png"))
    assert a.shape == b.shape and np.abs(a - b).max() <= 1
    assert tfgen("sample", "run", "--n", 16, "--seed", 2, "--out", "c.png")[0] == 0
    assert np.abs(a - np.asarray(Image.open("c.png")).astype(int)).max() > 1
    assert tfgen("encode", "served/1", "--n", 3, "--out", "of_a_version.npy")[0] == 0
    for model in ("run", "served"):
        assert tfgen("reconstruct", model, "--n", 5, "--out", "r.npy")[0] == 0
        assert np.load("r.npy").shape == (5, 8, 8, 1)
        assert tfgen("encode", model, "--n", 30, "--out", "codes.npy")[0] == 0
        assert np.load("codes.npy").shape == (30, 3)
        for out in ("decoded.npy", "decoded.png"):
            assert tfgen("decode", model, "--latents", "codes.npy", "--out", out)[0] == 0
        assert np.load("decoded.npy").shape == (30, 8, 8, 1) and Image.open("decoded.png").size[0] > 64
        code, out, _ = tfgen("log_prob", model, "--n", 7, "--option", "k=2", "--out", f"{model}.csv")
        # Of a Bernoulli on grey levels.
        assert code == 0 and ": 7 values" in out and "mean negative_cross_entropy_bound -" in out
    rows = [pathlib.Path(f"{name}.csv").read_text().splitlines() for name in ("run", "served")]
    assert rows[0][0] == rows[1][0] == "image,negative_cross_entropy_bound"
    assert [row.split(",")[0] for row in rows[0][1:]] == list("0123456")
    values = [[float(row.split(",")[1]) for row in one[1:]] for one in rows]
    np.testing.assert_allclose(*values, rtol=1e-4)
    np.save("wide.npy", np.zeros((2, 4), "f4"))
    pathlib.Path("text.npy").write_text("no array")
    for arguments, message in (
            (["decode", "run", "--latents", "wide.npy"], "finite latents of shape (N, 3) in wide.npy, received float32"),
            (["decode", "run", "--latents", "text.npy"], "it cannot be read"),
            (["decode", "run"], "--latents"),
            (["decode", "run", "--latents", "none.npy"], "expected a .npy file of latents, received none.npy, which is not"),
            (["anomaly_map", "run"], "has no verb 'anomaly_map'"),
            (["log_prob", "run", "--out", "x.png"], "to end in .npy or .csv"),
            (["log_prob", "run", "--option", "k=0"], "option 'k' expects values in 1 ... 100000")):
        code, _, err = tfgen(*arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err
    assert tfgen("encode", "run", "--n", 60, "--out", "codes.png")[0] == 0 and pathlib.Path("codes.png").exists()
    code, out, _ = tfgen("evaluate", "run", "--k", 5, "--limit", 100)
    assert code == 0 and json.loads(out)["k"] == 5
    assert {"validation", "test"} <= set(json.loads(pathlib.Path("run/metrics.json").read_text()))
    code, _, err = tfgen("export", "run", "--to", "served", "--fpr", 0.1)
    assert code == 2 and "--fpr expects a model with score" in err
    code, _, err = tfgen("sample", "run", "--label", 3)
    assert code == 2 and "takes no option 'label'" in err
    for command in (["evaluate", "served"], ["export", "served", "--to", "other"], ["train", "--resume", "served"]):
        code, _, err = tfgen(*command)
        assert code == 2 and "expected a run folder, served is a SavedModel" in err and err.count("\n") == 1
    code, _, err = tfgen("export", "run", "--to", "run")
    assert code == 2 and "holds a run" in err
    code, _, err = tfgen("train", "vae", "--out", "run")
    assert code == 2 and "--resume" in err
    assert tfgen("train", "--resume", "run", "--epochs", 2, "--quiet")[0] == 0
    assert len(pathlib.Path("run/history.csv").read_text().splitlines()) == 3


@pytest.mark.rotating
def test_conditional_samples_take_a_label(tfgen, opened_once):
    assert tfgen("train", "conditional_vae", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    assert tfgen("sample", "run", "--n", 4, "--label", 3, "--out", "a.npy")[0] == 0
    assert tfgen("sample", "run", "--n", 4, "--option", "label=3", "--out", "b.npy")[0] == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    code, _, err = tfgen("sample", "run", "--label", 10, "--out", "a.npy")
    assert code == 2 and "0 ... 9" in err
    # Images of no known class are not of class 0, 1, … in turn.
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("one.png")
    code, _, err = tfgen("encode", "run", "--images", "one.png", "--out", "codes.npy")
    assert code == 2 and "received images without: give a folder per class, or --option label=N with N in 0 to 9" in err
    assert tfgen("encode", "run", "--images", "one.png", "--option", "label=9", "--out", "codes.npy")[0] == 0


@pytest.mark.rotating
def test_sheets_of_a_conditional_gan(tfgen, opened_once):
    small = ["--set", "latent_dim=3", "--set", "filters=4", "--batch-size", "256", "--quiet"]
    assert tfgen("train", "biggan", "--epochs", 1, "--out", "run", *small)[0] == 0
    for sheet, columns in ((["--interpolate"], 8), (["--sweep", "truncation"], 8), (["--class-rows"], 8),
                           (["--sweep", "label", "--truncation", 0.5], 10)):
        code, out, err = tfgen("sample", "run", "--n", 16, *sheet, "--out", "a.npy")
        assert code == 0, err
        assert np.load("a.npy").shape[0] % columns == 0
    code, out, _ = tfgen("evaluate", "run", "--samples", 100, "--limit", 50)
    assert code == 0 and json.loads(out)["samples"]["n_fake"] == 100
    for wrong, message in ((["--sweep", "psi"], "no option 'psi'"), (["--interpolate", "--class-rows"], "one of"),
                           (["--truncation", 9], "0.01 ... 6")):
        code, _, err = tfgen("sample", "run", *wrong)
        assert code == 2 and message in err and err.count("\n") == 1
    assert tfgen("evaluate", "run", "--extractor", "vgg")[0] == 2


@pytest.mark.rotating
def test_one_class_data(tfgen, tmp_path):
    code, _, err = tfgen("train", "vae", "--normal", 3, "--epochs", 1, "--out", "run", *SMALL)
    assert code == 0, err
    settings = json.loads(pathlib.Path("run/run.json").read_text())
    assert settings["data"]["normal"] == ["3"] and settings["spec"]["view"] == "one_class"
    code, out, err = tfgen("evaluate", "run", "--samples", 0)
    assert code == 0 and json.loads(out)["images"] == 250, err
    # A split for validation of two images, and of one.
    for name, count in (("nut", 22), ("bolt", 12)):
        good = tmp_path / name / "train" / "good"
        good.mkdir(parents=True)
        for i, x in enumerate(np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)):
            Image.fromarray(x).save(good / f"{i}.png")
        code, _, err = tfgen("train", "vae", "--data", name, "--epochs", 1, "--out", f"run-{name}", *SMALL)
        assert code == 0 and pathlib.Path(f"run-{name}/interpolation.png").exists() == (name == "nut"), err


@pytest.mark.rotating
def test_an_autoencoder_samples_from_a_mixture(tfgen, opened_once):
    assert tfgen("train", "convolutional", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    for name in ("a.npy", "b.npy"):
        assert tfgen("sample", "run", "--n", 4, "--seed", 3, "--out", name)[0] == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert np.load("a.npy").shape == (4, 8, 8, 1)


@pytest.mark.rotating
@pytest.mark.parametrize("tuner", ["bayesian", "hyperband"])
def test_tune(tfgen, tuner):
    code, out, err = tfgen("tune", "autoencoder", "--trials", 2, "--tuner", tuner, "--epochs", 1, "--steps", 2,
                           "--set", "latent_dim=3", "--batch-size", 256, "--quiet", "--out", "search")
    assert code == 0, err
    search = json.loads(pathlib.Path("search/search.json").read_text())
    assert 1 <= len(search["trials"]) <= 2 and search["best"]["latent_dim"] == 3
    settings = json.loads(pathlib.Path("search/best/run.json").read_text())
    assert settings["hyperparameters"] == search["best"]
    assert pathlib.Path("search/best/model.keras").exists()


@pytest.mark.rotating
def test_captions_and_codes(tfgen, opened_once, tmp_path):
    """A caption is a string, codes are whole numbers; unknown words and codes of another kind are answered in a line."""
    export.export(tiny("dalle"), tmp_path / "served")
    code, out, err = tfgen("sample", "served", "--caption", "very dark 1", "--n", 4, "--out", "dark.npy")
    assert code == 0 and np.load("dark.npy").shape == (4, 8, 8, 1), err
    assert tfgen("sample", "served", "--option", "caption=Very dark, 1", "--n", 4, "--out", "same.npy")[0] == 0
    np.testing.assert_array_equal(np.load("same.npy"), np.load("dark.npy"))
    assert tfgen("sample", "served", "--n", 4, "--out", "classes.png")[0] == 0
    code, _, err = tfgen("sample", "served", "--caption", "purple 1")
    assert code == 2 and err.count("\n") == 1
    assert "knows the words small, large, very, dark, light, 0, 1, 2, received 'purple' in 'purple 1'" in err
    np.savez("images.npz", x_train=(255 * images(5)).astype("uint8")[..., 0])
    code, _, err = tfgen("encode", "served", "--images", "images.npz", "--out", "codes.npy")
    assert code == 0, err
    codes = np.load("codes.npy")
    assert codes.dtype == np.int64 and codes.shape == (5, 2, 2)
    assert tfgen("decode", "served", "--latents", "codes.npy", "--out", "decoded.npy")[0] == 0
    assert tfgen("reconstruct", "served", "--images", "images.npz", "--out", "again.npy")[0] == 0
    np.testing.assert_allclose(np.load("decoded.npy"), np.load("again.npy"), atol=1e-5)
    np.save("vectors.npy", codes + 0.5)
    code, _, err = tfgen("decode", "served", "--latents", "vectors.npy")
    assert code == 2 and "expected finite latents of shape (N, 2, 2) in vectors.npy, received float64" in err
    code, _, err = tfgen("encode", "served", "--images", "images.npz", "--out", "codes.png")
    assert code == 2 and "latents are codes" in err


@pytest.mark.rotating
def test_a_table_through_the_commands(tfgen, opened_once):
    """A .csv file with classes: training, evaluation, scores, reconstructions and samples of rows, in its own units."""
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(size=(120, 3)), 9 + generator.normal(size=(12, 3))]) * [1, 100, 1e-3]
    kinds = ["good"] * 120 + ["bad"] * 12
    rows = [",".join([*map(repr, row), kind]) for row, kind in zip(values.tolist(), kinds)]
    pathlib.Path("t.csv").write_text("\n".join(["a,b,c,kind", *rows]), "utf-8")
    code, out, _ = tfgen("train", "ae_anomaly", "--data", "t.csv", "--label", "kind", "--normal", "good", "--epochs", 3,
                         "--batch-size", 16, "--set", "units=8", "--out", "r", "--quiet")
    assert code == 0 and pathlib.Path("r/reconstructions/epoch-0003.png").exists() and pathlib.Path("r/latent.png").exists()
    found = json.loads(tfgen("evaluate", "r")[1])
    assert found["vectors"] == 13 and found["detection"]["baselines"]["knn"]["auroc"] > 0.9 and "left_out" not in found
    pathlib.Path("new.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows), "utf-8")  # no names, no classes
    for name in ("t.csv", "new.csv"):
        code, out, _ = tfgen("score", "r", "--images", name, "--out", "scored", "--top", 2)
        assert code == 0
        lines = pathlib.Path("scored/scores.csv").read_text("utf-8").splitlines()
        assert lines[0] == "row,score,is_anomaly" and len(lines) == 133
        scores = np.array([float(line.split(",")[1]) for line in lines[1:]])
        assert scores[120:].min() > np.median(scores[:120])
        highest = np.argsort(-scores)[:2]
        assert out.splitlines()[-1] == "highest scores: " + ", ".join(f"row {row} ({scores[row]:.4g})" for row in highest)
    assert tfgen("reconstruct", "r", "--images", "t.csv", "--n", 4, "--out", "x.csv")[0] == 0
    made = np.loadtxt("x.csv", delimiter=",")
    assert made.shape == (4, 3) and np.abs(made[:, 1]).max() > 5 > 0.1 > np.abs(made[:, 2]).max()
    assert tfgen("sample", "r", "--n", 5, "--out", "s.csv")[0] == 0 and np.loadtxt("s.csv", delimiter=",").shape == (5, 3)
    assert tfgen("anomaly_map", "r", "--n", 2, "--out", "m.png")[0] == 0
    code, _, errors = tfgen("train", "dcgan", "--data", "t.csv", "--label", "kind", "--out", "n")
    assert code == 2 and "dcgan expects images, 't' holds vectors: choose one of" in errors and errors.count("\n") == 1
