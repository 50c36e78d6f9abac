"""What edge runtimes compute of each recipe: the tables of docs/edge.md.

`python -m benchmarks.edge` converts the verbs of a tiny untrained model of every recipe for every format whose packages are
installed, compares them with the model, and writes docs/edge.json and the tables. `--recipes vae,ddpm --formats onnx` does
a part anew; the other verdicts stay. Each recipe has a process of its own, which a converter may break.
"""

import argparse
import contextlib
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[1]
RECORD, PAGE = ROOT / "docs" / "edge.json", ROOT / "docs" / "edge.md"
MARK = "<!-- the tables: python -m benchmarks.edge -->"
FORMATS = ("onnx", "openvino", "litert", "tfjs")


def measure(recipe, formats):
    """Prints a line of JSON per format and verb: [format, verb, text of the verdict]."""
    sys.path.insert(0, str(ROOT / "tests"))
    import keras
    import numpy as np
    from cases import images, tiny

    from tfgen.serving import edge
    from tfgen.serving.runtimes import runtime_of
    from tfgen.verbs.live import Live

    keras.utils.set_random_seed(0)
    model = tiny(recipe)
    live, graph_of = Live(model), functools.lru_cache(1)(edge.EdgeGraph)
    if "score" in live.names:
        # A run calibrates its detector; before, the threshold is infinite.
        model.threshold.assign(np.median(live("score", images())))
    for name in live.names:
        for format in formats:
            with tempfile.TemporaryDirectory() as folder:
                verdict, _ = edge.write_verb(live, name, runtime_of(format), pathlib.Path(folder), graph_of)
            print(json.dumps([format, name, verdict.text]), flush=True)


def measured(recipe, formats):
    """Yields (format, verb, text of the verdict) of a recipe, as a process of its own finds them."""
    command = [sys.executable, "-m", "benchmarks.edge", "--measure", recipe, "--formats", ",".join(formats)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # converters print, too
                format, name, text = json.loads(line)
                print(f"{recipe:24}{format:10}{name:16}{text}", flush=True)
                yield format, name, text
    if process.returncode:
        print(f"{recipe:24}ended with {process.returncode}", flush=True)


def tables(record):
    """Markdown: a table with a row per recipe, then the reasons."""
    formats, reasons = [format for format in FORMATS if format in record], {}
    lines = [f"| recipe | {' | '.join(formats)} |", "|---|" + "---|" * len(formats)]
    for recipe in sorted({recipe for format in formats for recipe in record[format]}):
        cells = [cell(record[format].get(recipe), reasons) for format in formats]
        lines.append(f"| `{recipe}` | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join([*lines, *(["", "Reasons:", ""] if notes else []), *notes])


def cell(verbs, reasons):
    """Text of one recipe and format; `reasons` numbers the reasons met."""
    if not verbs:
        return "not run"
    exact = [name for name, text in verbs.items() if text.startswith("exact")]
    refused = {name: text.removeprefix("refused (")[:-1] for name, text in verbs.items() if name not in exact}
    parts = [f"exact: {', '.join(exact)}"] if exact else []
    parts += [f"refused: {name} ({reasons.setdefault(reason, len(reasons) + 1)})" for name, reason in refused.items()]
    return "; ".join(parts)


def write(record):
    """Writes docs/edge.json and the tables of docs/edge.md, which end the page."""
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + f"{MARK}\n\n{tables(record)}\n")


def main():
    """The command."""
    from tfgen import catalogue

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipes", default=",".join(catalogue.names()), help="default: all")
    parser.add_argument("--formats", default=",".join(FORMATS), help="default: all")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    formats = given.formats.split(",")
    if given.measure:
        measure(given.measure, formats)
        return
    for recipe in given.recipes.split(","):
        for format, name, text in measured(recipe, formats):
            # Read anew each time: two commands may do a part each, and one that is stopped keeps what it found.
            record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
            record.setdefault(format, {}).setdefault(recipe, {})[name] = text
            write(record)


if __name__ == "__main__":
    main()
