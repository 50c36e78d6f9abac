"""The notebooks of docs/notebooks run from top to bottom, each within three minutes of CPU time."""

import json
import pathlib
import resource

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def cpu_seconds():
    """CPU time of ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_there_is_a_notebook_of_each_main_family_with_its_pictures():
    assert [path.stem for path in NOTEBOOKS] == ["autoregressive", "diffusion", "flow", "gan", "vae"]
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        codes = [cell for cell in cells if cell["cell_type"] == "code"]
        counts = [cell["execution_count"] for cell in codes]
        assert counts == list(range(1, len(codes) + 1)), f"{path.stem} was not run whole"
        outputs = [output for cell in codes for output in cell["outputs"]]
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
        assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    nbclient, nbformat = (pytest.importorskip(name) for name in ("nbclient", "nbformat"))
    notebook, before = nbformat.read(path, as_version=4), cpu_seconds()
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert cpu_seconds() - before < 180
