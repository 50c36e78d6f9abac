"""Published figures: measurements and their records in results/."""

import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import numpy as np
import scipy.ndimage
import tensorflow as tf

from tfgen import evaluation, metrics, pictures, recipes, runs
from tfgen.data import stores
from tfgen.errors import UserError, did_you_mean
from tfgen.figures import records
from tfgen.runs.budget import train_from_scratch
from tfgen.verbs.live import Live


@dataclasses.dataclass(frozen=True)
class Figure:
    """A reproducible figure.

    Attributes:
        title: heading in RESULTS.md.
        measure: function run_folder -> {"values", "budget", "data", "published"}.
    """

    title: str
    measure: Callable


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
    return records.record(name, measured.pop("values"), title=FIGURES[name].title, command=f"tfgen reproduce {name}",
                  **measured)


def measure_vae(out, epochs=10, k=100, limit=None):
    """ELBO and importance-weighted bound of `vae` (discretised logistic) on Fashion-MNIST's test set."""
    model, dataset, budget = train_from_scratch("vae", "fashion_mnist", epochs, out, likelihood="discretised_logistic")
    recipe = recipes.find("vae")
    bound = evaluation.evaluate(model, dataset, recipe, "test", k=k, limit=limit)
    draw_vae(model, dataset, records.RESULTS / "pictures" / "vae.png")
    return {"values": {"elbo": bound["elbo"], "reconstruction": bound["reconstruction"], "kl": bound["kl"],
                       f"log_prob_k{k}": bound["log_prob"], "bits_per_dim": bound["bits_per_dim"],
                       "active_units": bound["active_units"]},
            "budget": budget, "data": {"name": "fashion_mnist", "split": "test", "images": bound["images"]},
            "published": "none for this network and budget"}


def draw_vae(model, dataset, path, columns=16):
    """Draws test images, their reconstructions and samples in one picture."""
    live = Live(model)
    images, _ = runs.examples(dataset, columns, "test")
    drawn = live("sample", np.arange(4 * columns)).reshape(4, columns, *images.shape[1:])
    rows = {"test images": images, "reconstructions": live("reconstruct", images), "samples": drawn[0]}
    pictures.save_rows(path, rows | {" " * row: drawn[row] for row in (1, 2, 3)})


def psnr(clean, images):
    """`metrics.psnr` of images clipped to [0, 1], mean over images."""
    return float(np.mean(metrics.psnr(np.clip(images, 0.0, 1.0), clean)))


def measure_denoising(out, epochs=5):
    """PSNR of `denoising` under Gaussian noise on Fashion-MNIST's test set, with a Gaussian blur as baseline."""
    model, dataset, budget = train_from_scratch("denoising", "fashion_mnist", epochs, out)

    def pair(split):
        clean = stores.floats(dataset.images(split))
        noisy = [model.corruption.seeded(tf.constant(clean[i:i + 500]), np.arange(i, i + 500)).numpy()
                 for i in range(0, len(clean), 500)]
        return clean, np.concatenate(noisy)

    def blurred(noisy, width):
        return scipy.ndimage.gaussian_filter(noisy, (0, width, width, 0))

    # The width of the blur, its only parameter, is chosen on the validation split.
    clean, noisy = pair("validation")
    width = max(np.arange(0.5, 1.6, 0.1), key=lambda width: psnr(clean, blurred(noisy, width)))
    clean, noisy = pair("test")
    made = Live(model)("reconstruct", noisy, batch_size=500)
    pictures.save_rows(records.RESULTS / "pictures" / "denoising.png",
                       {"test images": clean[:16], "noisy": noisy[:16], "denoised": made[:16]})
    return {"values": {"psnr_noisy_db": psnr(clean, noisy), "psnr_gaussian_blur_db": psnr(clean, blurred(noisy, width)),
                       "psnr_denoised_db": psnr(clean, made),
                       "mse": float(np.mean(np.square(clean - made)))},
            "budget": budget, "data": {"name": "fashion_mnist", "split": "test", "images": len(clean),
                                       "corruption": "Gaussian, sigma 0.3"},
            "published": "none for this noise on these images; a Gaussian blur is the baseline"}


FIGURES = {"vae": Figure("VAE on Fashion-MNIST: bounds on the test log-likelihood (discretised logistic), nats per image",
                         measure_vae),
           "denoising": Figure("Denoising autoencoder on Fashion-MNIST: PSNR on noisy test images", measure_denoising)}
