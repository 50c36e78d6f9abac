"""Images from captions: DALL-E on Fashion-MNIST, a table of captions and images, and whether the images are what was asked.

    python apps/captions.py           # trains, 20 minutes on one core, then measures, draws and records
    python apps/captions.py --fast    # digits, tiny networks, seconds

Captions ask for a size, a shade and a class, such as "large very dark ankle boot" (`tfgen.layers.Captions`). Of 1,080, nine
of each combination, the classifier of the data says whether the images show the class that was asked for; the
mean value of the object's pixels, the layer's own measure, is compared with the shade that was asked for. Settings were
chosen with samples of other seeds; the model trains on the training split alone.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import itertools  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402
from scipy import stats  # noqa: E402

from tfgen import data, pictures, recipes  # noqa: E402
from tfgen.data import views  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

MINUTES, STEPS, BATCH_SIZE = 20.0, 14400, 64
SETTINGS = {"codebook_size": 256, "code_dim": 16, "filters": 64, "residual_filters": 32, "cosine_decay": True,
            "autoencoder_share": 0.4, "learning_rate": 2e-3, "prior_learning_rate": 4e-3, "prior_warmup_steps": 200,
            "prior_heads": 2, "prior_blocks": 4, "prior_dropout": 0.0}
TINY = {"codebook_size": 8, "code_dim": 4, "filters": 4, "residual_filters": 2, "prior_head_units": 2, "prior_blocks": 1}
SIZES, SHADES = ("small", "", "large"), ("very dark", "dark", "light", "very light")
# Shown in the picture, with {} for the name of a class.
SHOWN = ("small very dark {}", "large light {}")


def asked(names, n):
    """n captions, each combination of size, shade and class in turn: (captions, classes, shades)."""
    found = list(itertools.product(range(len(SHADES)), SIZES, range(len(names))))
    rows = [found[index % len(found)] for index in range(n)]
    captions = [" ".join(filter(None, (size, SHADES[shade], names[label]))) for shade, size, label in rows]
    return captions, np.array([label for *_, label in rows]), np.array([shade for shade, *_ in rows])


def agreement(live, captions, extractor, names, n, seed, temperature):
    """Agreement of images with captions: {"class_agreement", "shade_correlation", "class_agreement CLASS", ...}."""
    texts, labels, shades = asked(names, n)
    images = live("sample", (seed << 32) + np.arange(n), caption=np.array(texts), temperature=temperature)
    found = extractor.classes(images)
    brightness = np.asarray(captions.measured(images))[:, 0]
    values = {"class_agreement": float(np.mean(found == labels)),
              "shade_correlation": float(stats.spearmanr(shades, brightness).statistic)}
    values |= {f"brightness {shade}": float(brightness[shades == level].mean()) for level, shade in enumerate(SHADES)}
    return values | {f"class_agreement {name}": float(np.mean(found[labels == label] == label))
                     for label, name in enumerate(names)}


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where the model is kept")] = pathlib.Path("runs/captions"),
    again: Annotated[bool, typer.Option("--again", help="train a model that was trained before, too")] = False,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="temperature of the codes' distribution")] = 0.5,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, a second; no record is written")] = False,
):
    """Trains the model if it is not there, then measures the agreement of images with captions, draws and records."""
    dataset = data.load("digits" if fast else "fashion_mnist")
    extractor = features.classifier(dataset)
    steps = 20 if fast else STEPS
    model, cost = budget.kept(folder, "dalle", recipes.find("dalle"), dataset, BATCH_SIZE,
                              TINY if fast else SETTINGS, steps, again)
    require(fast or cost["cpu_minutes"] <= MINUTES, f"expected at most {MINUTES:g} CPU minutes, the training took "
                                                    f"{cost['cpu_minutes']}: lower STEPS and train with --again")
    live, captions, n = Live(model), model.captions, 120 if fast else 1080
    values = agreement(live, captions, extractor, captions.names, n, 1, temperature)
    real = dataset.images("test").astype("float32") / 255.0
    right = extractor.classes(real) == dataset.labels("test")
    values |= {"classifier_accuracy": float(right.mean())}
    if not fast:
        # Captions as often as those of validation images.
        held = next(iter(dataset.batches("validation", 5000, views.labelled)))
        texts = np.array(captions.texts(captions.tokens(*held)))

        def drawn(seeds):
            return live("sample", seeds, caption=texts[seeds % len(texts)], temperature=temperature)

        values["frechet_distance"] = samples.of_samples(drawn, dataset, extractor, "test")["frechet_distance"]
    for key, value in values.items():
        print(f"{key:40} {value:.4g}")
    rows = {shown.format(name): None for name in captions.names for shown in SHOWN}
    for index, caption in enumerate(rows):
        rows[caption] = live("sample", (2 << 32) + 8 * index + np.arange(8), caption=caption, temperature=temperature)
    picture = (folder if fast else records.RESULTS / "pictures") / "captions.png"
    pictures.save_rows(picture, rows)
    if not fast:
        about = extractor.describe()
        records.record(
            "captions", values, title="Images from captions, DALL-E on Fashion-MNIST: agreement with 1,080 captions",
            command="python apps/captions.py", budget={"cpu_minutes": MINUTES, "threads": 1}, seeds=[0], extractor=about,
            data={"name": "fashion_mnist"}, picture=picture.name, published="none for these captions",
            marks={"class_agreement": 0.85, "shade_correlation": 0.8},
            table=[{"recipe": "dalle", "temperature": temperature, **cost}])
    print(f"wrote {picture}")
    return values


if __name__ == "__main__":
    typer.run(main)
