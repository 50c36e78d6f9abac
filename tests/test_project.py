"""What the project's own files promise of each other."""

import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def pins(name):
    """{distribution in lower case: version} of a constraints file."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {line.partition("==")[0].lower().replace("_", "-"): line.partition("==")[2] for line in lines if "==" in line}


def bounds():
    """[(distribution, lower bound)] of what a user and a developer install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"]]
    wanted.remove("tfgen[serving]")
    wanted += extras["serving"]
    wanted = [one for one in wanted if not one.startswith("ruff")]  # reads the code, runs none of it
    return [re.fullmatch(r"([\w-]+)>=([\d.]+)", one.replace("_", "-")).groups() for one in wanted]


@pytest.mark.parametrize("name,low", bounds())
def test_the_oldest_set_has_the_lower_bounds(name, low):
    """`make oldest` tests the very versions that pyproject.toml allows."""
    found = pins("constraints-oldest.txt").get(name.lower())
    assert found and (found + ".0.0").startswith(low + "."), (name, found)
    assert name.lower() in pins("constraints.txt")


@pytest.mark.parametrize("app", sorted(path.name for path in (ROOT / "apps").glob("*.py")))
def test_apps_set_the_number_of_threads_before_they_import(app):
    """TensorFlow reads the variable once, at its import."""
    code = (ROOT / "apps" / app).read_text("utf-8")
    if "os.environ.setdefault" in code:
        before = re.findall(r"^(?:import|from) (\w+)", code.partition("os.environ.setdefault")[0], re.M)
        assert before == ["os"]


def test_every_app_has_a_test():
    text = "".join(path.read_text() for path in (ROOT / "tests" / "apps").glob("test_*.py"))
    assert all(f'app("{path.stem}")' in text for path in (ROOT / "apps").glob("*.py"))
