"""Help, lists and start-up of the command line."""

import json
import os
import pathlib
import platform
import re
import runpy
import subprocess
import sys
import types

import pytest
import tensorflow as tf
from cases import tiny_values

from tfgen import _start, catalogue, recipes
from tfgen.verbs import VERBS

ROOT = pathlib.Path(__file__).parents[2]


def test_list(tfgen):
    code, out, _ = tfgen("list", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["name"] for row in rows} == set(recipes.RECIPES)
    vae = next(row for row in rows if row["name"] == "vae")
    assert vae["family"] == "vae" and "sample" in vae["verbs"] and vae["paper"] == "arXiv:1312.6114"
    assert tfgen("list")[1].count("\n") == len(rows)


def test_another_backend_is_one_line(tmp_path):
    (tmp_path / "tfgen").write_text("from tfgen import cli\n")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    imported = "import sys, types; sys.modules['keras'] = keras = types.ModuleType('keras'); keras.config = keras; " \
               "keras.backend = lambda: 'torch'; import tfgen"
    for arguments, code, backend in (([tmp_path / "tfgen"], 2, "jax"), (["-c", "import tfgen"], 1, "jax"),
                                     (["-c", imported], 1, "torch")):
        ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
        last = ended.stderr.splitlines()[-1]
        assert ended.returncode == code and f"tfgen needs Keras' TensorFlow backend, received '{backend}'" in last
        assert code == 1 or ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_every_command_has_help_with_an_example(tfgen):
    names = ["list", "train", "tune", *VERBS, "evaluate", "export", "check-export", "serving-config", "serve", "ui",
             "reproduce", "data list", "data prepare"]
    for name in names:
        code, out, _ = tfgen(*name.split(), "--help")
        assert code == 0 and f"Example: tfgen {name}" in re.sub(r"\s+", " ", out)


def test_data_list(tfgen):
    code, out, _ = tfgen("data", "list")
    assert code == 0 and "digits" in out


def test_readme_names_every_recipe():
    text = (ROOT / "README.md").read_text()
    for name in recipes.RECIPES:
        assert f"`{name}`" in text


def test_ctrl_c_during_the_imports_ends_the_command_alone():
    code = """
import signal, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "matplotlib":
            print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
            raise ImportError

sys.argv = [sys.argv[1]]
sys.meta_path.insert(0, Watch())
try:
    import tfgen
    tfgen._start.libraries()
except ImportError:
    pass
"""
    for name, ends in (("tfgen", "True"), ("script.py", "False")):
        done = subprocess.run([sys.executable, "-c", code, f"/usr/bin/{name}"], capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.strip() == ends, done.stderr


def as_command(arguments, **environment):
    """Output, modules and CPU seconds of the command `tfgen` in a process of its own."""
    code = """
import json, sys, time
sys.argv = ["tfgen", *sys.argv[1:]]
from tfgen import catalogue, cli
try:
    cli.main()
except SystemExit as end:
    print(json.dumps([end.code, "tensorflow" in sys.modules, "keras" in sys.modules, time.process_time()]))
"""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | environment)
    *output, last = done.stdout.splitlines()
    return "\n".join(output) + done.stderr, *json.loads(last)


@pytest.mark.parametrize("arguments, code, text", [
    (["--help"], 0, "Deep generative models"), (["train", "--help"], 0, "--resume"), (["list"], 0, "wgan_gp"),
    (["list", "--json"], 0, '"hyperparameters"'), (["train", "wgan_pg"], 2, "did you mean 'wgan_gp'"),
    (["tune", "vea"], 2, "did you mean 'vae'"), (["trian"], 2, "trian"), (["reproduce", "--hlep"], 2, "--hlep")])
def test_help_lists_and_typos_need_no_tensorflow(arguments, code, text):
    output, ended, tensorflow, keras, seconds = as_command(arguments)
    assert text in output and ended == code
    assert not tensorflow and not keras and seconds < 1.0


def test_completion_needs_no_tensorflow():
    code = "import sys; sys.argv = ['tfgen']; from tfgen.cli.app import app; app(prog_name='tfgen')"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {"_TFGEN_COMPLETE": "complete_bash", "COMP_WORDS": "tfgen train conditional_v",
                                            "COMP_CWORD": "2"})
    assert done.stdout.split() == ["conditional_vae"]
    assert "tensorflow" not in done.stderr and "keras" not in done.stderr


def test_the_catalogue_names_every_recipe():
    assert sorted(row["name"] for row in catalogue.rows()) == sorted(recipes.RECIPES)


@pytest.mark.rotating
@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_the_catalogue_is_what_the_recipes_are(name):
    """Of tiny models, whose defaults are the same; `make catalogue` builds them with their defaults."""
    (row,) = [row for row in catalogue.rows() if row["name"] == name]
    assert row == json.loads(json.dumps(catalogue.row(recipes.find(name), tiny_values(name))))


@pytest.mark.rotating
def test_any_module_of_the_commands_may_be_the_first():
    """Each in a process of its own, forked after TensorFlow is there: an import cycle shows with some orders only."""
    code = """
import os, sys
sys.argv = ["tfgen"]
from tfgen import _start
from tfgen.cli import lazy
_start.libraries()
for module in [one for one in vars(lazy).values() if isinstance(one, lazy.Lazy)]:
    child = os.fork()
    if not child:
        try:
            getattr(module, "__name__")
        except BaseException as error:
            if getattr(error, "name", None) != "gradio":  # of the extra 'ui'
                print(module._name, error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "" and done.returncode == 0, done.stdout + done.stderr


def test_the_command_registers_every_class():
    """A .keras file loads only registered classes; the command imports what a run needs, not all of tfgen."""
    code = """
import os, sys
import keras
for name in ("tfgen", "script.py"):
    child = os.fork()
    if not child:
        try:
            sys.argv = [name]
            import tfgen
            from tfgen import runs
            print(sorted(name for name in keras.saving.get_custom_objects() if name.startswith("tfgen")), flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    found, of_a_script = done.stdout.splitlines()
    assert found == of_a_script and "tfgen>VAE" in found


@pytest.mark.parametrize("machine, given, wanted", [("x86_64", None, "1"), ("x86_64", "0", "0"), ("aarch64", None, None)])
def test_convolutions_take_onednn_unless_the_user_says_otherwise(machine, given, wanted, monkeypatch):
    name = "TF_ENABLE_ONEDNN_OPTS"
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv(name, given or "")  # so that it is put back, whether it was set or not
    if given is None:
        monkeypatch.delenv(name)
    runpy.run_path(str(ROOT / "tfgen" / "_start.py"))
    assert os.environ.get(name) == wanted


@pytest.mark.parametrize("visible, remapping", [(["CPU"], False), (["CPU", "GPU"], None)])
def test_remapping_is_off_where_only_cpus_are_visible(visible, remapping, monkeypatch):
    """A program may hide its GPUs."""
    options, devices = {}, [types.SimpleNamespace(device_type=kind) for kind in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *kind: devices)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda *kind: devices[:len(visible)])
    monkeypatch.setattr(tf.config.optimizer, "get_experimental_options", lambda: {})
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", options.update)
    _start.libraries.__wrapped__()
    assert options.get("remapping") == remapping
