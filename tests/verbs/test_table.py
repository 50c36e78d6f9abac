"""The table of verbs, and a verb with several inputs through everything that is derived from it."""

import pathlib
import shlex

import numpy as np
import pytest
import tensorflow as tf
import typer
from cases import SPEC, images

from tfgen import GenerativeModel, catalogue, errors, noise
from tfgen.cli import app, inference, lazy
from tfgen.serving import export, saved_model
from tfgen.verbs import VERBS, Option, Verb, graphs
from tfgen.verbs.live import Live
from tfgen.verbs.table import FORWARD, KINDS, Field

INPUTS = Field("x", "images"), Field("mask", "masks"), Field("seeds", "seeds")
COMPLETE = Verb("complete", INPUTS, Field("images", "images"), "completes images",
                "runs/x --masks masks.npy --out completed.png")


class Filler(GenerativeModel):
    """Fills unknown pixels with noise; grey levels are scaled by a weight."""

    image_shape = SPEC.image_shape

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight((), "ones", name="scale")
        self.built = True

    def verb_options(self, name):
        return {"level": Option("float32", 1.0, 0.0, 1.0, "brightness of the noise")}

    def complete(self, x, mask, seeds, level=1.0):
        filled = noise.uniform(seeds, self.image_shape) * tf.reshape(level, (-1, 1, 1, 1))
        mask = mask[..., None]
        return self.scale * (mask * x + (1.0 - mask) * filled)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setitem(VERBS, "complete", COMPLETE)
    return Filler()


def inputs(rows=3):
    mask = np.zeros((rows, 8, 8), np.float32)
    mask[:, :4] = 1.0
    return images(rows), mask, np.arange(rows)


def test_entries_are_of_known_kinds_and_have_a_command_with_their_example():
    commands = {command.name: command.callback for command in app.app.registered_commands}
    assert set(FORWARD) <= set(VERBS) == {name for name in commands if name in VERBS}
    for verb in VERBS.values():
        assert {field.kind for field in (*verb.inputs, verb.output)} <= set(KINDS)
        assert commands[verb.name].__doc__.startswith(verb.sentence)
        assert commands[verb.name].__doc__.endswith(f"Example: tfgen {verb.name} {verb.example}")
        assert not verb.help.endswith(".") and shlex.split(verb.example)[0] == "runs/x"


def test_signature_and_outputs_of_several_inputs(model, tmp_path):
    x, mask, seeds = inputs()
    assert list(graphs.signature(model, "complete")) == ["x", "mask", "seeds", "level"]
    live = Live(model)
    made = live("complete", x, mask, seeds, level=0.5)
    np.testing.assert_array_equal(made[:, :4], x[:, :4])
    np.testing.assert_allclose(made[:, 4:], 0.5 * noise.uniform(seeds, (8, 8, 1)).numpy()[:, 4:], atol=1e-6)
    np.testing.assert_array_equal(live("complete", x, mask, seeds, batch_size=2, level=0.5), made)
    served = saved_model.Served(export.export(model, tmp_path / "served"))
    assert served.shapes == live.shapes == {"complete": {"x": (8, 8, 1), "mask": (8, 8), "seeds": ()}}
    np.testing.assert_allclose(served("complete", x, mask, seeds, level=0.5), made, atol=1e-6)
    for wrong in ((x,), (x, mask, seeds[:2]), ()):
        with pytest.raises(errors.UserError, match=r"expected complete\(x, mask, seeds\) with as many rows of each"):
            live("complete", *wrong)


def test_predict_takes_a_tuple_of_several_inputs(model, monkeypatch):
    monkeypatch.setattr(graphs, "FORWARD", ("complete",))
    x, mask, seeds = map(tf.convert_to_tensor, inputs())
    wanted = Live(model)("complete", x, mask, seeds)
    np.testing.assert_allclose(model.predict((x, mask, seeds), verbose=0), wanted, atol=1e-6)
    with pytest.raises(errors.UserError, match=r"expects masks of shape \(B, 8, 8\), received \(3, 4, 4\)"):
        model.predict((x, mask[:, :4, :4], seeds), verbose=0)
    with pytest.raises(errors.UserError, match=r"complete\(x, mask, seeds, level=1\), received 2 of these"):
        model.predict((x, mask), verbose=0)


def test_command_of_several_inputs(model, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lazy.opening, "open_verbs", lambda path: Live(model))
    command = typer.Typer()
    command.command("complete")(inference.derived(COMPLETE))
    x, mask, _ = inputs(4)
    np.savez("data.npz", x=np.rint(255 * x).astype(np.uint8))
    np.save("mask.npy", mask[:1])

    def call(*arguments):
        return command(["runs/x", "--images", "data.npz", *arguments], standalone_mode=False)

    call("--masks", "mask.npy", "--seed", "3", "--out", "made.npy")
    made = np.load("made.npy")
    np.testing.assert_allclose(made[:, :4], x[:, :4], atol=0.5 / 255)
    assert np.abs(made[0, 4:] - made[1, 4:]).max() > 0.1
    call("--masks", "mask.npy", "--out", "made.png")
    assert pathlib.Path("made.png").stat().st_size and "wrote made.png: 4 x (8, 8, 1)" in capsys.readouterr().out
    np.save("mask.npy", mask[:, :, :4])
    with pytest.raises(errors.UserError, match=r"finite masks of shape \(N, 8, 8\) in mask.npy, received float32"):
        call("--masks", "mask.npy")


def test_page_of_verbs_is_what_the_table_says():
    """Made anew by `make catalogue`."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "verbs.md"
    assert page.read_text("utf-8") == catalogue.verbs_page()
