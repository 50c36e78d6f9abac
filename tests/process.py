"""A process that runs tests: one import of the library, and what all tests share."""

import tfgen.catalogue  # noqa: I001  # before Keras: it chooses TensorFlow's kernels

import functools

import keras
import memory
import pytest
import tensorflow as tf

from tfgen.evaluation import extractor_training
from tfgen.pictures import plots
from tfgen.runs import drawing, running
from tfgen.serving import native

# Two devices for the tests of several replicas; before TensorFlow begins.
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
# Figures of runs, commands and apps are asked for, not looked at: they are drawn where matplotlib puts their parts. Here, as
# fixtures of modules come before those of each test.
LAYOUT, plots.LAYOUT = plots.LAYOUT, None
# {recipe: family}
FAMILIES = {row["name"]: row["family"] for row in tfgen.catalogue.rows()}


def pytest_sessionfinish():
    memory.leave()


def rewritten(request):
    """Whether TensorFlow rewrites the graphs of a test as it does for users, see `fresh_state`."""
    named = getattr(request.node, "callspec", None)
    return "case" in request.fixturenames and not (named and FAMILIES.get(named.params.get("name")) == "diffusion")


@pytest.fixture(autouse=True)
def fresh_state(request):
    """Every test starts from one seed and an empty Keras state, but those of one `case`, which restores its own state.

    Clearing the state or seeding TensorFlow drops every compiled kernel, and with them the optimised graphs of traced
    functions.

    TensorFlow rewrites the graphs of each `case` as it does for users, but for those of U-Nets in loops, which take longest;
    those of the other tests run a few times, as they were traced.
    """
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not rewritten(request)})
    if "case" not in request.fixturenames:
        memory.collect_if_grown()
        keras.backend.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
    yield


@pytest.fixture(autouse=True)
def short_extractors(request):
    """Feature extractors whose training is given no length train for one epoch: what asks for them needs features, not good
    ones, but for slow tests; tests of the extractors give a length. Gives the library's own function of the length."""
    usual = extractor_training.default_epochs
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("slow"):
            patch.setattr(extractor_training, "default_epochs", lambda dataset, task: 1)
        yield usual


@pytest.fixture(autouse=True)
def layout_of_pictures(request):
    """The users' layout of figures in tests of pictures."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in ("pictures", "figures") or request.node.get_closest_marker("slow"):
            patch.setattr(plots, "LAYOUT", LAYOUT)
        yield


@pytest.fixture
def unmeasured(monkeypatch):
    """Trainings of a test end without curves, pictures of codes and figures, two fifths of a short one, at which it does not
    look."""
    monkeypatch.setattr(plots, "curves", lambda *_: None)
    monkeypatch.setattr(drawing, "draw_codes", lambda *_, **__: {})
    monkeypatch.setattr(running, "measured", lambda *_, **__: {})


@pytest.fixture(scope="session")
def cpp_process():
    with native.Loader() as process:
        yield process


@pytest.fixture
def loader(cpp_process, request):
    """TensorFlow's C++ loader in a process of its own, one for all tests of this process; rewrites graphs as they do."""
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not rewritten(request)
    cpp_process.config = config.SerializeToString()
    return cpp_process


@pytest.fixture
def opened_once(monkeypatch):
    """Commands of one test share what they open: a run or an export is loaded, and each of its verbs traced, once."""
    from tfgen.cli import lazy

    monkeypatch.setattr(lazy.opening, "open_verbs", functools.cache(lazy.opening.open_verbs))


@pytest.fixture(name="tfgen")
def command(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder; gives (exit code, output, errors)."""
    from tfgen import cli

    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["tfgen", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return call
