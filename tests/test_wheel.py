"""The wheel installs and runs where nothing of this repository is."""

import os
import pathlib
import shutil
import subprocess
import sys
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_trains_in_a_fresh_environment(tmp_path):
    """About three minutes and 2 GB: all of its dependencies are installed."""
    def run(*command):
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(command, cwd=tmp_path, env=variables, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    # A copy: building leaves files beside the source.
    shutil.copytree(ROOT / "tfgen", tmp_path / "source/tfgen", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "source")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", "./source")
    venv.create(tmp_path / "fresh", with_pip=True)
    wheel, = (tmp_path / "dist").glob("tfgen-*.whl")
    run("fresh/bin/pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel))
    run("fresh/bin/tfgen", "train", "vae", "--data", "digits", "--epochs", "1", "--out", "runs/vae", "--quiet")
    assert (tmp_path / "runs/vae/model.keras").exists()
    # What is no module travels, too: the catalogue that answers without TensorFlow, the canvas of the page.
    assert "hierarchical_vae" in run("fresh/bin/tfgen", "list")
    package = pathlib.Path(run("fresh/bin/python", "-c", "import tfgen; print(tfgen.__path__[0])").strip())
    assert package.is_relative_to(tmp_path) and (package / "ui/canvas.js").exists()
