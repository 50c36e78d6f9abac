"""Painting with a diffusion model: holes filled in, images redrawn from noise, and ways between two images.

    python apps/diffusion_steps.py --only-train     # trains the model, 30 minutes on one core
    python apps/paint_with_diffusion.py             # paints test images with it, some minutes
    python apps/paint_with_diffusion.py --fast      # digits, tiny networks, seconds

In-painting and editing are the same sampler as `sample`: known pixels take the place of their estimates in each step, and an
edit starts from the image with some noise. Ways between images are arcs in the space of noise, `encode` and `decode`.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402, I001
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import data, latent, pictures, recipes  # noqa: E402
from tfgen.errors import require  # noqa: E402
from tfgen.evaluation import features  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

DRAWS, STRENGTHS, STEPS = 4, (0.3, 0.45, 0.6), 50


def lower_half(shape):
    """Mask (H, W): 1 at the upper half of an image, which is known."""
    mask = np.ones(shape[:2], "float32")
    mask[shape[0] // 2:] = 0.0
    return mask


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="folder of apps/diffusion_steps.py")] = pathlib.Path("runs/diffusion"),
    n: Annotated[int, typer.Option(help="images whose lower halves are filled in, to be judged by the classifier")] = 500,
    fast: Annotated[bool, typer.Option(help="digits, tiny networks, seconds; no record is written")] = False,
):
    """Draws the picture, and measures whether completed images are of the class of their upper half."""
    dataset = data.load("digits" if fast else "fashion_mnist")
    if fast:
        model, steps, n = recipes.find("edm").model(dataset.spec, filters=4, residual_blocks=1, grids=1), 3, 20
    else:
        require((folder / "edm.keras").exists(), f"expected a model in {folder}, found none: run "
                                                 "apps/diffusion_steps.py --only-train")
        model, steps = keras.models.load_model(folder / "edm.keras"), STEPS
    live, extractor = Live(model), features.classifier(dataset)
    images, labels = dataset.images("test").astype("float32") / 255.0, dataset.labels("test")
    mask = lower_half(dataset.spec.image_shape)

    def complete(x, seed):
        return live("complete", x, np.broadcast_to(mask, x.shape[:3]), (seed << 32) + np.arange(len(x)),
                    sampler="ancestral", steps=steps)

    chosen = np.array([np.flatnonzero(labels == label)[0] for label in range(dataset.spec.num_classes)])
    x = images[chosen]
    rows = {"test images": x, "upper halves": x * mask[..., None]}
    rows |= {f"completed, draw {draw + 1}": complete(x, draw) for draw in range(DRAWS)}
    rows |= {f"redrawn from strength {strength:g}": live("edit", x, np.arange(len(x)), strength=strength, sampler="dpm",
                                                         steps=20) for strength in STRENGTHS}
    ends = live("encode", x[:2], steps=steps)
    rows["between two images"] = live("decode", latent.spherical(*ends, len(x)), steps=steps)
    picture = (folder if fast else records.RESULTS / "pictures") / "paint_with_diffusion.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    pictures.save_rows(picture, rows)
    made, truth = complete(images[:n], 9), labels[:n]
    values = {name: float(np.mean(extractor.classes(part) == truth)) for name, part in (
        ("class_agreement completed", made), ("class_agreement upper halves", images[:n] * mask[..., None]),
        ("class_agreement test images", images[:n]))}
    if not fast:
        records.record(
            "paint_with_diffusion", values, title="Lower halves filled in by a diffusion model, Fashion-MNIST",
            command="python apps/paint_with_diffusion.py", seeds=[0], picture=picture.name, table=[],
            budget={"images": n, "sampler": "ancestral", "sampler_steps": steps},
            data={"name": "fashion_mnist", "split": "test"}, published="none for these images")
    print(", ".join(f"{name} {value:.3f}" for name, value in values.items()) + f"\nwrote {picture}")
    return values


if __name__ == "__main__":
    typer.run(main)
