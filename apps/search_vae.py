"""What a search buys: twelve trials of Hyperband for a VAE on digits beside the recipe's defaults, and what they cost.

    python apps/search_vae.py            # a few minutes on one core
    python apps/search_vae.py --fast     # two trials of tiny networks; no record is written

The search sees the training and validation splits only. The defaults and the hyperparameters found are then trained for
the same number of epochs with seeds that the search has not used, and compared by their bounds on both splits that are
held out. The likelihood is fixed, as bounds of different likelihoods cannot be compared, and so are the number of levels
and the free bits: what is left is the width of the networks, the number of latents, the learning rate and its decay.

The cost: a search of three trials of the same length, with its report, pictures and best run, divided by its trainings
alone: a bare one for each trial, and the best run as `tfgen train` makes it. In CPU time, for machines that do other work.
"""

import pathlib
import shutil
import tempfile
import time
from typing import Annotated

import keras_tuner
import typer

from tfgen import data, files, recipes, runs, seeds
from tfgen.figures import records
from tfgen.runs.fitting import fit

RECIPE = "vae"
GIVEN = {"likelihood": "bernoulli", "levels": 2, "free_bits": 0.0}
TINY = GIVEN | {"filters": 4, "levels": 1, "latent_dim": 3}


def trained(dataset, values, epochs, seed):
    """A VAE of these hyperparameters, trained as a trial is but for its pictures."""
    seeds.set_random(seed)
    recipe = recipes.find(RECIPE)
    rows = recipe.batch_size
    model, _ = recipe.build_with(keras_tuner.HyperParameters(), dataset.spec, values,
                                 lambda batches: epochs * dataset.steps(rows * batches))
    fit(model, dataset, recipe, rows, epochs, seed)
    return model


def bounds(dataset, values, epochs, among):
    """[{"seed", "validation", "test"}]: bounds in nats per image of a VAE per seed."""
    found = []
    for seed in among:
        model = trained(dataset, values, epochs, seed)
        found.append({"seed": seed} | {
            split: model.evaluate(dataset.batches(split, 500), verbose=0, return_dict=True)["elbo"]
            for split in ("validation", "test")})
    return found


def cost(dataset, folder, values, epochs, trials):
    """Wall and CPU seconds of a search of so many trials, of these alone, of its best run alone, and of as many runs."""
    seconds = {}

    def timed(what, function):
        begun, busy = time.perf_counter(), time.process_time()
        function()
        seconds[what] = {"wall": round(time.perf_counter() - begun, 2), "cpu": round(time.process_time() - busy, 2)}

    timed("search", lambda: runs.tuning.search(RECIPE, dataset, folder / "cost", trials, "random", epochs, values=values,
                                               verbose=0))
    tried = [values | row["hyperparameters"] for row in files.read_json(folder / "cost" / "search.json")["trials"]]
    timed("trials", lambda: [trained(dataset, one, epochs, 0) for one in tried])
    timed("best", lambda: runs.train(RECIPE, dataset, folder / "best", epochs, tried[0], picture_every=epochs, verbose=0))
    timed("runs", lambda: [runs.train(RECIPE, dataset, folder / f"run-{index}", epochs, one, verbose=0)
                           for index, one in enumerate(tried)])
    return seconds


def ratio(seconds, clock):
    """Cost of a search over that of its trainings, by the clock "wall" or "cpu"."""
    return seconds["search"][clock] / (seconds["trials"][clock] + seconds["best"][clock])


def main(
    trials: Annotated[int, typer.Option(help="trials of Hyperband")] = 12,
    epochs: Annotated[int, typer.Option(help="passes over the data of the longest trials and of what is compared")] = 8,
    compared: Annotated[int, typer.Option(help="seeds of what is compared")] = 3,
    out: Annotated[pathlib.Path | None, typer.Option(help="folder of the search; default: none is kept")] = None,
    fast: Annotated[bool, typer.Option(help="two trials of tiny networks; no record is written")] = False,
):
    """Searches, compares and measures the cost; records it in results/search_vae.json."""
    given, trials, epochs, compared = (TINY, 2, 1, 1) if fast else (GIVEN, trials, epochs, compared)
    dataset, folder = data.load("digits"), pathlib.Path(tempfile.mkdtemp())
    start, search = time.perf_counter(), out or folder / "search"
    try:
        best = runs.tuning.search(RECIPE, dataset, search, trials, "hyperband", epochs, values=given, verbose=0)
        tried = files.read_json(search / "search.json")["trials"]
        among = list(range(1, 1 + compared))
        tables = {name: bounds(dataset, values, epochs, among) for name, values in (("default", given), ("found", best))}
        seconds = cost(dataset, folder, given, epochs, 1 if fast else 3)
    finally:
        shutil.rmtree(folder)
    values = {f"{split}_bound_{name}": sum(row[split] for row in rows) / len(rows)
              for name, rows in tables.items() for split in ("validation", "test")}
    values |= {f"{split}_gain": values[f"{split}_bound_found"] - values[f"{split}_bound_default"]
               for split in ("validation", "test")}
    pairs = list(zip(tables["found"], tables["default"], strict=True))
    values |= {f"least_{split}_gain": min(one[split] - other[split] for one, other in pairs)
               for split in ("validation", "test")}
    values |= {"cost_ratio": ratio(seconds, "cpu"), "cost_ratio_wall": ratio(seconds, "wall")}
    print("".join(f"{name:28} {value:9.3f}\n" for name, value in values.items()), end="")
    budget = {"trials": len(tried), "epochs": epochs, "batch_size": recipes.find(RECIPE).batch_size, "best": best,
              "wall_minutes": round((time.perf_counter() - start) / 60, 2)}
    if not fast:
        records.record("search_vae", values, title="Hyperband search of a VAE on digits: bound beside the recipe's "
                       "defaults, nats per image, and cost of a search of three trials", command="python apps/search_vae.py",
                       budget=budget, seeds=[0, *among], data={"name": "digits", "sizes": dataset.spec.sizes}, table=[
                           {"row": name, **row} for name, rows in tables.items() for row in rows],
                       seconds=seconds, trials=tried, published="none for this network and budget")
    return values | {"budget": budget}


if __name__ == "__main__":
    typer.run(main)
