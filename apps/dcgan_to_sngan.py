"""What separates `sngan` from `dcgan`: one change after another, each trained as long, and distances of their samples.

    python apps/dcgan_to_sngan.py             # Fashion-MNIST, about half a CPU hour a seed on one core
    python apps/dcgan_to_sngan.py --fast      # digits, seconds

Networks, rates and the latent's width are those of `dcgan` in gan_zoo.py; `sngan` has 128 latents there.
The Fréchet distance, over a classifier's features, is that from validation images, as settings are chosen by it.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import dataclasses  # noqa: E402
from typing import Annotated  # noqa: E402

import gan_zoo  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402

from tfgen import GAN, data, networks, recipes  # noqa: E402
from tfgen.evaluation import features, samples  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.losses import Hinge, NonSaturating  # noqa: E402
from tfgen.optimizers import Adam  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

LATENT, BATCH = 100, 64


@dataclasses.dataclass(frozen=True)
class Arm:
    """The critic's normalisation, the objective and the rates of a GAN; defaults are those of `dcgan`.

    Attributes:
        norm: `"batch"` or None, in the critic.
        spectral: whether the critic's kernels are spectrally normalised.
        objective: of both players.
        rate: learning rate of both players.
        decays: whether it falls linearly to 0.
    """

    norm: str | None = "batch"
    spectral: bool = False
    objective: object = NonSaturating()
    rate: float = 1e-3
    decays: bool = False

    def recipe(self, filters, steps):
        """A recipe of this arm for trainings of `steps` steps."""

        def build(hp, spec):
            model = GAN(networks.dcgan.generator(spec.image_shape, LATENT, filters),
                        networks.dcgan.critic(spec.image_shape, filters, self.norm, self.spectral), self.objective)
            model.compile(*(Adam(keras.optimizers.schedules.PolynomialDecay(self.rate, steps, 0.0) if self.decays
                                 else self.rate, 0.5) for _ in range(2)))
            return model

        return dataclasses.replace(recipes.find("dcgan"), build=build)


# Each differs from the one before it in what its name says.
ARMS = {"dcgan": Arm(),
        "no batch normalisation in the critic": Arm(None),
        "spectral normalisation": Arm(None, True),
        "hinge loss": Arm(None, True, Hinge()),
        "decaying rates: sngan": Arm(None, True, Hinge(), decays=True)}


def distance(arm, dataset, extractor, seed, filters, steps, n):
    """Fréchet distance of n samples after a training from scratch."""
    model, _ = budget.train_for_budget(None, arm.recipe(filters, steps), dataset, BATCH, seed=seed, steps=steps)
    live = Live(model)
    found = samples.of_samples(lambda seeds: live("sample", seeds), dataset, extractor, "validation", n)
    keras.backend.clear_session()
    return found["frechet_distance"]


def main(
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each arm")] = 2,
    steps: Annotated[int, typer.Option(min=20, help="steps of each, a multiple of 20")] = 1600,
    fast: Annotated[bool, typer.Option(help="digits and a few steps; no record is written")] = False,
):
    """Trains the arms and records the distances in results/dcgan_to_sngan.json."""
    source, filters, steps, n = ("digits", 4, 20, 100) if fast else ("fashion_mnist", 32, steps, 5000)
    dataset = data.load(source)
    extractor = features.classifier(dataset, cache=None if fast else gan_zoo.ROWS)
    rows = []
    for name, arm in ARMS.items():
        found = [distance(arm, dataset, extractor, seed, filters, steps, n) for seed in range(seeds)]
        rows.append({"arm": name, "distance": float(np.mean(found)), "distances": found})
        print(f"{name:38} {' '.join(f'{value:.1f}' for value in found)}", flush=True)
    if not fast:
        records.record("dcgan_to_sngan", {f"distance {row['arm']}": row["distance"] for row in rows},
                       title=f"From dcgan to sngan on {source}, {steps} steps: Fréchet classifier distance",
                       command="python apps/dcgan_to_sngan.py", seeds=list(range(seeds)), table=rows,
                       budget={"steps": steps, "batch_size": BATCH}, data={"name": source, "split": "validation"},
                       extractor=extractor.describe(),
                       published="none: distances over a classifier of the data compare only with each other")
    return rows


if __name__ == "__main__":
    typer.run(main)
