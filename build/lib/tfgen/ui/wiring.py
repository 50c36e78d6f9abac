"""Events of the page: one verb of a model at a time, errors in one line, a tab's first picture when it is opened."""

import functools

import gradio as gr

from tfgen.errors import Failure, UserError
from tfgen.ui.found import line_of, log


def answered(answer):
    """`answer`, whose errors the page shows as one line; those that are no user's mistake are also logged."""

    @functools.wraps(answer)
    def call(*values):
        try:
            return answer(*values)
        except Exception as error:
            if not isinstance(error, (UserError, Failure)):
                log(line_of(error))
            raise gr.Error(line_of(error), title="This cannot be done", print_exception=False) from None

    return call


def listen(triggers, answer, inputs, outputs, model=None):
    """Calls `answer` when one of the triggers fires, the last time included; with a model, one at a time for it."""
    for one in inputs or ():
        # Gradio guesses it, and takes some that are rendered later for outputs.
        one.interactive = True
    gr.on(triggers, answered(answer), inputs, outputs, trigger_mode="always_last", api_visibility="private",
          show_progress="minimal" if model else "hidden", concurrency_limit=1 if model else None,
          concurrency_id=f"model {model.name}" if model else None)


def once(model, opened, answer, values, outputs):
    """Calls `answer` when the tab is first opened; arguments as for `show`."""
    def first(seen, *values):
        return (True, *([gr.skip()] * len(outputs) if seen else answer(*values)))

    seen = gr.State(False)
    listen(opened, first, [seen, *values], [seen, *outputs], model)


def show(model, opened, answer, values, outputs):
    """Calls `answer` when a value changes, and once when the tab is first opened.

    Args:
        model: the `found.Model`.
        opened: the event of opening the tab.
        answer: function of the values -> list of one value per output.
        values: components.
        outputs: components.
    """
    once(model, opened, answer, values, outputs)
    # Gradio takes the value itself where there is one output.
    again = answer if len(outputs) > 1 else lambda *values: answer(*values)[0]
    listen([one.change for one in values], again, values, outputs, model)
