"""Runs that are killed again and again, against runs that are not: they must end equal to the bit.

`python -m benchmarks.torture` trains a tiny model of every recipe without a break, then anew, killed with SIGKILL at three
random points (seeded) and resumed after each, and compares weights, both optimizers, states of random generators, the best
and the finished model, `history.csv`, `metrics.json` and all pictures. Where a training has ended before it could be killed,
another one is killed at other points, until three kills have met it. It writes results/torture.json. `--recipes vae,progan`
does a part, without a record.

Each training is a process of its own, forked from one that has imported TensorFlow and not yet used it.
"""

import argparse
import io
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import h5py
import keras
import numpy as np
import tensorflow as tf

from tfgen import data, files, recipes, runs
from tfgen.figures import records
from tfgen.pictures import plots
from tfgen.runs import checkpoints

ROOT = pathlib.Path(__file__).parents[1]
EPOCHS, BATCH_SIZE, KILLS = 3, 256, 3
# Trainings that are killed, until so many kills have met one.
ROUNDS = 5
# Training steps between checkpoints, so that kills fall between, before and after them.
BETWEEN = 2


class Told(keras.callbacks.Callback):
    """Writes a byte to a pipe after each training step."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def on_train_batch_end(self, batch, logs=None):
        os.write(self.pipe, b".")


def dataset_of(recipe, folder):
    """Small data of the kind that a recipe takes; those of fields in files of a folder, from which a run is resumed."""
    view, generator = recipe.view, np.random.default_rng(0)
    if view in ("signal", "gradients"):
        np.save(folder / "signal.npy", generator.uniform(0, 1, (12, 12, 1)).astype("float32"))
        return data.load(folder / "signal.npy")
    if view == "posed":
        poses = np.tile(np.eye(4, dtype="float32"), (6, 1, 1))
        poses[:, :3, 3] = generator.normal(size=(6, 3))
        np.savez(folder / "scene.npz", images=generator.integers(0, 256, (6, 6, 6, 3), np.uint8), poses=poses, focal=6.0)
        return data.load(folder / "scene.npz")
    how = {"paired": {"pairs": "erased"}, "unpaired": {"domains": "3,5"}}.get(view, {})
    return data.load("digits", **({"normal": 3} if recipe.family == "detector" else how))


def trained(name, out, pipe):
    """Trains a run, or goes on with it, to its end."""
    sys.path.insert(0, str(ROOT / "tests"))
    from cases import tiny_values

    # TensorFlow rewrites graphs for longer than these trainings take.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    # Pictures are compared, not looked at.
    plots.LAYOUT = None
    recipe, told = recipes.find(name), runs.callbacks.StopOnNaN
    # The first of the callbacks also tells the steps.
    runs.callbacks.StopOnNaN = lambda: keras.callbacks.CallbackList([told(), Told(pipe)])
    if (out / "run.json").exists():
        runs.resume(out, verbose=0)
    else:
        values = {key: value for key, value in tiny_values(name).items() if key != "total_steps"}
        runs.train(recipe, dataset_of(recipe, out.parent), out, EPOCHS, values, BATCH_SIZE, verbose=0, picture_every=2,
                   steps_per_execution=1, regime=runs.regime.Regime(checkpoint_steps=BETWEEN))


def process(name, out):
    """Forks a training; returns (its number, the end of a pipe that gets a byte per step)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        with open(out.with_suffix(".log"), "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        trained(name, out, writing)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child):
    """Waits for a process; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(name, out, steps, delay):
    """Starts a training and kills it `delay` seconds after so many of its steps; returns whether it was still running."""
    child, pipe = process(name, out)
    seen = 0
    while seen < steps and (more := os.read(pipe, 1)):
        seen += len(more)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.close(pipe)
    return ended(child) == -signal.SIGKILL


def whole(name, out):
    """Trains a run to its end without a break."""
    child, pipe = process(name, out)
    while os.read(pipe, 4096):
        pass
    os.close(pipe)
    if code := ended(child):
        raise RuntimeError(f"{name} ended with {code}: {out.with_suffix('.log').read_text()[-2000:]}")


def arrays(path):
    """{name: array} of all variables in a checkpoint."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(lambda name, one: found.update({name: one[()]}) if isinstance(one, h5py.Dataset) else None)
        # A finished model has none.
        if checkpoints.VARIABLES in archive.namelist():
            with np.load(io.BytesIO(archive.read(checkpoints.VARIABLES))) as more:
                found |= {f"{checkpoints.VARIABLES}/{name}": more[name] for name in more.files}
    return found


def models(out):
    """Paths of the last checkpoint, the best one and the finished model of a run."""
    return checkpoints.newest(out)[0], out / "checkpoints" / checkpoints.BEST, out / "model.keras"


def differences(one, other):
    """Names of what differs between two finished runs."""
    found = []
    for paths in zip(models(one), models(other), strict=True):
        first, second = map(arrays, paths)
        found += [name for name in sorted({*first, *second})
                  if name not in first or name not in second or not np.array_equal(first[name], second[name])]
    names = [{str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.suffix != ".keras"}
             for out in (one, other)]
    found += sorted(names[0] ^ names[1])
    return found + [name for name in sorted(names[0] & names[1] - {"run.json"})
                    if (one / name).read_bytes() != (other / name).read_bytes()]


def torture(name, kills=KILLS, seed=0):
    """{"recipe", "kills": that met a training, "steps": made before each attempt, "different": names} of a recipe."""
    draw = random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        one, other = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "killed"
        whole(name, one)
        total = checkpoints.newest(one)[1]
        done, at, different = 0, [], set()
        for _ in range(ROUNDS):
            shutil.rmtree(other, ignore_errors=True)
            steps = [draw.randint(1, max(1, total // 2)) for _ in range(kills)]
            met = sum(killed(name, other, count, draw.uniform(0.0, 0.2)) for count in steps)
            whole(name, other)
            done, at, different = done + met, at + steps, different | set(differences(one, other))
            if met == kills:
                break
        return {"recipe": name, "kills": done, "steps": at, "different": sorted(different)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", default="", help="some of the recipes, separated by commas; no record is written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=pathlib.Path, help="a file that keeps the rows so far, and from which to go on")
    options = parser.parse_args()
    rows = files.read_json(options.table) if options.table and options.table.exists() else []
    known = {row["recipe"] for row in rows}
    for name in options.recipes.split(",") if options.recipes else recipes.RECIPES:
        if name in known:
            continue
        begun = time.perf_counter()
        rows.append(torture(name, seed=options.seed))
        row = rows[-1]
        if options.table:
            files.write_json(options.table, rows)
        print(f"{name:28}{row['kills']} kills after {', '.join(map(str, row['steps']))} steps: "
              f"{', '.join(row['different'][:3]) or 'equal'} ({time.perf_counter() - begun:.0f} s)", flush=True)
    if not options.recipes:
        records.record(
            "torture", {"recipes": len(rows), "kills": sum(row["kills"] for row in rows),
                        "equal": sum(not row["different"] for row in rows)},
            title="Runs killed and resumed, against unbroken ones", command="make torture", seeds=[options.seed], table=rows,
            data={"name": "digits, signals and views of the tests"}, published="none",
            budget={"epochs": EPOCHS, "batch_size": BATCH_SIZE}, marks={"kills": 150})
    sys.exit(any(row["different"] for row in rows))


if __name__ == "__main__":
    main()
