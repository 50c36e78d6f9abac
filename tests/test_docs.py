"""The site of docs/: every page has its place, and the Python of every page runs."""

import pathlib
import re

import numpy as np
import pytest
import typer

from tfgen import data, recipes, runs
from tfgen.cli.app import app
from tfgen.figures import headlines

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Trainings of the pages are longer than a test's, and their sets larger.
SHORTER = [*((re.compile(rf"\b{name}=[\d_]+"), f"{name}={number}") for name, number in (
    ("epochs", 1), ("steps_per_epoch", 2), ("filters", 4), ("factor", "4, steps=2"))), (re.compile("1024"), "32"),
           (re.compile("fpr=0.02"), "fpr=0.05")]
# {page: why its blocks do not run here, and what does}
ELSEWHERE = {
    "design.md": "sketches with names left out; tests/recipes hold the recipes",
    "edge.md": "needs onnxruntime and an export: tests/serving/test_edge.py",
    "searches.md": "a search of 20 trials: tests/runs/test_searching.py",
    "serving.md": "needs a server: tests/serving/test_server.py",
    "training.md": "needs wandb and mlflow; run by hand, the mechanism in tests/runs"}
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if BLOCK.search(path.read_text("utf-8")))


def digits(**options):
    return data.load("digits", **options)


def anomaly():
    ones = digits(normal="1")
    model = runs.train("ae_anomaly", ones, "runs/sandals", epochs=1, values={"filters": 4}, batch_size=64)
    images = ones.images("test")[:6].astype("float32") / 255
    from tfgen.verbs.live import Live
    return {"images": images, "held_out": np.concatenate([ones.images("validation")[:30].astype("float32") / 255] * 2),
            "live": Live(model)}


def upscaling():
    model = recipes.find("vae").model(digits().spec, filters=4, latent_dim=4)
    originals = digits().images("test")[:2].astype("float32") / 255
    return {"model": model, "originals": originals, "low": originals.reshape(2, 2, 4, 2, 4, 1).mean((2, 4))}


def denoising():
    from tfgen.samplers.noise_levels import KarrasLevels
    return {"my_denoiser": lambda x, sigma: x / (1 + sigma**2), "noise": np.ones((2, 4, 4, 1), "float32"),
            "levels": KarrasLevels()}


def tables():
    rng = np.random.default_rng(0)
    np.save("rows.npy", rng.normal(size=(300, 4)))
    return {"values": rng.normal(size=(900, 2)), "labels": rng.integers(0, 2, 900)}


# {page: what its blocks are given}
GIVEN = {"anomaly.md": anomaly, "diffusion.md": denoising, "super_resolution.md": upscaling, "vectors.md": tables,
         "fields.md": lambda: {"array": np.random.default_rng(0).uniform(size=(16, 16, 1))}}


@pytest.mark.rotating
@pytest.mark.parametrize("name", [page for page in PAGES if page not in ELSEWHERE] + ["../README.md"])
def test_the_python_of_a_page_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = GIVEN.get(name, dict)()
    for block in BLOCK.findall((ROOT / "docs" / name).read_text("utf-8")):
        if "fashion_mnist" in block or "mvtec" in block:
            pytest.skip("needs data sets that are prepared by hand")
        for pattern, short in SHORTER:
            block = pattern.sub(short, block)
        exec(compile(block, name, "exec"), space)


@pytest.fixture(autouse=True)
def as_before():
    """Pages add a recipe and a figure, which no other test expects."""
    tables = recipes.RECIPES, headlines.HEADLINES
    before = [dict(table) for table in tables]
    yield
    for table, own in zip(tables, before):
        table.clear()
        table.update(own)


def test_pages_whose_python_runs_elsewhere_have_some():
    assert set(ELSEWHERE) <= set(PAGES)


def options_of(command, names):
    """Options of the `tfgen` command that words begin with; None if they begin with no command."""
    while hasattr(command, "commands"):
        if not names or names[0] not in command.commands:
            return None
        command, names = command.commands[names[0]], names[1:]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def every_option(command):
    commands = getattr(command, "commands", {}).values()
    return set().union(*map(every_option, commands)) if commands else options_of(command, [])


@pytest.mark.parametrize("page", ["data.md", "training.md", "searches.md", "verbs.md", "vectors.md"])
def test_the_options_of_a_page_exist(page):
    """Those of a line of a command are that command's; those in the text, of any command."""
    root, text = typer.main.get_command(app), (ROOT / "docs" / page).read_text("utf-8")
    lines = re.findall(r"(?:^|`)tfgen ([^`#\n]*)", text.replace("\\\n", " "), re.MULTILINE)
    for line in lines:
        words = line.split()
        known = options_of(root, words)
        wrong = [word for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", line) if known is None or word not in known]
        assert not wrong, f"tfgen {line}: no option {wrong}"
    named = set(re.findall(r"`(--[a-z][a-z-]*)", text))
    assert lines and not named - every_option(root)


def test_every_page_has_its_place_in_the_site():
    yaml = pytest.importorskip("yaml")
    places = [page for part in yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"] for pages in part.values()
              for page in ([pages] if isinstance(pages, str) else [path for entry in pages for path in entry.values()])]
    assert len(places) == len(set(places))
    pages = {path.relative_to(ROOT / "docs").as_posix()
             for ending in ("md", "ipynb") for path in (ROOT / "docs").rglob(f"*.{ending}")}
    assert set(places) == pages | {"results.md", "changelog.md"}
