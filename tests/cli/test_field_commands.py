"""Commands of fields: one signal, and a scene, from training to a served model."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

SMALL = ["--set", "units=8", "--set", "hidden_layers=1", "--epochs", 1, "--batch-size", 16, "--quiet"]


@pytest.mark.rotating
def test_a_photograph_from_training_to_a_served_model(tfgen):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype("uint8")).save("photo.png")
    assert tfgen("train", "siren", "--data", "photo.png", "--every", 2, "--out", "run", *SMALL)[0] == 0
    assert pathlib.Path("run/signals/epoch-0001.png").exists() and pathlib.Path("run/curves.png").exists()
    figures = json.loads(pathlib.Path("run/metrics.json").read_text())["validation"]
    assert figures["samples"] == 18 and figures["psnr_db"] > 0 and "left_out" not in figures
    code, _, err = tfgen("export", "run", "--to", "served", "--pictures", 4)
    assert code == 2 and "pictures expect data of images, 'photo' holds samples: leave them out" in err
    assert tfgen("export", "run", "--to", "served")[0] == 0
    np.save("places.npy", np.random.default_rng(0).uniform(-1, 1, (3, 5, 2)))
    made = []
    for model in ("run", "served"):
        assert tfgen("decode", model, "--coordinates", "places.npy", "--out", "values.npy")[0] == 0
        assert tfgen("decode", model, "--out", "whole.npy")[0] == 0
        made.append((np.load("values.npy"), np.load("whole.npy")))
        assert tfgen("decode", model, "--out", "whole.png")[0] == 0 and Image.open("whole.png").size == (8, 6)
    for ours, theirs, shape in zip(*made, ((3, 5, 3), (6, 8, 3))):
        assert ours.shape == shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert tfgen("train", "--resume", "run", "--epochs", 2, "--quiet")[0] == 0
    for arguments, message in (
            (["decode", "run", "--latents", "places.npy"], "of this model expects --coordinates, received --latents"),
            (["decode", "run", "--coordinates", "whole.npy"], "finite coordinates of shape (B, N, 2) in whole.npy"),
            (["render", "run", "--poses", "places.npy"], "this model has no verb 'render'; it has decode"),
            (["train", "siren", "--data", "digits"], "siren expects one signal, 'digits' holds images"),
            (["train", "vae", "--data", "photo.png"], "vae expects images, 'photo' holds one signal"),
            (["train", "siren", "--data", "photo.png", "--levels", 4], "levels expects a set of images, received 'photo'")):
        code, _, err = tfgen(*arguments)
        assert code == 2 and message in err and err.count("\n") == 1, err


@pytest.mark.rotating
def test_sound_and_poissons_equation_train(tfgen):
    wavfile.write("sound.wav", 8000, (8000 * np.sin(np.arange(40))).astype(np.int16))
    assert tfgen("train", "siren", "--data", "sound.wav", "--out", "sound", *SMALL)[0] == 0
    assert Image.open("sound/signals/epoch-0001.png").size[0] > 400
    np.save("volume.npy", np.random.default_rng(0).uniform(size=(3, 4, 5, 1)))
    assert tfgen("train", "siren_poisson", "--data", "volume.npy", "--out", "volume", *SMALL)[0] == 0
    assert pathlib.Path("volume/signals/epoch-0001.png").exists()


@pytest.mark.rotating
def test_a_scene_from_training_to_rendered_views(tfgen):
    random, poses = np.random.default_rng(0), np.tile(np.eye(4), (4, 1, 1))
    poses[:, 2, 3] = 4.0
    np.savez("views.npz", images=random.uniform(size=(4, 5, 6, 3)), poses=poses, focal=6.0)
    tiny = ["--set", "coarse_samples=4", "--set", "fine_samples=4"]
    assert tfgen("train", "nerf", "--data", "views.npz", "--out", "run", *SMALL, *tiny)[0] == 0
    assert pathlib.Path("run/views/epoch-0001.png").exists()
    code, out, _ = tfgen("evaluate", "run")
    figures = json.loads(out)
    assert code == 0 and figures["pixels"] == 30 and 0 < figures["similarity"]["psnr_db"] < 40
    np.save("poses.npy", poses[:2])
    assert tfgen("render", "run", "--poses", "poses.npy", "--out", "made.npy")[0] == 0
    assert np.load("made.npy").shape == (2, 5, 6, 3)
    assert tfgen("render", "run", "--poses", "poses.npy", "--out", "made.png")[0] == 0
    np.save("rays.npy", random.normal(size=(1, 7, 6)))
    assert tfgen("decode", "run", "--coordinates", "rays.npy", "--out", "colours.npy")[0] == 0
    assert np.load("colours.npy").shape == (1, 7, 3)
    code, _, err = tfgen("decode", "run")
    assert code == 2 and "decode(coordinates) of this model expects --coordinates, a .npy file" in err
