"""Every GAN recipe on Fashion-MNIST within one budget of CPU minutes: one picture and one table.

    python apps/gan_zoo.py --recipes dcgan           # trains one, 20 minutes; may be repeated
    python apps/gan_zoo.py                           # trains those that are missing or off, draws and records all
    python apps/gan_zoo.py --recipes dcgan --like sagan   # with as many steps as sagan has, for why that is behind
    python apps/gan_zoo.py --fast                    # digits, seconds

Budget: as many steps as take 20 CPU minutes on one thread, without tracing, at the speed that gan_paces.py measured, so that
trainings on faster, slower or busier machines compare. Paper defaults but for SETTINGS, chosen by the distance on the
validation split, which a training prints (`--minutes 3 --seed 9 --folder runs/zoo` for a try); the table has the test split.
What is trained stays in results/gan_zoo/, figures and samples per recipe and seed and the classifier, so that the table may
be made in several goes. The best on the validation split with the first seed have two more, and means.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import tfgen  # noqa: E402, F401, I001  # before Keras: it chooses TensorFlow's kernels

import pathlib  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402
from PIL import Image  # noqa: E402

from tfgen import catalogue, data, files, pictures, recipes  # noqa: E402
from tfgen.data import stores  # noqa: E402
from tfgen.errors import Failure, require  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

MINUTES = 20.0
# How many of the best recipes are trained with each of SEEDS; the others with the first.
BEST, SEEDS = 6, (0, 1, 2)
# Samples in a row of the picture.
ROW = 16
ROWS = pathlib.Path("results/gan_zoo")
PACES = ROWS / "paces.json"
# What a small budget needs beside the papers' values: narrower networks, faster rates, faster controls.
# Weights of equalised layers start at N(0, 1), so that the rates of `progan` and `stylegan` move them little.
QUICK = {"learning_rate": 1e-3}
# In place of five critic steps (Heusel et al., 2017).
TWO_RATES = {"critic_steps": 1, "learning_rate": 3e-4, "critic_learning_rate": 1e-3}
SMALL = {"filters": 32}
SETTINGS = {
    # The authors' critic has 1,200 linear units a layer, and a dropout of 0.5 and, of its inputs, 0.2.
    "gan": {"learning_rate": 1e-3, "critic_learning_rate": 1e-3, "dropout": 0.3, "input_dropout": 0.0},
    "aae": {}, "dcgan": SMALL | QUICK, "cgan": SMALL | QUICK, "lsgan": SMALL | QUICK,
    # Both players gain by images that are easily classified, and the generator forgets the latent.
    "acgan": SMALL | {"fake_weight": 0.0, "generator_weight": 0.1},
    "wgan": SMALL | {"learning_rate": 1.5e-3, "critic_learning_rate": 1.5e-4},
    "wgan_gp": SMALL | TWO_RATES, "lipschitz_gan": SMALL | TWO_RATES,
    "sngan": SMALL | {"learning_rate": 1e-3, "critic_learning_rate": 1e-3},
    # The ratio that pays for images as rich as the data's: at 0.5, dark ones without detail do. A generator like the
    # critic's decoder draws smooth images, one trained with Adam's usual beta_1 few kinds.
    "began": {"filters": 16, "convolutions": 1, "code_dim": 32, "generator": "dcgan", "beta_1": 0.5, "gain": 0.05,
              "diversity": 1.0, "learning_rate": 1e-3, "critic_learning_rate": 5e-4},
    "ebgan": SMALL | {"critic_learning_rate": 2e-4},
    "sagan": {"filters": 16, "learning_rate": 2e-4, "critic_learning_rate": 1e-3},
    "biggan": {"filters": 12, "critic_steps": 1, "learning_rate": 1e-3, "critic_learning_rate": 2e-3},
    "progan": {"filters": 12, "latent_dim": 64, "learning_rate": 5e-3, "critic_learning_rate": 5e-3},
    # With 8 layers and 64 values, styles vary in 8 directions, as they began. Images of 32x32 have no mixing in the authors'
    # later code (Karras et al., 2020), either.
    "stylegan": {"filters": 12, "latent_dim": 128, "style_dim": 128, "mapping_layers": 2, "mixing": 0.0,
                 "learning_rate": 6e-3, "critic_learning_rate": 6e-3},
    # The authors' weight is 2 / 128.
    "stackgan": {"filters": 16, "latent_dim": 64, "condition_dim": 16, "kl_weight": 2 / 16}}
# What the recipes of CLOSER are asked to be ahead of.
REFERENCE = "dcgan"
# Steps in an epoch of `train_for_budget`.
EPOCH = 20
# Share of the budget's steps by which a row's may differ, as measured speeds do from day to day.
TOLERANCE = 0.15
COLUMNS = ("frechet_distance", "precision", "recall", "density", "coverage", "modes", "label_agreement", "steps_per_cpu_s",
           "peak_memory_mib")
# What all rows have in common: budget, classifier, number of samples.
ALIKE = ("asked_minutes", "batch_size", "checksum", "n_fake")
# What is asked of the table: recipes that come closer to the data than REFERENCE, and labels right of conditional ones.
CLOSER, LABELS_RIGHT = ("biggan", "sagan", "sngan", "stylegan", "wgan_gp"), 0.95
# What is known of a recipe that is behind, but for its steps.
CAUSES = {"sngan": ["dcgan is behind, too, without batch normalisation in its critic, see dcgan_to_sngan"]}


def zoo():
    """The names of the GAN recipes."""
    return [name for name, recipe in recipes.RECIPES.items() if recipe.family == "gan"]


def agreement(live, extractor, n=1000):
    """Share of n samples, as many of each class, that the classifier takes for the class asked for."""
    about = live.options["sample"].get("label")
    if about is None:
        return None
    labels = np.arange(n) % (about.high + 1)
    images = live("sample", (1 << 32) + np.arange(n), label=labels)
    return float(np.mean(extractor.classes(images) == labels))


def floor(dataset, extractor, n=10_000):
    """Figures of n training images beside the test split, in place of samples: what a model like the data would reach.

    The classifier was trained on these images, so that their distance is larger than one of new images, if by little.
    """
    images = np.random.default_rng(0).permutation(dataset.images("train"))
    return samples.of_samples(lambda seeds: stores.floats(images[seeds]), dataset, extractor, "test", min(n, len(images)))


def settings_of(name, dataset):
    """The table's settings of a recipe; digits take its defaults."""
    return SETTINGS.get(name, SMALL) if dataset.spec.image_shape[0] > 8 else {}


def measure(name, seed, dataset, steps, minutes, batch_size, folder, n, cache=None):
    """Trains one recipe; writes NAME-SEED.json and NAME-SEED.png (its first samples side by side) to `folder`."""
    model, cost = budget.train_for_budget(None, recipes.find(name), dataset, batch_size, settings_of(name, dataset), seed,
                                          steps)
    # Of this process so far: with TensorFlow and the data, without the evaluation.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    extractor, live = features.classifier(dataset, cache=cache), Live(model)
    held_out, quality = (samples.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, split, count)
                         for split, count in (("validation", min(n, 5000)), ("test", n)))
    row = {"recipe": name, **cost, **quality, "training_seed": seed,
           "hyperparameters": hyperparameters(name, cost["settings"]), "label_agreement": agreement(live, extractor),
           "parameters": model.count_params(),
           "steps_per_cpu_s": cost["images_per_cpu_s"] / (batch_size * model.batches_per_step), "peak_memory_mib": memory,
           "asked_minutes": minutes, "validation_distance": held_out["frechet_distance"]}
    pictures.save_image(folder / f"{name}-{seed}.png", np.concatenate(live("sample", np.arange(ROW)), axis=1))
    files.write_json(folder / f"{name}-{seed}.json", row)
    # Settings are chosen by what is printed: never figures of the test split.
    print(" ".join([f"{name:14}", f"{cost['steps']:6} steps, validation:",
                    *(f"{key} {shown((row | held_out)[key])}" for key in COLUMNS)]), flush=True)
    keras.backend.clear_session()


def shown(value):
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def train(jobs, dataset, minutes, folder, again, fast, like=None):
    """Trains (recipe, seed) that are missing in `folder`, each in a process of its own, whose memory is its alone.

    So are figures of other settings or budgets. One that fails leaves no figures, and the others go on.

    Args:
        like: a recipe whose number of steps all have, in place of their own; for one job.
    """
    for name, seed in jobs:
        steps = steps_of(like or name, minutes, fast)
        if like and (row := folder.parent / f"{like}-{SEEDS[0]}.json").exists():
            steps = files.read_json(row)["steps"]
        if not again and stands(folder / f"{name}-{seed}.json", steps, dataset):
            continue
        if fast or len(jobs) == 1:
            # The classifier stays with the figures: another machine would train one that rounds differently.
            cache = folder.parent if like else folder
            measure(name, seed, dataset, steps, minutes, *((32, folder, 200) if fast else (64, folder, 10_000, cache)))
        else:
            subprocess.run([sys.executable, __file__, "--recipes", name, "--seed", str(seed), "--minutes", str(minutes),
                            "--folder", str(folder), *(["--again"] if again else [])], check=False)


def measured():
    """What `gan_paces.py` has measured so far: {recipe: steps per CPU second in each run}."""
    return files.read_json(PACES) if PACES.exists() else {}


def pace(name):
    """Steps per CPU second of a recipe: the geometric mean of measurements, as machines differ in what they are fast at."""
    found = measured()
    require(name in found, f"expected the speed of {name} in {PACES}, found none: run gan_paces.py")
    return statistics.geometric_mean(found[name])


def steps_of(name, minutes, fast):
    """Training steps of a recipe's budget."""
    return EPOCH if fast else EPOCH * round(60 * minutes * pace(name) / EPOCH)


def stands(path, steps, dataset):
    """Whether a file has figures of today's hyperparameters and of about as many steps.

    Who changes a recipe's mathematics deletes its files.
    """
    if not path.exists():
        return False
    row = files.read_json(path)
    # Older rows have what was set alone.
    had = row.get("hyperparameters", hyperparameters(row["recipe"], row["settings"]))
    return (had == hyperparameters(row["recipe"], settings_of(row["recipe"], dataset))
            and abs(row["steps"] - steps) <= TOLERANCE * steps)


def rows_of(folder, dataset, minutes, fast):
    """{recipe: its row} of what is in `folder`, the best first; figures of the BEST on the validation split are means.

    Figures of other settings than this table's, or of other numbers of steps, count as missing.

    Raises:
        UserError: for rows of other classifiers or numbers of samples than the first, or of a recipe's of other steps.
    """
    every = {}
    for name in zoo():
        paths = [folder / f"{name}-{seed}.json" for seed in SEEDS]
        standing = [files.read_json(path) for path in paths if stands(path, steps_of(name, minutes, fast), dataset)]
        if standing and standing[0]["training_seed"] == SEEDS[0]:
            every[name] = standing
    found = {name: mean_of(rows[:1], folder) for name, rows in every.items()}
    found |= {name: mean_of(every[name], folder) for name in best_of(found)}
    check(list(found.values()), folder, ALIKE)
    return dict(sorted(found.items(), key=lambda item: item[1]["frechet_distance"]))


def best_of(rows):
    """The names of the BEST by the first seed's distance on the validation split, of {name: row}."""
    return sorted(rows, key=lambda name: rows[name]["first_validation_distance"])[:BEST]


def mean_of(rows, folder):
    """The row of a recipe: means over its seeds."""
    check(rows, folder, ("steps", *ALIKE))
    means = {key: float(np.mean([row[key] for row in rows])) for key, value in rows[0].items()
             if isinstance(value, float) or key == "modes"}
    return rows[0] | means | {"training_seeds": [row["training_seed"] for row in rows], "seeds": len(rows),
                              "frechet_distances": [row["frechet_distance"] for row in rows],
                              "first_validation_distance": rows[0]["validation_distance"]}


def likened(rows, folder, dataset):
    """{recipe: the row of REFERENCE with about its number of steps} of those that were trained.

    Raises:
        UserError: for rows of another classifier or number of samples.
    """
    paths = {name: folder / f"like-{name}" / f"{REFERENCE}-{SEEDS[0]}.json" for name in CLOSER}
    found = {name: files.read_json(path) for name, path in paths.items() if stands(path, rows[name]["steps"], dataset)}
    check([rows[REFERENCE], *found.values()], folder, ALIKE)
    return found


def asked(rows, agreed, least, as_long):
    """Values, marks and reasons of missed marks of the record of `rows`.

    Args:
        agreed: share of test labels that the classifier agrees with.
        least: Fréchet distance of training images from test images.
        as_long: see `likened`.
    """
    reference = rows[REFERENCE]
    values = {f"frechet_distance {name}": row["frechet_distance"] for name, row in rows.items()}
    values |= {f"frechet_distance {name}, std": float(np.std(row["frechet_distances"], ddof=1))
               for name, row in rows.items() if row["seeds"] > 1}
    values |= {f"margin {name}": reference["frechet_distance"] - rows[name]["frechet_distance"] for name in CLOSER}
    values |= {f"{REFERENCE} like {name}": row["frechet_distance"] for name, row in as_long.items()}
    after = {name: [f"{REFERENCE} has {row['frechet_distance']:.1f} after {row['steps']}"] for name, row in as_long.items()}
    missed = {f"margin {name}": "; ".join([f"it has {rows[name]['steps']} steps, {REFERENCE} has {reference['steps']}",
                                           *CAUSES.get(name, []), *after.get(name, [])])
              for name in CLOSER if values[f"margin {name}"] < 0}
    missed |= {f"label_agreement {name}": f"the classifier itself agrees with {agreed:.3f} of the labels of test images"
               for name, row in rows.items() if row["label_agreement"] is not None and row["label_agreement"] < LABELS_RIGHT}
    return {"values": values | {"floor": least}, "missed": missed,
            "marks": {"margin": 0.0, "labels": LABELS_RIGHT}}


def hyperparameters(name, settings):
    """All values of a recipe with these settings, but for the length of its training."""
    return catalogue.hyperparameters(name) | {key: value for key, value in settings.items() if key != "total_steps"}


def apart(row):
    """The settings of a row, and defaults of its day that are not today's."""
    defaults = catalogue.hyperparameters(row["recipe"])
    return row["settings"] | {key: value for key, value in row.get("hyperparameters", {}).items()
                              if value != defaults.get(key)}


def check(rows, folder, keys):
    """Raises a `UserError` unless rows have the same values of `keys`."""
    for key in keys if rows else []:
        others = [str(row[key]) for row in rows if row[key] != rows[0][key]]
        require(not others, f"expected one value of {key} for all figures in {folder}, found {rows[0][key]} and "
                            f"{' and '.join(dict.fromkeys(others))}: train with --again")


def strip(path):
    """The images of a row of samples, float (ROW, H, W, C)."""
    pixels = np.atleast_3d(np.asarray(Image.open(path)))
    return stores.floats(np.stack(np.split(pixels, ROW, axis=1)))


def main(
    only: Annotated[list[str] | None, typer.Option("--recipes", help="recipe to train; may be repeated")] = None,
    seed: Annotated[int, typer.Option(help=f"seed of the training, 0 to 9; those of the table are {SEEDS}")] = SEEDS[0],
    minutes: Annotated[float, typer.Option(help="CPU minutes of training for each recipe")] = MINUTES,
    like: Annotated[str | None, typer.Option(help="recipe whose number of steps the one recipe is given")] = None,
    folder: Annotated[pathlib.Path, typer.Option(help="where figures and samples are kept")] = ROWS,
    again: Annotated[bool, typer.Option("--again", help="train recipes that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits and a second each; no record is written")] = False,
):
    """Trains GAN recipes within one budget each; with all of them there, draws and records the zoo."""
    require(0 <= seed <= 9, f"--seed expects an integer in 0 ... 9, received {seed}")
    for name in only or []:
        recipes.find(name)
    source, minutes = ("digits", 0.01) if fast else ("fashion_mnist", minutes)
    dataset = data.load(source)
    if like:
        require(like in zoo(), f"--like expects a GAN recipe, received '{like}': give one of the table")
        require(only is not None and len(only) == 1, f"--like {like} expects one recipe, received "
                                                     f"{', '.join(only or ['none'])}: give --recipes once")
        folder /= f"like-{like}"
        folder.mkdir(parents=True, exist_ok=True)
        return train([(only[0], seed)], dataset, minutes, folder, again, fast, like)
    train([(name, seed) for name in only or zoo()], dataset, minutes, folder, again, fast)
    if only:
        return rows_of(folder, dataset, minutes, fast)
    rows = rows_of(folder, dataset, minutes, fast)
    train([(name, other) for name in best_of(rows) for other in SEEDS[1:]], dataset, minutes, folder, again, fast)
    rows = rows_of(folder, dataset, minutes, fast)
    if missing := set(zoo()) - set(rows):
        raise Failure(f"expected figures of all recipes, found none of {', '.join(sorted(missing))}: nothing is recorded")
    picture = (folder if fast else pathlib.Path("results/pictures")) / "gan_zoo.png"
    shown_rows = {f"{name}  {row['frechet_distance']:.0f}": strip(folder / f"{name}-{row['training_seed']}.png")
                  for name, row in rows.items()}
    pictures.save_rows(picture, shown_rows | {"test images": stores.floats(dataset.images("test")[:ROW])})
    if not fast:
        first = next(iter(rows.values()))
        extractor = features.classifier(dataset, cache=folder)
        agreed = float(np.mean(extractor.classes(stores.floats(dataset.images("test"))) == dataset.labels("test")))
        least = floor(dataset, extractor)
        found = asked(rows, agreed, least["frechet_distance"], likened(rows, folder, dataset))
        records.record(
            "gan_zoo", found.pop("values"),
            title=f"GAN recipes on {source}, {minutes:g} CPU minutes each: Fréchet classifier distance, test split; "
                  f"the best {BEST} as means over {len(SEEDS)} seeds",
            command="python apps/gan_zoo.py", seeds=list(SEEDS), **found,
            budget={"cpu_minutes_each": minutes, "threads": 1, "steps_per_cpu_s": {name: pace(name) for name in rows}},
            data={"name": source, "split": "test"},
            extractor={key: first[key] for key in ("extractor", "checksum", "resize", "accuracy")},
            # Of real images: what a model like the data would reach, and what the classifier agrees with of labels.
            # Beside a row's own speed the common one: trainings were made on machines of different speeds.
            table=[*(row | {"settings": apart(row), "pace": pace(name)} for name, row in rows.items()),
                   {"recipe": "training images", **least},
                   {"recipe": "test images", "label_agreement": agreed}],
            picture=picture.name,
            published="none: distances over a classifier of the data compare only with each other")
    print(f"wrote {picture}")
    return rows


if __name__ == "__main__":
    typer.run(main)
