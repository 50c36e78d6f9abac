"""Options of the tests, and their environment: few threads, so that two workers share two cores.

What imports the library is in process.py, which the process that only hands tests to workers leaves out: it takes seconds.
"""

import atexit
import datetime
import os
import shutil
import tempfile

# Threads of NumPy's and scikit-learn's libraries wait for each other in a loop: with two workers, longer than they work.
for threads in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
# In the environment, so that all workers have the same day.
TODAY = int(os.environ.setdefault("TFGEN_TEST_DAY", str(datetime.datetime.now(datetime.UTC).date().toordinal())))
PARTS = 10
# Arguments of tests that take turns by their values.
NAMES = ("name", "recipe", "trained", "tuner", "case")
# Turns that take longest, each on another day: networks in loops or stages, coupling layers, pairs of networks.
LONGEST = ("conditional_diffusion", "cyclegan", "ddpm", "edm", "flow_matching", "guided_diffusion", "progan", "realnvp",
           "stylegan", "vqgan")
# Feature extractors of the tests stay out of the user's cache; workers share those of short trainings.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["TFGEN_CACHE"] = tempfile.mkdtemp(prefix="tfgen-tests-")
    atexit.register(shutil.rmtree, os.environ["TFGEN_CACHE"], ignore_errors=True)


def pytest_configure(config):
    hands_out = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out or config.option.collectonly:
        config.pluginmanager.import_plugin("process")


def pytest_addoption(parser):
    parser.addoption("--rotate", action="store_true",
                     help=f"of the tests marked `rotating`, run one part of {PARTS}: another one each day (UTC)")


def turn_of(item):
    """What takes turns: a recipe (or benchmark, or tuner) with all of its tests, or a test with all of its cases."""
    given = getattr(getattr(item, "callspec", None), "params", {})
    return next((given[key] for key in NAMES if key in given), f"{item.path.name} {item.originalname}")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--rotate"):
        return
    marked = [item for item in items if item.get_closest_marker("rotating")]
    order = sorted(set(map(turn_of, marked)), key=lambda turn: (turn not in LONGEST, turn))
    turns = {turn: place % PARTS for place, turn in enumerate(order)}
    left = [item for item in marked if turns[turn_of(item)] != TODAY % PARTS]
    config.hook.pytest_deselected(items=left)
    gone = set(left)
    items[:] = [item for item in items if item not in gone]
