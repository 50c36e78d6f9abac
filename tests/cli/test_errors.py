"""Errors of the command line: one line each, and the right exit code."""

import io
import json
import os
import pathlib

import numpy as np
import pytest

from tfgen import cli, pictures
from tfgen.cli import inputs, lazy, options
from tfgen.errors import Failure, UserError


@pytest.mark.parametrize("command, message", [
    ("train nosuch", "there is no recipe 'nosuch'"), ("train vea", "did you mean 'vae'"),
    ("train vae --data nosuch", "'nosuch'"), ("train vae --data digit", "did you mean 'digits'"),
    ("train vae --set latnt_dim=3", "did you mean 'latent_dim'"), ("train vae --set latent_dim", "NAME=VALUE"),
    ("train vae --set latent_dim=0", "1 ... 512"), ("train", "expected a RECIPE"), ("trian vae", "Did you mean 'train'"),
    ("train vae --epocs 3", "--epochs"), ("train vae --epochs 0", "at least 1"), ("train --resume nowhere", "holds no run"),
    ("sample nowhere", "there is no nowhere"), ("export nowhere --to x", "holds no run"), ("export", "Missing argument"),
    ("tune vae --tuner baysian", "did you mean 'bayesian'"), ("data prepare fashin_mnist --from .", "fashion_mnist"),
    ("data prepare mnist --from nowhere", "nowhere"), ("reproduce nothing", "there is no figure"),
    ("train vae --normal thre", "0 to 9, received 'thre'"), ("tune vae --anomalous 10", "0 to 9, received '10'"),
    ("train vae --normal 3 --anomalous 4", "expected one of pairs"), ("tune vae --normal 3 --pairs edges", "normal='3'"),
    ("train vae --extend", "--extend expects --resume"), ("train --resume x --seed 3 --set a=1", "leave --set, --seed out"),
    ("train --resume x --resize crop --keep-checkpoints 3", "leave --resize, --keep-checkpoints out"),
    ("train conditional_vae --normal 3", "expects labelled data"), ("train cyclegan --normal 3", "holds one_class"),
])
def test_mistakes_are_one_line_with_exit_code_2(tfgen, tmp_path, command, message):
    code, out, err = tfgen(*command.split())
    assert code == 2 and message in err and err.count("\n") == 1 and "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error, code, line", [
    (ValueError("odd\nthing"), 1, "error: internal (ValueError): odd thing; TFGEN_DEBUG=1 shows the traceback\n"),
    (KeyError("x"), 1, "error: internal (KeyError): 'x'; TFGEN_DEBUG=1 shows the traceback\n"),
    (UserError("expected this,\nreceived that"), 2, "error: expected this, received that\n"),
    (Failure("no"), 1, "error: no\n"),
    (OSError(13, "Permission denied", "x"), 2, "error: x: Permission denied; choose another place\n"),
    (MemoryError(), 1, "error: out of memory"),
    (OSError(28, "No space left on device"), 1, "error: no space left"),
])
def test_only_a_users_mistake_is_called_one(tfgen, monkeypatch, error, code, line):
    def broken(path):
        raise error

    monkeypatch.setattr(lazy.opening, "open_verbs", broken)
    ended, _, err = tfgen("sample", "run")
    assert ended == code and err.startswith(line) and err.count("\n") == 1
    monkeypatch.setenv("TFGEN_DEBUG", "1")
    with pytest.raises(type(error)):
        tfgen("sample", "run")


def test_option_values_and_endings_in_any_spelling(tmp_path, capsys):
    read = options.values_of(["a=1e-1", "b=3", "c=-2", "d=.5", "e=1E3"])
    assert read == {"a": 0.1, "b": 3, "c": -2, "d": 0.5, "e": 1000.0}
    assert isinstance(options.values_of(["b=3"])["b"], int)
    with pytest.raises(UserError, match="a number for 'a', received 'x'"):
        options.values_of(["a=x"])
    images = np.zeros((2, 8, 8, 1), "f4")
    for name in ("a.PNG", "a.Npy"):
        inputs.write(tmp_path / name, images, lambda path: pictures.save_grid(path, images))
        assert (tmp_path / name).stat().st_size
    assert np.load(tmp_path / "a.Npy").shape == (2, 8, 8, 1)


@pytest.mark.parametrize("command", ["train vae --out x", "tune vae --out x", "sample run --out x.png"])
@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(tfgen, monkeypatch, command, seed):
    monkeypatch.setattr(lazy.opening, "open_verbs", lambda path: None)
    code, _, err = tfgen(*command.split(), "--seed", seed)
    assert code == 2 and "seed" in err and err.count("\n") == 1 and not pathlib.Path("x").exists()


class Ascii(io.TextIOWrapper):
    """The standard output of a C locale."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii")


def test_output_that_is_closed_or_cannot_show_a_character(tfgen, monkeypatch):
    monkeypatch.setattr(lazy.data, "available", lambda: [("日本 caf\udce9", "here", "…")])
    monkeypatch.setattr("sys.stdout", None)
    assert tfgen("data", "list")[0] == 0
    monkeypatch.setattr("sys.stderr", None)
    assert tfgen("sample", "nowhere")[0] == 2
    monkeypatch.undo()


def test_output_of_another_encoding(monkeypatch):
    monkeypatch.setattr(lazy.data, "available", lambda: [("日本 caf\udce9", "here", "…")])
    monkeypatch.setattr("sys.argv", ["tfgen", "data", "list"])
    out = Ascii()
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and out.buffer.getvalue().startswith(rb"\u65e5\u672c caf\udce9")


def test_a_reader_that_has_enough(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tfgen", "data", "list"])
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 1


def test_broken_files_are_named(tfgen, tmp_path):
    good = {"recipe": "vae", "hyperparameters": {}, "data": {"name": "digits"}, "seed": 0, "epochs": 1, "batch_size": 8}
    for folder, name, text in (("a", "run.json", "{"), ("b", "run.json", "[]"), ("c", "run.json", '{"recipe": "vae"}'),
                               ("d", "run.json", json.dumps(good)), ("e", "saved_model.pb", "none")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "d" / "model.keras").write_text("none")
    (tmp_path / "file").write_text("no folder")
    for command, message in (("sample a", "cannot be read"), ("train --resume b", "lacks batch_size, data"),
                             ("evaluate c", "lacks batch_size"), ("export d --to x", "received a file that is broken"),
                             ("sample e", "expected a SavedModel in e"), ("sample file/deeper", "there is no file/deeper"),
                             ("train vae --out file/deeper", "file"), ("tune vae --out file", "file is a file")):
        code, _, err = tfgen(*command.split())
        assert code == 2 and message in err and err.count("\n") == 1, (command, err)


def test_ctrl_c_says_how_to_go_on(tfgen, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt("stopped; go on with it")

    monkeypatch.setattr(lazy.tuning, "search", stopped, raising=False)
    assert tfgen("tune", "vae") == (130, "", "stopped; go on with it\n")
