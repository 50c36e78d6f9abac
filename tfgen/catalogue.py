"""What `tfgen list` says of each recipe, read from a file that is made of the models, so that nothing is built for it."""

import dataclasses
import json
import pathlib

from tfgen.errors import UserError, did_you_mean
from tfgen.verbs.table import FIELD_VERBS, KINDS, VERBS

PATH = pathlib.Path(__file__).parent / "recipes" / "catalogue.json"
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "verbs.md"
# The order of the table.
FAMILIES = ("autoencoder", "vae", "gan", "translation", "anomaly", "autoregressive", "flow",
            "vector_quantised", "diffusion", "field")

# Views of recipes whose models are fields of coordinates.
FIELD_VIEWS = ("signal", "gradients", "posed")


def rows():
    """[{"name", "family", "paper", "summary", "verbs", "view", "vectors", "objective", "hyperparameters"}], one per recipe.

    Verbs and hyperparameters are those of a model with default values for scikit-learn's digits, or for a signal or posed
    images of their shape.
    """
    return json.loads(PATH.read_text("utf-8"))


def names():
    """The names of the recipes."""
    return [row["name"] for row in rows()]


def hyperparameters(name):
    """{hyperparameter: default} of the recipe called `name`, as `rows` has them."""
    return next(row["hyperparameters"] for row in rows() if row["name"] == name)


def check(name, known=None):
    """Raises a `UserError` for a name that no recipe has; names the nearest.

    Args:
        known: names; None: those of the catalogue.
    """
    known = names() if known is None else known
    if name not in known:
        raise UserError(f"there is no recipe '{name}'{did_you_mean(name, known)}; see `tfgen list`")


def spec_for(view, spec):
    """A spec of images as one that recipes of a view of fields take: as one signal, or as posed images of its shape."""
    if view not in FIELD_VIEWS:
        return spec
    posed = view == "posed"
    return dataclasses.replace(spec, num_classes=None, class_names=(), view="posed" if posed else "signal",
                               focal=float(max(spec.image_shape[:2])) if posed else None)


def row(recipe, values=None):
    """The row of a recipe, from a model that is built now.

    Args:
        values: {hyperparameter: value} of that model, whose verbs they must not change; None: the defaults.
    """
    import keras_tuner

    from tfgen import data, verbs

    spec = spec_for(recipe.view, data.load("digits").spec)
    model, given = recipe.build_with(keras_tuner.HyperParameters(), spec, values)
    return {"name": recipe.name, "family": recipe.family, "paper": recipe.paper, "summary": recipe.summary,
            "verbs": verbs.verbs_of(model), "view": recipe.view, "vectors": recipe.vectors,
            "objective": list(recipe.objective),
            "hyperparameters": given.asked}


def made():
    """The rows, of recipes that are built now."""
    from tfgen import recipes

    return [row(recipe) for recipe in sorted(recipes.RECIPES.values(), key=lambda recipe: FAMILIES.index(recipe.family))]


def verbs_page():
    """docs/verbs.md, from the table of verbs and the rows."""
    lines = ["# Verbs", "",
             "What trained models can do: a method in Python, a signature of an exported SavedModel and a command.",
             "Written by `make catalogue` from `tfgen/verbs/table.py`.", ""]
    for verb in (form for name in VERBS for form in (VERBS[name], FIELD_VERBS.get(name)) if form):
        taken = "; ".join(f"`{field.name}`: {KINDS[field.kind].help}" for field in verb.inputs)
        fields = verb in FIELD_VERBS.values() if verb.name in FIELD_VERBS else None
        having = [f"`{row['name']}`" for row in rows() if verb.name in row["verbs"] and (
            fields is None or fields == (row["view"] in FIELD_VIEWS))]
        lines += [f"## `{verb.call}`", "", verb.sentence, "",
                  f"- Takes {taken}.", f"- Gives `{verb.output.name}`: {KINDS[verb.output.kind].help}.",
                  f"- Command: `tfgen {verb.name} {verb.example}`",
                  f"- Recipes: {', '.join(having)}", ""]
    return "\n".join(lines)


def write():
    """Writes the catalogue and, in the project's folder, docs/verbs.md."""
    PATH.write_text(json.dumps(made(), indent=1) + "\n", "utf-8")
    if PAGE.exists():
        PAGE.write_text(verbs_page(), "utf-8")
