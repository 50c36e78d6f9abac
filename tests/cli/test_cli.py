"""The command line, called in this process as the shell would."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from cases import SMALL
from PIL import Image

from tfgen import catalogue, cli, pictures, recipes
from tfgen.cli import inputs, lazy, options
from tfgen.errors import Failure, UserError
from tfgen.verbs import VERBS

ROOT = pathlib.Path(__file__).parents[2]


def test_list(tfgen):
    code, out, _ = tfgen("list", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["name"] for row in rows} == set(recipes.RECIPES)
    vae = next(row for row in rows if row["name"] == "vae")
    assert vae["family"] == "vae" and "sample" in vae["verbs"] and vae["paper"] == "arXiv:1312.6114"
    assert tfgen("list")[1].count("\n") == len(rows)


def test_from_training_to_a_served_model(tfgen):
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
    for model in ("run", "served", "served/1"):
        assert tfgen("reconstruct", model, "--n", 5, "--out", "r.npy")[0] == 0
        assert np.load("r.npy").shape == (5, 8, 8, 1)
        assert tfgen("encode", model, "--n", 30, "--out", "codes.npy")[0] == 0
        assert np.load("codes.npy").shape == (30, 3)
        for out in ("decoded.npy", "decoded.png"):
            assert tfgen("decode", model, "--latents", "codes.npy", "--out", out)[0] == 0
        assert np.load("decoded.npy").shape == (30, 8, 8, 1) and Image.open("decoded.png").size[0] > 64
        code, out, _ = tfgen("log_prob", model, "--n", 7, "--option", "k=2", "--out", f"{pathlib.Path(model).name}.csv")
        assert code == 0 and "wrote" in out and "mean log_prob -" in out
    rows = [pathlib.Path(f"{name}.csv").read_text().splitlines() for name in ("run", "1")]
    assert rows[0][0] == rows[1][0] == "image,log_prob" and [row.split(",")[0] for row in rows[0][1:]] == list("0123456")
    values = [[float(row.split(",")[1]) for row in one[1:]] for one in rows]
    np.testing.assert_allclose(*values, rtol=1e-4)
    np.save("wide.npy", np.zeros((2, 4), "f4"))
    pathlib.Path("text.npy").write_text("no array")
    for arguments, message in (
            (["decode", "run", "--latents", "wide.npy"], "finite latents of shape (N, 3) in wide.npy, received float32"),
            (["decode", "run", "--latents", "text.npy"], "it cannot be read"), (["decode", "run"], "--latents"),
            (["decode", "run", "--latents", "none.npy"], "none.npy"), (["anomaly_map", "run"], "has no verb 'anomaly_map'"),
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


def test_conditional_samples_take_a_label(tfgen):
    assert tfgen("train", "conditional_vae", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    assert tfgen("sample", "run", "--n", 4, "--label", 3, "--out", "a.npy")[0] == 0
    assert tfgen("sample", "run", "--n", 4, "--option", "label=3", "--out", "b.npy")[0] == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    code, _, err = tfgen("sample", "run", "--label", 10, "--out", "a.npy")
    assert code == 2 and "0 ... 9" in err


def test_sheets_of_a_conditional_gan(tfgen):
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


def write_photos(folder):
    """Three images of other sizes and modes, in a subfolder too, and a file that is none."""
    (folder / "more").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, shape in (("a.png", (8, 8)), ("b.jpg", (20, 13, 3)), ("more/c.png", (5, 9, 4))):
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / ".hidden.png").write_bytes(b"passed over")


def test_translate_a_folder(tfgen, tmp_path):
    small = ["--set", "filters=2", "--set", "blocks=1", "--batch-size", "64", "--quiet"]
    code, _, err = tfgen("train", "cyclegan", "--domains", "0,1", "--epochs", 1, "--out", "run", *small)
    assert code == 0, err
    write_photos(tmp_path / "photos")
    assert tfgen("export", "run", "--to", "served")[0] == 0
    for model, out in (("run", "ours"), ("served", "theirs")):
        code, text, err = tfgen("translate", model, "--images", "photos", "--out", out)
        assert code == 1 and "wrote 3 translations" in text and err.count("passed over") == 1 and "broken.png" in err
        written = {str(p.relative_to(out)) for p in pathlib.Path(out).rglob("*") if p.is_file()}
        assert written == {"a.png", "b.jpg", "more/c.png"}
        assert all(Image.open(pathlib.Path(out) / name).size == (8, 8) for name in written)
    ours, theirs = (np.asarray(Image.open(pathlib.Path(out) / "a.png")).astype(int) for out in ("ours", "theirs"))
    assert np.abs(ours - theirs).max() <= 1
    (tmp_path / "photos" / "broken.png").unlink()
    assert tfgen("translate_back", "run", "--images", "photos", "--out", "photos/out", "--resize-back")[0] == 0
    assert Image.open("photos/out/b.jpg").size == (13, 20) and Image.open("photos/out/more/c.png").size == (9, 5)
    back = np.asarray(Image.open("photos/out/a.png")).astype(int)
    assert np.abs(back - ours).max() > 1
    # What was written among the images is not translated again.
    assert "wrote 3 " in tfgen("translate", "run", "--images", "photos", "--out", "photos/out")[1]
    for arguments, message in ((["--images", "nowhere", "--out", "x"], "expected a folder of images"),
                               (["--images", "photos", "--out", "photos"], "it would replace them"),
                               (["--images", "served", "--out", "x"], "received none"),
                               (["--images", "photos", "--out", "x", "--option", "seed=1"], "takes no option 'seed'")):
        code, _, err = tfgen("translate", "run", *arguments)
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("x").exists()


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


def test_a_detector_from_training_to_a_report(tfgen, tmp_path):
    code, _, err = tfgen("train", "ae_anomaly", "--normal", 3, "--epochs", 1, "--out", "run", *SMALL)
    assert code == 0, err
    metrics = json.loads(pathlib.Path("run/metrics.json").read_text())
    assert metrics["threshold"]["asked_fpr"] == 0.05 and pathlib.Path("run/anomaly_maps/epoch-0001.png").exists()
    assert metrics["validation"]["detection"]["fpr"] <= 0.05
    code, out, err = tfgen("evaluate", "run")
    found = json.loads(out)["detection"]
    assert code == 0 and 0 < found["auroc"] < 1 and found["fpr_low"] <= found["fpr"] <= found["fpr_high"], err
    assert found["threshold"] == metrics["threshold"]["threshold"] and found["normal"] + found["anomalous"] == 250
    code, out, err = tfgen("export", "run", "--to", "served", "--fpr", 0.25)
    assert code == 0 and "at most 0.25 on average, from 20 held-out normal images" in out, err
    about = json.loads(pathlib.Path("served/1/assets.extra/tfgen.json").read_text())
    assert about["threshold"]["threshold"] < metrics["threshold"]["threshold"]
    write_photos(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").unlink()
    for model, where in (("run", metrics), ("served", about)):
        for name, shape in (("maps.npy", (4, 8, 8)), ("maps.png", None)):
            assert tfgen("anomaly_map", model, "--n", 4, "--out", name)[0] == 0
            assert shape is None or np.load(name).shape == shape
        code, out, err = tfgen("anomaly_map", model, "--images", "photos", "--out", "maps.npy")
        assert code == 0 and np.load("maps.npy").shape == (3, 8, 8), err
        code, out, err = tfgen("score", model, "--images", "photos", "--out", f"report-{model}")
        assert code == 0 and f"at threshold {where['threshold']['threshold']:.4g}: report-{model}/index.html" in out, err
    first = [pathlib.Path(f"report-{model}/scores.csv").read_text().split("\n")[1] for model in ("run", "served")]
    scores = [line.split(",")[:2] for line in first]
    assert scores[0][0] == scores[1][0] and float(scores[0][1]) == pytest.approx(float(scores[1][1]), rel=1e-4)
    for value, message in ((0.01, "needs at least 99 held-out normal images, there are 20"),
                           (1.5, "expects a number in (0, 1)")):
        code, _, err = tfgen("export", "run", "--to", "other", "--fpr", value)
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("other").exists()


class Bright:
    """Scores an image by its mean; its map is the image."""

    names, image_shape, resize = ["score", "anomaly_map"], (8, 8, 1), "stretch"

    def __init__(self, threshold):
        self.threshold = threshold

    def __call__(self, name, x):
        return x.mean(axis=(1, 2, 3)) if name == "score" else x[..., 0]

    def outputs(self, name, x):
        score = self(name, x)
        return {"score": score, "is_anomaly": score > self.threshold, "threshold": np.full(len(x), self.threshold, "f4")}


def test_score_a_folder(tfgen, tmp_path, monkeypatch):
    write_photos(tmp_path / "photos")
    monkeypatch.setattr(lazy.serving, "open_verbs", lambda path: Bright(0.25 if path.name == "run" else np.inf))
    code, out, err = tfgen("score", "run", "--images", "photos", "--out", "report")
    assert code == 1 and out == "scored 3 images, 3 anomalous at threshold 0.25: report/index.html\n"
    assert err.count("passed over: ") == err.count("\n") == 1 and "broken.png" in err
    (tmp_path / "photos" / "broken.png").unlink()
    code, out, err = tfgen("score", "run", "--images", "photos", "--out", "report", "--threshold", 0.99, "--top", 1)
    assert code == 0 and "3 images, 0 anomalous at threshold 0.99:" in out and not err
    assert [path.name for path in pathlib.Path("report/overlays").iterdir()] == ["rank-00001.png"]
    code, out, _ = tfgen("score", "bare", "--images", "photos", "--out", "report")
    assert code == 0 and "0 anomalous at threshold inf (not calibrated: tfgen export --fpr" in out and out.count("\n") == 1


def test_a_model_that_cannot_score(tfgen, tmp_path):
    write_photos(tmp_path / "photos")
    assert tfgen("train", "vae", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    for arguments, message in ((["run"], "this model cannot score; it has reconstruct, encode"),
                               (["nowhere"], "there is no"), (["run", "--top", 0], "--top")):
        code, _, err = tfgen("score", *arguments, "--images", "photos", "--out", "report")
        assert code == 2 and message in err and err.count("\n") == 1 and not pathlib.Path("report").exists()


def test_an_autoencoder_samples_from_a_mixture(tfgen):
    assert tfgen("train", "convolutional", "--epochs", 1, "--out", "run", *SMALL)[0] == 0
    for name in ("a.npy", "b.npy"):
        assert tfgen("sample", "run", "--n", 4, "--seed", 3, "--out", name)[0] == 0
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert np.load("a.npy").shape == (4, 8, 8, 1)


@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_tune(tfgen, tuner):
    code, out, err = tfgen("tune", "autoencoder", "--trials", 2, "--tuner", tuner, "--epochs", 1, "--steps", 2,
                           "--set", "latent_dim=3", "--batch-size", 256, "--quiet", "--out", "search")
    assert code == 0, err
    search = json.loads(pathlib.Path("search/search.json").read_text())
    assert 1 <= len(search["trials"]) <= 2 and search["best"]["latent_dim"] == 3
    settings = json.loads(pathlib.Path("search/best/run.json").read_text())
    assert settings["hyperparameters"] == search["best"]
    assert pathlib.Path("search/best/model.keras").exists()


@pytest.mark.parametrize("command, message", [
    ("train nosuch", "there is no recipe 'nosuch'"), ("train vea", "did you mean 'vae'"),
    ("train vae --data nosuch", "'nosuch'"), ("train vae --data digit", "did you mean 'digits'"),
    ("train vae --set latnt_dim=3", "did you mean 'latent_dim'"), ("train vae --set latent_dim", "NAME=VALUE"),
    ("train vae --set latent_dim=0", "1 ... 512"), ("train", "expected a RECIPE"), ("trian vae", "Did you mean 'train'"),
    ("train vae --epocs 3", "--epochs"), ("train vae --epochs 0", "at least 1"), ("train --resume nowhere", "holds no run"),
    ("sample nowhere", "there is no nowhere"), ("export nowhere --to x", "holds no run"), ("export", "Missing argument"),
    ("tune vae --tuner baysian", "did you mean 'bayesian'"), ("data prepare fashin_mnist --from .", "fashion_mnist"),
    ("data prepare mnist --from nowhere", "nowhere"), ("reproduce nothing", "there is no figure"),
    ("train vae --normal thre", "0 to 9, received 'thre'"), ("tune vae --anomalous 10", "0 to 9, received '10'"),
    ("train vae --normal 3 --anomalous 4", "expected one of pairs"), ("tune vae --normal 3 --pairs edges", "normal='3'"),
    ("train vae --extend", "--extend expects --resume"), ("train --resume x --seed 3 --set a=1", "leave --set, --seed out"),
    ("train conditional_vae --normal 3", "expects labelled data"), ("train cyclegan --normal 3", "holds one_class"),
])
def test_mistakes_are_one_line_with_exit_code_2(tfgen, tmp_path, command, message):
    code, out, err = tfgen(*command.split())
    assert code == 2 and message in err and err.count("\n") == 1 and "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error, code, line", [
    (ValueError("odd\nthing"), 1, "error: internal (ValueError): odd thing; TFGEN_DEBUG=1 shows the traceback\n"),
    (KeyError("x"), 1, "error: internal (KeyError): 'x'; TFGEN_DEBUG=1 shows the traceback\n"),
    (UserError("expected this,\nreceived that"), 2, "error: expected this, received that\n"),
    (Failure("no"), 1, "error: no\n"),
    (OSError(13, "Permission denied", "x"), 2, "error: x: Permission denied; choose another place\n"),
    (MemoryError(), 1, "error: out of memory"),
    (OSError(28, "No space left on device"), 1, "error: no space left"),
])
def test_only_a_users_mistake_is_called_one(tfgen, monkeypatch, error, code, line):
    def broken(path):
        raise error

    monkeypatch.setattr(lazy.serving, "open_verbs", broken)
    ended, _, err = tfgen("sample", "run")
    assert ended == code and err.startswith(line) and err.count("\n") == 1
    monkeypatch.setenv("TFGEN_DEBUG", "1")
    with pytest.raises(type(error)):
        tfgen("sample", "run")


def test_option_values_and_endings_in_any_spelling(tmp_path, capsys):
    assert options.numbers(["a=1e-1", "b=3", "c=-2", "d=.5", "e=1E3"]) == {"a": 0.1, "b": 3, "c": -2, "d": 0.5, "e": 1000.0}
    assert isinstance(options.numbers(["b=3"])["b"], int)
    with pytest.raises(UserError, match="a number for 'a', received 'x'"):
        options.numbers(["a=x"])
    images = np.zeros((2, 8, 8, 1), "f4")
    for name in ("a.PNG", "a.Npy"):
        inputs.write(tmp_path / name, images, lambda path: pictures.save_grid(path, images))
        assert (tmp_path / name).stat().st_size
    assert np.load(tmp_path / "a.Npy").shape == (2, 8, 8, 1)


@pytest.mark.parametrize("command", ["train vae --out x", "tune vae --out x", "sample run --out x.png"])
@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(tfgen, monkeypatch, command, seed):
    monkeypatch.setattr(lazy.serving, "open_verbs", lambda path: Bright(0.0))
    code, _, err = tfgen(*command.split(), "--seed", seed)
    assert code == 2 and "seed" in err and err.count("\n") == 1 and not pathlib.Path("x").exists()


class Ascii(io.TextIOWrapper):
    """The standard output of a C locale."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii")


def test_output_that_is_closed_or_cannot_show_a_character(tfgen, monkeypatch):
    monkeypatch.setattr(lazy.data, "available", lambda: [("日本 caf\udce9", "here", "…")])
    monkeypatch.setattr("sys.stdout", None)
    assert tfgen("data", "list")[0] == 0
    monkeypatch.setattr("sys.stderr", None)
    assert tfgen("sample", "nowhere")[0] == 2
    monkeypatch.undo()


def test_output_of_another_encoding(monkeypatch):
    monkeypatch.setattr(lazy.data, "available", lambda: [("日本 caf\udce9", "here", "…")])
    monkeypatch.setattr("sys.argv", ["tfgen", "data", "list"])
    out = Ascii()
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and out.buffer.getvalue().startswith(rb"\u65e5\u672c caf\udce9")


def test_a_reader_that_has_enough(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tfgen", "data", "list"])
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 1


def test_another_backend_is_one_line(tmp_path):
    (tmp_path / "tfgen").write_text("from tfgen import cli\n")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    imported = "import sys, types; sys.modules['keras'] = keras = types.ModuleType('keras'); keras.config = keras; " \
               "keras.backend = lambda: 'torch'; import tfgen"
    for arguments, code, backend in (([tmp_path / "tfgen"], 2, "jax"), (["-c", "import tfgen"], 1, "jax"),
                                     (["-c", imported], 1, "torch")):
        ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
        last = ended.stderr.splitlines()[-1]
        assert ended.returncode == code and f"tfgen needs Keras' TensorFlow backend, received '{backend}'" in last
        assert code == 1 or ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_broken_files_are_named(tfgen, tmp_path):
    good = {"recipe": "vae", "hyperparameters": {}, "data": {"name": "digits"}, "seed": 0, "epochs": 1, "batch_size": 8}
    for folder, name, text in (("a", "run.json", "{"), ("b", "run.json", "[]"), ("c", "run.json", '{"recipe": "vae"}'),
                               ("d", "run.json", json.dumps(good)), ("e", "saved_model.pb", "none")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "d" / "model.keras").write_text("none")
    (tmp_path / "file").write_text("no folder")
    for command, message in (("sample a", "cannot be read"), ("train --resume b", "lacks batch_size, data"),
                             ("evaluate c", "lacks batch_size"), ("export d --to x", "received a file that is broken"),
                             ("sample e", "expected a SavedModel in e"), ("sample file/deeper", "there is no file/deeper"),
                             ("train vae --out file/deeper", "file"), ("tune vae --out file", "file is a file")):
        code, _, err = tfgen(*command.split())
        assert code == 2 and message in err and err.count("\n") == 1, (command, err)


def test_every_command_has_help_with_an_example(tfgen):
    names = ["list", "train", "tune", *VERBS, "evaluate", "export", "reproduce", "data list", "data prepare"]
    for name in names:
        code, out, _ = tfgen(*name.split(), "--help")
        assert code == 0 and f"Example: tfgen {name}" in re.sub(r"\s+", " ", out)


def test_data_list(tfgen):
    code, out, _ = tfgen("data", "list")
    assert code == 0 and "digits" in out


def test_readme_names_every_recipe():
    text = (ROOT / "README.md").read_text()
    for name in recipes.RECIPES:
        assert f"`{name}`" in text


def test_ctrl_c_during_the_imports_ends_the_command_alone():
    code = """
import signal, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "matplotlib":
            print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
            raise ImportError

sys.argv = [sys.argv[1]]
sys.meta_path.insert(0, Watch())
try:
    import tfgen
    tfgen._start.libraries()
except ImportError:
    pass
"""
    for name, ends in (("tfgen", "True"), ("script.py", "False")):
        done = subprocess.run([sys.executable, "-c", code, f"/usr/bin/{name}"], capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.strip() == ends, done.stderr


def as_command(arguments, **environment):
    """Output, modules and CPU seconds of the command `tfgen` in a process of its own."""
    code = """
import json, sys, time
sys.argv = ["tfgen", *sys.argv[1:]]
from tfgen import catalogue, cli
try:
    cli.main()
except SystemExit as end:
    print(json.dumps([end.code, "tensorflow" in sys.modules, "keras" in sys.modules, time.process_time()]))
"""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | environment)
    *output, last = done.stdout.splitlines()
    return "\n".join(output) + done.stderr, *json.loads(last)


@pytest.mark.parametrize("arguments, code, text", [
    (["--help"], 0, "Deep generative models"), (["train", "--help"], 0, "--resume"), (["list"], 0, "wgan_gp"),
    (["list", "--json"], 0, '"hyperparameters"'), (["train", "wgan_pg"], 2, "did you mean 'wgan_gp'"),
    (["tune", "vea"], 2, "did you mean 'vae'"), (["trian"], 2, "trian"), (["reproduce", "--hlep"], 2, "--hlep")])
def test_help_lists_and_typos_need_no_tensorflow(arguments, code, text):
    output, ended, tensorflow, keras, seconds = as_command(arguments)
    assert text in output and ended == code
    assert not tensorflow and not keras and seconds < 1.0


def test_completion_needs_no_tensorflow():
    code = "import sys; sys.argv = ['tfgen']; from tfgen.cli.app import app; app(prog_name='tfgen')"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {"_TFGEN_COMPLETE": "complete_bash", "COMP_WORDS": "tfgen train cond",
                                            "COMP_CWORD": "2"})
    assert done.stdout.split() == ["conditional_vae"]
    assert "tensorflow" not in done.stderr and "keras" not in done.stderr


def test_the_catalogue_is_what_the_recipes_are():
    """Made anew by `make catalogue`."""
    assert catalogue.rows() == json.loads(json.dumps(catalogue.made()))


def test_the_command_registers_every_class():
    """A .keras file loads only registered classes; the command imports what a run needs, not all of tfgen."""
    code = ("import sys; sys.argv = [sys.argv[1]]; import tfgen; from tfgen import runs; import keras; "
            "print(sorted(name for name in keras.saving.get_custom_objects() if name.startswith('tfgen')))")
    found = [subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, cwd=ROOT, check=True).stdout
             for name in ("tfgen", "script.py")]
    assert found[0] == found[1] and "tfgen>VAE" in found[0]
