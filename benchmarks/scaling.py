"""What replicas of each recipe exchange in a training step: the table of docs/scaling.md.

`python -m benchmarks.scaling` builds every recipe with its default hyperparameters for labelled images of 28x28 pixels and
writes the table. Nothing is trained: the times follow from the bytes.
"""

import dataclasses
import math
import pathlib

from tfgen import catalogue, recipes
from tfgen.data import DataSpec

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "scaling.md"
MARK = "<!-- the table: python -m benchmarks.scaling -->"
SPEC = DataSpec("images", (28, 28, 1), 10, {"train": 54000, "validation": 6000, "test": 10000})
# {network: bytes per s}
NETWORKS = {"10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9}
EFFICIENCY = 0.9


def spec_of(view):
    """Images as a view takes them."""
    if view in ("paired", "unpaired"):
        return dataclasses.replace(SPEC, num_classes=None, view=view, source_shape=SPEC.image_shape)
    return catalogue.spec_for(view, SPEC)


def size(variables):
    """Bytes of the gradients of variables, float32."""
    return 4 * sum(math.prod(variable.shape) for variable in variables)


def exchanged(model):
    """Bytes whose sums the replicas of a model form in a training step, of its dearest stage."""
    if not hasattr(model, "stages"):
        return exchanged_now(model)
    found = []
    for stage in range(model.stages):
        object.__setattr__(model, "_stage", stage)
        found.append(exchanged_now(model))
    return max(found)


def exchanged_now(model):
    if hasattr(model, "critic_optimizer"):
        return size(model.generator_variables) + model.critic_steps * size(model.critic_variables)
    return size(model.step_variables)


def milliseconds(amount, rate):
    """Time of a ring all-reduce of many replicas: each sends and receives twice the bytes."""
    return 2e3 * amount / rate


def table(rows):
    """Markdown of rows (recipe, bytes), the largest first."""
    lines = [f"| recipe | MB per step | {' | '.join(f'ms at {name}' for name in NETWORKS)} | "
             f"{' | '.join(f'ms of computation for {EFFICIENCY:g} at {name}' for name in NETWORKS)} |",
             "|---|" + "---|" * (1 + 2 * len(NETWORKS))]
    for name, amount in sorted(rows, key=lambda row: -row[1]):
        times = [milliseconds(amount, rate) for rate in NETWORKS.values()]
        needed = [EFFICIENCY / (1 - EFFICIENCY) * time for time in times]
        cells = [f"{time:.0f}" if time >= 10 else f"{time:.2g}" for time in [*times, *needed]]
        lines.append(f"| `{name}` | {amount / 1e6:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    rows = [(name, exchanged(recipe.model(spec_of(recipe.view)))) for name, recipe in sorted(recipes.RECIPES.items())]
    PAGE.write_text(PAGE.read_text("utf-8").partition(MARK)[0] + f"{MARK}\n\n{table(rows)}\n", "utf-8")
    print(f"wrote the table of {len(rows)} recipes in {PAGE}")


if __name__ == "__main__":
    main()
