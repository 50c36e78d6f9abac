"""What only measures or draws stops no training."""

import errno
import json

import numpy as np
import pytest
from cases import tiny_values

from tfgen import data, evaluation, recipes, runs
from tfgen.attempts import Attempts
from tfgen.evaluation import split
from tfgen.models.base.generative import GenerativeModel
from tfgen.pictures import plots
from tfgen.runs import drawing


def fails(error):
    def function(*_, **__):
        raise error
    return function


def test_a_failure_is_said_once_with_its_reason(capsys):
    attempt = Attempts()
    assert attempt("sums", sum, [1, 2]) == 3
    for _ in range(2):
        assert attempt("pictures", fails(ValueError("expects\n  more")), default=7) == 7
    assert capsys.readouterr().err == "left out: pictures: expects more\n"
    assert attempt.left_out == {"pictures": "expects more"}


def test_a_full_disk_and_a_debugging_user_see_the_error(monkeypatch):
    with pytest.raises(OSError):
        Attempts()("pictures", fails(OSError(errno.ENOSPC, "full")))
    monkeypatch.setenv("TFGEN_DEBUG", "1")
    with pytest.raises(ValueError):
        Attempts()("pictures", fails(ValueError("no")))


def small(folder, name, count, shape, labels=None):
    x = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    np.savez(folder / f"{name}.npz", x=x, **({} if labels is None else {"y": np.full(count, labels)}))
    return data.load(folder / f"{name}.npz")


@pytest.mark.rotating
@pytest.mark.parametrize("count, shape, labels", [(40, (8, 8, 1), None), (3, (8, 8, 1), None), (40, (10, 14), 0)])
def test_a_gan_trains_on_data_too_small_to_measure(tmp_path, capsys, count, shape, labels):
    dataset = small(tmp_path, "few", count, shape, labels)
    out = tmp_path / "run"
    runs.train("gan", dataset, out, 1, tiny_values("gan"), batch_size=4, verbose=0)
    assert "left out: val_frechet_distance: it expects at least 6 validation images" in capsys.readouterr().err
    figures = json.loads((out / "metrics.json").read_text())["validation"]
    assert "samples" not in figures and np.isfinite(figures["critic_loss"])
    assert (out / "model.keras").exists() and (out / "samples" / "epoch-0001.png").exists()


@pytest.mark.rotating
def test_images_that_are_not_square_are_measured_without_labels(tmp_path):
    dataset = small(tmp_path, "oblong", 80, (5, 7))
    runs.train("gan", dataset, tmp_path / "run", 1, tiny_values("gan"), batch_size=32, verbose=0)
    assert runs.read_history(tmp_path / "run")[0]["val_frechet_distance"] > 0


def test_no_picture_or_figure_stops_a_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "curves", fails(ValueError("no curves today")))
    monkeypatch.setattr(drawing.pictures, "save_rows", fails(RuntimeError("no pictures")))
    monkeypatch.setattr(drawing, "draw_codes", fails(ValueError("no codes")))
    monkeypatch.setattr(split, "of_log_prob", fails(ValueError("no bound")))
    dataset, out = small(tmp_path, "few", 40, (8, 8)), tmp_path / "run"
    runs.train("vae", dataset, out, 2, tiny_values("vae"), batch_size=8, verbose=0)
    said = capsys.readouterr().err
    for line in ("curves.png: no curves today", "pictures of reconstructions: no pictures", "pictures of codes: no codes",
                 "log_prob: no bound"):
        assert said.count(f"left out: {line}\n") == 1
    figures = json.loads((out / "metrics.json").read_text())["validation"]
    assert figures["left_out"] == {"log_prob": "no bound"} and "elbo" in figures
    assert (out / "model.keras").exists()


def test_a_search_for_what_the_data_cannot_support_is_refused_before_its_trials(tmp_path):
    from tfgen.runs import tuning

    with pytest.raises(ValueError, match="'val_frechet_distance' will not be in the logs.*at least 6 validation images"):
        tuning.search("gan", small(tmp_path, "few", 12, (8, 8)), tmp_path / "search", trials=1, epochs=1, batch_size=4,
                      values=tiny_values("gan"), verbose=0)
    assert not (tmp_path / "search").exists()


def test_a_model_with_log_prob_alone_evaluates():
    class Uniform(GenerativeModel):
        """Probability 256^-n of every image of n levels."""

        image_shape, bits_offset = (8, 8, 1), 0.0

        def compute_losses(self, batch, training):
            return {"loss": self.log_prob(batch)[0] * 0.0}

        def log_prob(self, x):
            import tensorflow as tf

            return tf.fill(tf.shape(x)[:1], np.float32(-64 * np.log(256.0)))

    model = Uniform()
    model.compile("adam")
    figures = evaluation.evaluate(model, data.load("digits"), recipes.find("autoencoder"), "test")
    assert figures["log_prob"] == pytest.approx(-64 * np.log(256.0)) and figures["bits_per_dim"] == pytest.approx(8.0)
    assert not {"k", "active_units", "left_out"} & set(figures)
