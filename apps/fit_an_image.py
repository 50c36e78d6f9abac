"""Networks of coordinates fitted to photographs: sines against ReLU, derivatives, Poisson's equation, Fourier features.

    python apps/fit_an_image.py           # 4 minutes on one core
    python apps/fit_an_image.py --fast    # small images, tiny networks, seconds

First, all pixels of scikit-image's camera at 128x128 are fitted by a SIREN and by a ReLU network of the same size, and by a
SIREN that sees the image's gradients alone. Then ReLU networks with four encodings of coordinates are fitted to a quarter of
the pixels of a photograph (every second along each axis) and measured on others, as in the 2-D regression of Tancik et al.
(2020); the scales were chosen on the validation pixels, of 16, 32 and 64 (positional) and of 5, 7 and 10 (Gaussian). Budget:
CPU time of this process in training, one thread for TensorFlow's operations, without tracing the step; the numbers of steps
are fixed, so that a run can be repeated.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import math  # noqa: E402
import pathlib  # noqa: E402
import sys  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import typer  # noqa: E402
from PIL import Image  # noqa: E402

from tfgen import coordinates, data, recipes  # noqa: E402
from tfgen.data import views  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.losses import Gradient, Laplacian, Value  # noqa: E402
from tfgen.pictures import plots  # noqa: E402
from tfgen.runs import budget  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Training:
    """A recipe, its number of steps (a multiple of 20) and its hyperparameters."""

    recipe: str
    steps: int
    values: dict


DECAY = {"learning_rate": 1e-3, "cosine_decay": True}
THREE = DECAY | {"hidden_layers": 3}
FITS = {"siren": Training("siren", 1800, THREE), "relu": Training("fourier_features", 1800, THREE | {"encoding": "none"}),
        "siren_poisson": Training("siren_poisson", 600, THREE)}
# In the order in which the publication ranks them on natural images.
ENCODINGS = {"none": {}, "basic": {}, "positional": {"scale": 32.0}, "gaussian": {"scale": 7.0}}
FEATURES = {name: Training("fourier_features", 500, {"encoding": name} | values) for name, values in ENCODINGS.items()}
TITLES = {"siren": "SIREN", "relu": "ReLU", "siren_poisson": "SIREN, from gradients alone", "none": "no encoding",
          "basic": "basic", "positional": "positional", "gaussian": "Gaussian"}
SAMPLES = 4096
MARKS = {"PSNR of the SIREN, dB": 45.0, "PSNR of the SIREN above the ReLU network's, dB": 20.0,
         "least gain along none, basic, positional, Gaussian, dB": 0.0}


def photograph(name, size):
    """uint8 (size, size, C): a photograph of scikit-image's wheel. Exit code 2 without scikit-image."""
    try:
        from skimage import data as samples
    except ImportError:
        print("error: expected scikit-image, received none: pip install 'tfgen[apps]'", file=sys.stderr)
        raise SystemExit(2) from None
    image = np.asarray(Image.fromarray(getattr(samples, name)()).resize((size, size), Image.Resampling.LANCZOS))
    return image if image.ndim == 3 else image[..., None]


def psnr(made, wanted):
    """Peak signal-to-noise ratio in dB of values in [0, 1]."""
    return -10.0 * math.log10(np.mean(np.square(np.clip(made, 0.0, 1.0) - wanted, dtype=float)))


def trained(name, training, dataset, folder, again):
    """A field and its cost, see `budget.kept`."""
    return budget.kept(folder, name, recipes.find(training.recipe), dataset, SAMPLES, training.values, training.steps, again)


def derivatives(model, image_shape):
    """(values (H, W, C), gradients (H, W, 2), Laplacian (H, W)) of a field of one channel on the grid of an image."""
    places = tf.split(coordinates.grid(image_shape[:2]), image_shape[0])

    def field(x):
        return model.network(x, training=False)

    found = [np.concatenate([observe(field, x) for x in places]) for observe in (Value(), Gradient(), Laplacian())]
    return [made.reshape(*image_shape[:2], -1) for made in found]


def differences(dataset):
    """The same of the image itself, by central differences."""
    _, slopes = next(iter(dataset.batches("train", dataset.spec.sizes["train"], views.gradients)))
    slopes = slopes.numpy().reshape(*dataset.spec.image_shape[:2], 2)
    spacing = 2.0 / np.array(slopes.shape[:2])
    curvature = sum(np.gradient(slopes[..., axis], spacing[axis], axis=axis) for axis in (0, 1))
    return dataset.values, slopes, curvature[..., None]


def agreement(made, wanted):
    """Cosine similarity of two fields of gradients."""
    return float(np.sum(made * wanted) / np.sqrt(np.sum(made**2) * np.sum(wanted**2)))


def draw_derivatives(path, found, values):
    """A row per field: its values, the magnitude of its gradient and its Laplacian, on the image's scales."""
    figure = plots.new_figure(8.4, 2.3 * len(found))
    truth = found["image"]
    steepest, bend = (np.percentile(np.abs(part), 99) for part in (np.linalg.norm(truth[1], axis=-1), truth[2]))
    for row, (name, (made, slopes, curvature)) in zip(figure.subplots(len(found), 3), found.items()):
        shown = ((made, 0, 1, "gray"), (np.linalg.norm(slopes, axis=-1), 0, steepest, "gray"),
                 (curvature, -bend, bend, "gray"))
        for axes, (part, low, high, colours), title in zip(row, shown, ("values", "gradient, magnitude", "Laplacian")):
            axes.imshow(part.reshape(made.shape[:2]), cmap=colours, vmin=low, vmax=high)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if name == "image":
                axes.set_title(title, fontsize=10)
        label = TITLES.get(name, name) + (f"\n{values[f'psnr_db {name}']:.1f} dB" if name in FITS else "\n(differences)")
        row[0].set_ylabel(label.replace(", ", ",\n"), rotation=0, ha="right", va="center", fontsize=10)
    plots.write_figure(path, figure)


def draw_features(path, photo, made, values):
    """The photograph and its fits, with the PSNR on held-out pixels."""
    figure = plots.new_figure(2.6 * (1 + len(made)), 3.0)
    shown = {"photograph": photo} | {f"{TITLES[name]}, {values[f'held_out_psnr_db {name}']:.1f} dB": image
                                     for name, image in made.items()}
    for axes, (title, image) in zip(figure.subplots(1, len(shown)), shown.items()):
        axes.imshow(np.clip(image, 0.0, 1.0))
        axes.set_title(title, fontsize=10)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    plots.write_figure(path, figure)


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where models and figures are kept")] = pathlib.Path("runs/image"),
    again: Annotated[bool, typer.Option("--again", help="train models that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="small images, tiny networks, seconds; no record is written")] = False,
):
    """Fits the photographs, compares values and derivatives, and ranks encodings on held-out pixels."""
    sizes = (16, 16) if fast else (128, 256)
    camera = data.signal(photograph("camera", sizes[0]), "camera")
    photo = data.signal(photograph("astronaut", sizes[1]), "astronaut", every=2)
    models, rows = {}, {}
    for name, training in (FITS | FEATURES).items():
        if fast:
            training = dataclasses.replace(training, steps=20, values=training.values | {"units": 8})
        models[name], rows[name] = trained(name, training, camera if name in FITS else photo, folder, again)
    found, values = {"image": differences(camera)}, {}
    for name in FITS:
        made, slopes, curvature = derivatives(models[name], camera.spec.image_shape)
        if name == "siren_poisson":
            # Gradients determine the image up to a constant.
            made = made + camera.values.mean() - made.mean()
        found[name] = made, slopes, curvature
        values |= {f"psnr_db {name}": psnr(made, camera.values),
                   f"gradient_agreement {name}": agreement(slopes, found["image"][1])}
    values["gain over the ReLU network"] = values["psnr_db siren"] - values["psnr_db relu"]
    grid, fits = coordinates.grid(photo.spec.image_shape[:2])[None], {}
    for name in FEATURES:
        fits[name] = models[name].decode(grid).numpy().reshape(photo.spec.image_shape)
        flat, truth = (image.reshape(-1, 3) for image in (fits[name], photo.values))
        for key, split in (("held_out", "test"), ("validation", "validation"), ("seen", "train")):
            values[f"{key}_psnr_db {name}"] = psnr(flat[photo.samples[split]], truth[photo.samples[split]])
    ranked = [values[f"held_out_psnr_db {name}"] for name in FEATURES]
    values["least gain of an encoding"] = min(np.diff(ranked).tolist())
    place = folder if fast else records.RESULTS / "pictures"
    draw_derivatives(place / "fit_an_image.png", found, values)
    draw_features(place / "fit_an_image_features.png", photo.values, fits, values)
    if not fast:
        records.record(
            "fit_an_image", values, title="Networks of coordinates fitted to photographs",
            command="python apps/fit_an_image.py", seeds=[0], picture="fit_an_image.png", marks=MARKS,
            budget={"cpu_minutes": [row["cpu_minutes"] for row in rows.values()], "threads": 1, "without": "tracing"},
            data={"camera": list(camera.spec.image_shape), "astronaut": list(photo.spec.image_shape),
                  "source": "scikit-image", "samples of astronaut": photo.spec.sizes},
            table=[{"method": name} | row for name, row in rows.items()],
            published="none for these images and budgets; Tancik et al. (2020, arXiv:2006.10739) rank the encodings in this "
                      "order on natural images")
    print(", ".join(f"{key} {value:.2f}" for key, value in values.items() if "psnr" in key or "gain" in key))
    print(f"wrote {place / 'fit_an_image.png'}")
    return values


if __name__ == "__main__":
    typer.run(main)
