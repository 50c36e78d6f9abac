"""Inputs and options of verbs as components of the page."""

import dataclasses
from collections.abc import Callable

import gradio as gr
import numpy as np

from tfgen.ui.wiring import listen
from tfgen.verbs.table import Option, Text

# The longest range of a slider, and of a list.
LONGEST, LISTED = 200, 10_000


@dataclasses.dataclass(frozen=True)
class Control:
    """Components, and how their values become the rows of an input or the value of an option.

    Attributes:
        components: components whose values it has.
        read: function of these values -> array (N, ...), or the value of an option; None: its default.
        label: of a chosen picture: `gr.State` of its class, or of None where that is not known; None of other controls.
    """

    components: list
    read: Callable
    label: gr.State | None = None


def title_of(name):
    """A readable form of a name: `translate_back` -> "Translate back"."""
    return name[:1].upper() + name[1:].replace("_", " ")


def of_option(name, option, class_names=(), turn=True, first=None):
    """The `Control` of an option of a verb.

    Args:
        name: its name.
        option: the `Option` or `Text`.
        class_names: names of the values of an option `label`.
        turn: whether to offer a default of None, which gives successive rows successive values; else the first value.
        first: value to begin with instead of the default, if it is in the range of the `Option`.
    """
    label, info = title_of(name), option.help[:1].upper() + option.help[1:]
    if isinstance(option, Text):
        return Control([_text(label, option.help, option)], lambda value: value or None)
    first = first if first is not None and option.low <= first <= option.high else None
    if option.dtype == "int64" and option.default is None and option.high - option.low >= LISTED:
        # Such as an option of a server that tells no range.
        return Control([gr.Number(first, label=label, info=f"{info}; empty: the model's own choice".removeprefix("; "),
                                  precision=0)], lambda value: value)
    if option.dtype == "int64" and option.default is None:
        names = class_names if len(class_names) == option.high - option.low + 1 else range(option.low, option.high + 1)
        choices = [("each in turn", TURN)] * turn + [(str(one), option.low + index) for index, one in enumerate(names)]
        return Control([gr.Dropdown(choices, value=choices[0][1] if first is None else first, label=label, info=info)],
                       lambda value: None if value == TURN else value)
    return Control([_number(label, info, option if first is None else dataclasses.replace(option, default=first))],
                   lambda value: value)


# Stands for a default of None, which a list cannot have as a value.
TURN = "in turn"


def _text(label, info, option):
    if option.most == 1 and option.words:
        return gr.Dropdown(list(option.words), value=option.examples[0], label=label, info=info)
    known = f"{info}. Words: {', '.join(option.words)}" if option.words else info
    return gr.Dropdown(list(option.examples), value=next(iter(option.examples), None), label=label, info=known,
                       allow_custom_value=True)


def _number(label, info, option: Option):
    whole = option.dtype == "int64"
    default = option.low if option.default is None else option.default
    if not np.isfinite(option.high - option.low) or option.high - option.low > LONGEST:
        return gr.Number(default if np.isfinite(default) else 0, label=label, info=info, precision=0 if whole else None,
                         minimum=option.low if np.isfinite(option.low) else None,
                         maximum=option.high if np.isfinite(option.high) else None)
    return gr.Slider(option.low, option.high, default, step=1 if whole else 0.01, label=label, info=info)


def of_options(model, verb, label=None):
    """{name: Control} of the options of a verb; classes in turn where it makes many images of seeds alone.

    An option `label` begins with the class of the chosen picture and follows it, if `label`, a `Control.label`, is given.
    """
    turn = all(field.kind == "seeds" for field in verb.inputs)
    made = {name: of_option(name, option, model.live.class_names, turn,
                            label.value if label is not None and name == "label" else None)
            for name, option in model.live.options[verb.name].items()}
    if label is not None and "label" in made:
        option = model.live.options[verb.name]["label"]
        listen(label.change, lambda value: value if value is not None and option.low <= value <= option.high else gr.skip(),
               [label], made["label"].components)
    return made


def read_options(controls, values):
    """{option: value} from the values of all components of `of_options`, in order."""
    found, values = {}, iter(values)
    for name, control in controls.items():
        value = control.read(*(next(values) for _ in control.components))
        if value is not None:
            found[name] = value
    return found


def components_of(controls):
    """All components of `of_options`, in order."""
    return [component for control in controls.values() for component in control.components]
