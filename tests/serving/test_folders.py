"""Files that a trained model is asked about are read as its training data were."""

import csv
import json
import os
import pathlib
import re

import numpy as np
import pytest
from cases import SMALL, tiny
from helpers import multiset, one_line, pixels, write_images
from PIL import Image

from tests.data.test_one_class import write_category
from tfgen import data
from tfgen.cli import lazy
from tfgen.data.classes import places_of
from tfgen.data.readers.resize import MODES
from tfgen.detection import heat
from tfgen.serving import folders
from tfgen.verbs.live import Live


class Mirror:
    """Gives back what it is shown, brightest at the left."""

    names, image_shape, source_shape, class_names = ["translate", "encode"], (8, 12, 3), (8, 12, 3), ()
    small_sources = "bilinear"

    def __init__(self, resize="stretch"):
        self.resize = resize

    def __call__(self, verb, x, batch_size=128):
        return x


def read_all(folder, shape, mode="stretch"):
    unreadable = []
    found = [x for _, x, _ in folders.batches(folders.found(folder), shape, unreadable, mode)]
    assert not unreadable
    return np.rint(255 * np.concatenate(found)).astype(np.uint8)


def of_all_splits(dataset):
    return [dataset.images(split) for split in dataset.spec.sizes]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
def test_scored_pixels_are_the_trained_ones(tmp_path, mode, ending):
    """Large images, some of them turned, in every layout: the thresholds of training hold for the files."""
    for label, shape in (("a", (150, 100, 3)), ("b", (90, 200))):
        write_images(tmp_path / "train" / label, 8, shape, ending)
        write_images(tmp_path / "test" / label, 3, shape, ending)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(150, 100, 3)).save(tmp_path / "train" / "a" / f"turned{ending}", exif=exif)
    dataset = data.load(tmp_path, image_size="12x16", resize=mode)
    assert multiset(*of_all_splits(dataset)) == multiset(read_all(tmp_path, (12, 16, 3), mode))


@pytest.mark.parametrize("grey", [True, False])
def test_scored_pixels_of_two_sizes_and_kinds(tmp_path, grey):
    write_images(tmp_path, 12, (6, 5) if grey else (6, 5, 3))
    shape = data.load(tmp_path).spec.image_shape
    assert multiset(*of_all_splits(data.load(tmp_path))) == multiset(read_all(tmp_path, shape))
    assert read_all(tmp_path, (6, 5, 4 - shape[2])).shape == (12, 6, 5, 4 - shape[2])
    one_line(["1 or 3 channels", "one of 2"], read_all, tmp_path, (6, 5, 2))


def test_a_file_is_found_alone(tmp_path):
    write_images(tmp_path / "a", 3)
    assert folders.found(tmp_path / "a" / "1.png") == [tmp_path / "a" / "1.png"]
    x, paths, unreadable = folders.read(Mirror(), tmp_path / "a" / "1.png")
    assert x.shape == (1, 8, 12, 3) and len(paths) == 1 and not unreadable
    for place in ("a/9.png", "a/notes.txt", "b"):
        one_line(["a folder of images or an image file"], folders.found, tmp_path / place)
    (tmp_path / "a" / "1.png").write_bytes(b"no image")
    one_line(["all 1 cannot", "1.png"], folders.read, Mirror(), tmp_path / "a" / "1.png")


def test_every_image_is_found_once(tmp_path):
    write_images(tmp_path / "all" / "more", 4)
    write_images(tmp_path / "all" / ".hidden", 4)
    write_images(tmp_path / "elsewhere" / "deep", 3)
    for name, target in (("loop", "."), ("again", "more"), ("one.png", "more/0.png"), ("other", "../elsewhere"), ("a", "b"),
                         ("b", "a")):
        os.symlink(target, tmp_path / "all" / name)
    os.symlink("../../all", tmp_path / "elsewhere" / "deep" / "back")
    found = [path.relative_to(tmp_path / "all").as_posix() for path in folders.found(tmp_path / "all")]
    assert found == [f"more/{i}.png" for i in range(4)] + [f"other/deep/{i}.png" for i in range(3)]
    assert len(folders.found(tmp_path / "all", without=tmp_path / "all" / "more")) == 3


def test_masks_are_not_images(tmp_path):
    write_category(tmp_path)
    assert len(folders.found(tmp_path)) == 20 + 3 + 4
    assert len(folders.found(tmp_path / "ground_truth")) == 4


def test_labels_are_the_subfolders(tmp_path):
    for label in ("cat", "dog"):
        write_images(tmp_path / label, 2)
    paths = folders.found(tmp_path)
    labels, class_names = folders.labels_of(paths, tmp_path)
    assert labels.tolist() == [0, 0, 1, 1] and class_names == ("cat", "dog")
    assert places_of(labels, class_names, {"ant": 0, "dog": 1, "cat": 2}.get).tolist() == [2, 2, 1, 1]
    assert places_of(labels, class_names, {"ant": 0, "cat": 1}.get) is None
    assert folders.labels_of(paths[:2], tmp_path / "cat") == (None, ())


@pytest.mark.parametrize(("mode", "size"), [("stretch", (20, 60)), ("crop", (20, 30)), ("pad", (20, 60))])
def test_translations_get_their_sizes_back(tmp_path, mode, size):
    image = np.full((20, 60, 3), 40, np.uint8)
    image[:, 30:] = 200
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    for number, place in enumerate(("in", "in/a.png")):
        out = tmp_path / f"out{number}"
        assert folders.translate(Mirror(mode), tmp_path / place, out, resize_back=True) == (1, [])
        back = np.asarray(Image.open(out / "a.png")).astype(int)
        assert back.shape == (*size, 3) and abs(back[10, 3] - 40).max() < 3 and abs(back[10, -4] - 200).max() < 3
        assert abs(back[10, size[1] // 2 - 8] - 40).max() < 3 and abs(back[10, size[1] // 2 + 8] - 200).max() < 3
    one_line(["it would replace them"], folders.translate, Mirror(mode), tmp_path / "in" / "a.png", tmp_path / "in")


def test_small_images_are_enlarged_as_the_sources_of_super_resolution(tmp_path):
    images = data.load("digits", pairs="low_resolution:2")
    live, x = Live(tiny("vae")), images.images("test")[:5].astype("float32") / 255.0
    live.tell({"data": images.source})
    assert live.small_sources == "bicubic" and data.reading(images.source)["resize"]["small sources"] == "bicubic"
    small = np.rint(255 * data.pairings.downscale(x, 2).numpy()).astype(np.uint8)
    for i, image in enumerate(small):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{i}.png")
    paths = folders.found(tmp_path)
    errors = [np.abs(np.concatenate([x for _, x, _ in folders.batches(paths, (8, 8, 1), [], enlarge=enlarge)])
                     - images.sources("test", 5) / 255.0) for enlarge in (live.small_sources, "bilinear")]
    # Pillow rounds and clips between rows and columns.
    assert errors[0].max() < 0.05 and errors[0].mean() < 0.002 and errors[1].mean() > 0.01
    assert Live(live.model).small_sources == "bilinear" and "small sources" not in data.reading({})["resize"]


@pytest.mark.parametrize("mode", MODES)
def test_heat_lies_where_the_model_saw_it(mode):
    image, size = np.zeros((40, 120, 1), np.float32), (40, 40)
    image[16:24, 60:68] = 1
    shown = data.readers.resize.resize((255 * image).astype(np.uint8), size, mode)[..., 0]
    over = heat.overlay(image * 0, (shown > 60).astype(np.float32), 0.0, 1.0, mode)
    rows, columns = np.nonzero(over[..., 0] > 0.3)
    assert over.shape == (40, 120, 3) and abs(rows.mean() - 19.5) < 2 and abs(columns.mean() - 63.5) < 3


@pytest.mark.rotating
def test_a_run_and_its_export_read_files_as_the_training_did(tfgen, opened_once, tmp_path):
    write_images(tmp_path / "parts", 60, (40, 60, 3))
    code, _, err = tfgen("train", "ae_anomaly", "--data", "parts", "--image-size", "8x10", "--resize", "pad", "--epochs", 1,
                         "--out", "run", *SMALL)
    assert code == 0 and not err, err
    settings = json.loads(pathlib.Path("run/run.json").read_text())
    assert settings["data"]["resize"] == "pad" and settings["reading"]["resize"]["mode"] == "pad"
    assert settings["reading"] == data.reading({"resize": "pad"}) and settings["spec"]["image_shape"] == [8, 10, 3]
    code, _, err = tfgen("export", "run", "--to", "served", "--fpr", 0.2)
    assert code == 0, err
    about = json.loads(pathlib.Path("served/1/assets.extra/tfgen.json").read_text())
    assert about["reading"] == settings["reading"] and str(tmp_path) not in json.dumps(about)
    # Scores of the files are those of the splits: the threshold's false positive rate holds for them.
    dataset = data.load("parts", image_size="8x10", resize="pad")
    live = lazy.opening.open_verbs(pathlib.Path("run"))
    held_out = live("score", dataset.images("validation").astype("float32") / 255.0)
    for model, close in (("run", 1e-5), ("served", 1e-3)):
        assert tfgen("score", model, "--images", "parts", "--out", f"report-{model}")[0] == 0
        with open(f"report-{model}/scores.csv", newline="") as file:
            scores = sorted(float(row["score"]) for row in csv.DictReader(file))
        assert len(scores) == 60 and all(np.isclose(scores, score, rtol=close).any() for score in held_out)
    assert tfgen("score", "run", "--images", "parts/0.png", "--out", "report-one")[0] == 0
    # All images of a folder, whatever they are; one image suffices.
    write_images(tmp_path / "grey", 3, (9, 9))
    (tmp_path / "grey" / "broken.png").write_bytes(b"no image")
    np.savez(tmp_path / "one.npz", x=pixels(1, 8, 10, 3))
    for verb in ("encode", "reconstruct"):
        code, _, err = tfgen(verb, "run", "--images", "parts", "--out", "x.npy")
        assert code == 0 and len(np.load("x.npy")) == 60, err
        code, _, err = tfgen(verb, "run", "--images", "grey", "--out", "x.npy")
        assert code == 1 and len(np.load("x.npy")) == 3 and "passed over: " in err and "broken.png" in err
        code, _, err = tfgen(verb, "run", "--images", "grey/0.png", "--out", "x.npy" if verb == "encode" else "x.png")
        assert code == 0 and not err, err
        assert tfgen(verb, "run", "--images", "one.npz", "--out", "x.npy")[0] == 0 and len(np.load("x.npy")) == 1
    # The data grow.
    for i in range(10):
        Image.fromarray(pixels(40, 60, 3)).save(f"parts/new{i}.png")
    code, _, err = tfgen("train", "--resume", "run", "--quiet")
    assert code == 2 and re.search("images or labels [0-9a-f]{16} -> [0-9a-f]{16}, .* or go on with --force", err)
    for command in (["train", "--resume", "run", "--quiet", "--force"], ["evaluate", "run"]):
        code, _, err = tfgen(*command)
        assert code == 0
        assert "'parts' has changed since the model was trained: train 49 -> 57, validation 5 -> 6, test " in err
    for path in pathlib.Path("parts").iterdir():
        Image.open(path).convert("L").save(path)
    code, _, err = tfgen("evaluate", "run")
    assert code == 2 and "expected images of [8, 10, 3], as the model was trained on" in err and err.count("\n") == 1


@pytest.mark.rotating
@pytest.mark.parametrize(("recipe", "channels"), [("vae", 2), ("dcgan", 4)])
def test_pictures_of_other_channels(tfgen, opened_once, tmp_path, recipe, channels):
    np.savez(tmp_path / "a.npz", x=pixels(30, 8, 8, channels))
    small = SMALL if recipe == "vae" else ["--set", "latent_dim=3", "--set", "filters=2", "--batch-size", 40, "--quiet"]
    code, _, err = tfgen("train", recipe, "--data", "a.npz", "--epochs", 1, "--out", "run", *small)
    assert code == 0 and "channels" not in err, err
    assert len(list(pathlib.Path("run/samples").iterdir())) == 1
    assert tfgen("sample", "run", "--n", 4, "--out", "x.png")[0] == 0
    if recipe == "vae":
        assert tfgen("reconstruct", "run", "--images", "a.npz", "--out", "x.npy")[0] == 0
        assert np.load("x.npy").shape == (30, 8, 8, channels)
        code, _, err = tfgen("encode", "run", "--images", ".", "--out", "x.npy")
        assert code == 2 and "1 or 3 channels" in err


def test_options_of_training_files(tfgen, tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    for scene in range(20):
        for frame in range(2):
            Image.fromarray(np.full((8, 8), 12 * scene, np.uint8)).save(tmp_path / "frames" / f"{scene}_{frame}.png")
    (tmp_path / "frames" / "0_broken.png").write_bytes(b"no image")
    given = []
    monkeypatch.setattr(lazy.runs, "train", lambda recipe, dataset, *rest, **options: given.append(dataset))
    monkeypatch.setattr(lazy.tuning, "search", lambda recipe, dataset, *rest, **options: given.append(dataset) or {})
    for command in ("train", "tune"):
        code, _, err = tfgen(command, "vae", "--data", "frames")
        assert code == 2 and "0_broken.png" in err and "--skip-unreadable" in err and err.count("\n") == 1
        code, _, err = tfgen(command, "vae", "--data", "frames", "--skip-unreadable", "--group-by", "^[0-9]+",
                             "--image-size", "6x8", "--resize", "crop")
        assert code == 0 and err.count("passed over: ") == err.count("\n") == 1, err
        assert given[-1].source | {"name": None} == {
            "name": None, "image_size": [6, 8], "data_dir": None, "resize": "crop", "group_by": "^[0-9]+",
            "skip_unreadable": True}
        for wrong, message in ((["--image-size", "8by8"], "HEIGHTxWIDTH"), (["--image-size", 0], ">= 1"),
                               (["--resize", "fit", "--image-size", 8], "stretch, crop, pad"),
                               (["--group-by", "("], "regular")):
            code, _, err = tfgen(command, "vae", "--data", "frames", *wrong)
            assert code == 2 and message in err and err.count("\n") == 1
    assert len(given) == 2
