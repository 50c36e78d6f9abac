"""What a search found: a table of its trials, their parallel coordinates, and what to do with the best run."""

import json

from tfgen import files
from tfgen.pictures import parallel


def rows(out, oracle):
    """A dict per trial, the best first, those without a value last.

    Returns:
        [{"id", "status", "score", "epochs" (with those of the trial that it goes on with), "seconds" (of
        its own training, with building and tracing), "hyperparameters"
        (those searched), "message" (last line of a failure, else None)}].
    """
    found = []
    for trial in oracle.trials.values():
        about = training_of(out, trial.trial_id)
        done = trial.status == "COMPLETED"
        lines = (trial.message or "its objective was not finite").strip().splitlines()
        found.append({"id": trial.trial_id, "status": "COMPLETED" if done else "FAILED",
                      "score": trial.score if done else None,
                      "epochs": trial.hyperparameters.values.get("tuner/initial_epoch", 0)
                      + len(next(iter(about.get("history", {}).values()), ())), "seconds": about.get("seconds"),
                      "hyperparameters": searched(oracle, trial), "message": None if done else lines[-1]})
    sign = -1 if oracle.objective.direction == "max" else 1
    return sorted(found, key=lambda row: (row["score"] is None, sign * (row["score"] or 0.0)))


def searched(oracle, trial):
    """{hyperparameter: value} of a trial, without those that are fixed and without KerasTuner's own."""
    fixed = {one.name for one in oracle.hyperparameters.space if type(one).__name__ == "Fixed"}
    return {name: value for name, value in trial.hyperparameters.values.items()
            if name not in fixed and not name.startswith("tuner/")}


def training_of(out, trial_id):
    """The `training.json` of a trial, {} if it was not trained to its end."""
    path = out / "trials" / f"trial_{trial_id}" / "training.json"
    return files.read_json(path) if path.exists() else {}


def chosen(out, found):
    """All hyperparameters of the best of `rows`; {} if none has a value."""
    best = [row["id"] for row in found[:1] if row["score"] is not None]
    return training_of(out, best[0])["hyperparameters"] if best else {}


def write(out, settings, found, best):
    """Writes `report.md` and, of two trials or more with values, `parallel.png`."""
    name, direction = settings["objective"]
    columns = list(dict.fromkeys(key for row in found for key in row["hyperparameters"]))
    compared = [row for row in found if row["score"] is not None]
    lines = [f"# Search of `{settings['recipe']}` on `{settings['spec']['name']}`", "",
             f"Objective: {name} on the validation split, {'higher' if direction == 'max' else 'lower'} is better. "
             f"Tuner: {settings['tuner']}, {len(found)} trials of at most {settings['epochs']} epochs, seed "
             f"{settings['seed']}.", ""]
    if best:
        lines += [f"The best run, trained anew with the hyperparameters of trial {found[0]['id']}, is in `best/`:", "",
                  "```", f"tfgen sample {out / 'best'} --out samples.png",
                  f"tfgen export {out / 'best'} --to saved_models/{settings['recipe']}", "```", "",
                  f"Its hyperparameters: {listed(best)}.", ""]
    if columns and len(compared) > 1:
        parallel.parallel(out / "parallel.png", {one: [row["hyperparameters"].get(one) for row in compared]
                                                 for one in columns},
                          [row["score"] for row in compared], name, direction == "max",
                          logarithmic=[one for one in columns if settings["space"].get(one, {}).get("sampling") == "log"])
        lines += ["![hyperparameters of the trials, coloured by the objective](parallel.png)", ""]
    lines += [table(out, name, columns, found), ""]
    if failed := [row for row in found if row["score"] is None]:
        lines += ["## Failed trials", "", *(f"- {row['id']} ({listed(row['hyperparameters'])}): {row['message']}"
                                            for row in failed), ""]
    files.write_text(out / "report.md", "\n".join(lines))


def table(out, name, columns, found):
    """The trials as a table of Markdown, each with a link to its picture."""
    head = ["trial", name, *columns, "epochs", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in found:
        drawn = (out / "pictures" / f"{row['id']}.png").exists()
        cells = [f"[{row['id']}](pictures/{row['id']}.png)" if drawn else row["id"],
                 "failed" if row["score"] is None else short(row["score"]),
                 *(short(row["hyperparameters"].get(column)) for column in columns), short(row["epochs"]),
                 short(row["seconds"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def short(value):
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def listed(values):
    return ", ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())
