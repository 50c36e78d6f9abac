"""Published figures: measurements and their records in results/."""

import dataclasses
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable

import numpy as np
import scipy.ndimage
import tensorflow as tf

from tfgen import data, evaluation, files, metrics, pictures, recipes, runs, seeds, verbs
from tfgen.callbacks import CpuBudget, StopOnNaN
from tfgen.errors import UserError, did_you_mean

RESULTS = pathlib.Path("results")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A reproducible figure.

    Attributes:
        title: heading in RESULTS.md.
        measure: function run_folder -> {"values", "budget", "data", "published"}.
    """

    title: str
    measure: Callable


def record(name, values, **about):
    """Writes `results/<name>.json` and returns its content.

    Args:
        name: name of the record.
        values: {quantity: number}; quantities other than nats and ratios have their unit in the name.
        **about: title, command, budget, seeds, data, extractor, published ({"value", "source"} or a reason) …
    """
    made = {"name": name, "values": values, **about, "versions": runs.versions(),
            "date": time.strftime("%Y-%m-%d", time.gmtime())}
    files.write_json(RESULTS / f"{name}.json", made)
    return made


def reproduce(name):
    """Measures the figure `name` and writes its record.

    Raises:
        UserError: for an unknown figure, or data that is not prepared.
    """
    if name not in FIGURES:
        raise UserError(f"there is no figure '{name}'{did_you_mean(name, FIGURES)}; "
                        f"expected one of {', '.join(FIGURES)}")
    out = pathlib.Path("runs") / f"reproduce-{name}"
    # Train in a temporary folder so that a failed attempt does not replace the last good run.
    with tempfile.TemporaryDirectory() as folder:
        measured = FIGURES[name].measure(pathlib.Path(folder) / "run")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(pathlib.Path(folder) / "run", out)
    return record(name, measured.pop("values"), title=FIGURES[name].title, command=f"tfgen reproduce {name}",
                  **measured)


def trained(recipe, name, epochs, out, seed=0, **values):
    """Trains a recipe from scratch; returns (model, dataset, budget)."""
    dataset = data.load(name)
    start, busy = time.perf_counter(), time.process_time()
    model = runs.train(recipe, dataset, out, epochs, values, seed=seed, picture_every=epochs)
    return model, dataset, {"epochs": epochs, "wall_minutes": round((time.perf_counter() - start) / 60, 2),
                            "cpu_minutes": round((time.process_time() - busy) / 60, 2),
                            "hyperparameters": runs.read(out)["hyperparameters"], "seeds": [seed]}


def trained_within(minutes, recipe, dataset, batch_size, values=None, seed=0, steps=None):
    """Trains a recipe from scratch for a CPU-time budget or, with `minutes=None`, for `steps` steps.

    Args:
        minutes: CPU time in minutes, checked every 20 steps, tracing excluded. None with `steps`.
        recipe: a `Recipe`.
        dataset: a `tfgen.data.Dataset`.
        batch_size: images per optimizer update. A model with `critic_steps=k` consumes `k * batch_size` images per
            training step.
        values: {hyperparameter: value}; the other hyperparameters keep the recipe's defaults.
        seed: seed of weights, noise and data order.
        steps: number of training steps, a multiple of 20, for recipes with schedules of fixed length.

    Returns:
        (model, {"steps", "images", "images_per_cpu_s", "cpu_minutes", "wall_minutes"}).
    """
    seeds.set_random(seed)
    model = recipe.model(dataset.spec, **(values or {}))
    rows = batch_size * model.batches_per_step
    model.steps_per_execution = 10
    budget = CpuBudget(minutes if steps is None else float("inf"))
    stream = dataset.train(rows, seed, recipe.views(dataset, model)[0], augment=model.augmentation)
    model.fit(stream, epochs=100_000 if steps is None else steps // 20, steps_per_epoch=20, shuffle=False, verbose=0,
              callbacks=[StopOnNaN(), budget])
    steps = int(model.optimizer.iterations)
    return model, {"steps": steps, "images": steps * rows, "images_per_cpu_s": round(budget.steps * rows / budget.cpu, 1),
                   "cpu_minutes": round(budget.cpu / 60, 2), "wall_minutes": round(budget.wall / 60, 2)}


def measure_vae(out, epochs=10, k=100, limit=None):
    """ELBO and importance-weighted bound of `vae` (discretised logistic) on Fashion-MNIST's test set."""
    model, dataset, budget = trained("vae", "fashion_mnist", epochs, out, likelihood="discretised_logistic")
    recipe = recipes.find("vae")
    bound = evaluation.evaluate(model, dataset, recipe, "test", k=k, limit=limit)
    draw_vae(model, dataset, RESULTS / "pictures" / "vae.png")
    return {"values": {"elbo": bound["elbo"], "reconstruction": bound["reconstruction"], "kl": bound["kl"],
                       f"log_prob_k{k}": bound["log_prob"], "bits_per_dim": bound["bits_per_dim"],
                       "active_units": bound["active_units"]},
            "budget": budget, "data": {"name": "fashion_mnist", "split": "test", "images": bound["images"]},
            "published": "none for this network and budget"}


def draw_vae(model, dataset, path, columns=16):
    """Draws test images, their reconstructions and samples in one picture."""
    live = verbs.Live(model)
    images, _ = runs.examples(dataset, columns, "test")
    drawn = live("sample", np.arange(4 * columns)).reshape(4, columns, *images.shape[1:])
    rows = {"test images": images, "reconstructions": live("reconstruct", images), "samples": drawn[0]}
    pictures.save_rows(path, rows | {" " * row: drawn[row] for row in (1, 2, 3)})


def psnr(clean, images):
    """`metrics.psnr` of images clipped to [0, 1], mean over images."""
    return float(np.mean(metrics.psnr(np.clip(images, 0.0, 1.0), clean)))


def measure_denoising(out, epochs=5):
    """PSNR of `denoising` under Gaussian noise on Fashion-MNIST's test set, with a Gaussian blur as baseline."""
    model, dataset, budget = trained("denoising", "fashion_mnist", epochs, out)

    def pair(split):
        clean = dataset.images(split).astype("float32") / 255.0
        noisy = [model.corruption.seeded(tf.constant(clean[i:i + 500]), np.arange(i, i + 500)).numpy()
                 for i in range(0, len(clean), 500)]
        return clean, np.concatenate(noisy)

    def blurred(noisy, width):
        return scipy.ndimage.gaussian_filter(noisy, (0, width, width, 0))

    # The width of the blur, its only parameter, is chosen on the validation split.
    clean, noisy = pair("validation")
    width = max(np.arange(0.5, 1.6, 0.1), key=lambda width: psnr(clean, blurred(noisy, width)))
    clean, noisy = pair("test")
    made = verbs.Live(model)("reconstruct", noisy, 500)
    pictures.save_rows(RESULTS / "pictures" / "denoising.png",
                       {"test images": clean[:16], "noisy": noisy[:16], "denoised": made[:16]})
    return {"values": {"psnr_noisy_db": psnr(clean, noisy), "psnr_gaussian_blur_db": psnr(clean, blurred(noisy, width)),
                       "psnr_denoised_db": psnr(clean, made),
                       "mse": float(np.mean(np.square(clean - made)))},
            "budget": budget, "data": {"name": "fashion_mnist", "split": "test", "images": len(clean),
                                       "corruption": "Gaussian, sigma 0.3"},
            "published": "none for this noise on these images; a Gaussian blur is the baseline"}


FIGURES = {"vae": Figure("VAE on Fashion-MNIST: bounds on the test log-likelihood (discretised logistic), nats an image",
                         measure_vae),
           "denoising": Figure("Denoising autoencoder on Fashion-MNIST: PSNR on noisy test images", measure_denoising)}
