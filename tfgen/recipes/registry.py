"""A recipe is a KerasTuner hypermodel whose defaults are its paper's."""

import dataclasses
import inspect
from collections.abc import Callable

import keras_tuner

from tfgen import catalogue
from tfgen.data import views
from tfgen.data.spec import KINDS
from tfgen.errors import UserError
from tfgen.recipes.given import STEPS, Given

RECIPES = {}
# Data views accepted by each recipe view, and the hint shown otherwise. Paired data can also be used as unpaired.
NEEDS = {"paired": (("paired",), "choose --pairs, such as edges, or side_by_side for a folder of A|B images"),
         "unpaired": (("unpaired", "paired"), "choose two classes as --domains A,B, or a folder with trainA and trainB")}
# Data views of recipes whose data are no set of images, and the hint shown otherwise.
SIGNAL = "signal", "give one file of an image, sound (.wav) or array (.npy), such as --data photo.png"
SAMPLED = {"signal": SIGNAL, "gradients": SIGNAL, "posed": ("posed", "give a .npz file with images, poses and focal")}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named system of the literature: `recipe(hp, spec)` returns a compiled model.

    Attributes:
        name, family, paper: name, family and publication of the system.
        view: content of its batches: `images`, `labelled`, `binarised`, `corrupted` (trained on images,
            validated on pairs of corrupted and clean ones), `paired`, `unpaired`, `signal` (coordinates and values),
            `gradients` (coordinates and the signal's gradients) or `posed` (rays and colours of posed images).
        objective: (quantity in the training logs, `"min"` or `"max"`) that searches optimise.
        build: the function `(hp, spec) -> compiled model`.
        batch_size: the paper's if it matters, else 128.
        vectors: whether it also takes vectors and windows of a series.
    """

    name: str
    family: str
    paper: str
    view: str
    objective: tuple[str, str]
    build: Callable
    batch_size: int = 128
    vectors: bool = False

    def __call__(self, hp, spec):
        return self.build_with(hp, spec)[0]

    @property
    def summary(self):
        """The first line of the docstring."""
        return inspect.getdoc(self.build).splitlines()[0]

    def check_kind(self, spec):
        """Raises a `UserError` for data of another kind than the recipe's: a set of images, one signal or posed images."""
        if spec.vectors and self.vectors:
            return
        wanted, hint = SAMPLED.get(self.view, ("images", "give a set of images, or choose siren or another field"))
        if spec.vectors:
            hint = f"choose one of {', '.join(row['name'] for row in catalogue.rows() if row['vectors'])}"
        if spec.vectors or KINDS.get(wanted) != KINDS.get(spec.view):
            raise UserError(f"{self.name} expects {KINDS.get(wanted, 'images')}, '{spec.name}' holds {spec.kind}: {hint}")

    def views(self, dataset, model):
        """(view of the training data, view of held-out data) for a model of the recipe, see `tfgen.data.views`.

        Raises:
            UserError: for data that the recipe cannot use.
        """
        if self.view == "corrupted":
            return views.images, views.corrupted(model.corruption)
        if self.view in NEEDS:
            allowed, hint = NEEDS[self.view]
            if dataset.spec.view not in allowed:
                raise UserError(f"{self.name} expects {self.view} data, '{dataset.spec.name}' holds {dataset.spec.view}: "
                                f"{hint}")
            return views.paired, views.paired
        if self.view == "labelled" and not dataset.spec.num_classes:
            raise UserError(f"{self.name} expects labelled data, '{dataset.spec.name}' has no labels")
        return (views.by_name(self.view),) * 2

    def build_with(self, hp, spec, values=None, steps=None):
        """(compiled model, its `Given`): one build for data like `spec`.

        Args:
            hp: `keras_tuner.HyperParameters`.
            spec: a `tfgen.data.DataSpec`.
            values, steps: as for `Given`.

        Raises:
            UserError: for data of another kind, a name that the recipe does not have, or a value outside its range.
        """
        self.check_kind(spec)
        given = Given(hp, values, steps)
        model = self.build(given, spec)
        given.check(self.name)
        return model, given

    def hyperparameters(self, spec, values=None):
        """{hyperparameter: value} of a model for data like `spec`, with the paper's defaults but for `values`.

        Values may be strings, as typed at a prompt. Builds a model; errors as for `build_with`.
        """
        return self.build_with(keras_tuner.HyperParameters(), spec, values)[1].chosen()

    def model(self, spec, **values):
        """A compiled model for data like `spec`, with the paper's defaults but for `values`."""
        return self.build_with(keras_tuner.HyperParameters(), spec, values)[0]

    def model_for(self, steps, spec, values=None):
        """(compiled model for a training of `steps` steps, {hyperparameter: value} of those given).

        Its schedules and stages end with the training: `total_steps`, where the recipe asks for it, is among what is given.
        With `steps=None` the length is unknown, as for `model`.
        """
        length = None if steps is None else lambda batches: steps
        model, given = self.build_with(keras_tuner.HyperParameters(), spec, values, length)
        return model, ({STEPS: steps} if length and STEPS in given.asked else {}) | given.given


def recipe(family, paper, view="images", objective=("val_loss", "min"), batch_size=128, vectors=False):
    """Registers a function `(hp, spec) -> compiled model` under its name."""

    def register(build):
        made = Recipe(build.__name__, family, paper, view, objective, build, batch_size, vectors)
        RECIPES[made.name] = made
        return made

    return register


def find(name):
    """The recipe called `name`.

    Raises:
        UserError: for an unknown name.
    """
    catalogue.check(name, RECIPES)
    return RECIPES[name]
