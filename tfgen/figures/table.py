"""RESULTS.md: one line per record in results/, and a short section with the details of each."""

import re

from tfgen import files
from tfgen.figures import headlines, records
from tfgen.figures.cells import budget, cell, missed, published, table, values_of, without_spread
from tfgen.figures.details import section_of

INTRO = """\
# Results

`make results` writes this page from the records in [`results/`](results); no value is typed by hand. The table has one line
per figure, and each title links to the details: further values, settings, seeds, data, versions and sources.

- `a ± b`: mean and standard deviation over seeds, unless the title says otherwise; `a (b to c)`: mean and range over seeds,
  or median and range over the rounds of a benchmark. A value with neither is of one seed.
- **Compared with** has the published value or baselines, measured in the same way unless marked as published; "none" where
  there is neither, with the reason in the details.
- CPU minutes are CPU time of the process, all its threads added up. A budget is planned before a training, as time or as the
  steps that take it; where the time spent differs by more than a twentieth, the line has both.

[docs/figures.md](docs/figures.md) explains the columns, what may be compared, and how to make a figure again or add one.
"""
COLUMNS = ("Figure", "Measure", "Value", "Compared with", "Budget", "Command")


def picked(entries, values, best, own):
    """["label: value", …] of a headline's values, without those that the record lacks.

    own: the record's `values`; a `*` looks among them alone, as the rows of a table may be references (training images).
    """
    found = []
    for label, keys in entries.items():
        keys = [keys] if isinstance(keys, str) else list(keys)
        for at, key in enumerate(keys):
            if "*" in key:
                matches = {got: match[1] for got in without_spread(values)
                           if got in own and (match := re.fullmatch(re.escape(key).replace(r"\*", "(.*)"), got))}
                keys[at] = best(matches, key=values.get) if matches else key
                label = label.replace("*", matches.get(keys[at], "*"))
        if any(key in values for key in keys):
            text = " / ".join(cell(key, values) if key in values else "none" for key in keys)
            found.append(f"{label}: {text}" if label else text)
    return found


def line_of(made):
    """The cells of a record's line, as in COLUMNS."""
    values, headline = values_of(made), headlines.of(made)
    ours, beside = (picked(entries, values, headline.best, made["values"]) for entries in (headline.ours, headline.beside))
    beside += [f"published: {published(made)[0]}"] if published(made)[0] else []
    ours = ours or [f"{key}: {cell(key, values)}" for key in list(made["values"])[:1]] or ["none"]
    ours += [f"[a target missed](#{made['name']})"] if any(missed(made)) else []
    return (f"[{headline.title}](#{made['name']})", headline.measure, "<br>".join(ours), "<br>".join(beside) or "none",
            budget(made), f"`{made['command']}`" if "command" in made else "none")


def write_table():
    """Writes RESULTS.md from every record in results/."""
    made = records.stored(list(headlines.HEADLINES))
    lines = [INTRO, *table(COLUMNS, map(line_of, made)), "", "## Details"]
    for record in made:
        lines += ["", *section_of(record)]
    files.write_text("RESULTS.md", "\n".join(lines) + "\n")
    print(f"wrote RESULTS.md from {len(made)} records")
