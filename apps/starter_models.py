"""The models of saved_models/: trains each within its CPU minutes, exports it, and writes its card.

    python apps/starter_models.py                       # all of them, as `make models` does: about 90 CPU minutes
    python apps/starter_models.py --only fashion_vae    # one; may be repeated
    python apps/starter_models.py --only fashion_vae --again
    python apps/starter_models.py --fast                # digits, tiny networks, seconds; written below runs/

A model that is trained stays in the folder `--kept`: another call measures and exports it anew, without training. Settings
are those of the apps that measure these recipes, chosen on validation splits. Figures are on test splits unless a card says
otherwise. Budgets are CPU time of this process in training, one thread for TensorFlow's operations, without tracing.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
import pathlib  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import typer  # noqa: E402

from tfgen import data, evaluation, files, recipes, runs  # noqa: E402
from tfgen.data import views  # noqa: E402
from tfgen.detection import calibration  # noqa: E402
from tfgen.errors import Failure, require  # noqa: E402
from tfgen.evaluation import features  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.serving import export, saved_model  # noqa: E402
from tfgen.serving.forms import Form  # noqa: E402
from tfgen.verbs import verbs_of  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

# The apps beside this one, of which several take settings and measures.
sys.path.append(str(pathlib.Path(__file__).parent))
import captions  # noqa: E402
import edges_to_fashion  # noqa: E402
import gan_zoo  # noqa: E402
import guide_by_labels  # noqa: E402
import one_class_table  # noqa: E402
import turn_a_scene  # noqa: E402

SAVED_MODELS = pathlib.Path(__file__).parents[1] / "saved_models"
# MB of all models together.
LIMIT = 40
SUMS = "SHA256SUMS"
# Test images kept with an export, for a page on a machine without the data.
PICTURES = 40
FASHION, DIGITS, SCENE = "fashion_mnist", "digits", "scene"
LICENCES = {
    FASHION: "`fashion_mnist`: Fashion-MNIST (Xiao et al., 2017, arXiv:1708.07747), MIT licence",
    DIGITS: "`digits`: handwritten digits that come with scikit-learn (Alpaydin & Kaynak, 1998, UCI), CC BY 4.0",
    SCENE: "views of the scene that `apps/turn_a_scene.py` renders, of this project's own licence"}
FEW_VIEWS = {"train": 8, "validation": 2, "test": 2}
FRECHET = "Fréchet distance of {:,} samples over a classifier's features"
AGREEMENT = "share of {:,} samples that a classifier takes for the class asked for"


@dataclasses.dataclass(frozen=True)
class Starter:
    """A model of saved_models/.

    Attributes:
        recipe: its name.
        shows: what it is for with it, a sentence.
        data: name of its data, see `LICENCES`.
        minutes: CPU minutes that its training may take.
        steps, batch_size, values: the training; {hyperparameter: value}.
        measure: function (model, dataset, live, n) -> {figure with its unit: value}, of n samples where it draws some.
        samples: that n.
        view: further arguments of `tfgen.data.load`.
        verbs: signatures of the export; None: all.
        tiny: {hyperparameter: value} of networks for `--fast`.
    """

    recipe: str
    shows: str
    data: str
    minutes: float
    steps: int
    batch_size: int
    values: dict
    measure: Callable
    samples: int = 0
    view: dict = dataclasses.field(default_factory=dict)
    verbs: tuple | None = None
    tiny: dict = dataclasses.field(default_factory=lambda: {"filters": 4})

    def dataset(self, fast=False):
        """Its dataset; with `fast`, digits or a small scene."""
        if self.data == SCENE:
            return turn_a_scene.scene(*((FEW_VIEWS, 8) if fast else (turn_a_scene.COUNTS, 64)))
        return data.load("digits" if fast else self.data, **self.view)


def of_samples(model, dataset, live, n):
    """The Fréchet distance of n samples, and the bound of a VAE of grey levels, which is none on a probability."""
    found = evaluation.evaluate(model, dataset, recipes.find("vae"), samples=n, live=live)
    return {FRECHET.format(n): found["samples"]["frechet_distance"],
            "bound: negative cross-entropy minus KL, nats per image": found["negative_cross_entropy_bound"]}


def of_classes(model, dataset, live, n):
    """The Fréchet distance of n samples, and how many of 1,000 are of their class."""
    extractor = features.classifier(dataset)
    found = evaluation.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, "test", n)
    return {FRECHET.format(n): found["frechet_distance"], AGREEMENT.format(1000): gan_zoo.agreement(live, extractor)}


def of_translations(model, dataset, live, n):
    found = evaluation.of_translations(live, dataset)
    return {"SSIM of translations and images": found["ssim"],
            "Fréchet distance of translations over a classifier's features": found["frechet_distance"]}


def of_scores(model, dataset, live, n):
    found = evaluation.of_detection(model, dataset)
    return {"AUROC of the normal class against the nine others": found["auroc"],
            "share of normal images above the threshold": found["fpr"]}


def of_density(model, dataset, live, n):
    batches = dataset.batches("test", 50, views.labelled)
    found = evaluation.of_log_prob(model, live, batches, 50, 1, dataset.spec.levels)
    return {"negative log-likelihood, bits per dimension": found["bits_per_dim"]}


def of_captions(model, dataset, live, n):
    names = model.captions.names
    found = captions.agreement(live, model.captions, features.classifier(dataset), names, n, 1, temperature=0.5)
    return {f"{AGREEMENT.format(n)}, temperature 0.5": found["class_agreement"],
            "rank correlation of the shade asked for with the brightness": found["shade_correlation"]}


def of_guidance(model, dataset, live, n):
    agreement, _, distance = guide_by_labels.measure(live, dataset, features.classifier(dataset), model.guidance, n, 20)
    return {f"{AGREEMENT.format(n)}, 20 steps": agreement, f"{FRECHET.format(n)}, validation split": distance}


def of_views(model, dataset, live, n):
    return {"PSNR of held-out views, dB": evaluation.of_views(live, dataset)["psnr_db"]}


DECAY = {"cosine_decay": True}
DETECTOR, OF_BATCH, OF_STEPS = one_class_table.DETECTORS["ae_anomaly"]
STARTERS = {
    "fashion_vae": Starter(
        "vae", "Samples, codes and reconstructions of garments: move through sixteen latents, or clean a spoiled image.",
        FASHION, 12.0, 16_000, 128, DECAY, of_samples, 10_000),
    "fashion_acgan": Starter(
        "acgan", "Draws garments of the class asked for.",
        FASHION, 8.0, 6_000, 64, gan_zoo.SMALL, of_classes, 10_000),
    "fashion_pix2pix": Starter(
        "pix2pix", "Turns the sketch of a garment into its picture, while you draw.",
        FASHION, 8.0, 6_000, 16, edges_to_fashion.PIX2PIX | {"filters": 16}, of_translations, view={"pairs": "edges"}),
    "boots_ae_anomaly": Starter(
        "ae_anomaly", "Knows ankle boots only: scores an image, and shows where it is not one.",
        FASHION, 1.0, OF_STEPS, OF_BATCH, DETECTOR, of_scores, view={"normal": 9},
        tiny={"filters": 4, "latent_dim": 4, "levels": 1}),
    "digits_pixelcnn": Starter(
        "conditional_gated_pixelcnn", "Draws a digit pixel by pixel, or completes a half of one; tells its likelihood.",
        DIGITS, 10.0, 4_000, 64, DECAY | {"filters": 48, "blocks": 5, "kernel_size": 3, "dropout": 0.5,
                                         "learning_rate": 2e-3},
        of_density, view={"levels": 16}, tiny={"filters": 4, "blocks": 2, "head_filters": 4}),
    "digits_glow": Starter(
        "glow", "An invertible network: exact likelihoods, and ways between two digits through its latents.",
        DIGITS, 10.0, 6_000, 64, DECAY | {"levels": 3, "flow_steps": 12, "filters": 8, "dequantisation": "variational",
                                         "dequantisation_filters": 8},
        of_density, view={"levels": 16}, tiny={"levels": 2, "flow_steps": 1, "filters": 4}),
    "fashion_dalle": Starter(
        "dalle", "Draws what a caption says, such as \"large dark ankle boot\", and shows an image's codes.",
        FASHION, 35.0, captions.STEPS, captions.BATCH_SIZE, captions.SETTINGS,
        of_captions, 1080, tiny=captions.TINY),
    "fashion_diffusion": Starter(
        "conditional_diffusion", "Draws, completes and edits garments of the class asked for, in as many steps as you like.",
        FASHION, guide_by_labels.MINUTES, guide_by_labels.STEPS, guide_by_labels.BATCH_SIZE,
        guide_by_labels.SETTINGS, of_guidance, 1000, verbs=("sample", "complete", "edit"),
        tiny=guide_by_labels.TINY),
    "scene_nerf": Starter(
        "nerf", "Renders a scene from where you like, learned from 100 views.",
        SCENE, turn_a_scene.MINUTES, turn_a_scene.STEPS, turn_a_scene.RAYS, turn_a_scene.VALUES,
        of_views, tiny=turn_a_scene.TINY),
}


def sums_of(folder):
    """{path below the folder: SHA-256} of the files of a model's versions."""
    return {str(path.relative_to(folder)): files.digest(path) for version in saved_model.export_paths(folder).values()
            for path in sorted(version.rglob("*")) if path.is_file()}


def megabytes(folder):
    """Size of a folder's files, in MB of 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def card(name, starter, cost, figures, size):
    """The card of a model, as Markdown."""
    recipe = recipes.find(starter.recipe)
    rows = {
        "Recipe": f"`{starter.recipe}`, {recipe.paper}", "Data": LICENCES[starter.data],
        "Command": f"`python apps/starter_models.py --only {name}`",
        "Training": f"{cost['steps']:,} steps of {cost['batch_size']} images or rays, {cost['cpu_minutes']:.1f} CPU minutes "
                    f"on one thread without tracing, {cost['parameters']:,} parameters, seed 0",
        "Weights": cost["weights"],
        "Settings": ", ".join(f"`{key}={value}`" for key, value in cost["settings"].items()) or "the recipe's",
        "Size": f"{size:.1f} MB; `sha256sum -c {SUMS}` in this folder checks the files"}
    rows = {key: value for key, value in rows.items() if value}
    lines = [f"# {name}", "", starter.shows, "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in rows.items()]
    lines += ["", "| figure, test split unless it says otherwise | value |", "|---|---|"]
    lines += [f"| {key} | {value:.4g} |" for key, value in figures.items()]
    return "\n".join(lines) + "\n"


def publish(name, starter, model, live, dataset, about, cost, figures, folder):
    """Exports a model as the one version below folder/NAME, beside its card and the checksums of its files."""
    place = folder / name
    recipe, before = recipes.find(starter.recipe), saved_model.export_paths(place)
    about |= runs.origin(runs.described(recipe, dataset, recipe.hyperparameters(dataset.spec, cost["settings"])))
    pictures = runs.to_keep(dataset, PICTURES) if dataset.rows == "images" else None
    export.export(model, place, about=about, live=live, form=Form(signatures=starter.verbs), pictures=pictures)
    for version in before.values():
        shutil.rmtree(version)
    files.write_text(place / SUMS, "".join(f"{found}  {path}\n" for path, found in sums_of(place).items()))
    files.write_text(place / "README.md", card(name, starter, cost, figures, megabytes(place)))
    return place


def make(name, starter, folder, kept, again, fast):
    """Trains a model unless it is kept, measures and publishes it."""
    dataset, steps, rows, values = starter.dataset(fast), starter.steps, starter.batch_size, starter.values
    if fast:
        steps, rows, values = 20, 16, values | starter.tiny
    model, cost = budget.kept(kept, name, recipes.find(starter.recipe), dataset, rows, values, steps, again)
    if cost["cpu_minutes"] > starter.minutes:
        raise Failure(f"expected a training of at most {starter.minutes:g} CPU minutes, {name} took {cost['cpu_minutes']}: "
                      "train it with --again on a machine with less to do")
    about = {"threshold": calibration.calibrate(model, dataset)} if "score" in verbs_of(model) else {}
    live = Live(model)
    figures = starter.measure(model, dataset, live, min(starter.samples, 100) if fast else starter.samples)
    place = publish(name, starter, model, live, dataset, about, cost, figures, folder)
    print((place / "README.md").read_text("utf-8"), flush=True)


def main(
    only: Annotated[list[str] | None, typer.Option("--only", help="a model's name; may be repeated")] = None,
    folder: Annotated[pathlib.Path, typer.Option(help="where exports and cards are written")] = SAVED_MODELS,
    kept: Annotated[pathlib.Path, typer.Option(help="where trained models are kept")] = pathlib.Path("runs/starters"),
    again: Annotated[bool, typer.Option("--again", help="train models that were trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, seconds")] = False,
):
    """Trains, measures and exports the models."""
    names = only or list(STARTERS)
    for name in names:
        require(name in STARTERS, f"--only expects one of {', '.join(STARTERS)}, received {name!r}")
    for name in names:
        keras.backend.clear_session()
        make(name, STARTERS[name], folder, kept, again, fast)
    total = sum(megabytes(folder / name) for name in STARTERS if (folder / name).exists())
    require(total <= LIMIT, f"expected at most {LIMIT} MB of models, received {total:.1f}: leave verbs out of the largest")
    print(f"{folder}: {total:.1f} MB of {LIMIT}")


if __name__ == "__main__":
    typer.run(main)
