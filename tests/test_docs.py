"""The site of docs/: every page has its place, the Python of every page runs, and what its commands name exists."""

import ast
import pathlib
import re
import sys
import types

import keras
import numpy as np
import pytest
import typer
from helpers import write_images
from PIL import Image

import tfgen
from tfgen import catalogue, data, losses, networks, recipes, runs, schedules
from tfgen.cli.app import app
from tfgen.figures import headlines
from tfgen.recipes.vaes import conv_vae

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Trainings of the pages are longer than a test's, and their sets larger.
SHORTER = [*((re.compile(rf"\b{name}=[\d_]+"), f"{name}={number}") for name, number in (
    ("epochs", 1), ("steps_per_epoch", 2), ("filters", 4), ("factor", "4, steps=2"))), (re.compile("1024"), "32"),
           (re.compile("fpr=0.02"), "fpr=0.05")]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if BLOCK.search(path.read_text("utf-8")))


def digits(**options):
    return data.load("digits", **options)


def anomaly(request):
    ones = digits(normal="1")
    model = runs.train("ae_anomaly", ones, "runs/sandals", epochs=1, values={"filters": 4}, batch_size=64)
    images = ones.images("test")[:6].astype("float32") / 255
    from tfgen.verbs.live import Live
    return {"images": images, "held_out": np.concatenate([ones.images("validation")[:30].astype("float32") / 255] * 2),
            "live": Live(model)}


def upscaling(request):
    model = recipes.find("vae").model(digits().spec, filters=4, latent_dim=4)
    originals = digits().images("test")[:2].astype("float32") / 255
    return {"model": model, "originals": originals, "low": originals.reshape(2, 2, 4, 2, 4, 1).mean((2, 4))}


def denoising(request):
    from tfgen.samplers.noise_levels import KarrasLevels
    return {"my_denoiser": lambda x, sigma: x / (1 + sigma**2), "noise": np.ones((2, 4, 4, 1), "float32"),
            "levels": KarrasLevels()}


def tables(request):
    rng = np.random.default_rng(0)
    np.save("rows.npy", rng.normal(size=(300, 4)))
    return {"values": rng.normal(size=(900, 2)), "labels": rng.integers(0, 2, 900)}


def signal(request):
    return {"array": np.random.default_rng(0).uniform(size=(16, 16, 1))}


def folders(request):
    """Folders of few images in place of Fashion-MNIST and of a category of MVTec AD."""
    for part in ("train", "validation", "test"):
        for name in ("Sandal", "T-shirt", "Ankle boot"):
            write_images(pathlib.Path("clothes", part, name), 4, (28, 28))
    for part in ("train/good", "test/good", "test/broken_large"):
        write_images(pathlib.Path("mvtec/bottle", part), 10, (64, 64))
    write_images(pathlib.Path("mvtec/bottle/ground_truth/broken_large"), 10, (64, 64))
    return {INSTEAD: {"fashion_mnist": "clothes"}}


def names(request):
    """What sketches of the design leave out."""
    players = networks.dcgan.generator((8, 8, 1), 4, filters=4), networks.dcgan.critic((8, 8, 1), filters=4)
    return {"GAN": tfgen.GAN, "Hinge": losses.Hinge, "Wasserstein": losses.Wasserstein, "dcgan": networks.dcgan,
            "GradientPenalty": losses.GradientPenalty, "Adam": keras.optimizers.Adam, "recipe": recipes.recipe,
            "generator": players[0], "critic": players[1]}


def adding(request):
    """What the module of the recipe imports."""
    return {"recipe": recipes.recipe, "conv_vae": conv_vae, "schedules": schedules}


def module(request, name, **content):
    """A module in place of one that is not installed."""
    made = types.ModuleType(name)
    vars(made).update(content)
    request.getfixturevalue("monkeypatch").setitem(sys.modules, name, made)
    return made


def session(request):
    """ONNX Runtime that looks at what it is given; tests/serving/test_edge.py runs the graphs themselves."""
    class Session:
        def __init__(self, path):
            assert path == "edge/vae/sample.onnx"

        def run(self, outputs, inputs):
            words = inputs["seeds"]
            assert outputs == ["images"] and words.dtype == np.int32 and (words[:, 0] == np.arange(16)).all()
            return [np.zeros((len(words), 8, 8, 1), "float32")]

    module(request, "onnxruntime", InferenceSession=Session)
    return {}


def searching(request):
    return {INSTEAD: {"trials=20": "trials=1, epochs=1, steps=2, verbose=0",
                      '"bernoulli"}': '"bernoulli", "filters": 4, "levels": 1, "latent_dim": 2, "cosine_decay": False}'}}


def served(request):
    """A server of one of the models that git keeps."""
    pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")
    from tfgen.serving.server import Server
    pathlib.Path("models").mkdir()
    pathlib.Path("models/vae").symlink_to(ROOT / "saved_models" / "fashion_vae")
    server = Server(pathlib.Path("models"), port=0, grpc_port=0).start()
    request.addfinalizer(server.stop)
    return {INSTEAD: {"127.0.0.1:8501": f"127.0.0.1:{server.port}"}}


def trackers(request):
    """Packages of trackers that keep what they are told."""
    told = {}
    module(request, "wandb", init=lambda **about: told.update(wandb=about))
    module(request, "wandb.integration")
    module(request, "wandb.integration.keras", WandbMetricsLogger=keras.callbacks.Callback)
    module(request, "mlflow", start_run=lambda run_name: told.update(mlflow=run_name),
           log_params=lambda values: told.update(values=values),
           keras=types.SimpleNamespace(MlflowCallback=keras.callbacks.Callback))
    return {"told": told}


INSTEAD = "instead"
# {page: function of a test's request, what its blocks are given; under INSTEAD, {words: others, which are executed}}
GIVEN = {"anomaly.md": anomaly, "data.md": folders, "design.md": names, "diffusion.md": denoising, "edge.md": session,
         "fields.md": signal, "searches.md": searching, "serving.md": served, "super_resolution.md": upscaling,
         "training.md": trackers, "vectors.md": tables, "../CONTRIBUTING.md": adding}


def followed(space):
    """A run tells both trackers of itself."""
    for name in ("wandb", "mlflow"):
        assert isinstance(space[name](pathlib.Path("runs/x"), {"hyperparameters": {"filters": 4}}), keras.callbacks.Callback)
    assert space["told"]["wandb"]["id"] == space["told"]["mlflow"] == "x" and space["told"]["values"] == {"filters": 4}


def paired(space):
    assert (space["data"].spec.view, space["data"].spec.source_shape) == ("paired", (28, 28, 1))
    assert space["images"].shape[1:] == space["sources"].shape[1:] == (28, 28, 1)


def built(space):
    model = recipes.find("wgan_gp").model(digits().spec, latent_dim=16)
    assert model.critic_steps == 5 and model.optimizer.beta_1 == 0.0


def answered(space):
    assert space["images"].shape == (3, 28, 28, 1) and len(space["outputs"]["latents"]) == 3


def added(space):
    model = recipes.find("annealed_vae").model(digits().spec, filters=4, kl_warmup_steps=8)
    assert float(model.kl_weight(4)) == 0.5


# {page: what its names must be afterwards}
AFTERWARDS = {"data.md": paired, "design.md": built, "serving.md": answered, "training.md": followed,
              "../CONTRIBUTING.md": added, "edge.md": lambda space: space["images"][15],
              "searches.md": lambda space: (pathlib.Path("runs/search/report.md").read_text(), space["best"]["filters"])}


@pytest.mark.rotating
@pytest.mark.parametrize("name", [*PAGES, "../README.md", "../CONTRIBUTING.md"])
def test_the_python_of_a_page_runs(name, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    space = GIVEN.get(name, lambda request: {})(request)
    instead = space.pop(INSTEAD, {})
    blocks = BLOCK.findall((ROOT / "docs" / name).read_text("utf-8"))
    assert all(any(words in block for block in blocks) for words in instead)
    for block in blocks:
        for pattern, short in SHORTER:
            block = pattern.sub(short, block)
        for words, others in instead.items():
            block = block.replace(words, others)
        exec(compile(block, name, "exec"), space)
    AFTERWARDS.get(name, lambda space: None)(space)


def test_tables_of_pages_name_the_benchmark_that_makes_them():
    for page in (ROOT / "docs").glob("*.md"):
        for mark, module in re.findall(r"(<!-- .*python -m benchmarks\.(\w+).* -->)", page.read_text("utf-8")):
            assert mark in (ROOT / "benchmarks" / f"{module}.py").read_text("utf-8"), (page.name, mark)


@pytest.fixture(autouse=True)
def as_before():
    """Pages add a recipe and a figure, which no other test expects."""
    tables = recipes.RECIPES, headlines.HEADLINES
    before = [dict(table) for table in tables]
    yield
    for table, own in zip(tables, before):
        table.clear()
        table.update(own)


def options_of(command, names):
    """Options of the `tfgen` command that words begin with; None if they begin with no command."""
    while hasattr(command, "commands"):
        if not names or names[0] not in command.commands:
            return None
        command, names = command.commands[names[0]], names[1:]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def every_option(command):
    commands = getattr(command, "commands", {}).values()
    return set().union(*map(every_option, commands)) if commands else options_of(command, [])


COMMAND = re.compile(r"(?:^[ \t]*|[`/]|[&|\d] )tfgen ([^`#\n]*)", re.MULTILINE)
SCRIPT = re.compile(r"python (?:-m (benchmarks)\.|(apps)/)(\w+)(?:\.py)?([^`#\n]*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z_-]*")
# Those of other programs: TensorFlow Serving, XLA in its server, Docker.
FOREIGN = {"--xla_gpu_compilation_enabled", "--xla_cpu_compilation_enabled", "--per_process_gpu_memory_fraction", "--gpus"}
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8").replace("\\\n", " ")
         for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]}


def options_of_script(path):
    """Options of a script, which is read and not imported: arguments of a parser, or of a `main` that typer runs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add_argument", "Option"):
            found |= {argument.value for argument in node.args
                      if isinstance(argument, ast.Constant) and str(argument.value).startswith("--")}
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            found |= {f"--{argument.arg.replace('_', '-')}" for argument in (*node.args.args, *node.args.kwonlyargs)}
    return found


SCRIPTS = {f"{folder}/{path.stem}": options_of_script(path)
           for folder in ("apps", "benchmarks") for path in (ROOT / folder).glob("*.py")}


@pytest.mark.parametrize("page", TEXTS)
def test_the_runs_of_a_block_are_those_that_it_trains(page):
    """Of blocks that train: what follows finds its run under the name that it was given."""
    for block in FENCED.findall(TEXTS[page]):
        lines = COMMAND.findall(block) if re.search("tfgen (train|tune) ", block) else []
        made = [path for line in lines for path in re.findall(r"^(?:train|tune) .*--out (runs/\S+)", line)]
        used = re.findall(r"(?<!\S)(?<!--out )(?<!--to )runs/[\w./-]+", "\n".join(lines))
        wrong = [path for path in used if not any(path == run or path.startswith(f"{run}/") for run in made)]
        assert not wrong, f"{page}: {wrong} is none of {made}"


def first_commands(page, keeps):
    """Arguments of the commands of the first block that trains, in which `keeps` is found."""
    block = next(block for block in FENCED.findall(TEXTS[page]) if "tfgen train" in block)
    return [line.split() for line in COMMAND.findall(block) if re.search(keeps, line)]


@pytest.mark.rotating
@pytest.mark.parametrize("page, keeps, made", [
    ("docs/index.md", "^list|runs/vae", ["samples.png", "runs/vae/metrics.json", "saved_models/my_vae/1"]),
    ("README.md", r"^list|runs/x(?: (?!--to edge)|$)|saved_models/vae(\s|$)",
     ["a.png", "b.png", "codes.npy", "decoded.png", "log_prob.csv"])])
def test_the_first_commands_run(page, keeps, made, tfgen):
    """One after the other, as a reader types them, with a shorter training of fewer filters."""
    commands = first_commands(page, keeps)
    assert len(commands) >= 5 and commands[1][0] == "train"
    for words in commands:
        # The last of equal options counts.
        short = ["--epochs", "1", "--set", "filters=4", "--set", "levels=1"] if words[0] == "train" else []
        code, _, err = tfgen(*words, *short)
        assert code == 0, (words, err)
    assert all(pathlib.Path(path).exists() for path in made)
    if page == "README.md":
        # "the same images"
        run, exported = (np.asarray(Image.open(name)).astype(int) for name in ("a.png", "b.png"))
        assert run.std() > 1 and np.abs(run - exported).max() <= 1


def test_pages_have_commands():
    wanted = {f"docs/{name}.md" for name in ("data", "training", "searches", "verbs", "vectors", "gans", "serving")}
    assert wanted | {"README.md"} <= {page for page, text in TEXTS.items() if COMMAND.search(text)}
    assert {"--fast", "--seeds", "--skips"} <= set.union(*SCRIPTS.values()) and "--only" in SCRIPTS["benchmarks/bench"]


@pytest.mark.parametrize("page", TEXTS)
def test_the_options_of_a_page_exist(page):
    """Those of a line of a command are that command's; those in the text, of any command."""
    root, text = typer.main.get_command(app), TEXTS[page]
    for line in COMMAND.findall(text):
        words = line.split()
        known = options_of(root, words)
        wrong = [word for word in OPTION.findall(line) if known is None or word not in known | {"--help"}]
        assert not wrong, f"tfgen {line}: no option {wrong}"
    for *folders, script, line in SCRIPT.findall(text):
        name = f"{''.join(folders)}/{script}"
        assert name in SCRIPTS, f"there is no script {name}"
        wrong = set(OPTION.findall(line)) - SCRIPTS[name]
        assert not wrong, f"{name}{line}: no option {wrong}"
    named = set(re.findall(r"`(--[a-z][a-z_-]*)", text))
    assert not named - every_option(root) - FOREIGN - set.union(*SCRIPTS.values())


@pytest.mark.parametrize("page", TEXTS)
def test_the_recipes_and_hyperparameters_of_a_page_exist(page):
    """`tfgen train RECIPE` and `tune RECIPE` with `--set NAME=VALUE`."""
    for line in COMMAND.findall(TEXTS[page]):
        verb, *words = line.split() or [""]
        if verb in ("train", "tune") and words and re.fullmatch("[a-z][a-z_0-9]*", words[0]):
            assert words[0] in catalogue.names(), line
            wrong = set(re.findall(r"--set (\w+)=", line)) - set(catalogue.hyperparameters(words[0]))
            assert not wrong, f"tfgen {line}: no hyperparameter {wrong}"


@pytest.mark.parametrize("page", TEXTS)
def test_the_links_of_a_page_lead_somewhere(page):
    """Files of the repository, and headings of pages."""
    prose = re.sub(r"^```.*?^```|^    .*?$|`[^`\n]*`(?!\])", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    for target, _, place in re.findall(r"\]\(((?!https?:|mailto:)[^)#\s]*)(#([^)]*))?\)", prose):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if place and path.suffix == ".md":
            text = path.read_text("utf-8")
            titles = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in
                      re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
            assert place in titles or f'<a id="{place}"' in text, f"{page}: {target}#{place}"


def test_every_page_has_its_place_in_the_site():
    yaml = pytest.importorskip("yaml")
    places = [page for part in yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"] for pages in part.values()
              for page in ([pages] if isinstance(pages, str) else [path for entry in pages for path in entry.values()])]
    assert len(places) == len(set(places))
    pages = {path.relative_to(ROOT / "docs").as_posix()
             for ending in ("md", "ipynb") for path in (ROOT / "docs").rglob(f"*.{ending}")}
    assert set(places) == pages | {"results.md", "changelog.md"}
