"""RESULTS.md: one line per record in results/, and a short section with the details of each."""

import math
import re

from tfgen import figures, files, headlines

INTRO = """\
# Results

`make results` writes this page from the records in [`results/`](results); no value is typed by hand. The table has one line
per figure, and each title links to the details: further values, settings, seeds, data, versions and sources.

- `a ± b`: mean and standard deviation over seeds, unless the title says otherwise; `a (b to c)`: mean and range over seeds,
  or median and range over the rounds of a benchmark. A value with neither is of one seed.
- **Compared with** has the published value or baselines, measured in the same way unless marked as published; "none" where
  there is neither, with the reason in the details.
- CPU minutes are CPU time of the process, all its threads added up.
"""
COLUMNS = ("Figure", "Measure", "Value", "Compared with", "Budget", "Command")
# {field of a budget: its unit}; of two with one unit the first counts.
BUDGET = {"epochs": "epochs", "pre-training epochs": "epochs of pre-training", "steps": "steps per training",
          "fine-tuning steps": "steps of fine-tuning", "rounds": "rounds", "steps_a_round": "steps per round",
          "cpu_minutes_a_training": "CPU minutes per training", "cpu_minutes": "CPU minutes per training",
          "cpu_minutes_each": "CPU minutes per network", "cpu_seconds_a_training": "CPU seconds per training"}


def values_of(made):
    """{key: value} of a record: those of its table, where each row has a name of its own, under those of `values`."""
    rows, found = made.get("table", ()), {}
    if isinstance(rows, dict):
        rows = [{"method": name, **row} for name, row in rows.items() if isinstance(row, dict)]
    named = [(next((row[key] for key in ("method", "recipe", "kl_weight") if key in row), None), row) for row in rows]
    if len({name for name, _ in named}) == len(named):
        for name, row in named:
            for key, value in leaves(row):
                found[f"{key} {name:g}" if isinstance(name, float) else f"{key} {name}"] = value
    deviations = {f"{key}, std": value for key, value in made.get("standard_deviation", {}).items()}
    # Ratios of CPU time, which stand beside those of wall time, stay in the records.
    return found | deviations | {key: value for key, value in made["values"].items()
                                 if not re.search(r"_over_.*_cpu(_min|_max)?$", key)}


def leaves(tree, at=""):
    """(path, number) of each number in nested dictionaries and lists."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{at} {key}".strip())
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{at}[{index}]")
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield at, tree


def error_keys(key):
    """The names that the error of a value may have."""
    word, _, rest = key.partition(" ")
    return [f"{key}, std", f"standard error of the {key}", f"{word}_error {rest}"] + [f"std {rest}"] * (word == "mean")


def is_spread(key, values):
    """Whether a value is the error or an end of the range of another."""
    return (key.endswith((", std", "_min", "_max")) and key.removesuffix(", std")[:-4 if key[-4] == "_" else None] in values
            or any(key in error_keys(other) for other in values))


def number(value):
    """Four significant digits, below 1 only those that the value has; large numbers in full."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:.0f}" if abs(value) < 10_000 else f"{value:,.0f}"
    short = f"{value:.4g}"
    exact = value == 0 or abs(float(short)) < 1 and math.isclose(float(short), value)
    return short if exact else f"{value:#.4g}"


def cell(key, values):
    """A value with its error or range."""
    value = values[key]
    for name in error_keys(key):
        if name in values:
            error = values[name]
            if math.isnan(error):
                return number(value)
            digits = 0 if isinstance(value, int) else len(f"{value:#.4g}".partition(".")[2])
            # An error has two digits, unless the value's last one comes first.
            while digits > 1 and error >= 10.0 ** (2 - digits):
                digits -= 1
            if error < 0.5 / 10**digits:
                return f"{number(value)} ± {error if error > 1e-9 else 0:.1g}"
            return f"{value:.{digits}f} ± {error:.{digits}f}"
    low, high = values.get(f"{key}_min"), values.get(f"{key}_max")
    if low is None or high is None:
        return number(value)
    return number(low) if low == high else f"{number(value)} ({number(low)} to {number(high)})"


def table(head, rows):
    """Lines of a table; a bar within a cell is escaped."""
    yield from ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        yield "| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"


def picked(entries, values, best):
    """["label: value", …] of a headline's values, without those that the record lacks."""
    found = []
    for label, keys in entries.items():
        keys = [keys] if isinstance(keys, str) else list(keys)
        for at, key in enumerate(keys):
            if "*" in key:
                matches = {got: match[1] for got in values if not is_spread(got, values)
                           if (match := re.fullmatch(re.escape(key).replace(r"\*", "(.*)"), got))}
                keys[at] = best(matches, key=values.get) if matches else key
                label = label.replace("*", matches.get(keys[at], "*"))
        if any(key in values for key in keys):
            text = " / ".join(cell(key, values) if key in values else "none" for key in keys)
            found.append(f"{label}: {text}" if label else text)
    return found


def span(numbers):
    """A number, or the range of several."""
    low, high = (number(end) if end >= 1000 else f"{end:.3g}" for end in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def budget(made):
    """What the trainings of a record took, in words."""
    spent, said = made.get("budget", {}), {}
    for key, unit in BUDGET.items():
        numbers = list(under(key, spent))
        if numbers:
            said.setdefault(unit, span(numbers))
    if not any("CPU" in unit for unit in said):
        minutes = [value for key, value in values_of(made).items() if key.startswith("cpu_minutes ")]
        said |= {"CPU minutes per training": span(minutes)} if minutes else {}
    if not any("CPU" in unit for unit in said) and "wall_minutes" in spent:
        said["minutes of wall time in all"] = span([spent["wall_minutes"]])
    parts, seeds = [f"{numbers} {unit}" for unit, numbers in said.items()], seeds_of(made)
    return ", ".join([*(parts or ["not recorded"]), *([f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"] if seeds else [])])


def under(key, tree):
    """The numbers below every `key` of nested dictionaries and lists."""
    for name, branch in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from (value for _, value in leaves(branch)) if name == key else under(key, branch)


def seeds_of(made):
    return made.get("seeds") or made.get("budget", {}).get("seeds") or []


def published(made):
    """(values, what the details say) of what is published; no values where there are none to compare with."""
    found = made.get("published", "none")
    return (str(found["value"]), f"{found['value']}. Source: {found['source']}") if isinstance(found, dict) else ("", found)


def missed(made):
    """A sentence per value that misses the target which its record states (`marks`), with the reason."""
    values, headline = values_of(made), headlines.of(made)
    for mark, key in headline.targets.items():
        if mark not in made.get("marks", {}):
            continue
        target, most = made["marks"][mark], key.startswith("<=")
        pattern = re.escape(key.removeprefix("<=")).replace(r"\*", ".*")
        for name, value in values.items():
            if re.fullmatch(pattern, name) and not is_spread(name, values) and (value > target if most else value < target):
                reason = made.get("missed", {}).get(name) or why(name, target, values)
                yield (f"`{name}` is {cell(name, values)}, the target at {'most' if most else 'least'} {target}. "
                       f"Reason: {reason}")


def why(key, target, values):
    """The reason of a missed ratio of speeds, from what was measured beside it."""
    ours, _, peer = key.partition("_over_")
    if not peer:
        return "the record gives none"
    bare, other = (values.get(f"{name}_images_per_s") for name in ("bare", peer))
    if peer != "bare" and bare and other and bare / other < target:
        return f"a bare TensorFlow loop over the same networks, too, reaches only {bare / other:.3g} times PyTorch's speed"
    if ours == "fit" and values.get(f"fit_16_over_{peer}", 0) >= target:
        return f"`fit` takes time between steps; with `steps_per_execution=16` the ratio is {values[f'fit_16_over_{peer}']}"
    if values.get(f"{key}_max", 0) >= target:
        return "the range over rounds includes the target"
    return "the record gives none"


def line_of(made):
    """The cells of a record's line, as in COLUMNS."""
    values, headline = values_of(made), headlines.of(made)
    ours, beside = (picked(entries, values, headline.best) for entries in (headline.ours, headline.beside))
    beside += [f"published: {published(made)[0]}"] if published(made)[0] else []
    ours = ours or [f"{key}: {cell(key, values)}" for key in list(made["values"])[:1]] or ["none"]
    ours += [f"[a target missed](#{made['name']})"] if any(missed(made)) else []
    return (f"[{headline.title}](#{made['name']})", headline.measure, "<br>".join(ours), "<br>".join(beside) or "none",
            budget(made), f"`{made['command']}`" if "command" in made else "none")


def grids_of(made):
    """Lines of a record's tables, and of one with the values that are in none of them."""
    values, headline, used = values_of(made), headlines.of(made), set()
    for grid in headline.grids:
        patterns = [re.escape(key).replace(r"\{\}", "(.+)") for key in grid.columns.values()]
        names = dict.fromkeys(match[1] for pattern in patterns for key in values if not is_spread(key, values)
                              if (match := re.fullmatch(pattern, key)))
        yield from grid_lines(grid, list(names), values, used)
    rest = {key: value for key, value in made["values"].items()
            if key not in used and key in values and not is_spread(key, values)}
    if rest:
        yield from table(("quantity", "value"), [(headline.labels.get(key, key), cell(key, values)) for key in rest])
        yield ""


def grid_lines(grid, names, values, used):
    """Lines of one grid, without columns that no row has; adds the keys of its cells to `used`."""
    columns = {title: key for title, key in grid.columns.items() if any(key.format(name) in values for name in names)}
    if not columns:
        return
    rows = []
    for name in names:
        keys = [key.format(name) for key in columns.values()]
        used.update(keys)
        rows.append([grid.names.get(name, name), *(cell(key, values) if key in values else "" for key in keys)])
    yield from [f"<details><summary>{grid.folded}</summary>", ""] if grid.folded else []
    yield from table((grid.corner, *columns), rows)
    yield from ["", "</details>", ""] if grid.folded else [""]


def words(tree, key=None):
    """A part of a record in words; `key`: its own, where it is within a dictionary."""
    if isinstance(tree, dict):
        text = ", ".join(words(value, name) if name == "name" else f"{str(name).replace('_', ' ')} {words(value, name)}"
                         for name, value in tree.items())
        return text if key is None else f"({text})"
    if isinstance(tree, list):
        return "x".join(map(str, tree)) if key in ("image_shape", "size") else f"({', '.join(map(words, tree))})"
    return f"{tree:.4g}" if isinstance(tree, float) else str(tree)


def settings_of(made):
    """{system: settings} of a record, {"": settings} where it has one system."""
    spent, rows = made.get("budget", {}), made.get("table", [])
    found = {name: row["settings"] for name, row in spent.items() if isinstance(row, dict) and "settings" in row}
    if isinstance(rows, list):
        found |= {row.get("method", row.get("recipe")): row["settings"] for row in rows if "settings" in row}
    found |= {f"learning rate by number of labels, {arm}": own for arm, own in spent.get("learning rates", {}).items()}
    own = made.get("settings") or spent.get("hyperparameters") or {}
    return found or (own if any(isinstance(row, dict) for row in own.values()) else {"": own} if own else {})


def section_of(made):
    """Lines of one record's details."""
    headline, name = headlines.of(made), made["name"]
    yield from [f'### <a id="{name}"></a>{headline.title}', "", f"Headline measure: {headline.measure}.", ""]
    yield from grids_of(made)
    for sentence in missed(made):
        yield f"- **Target missed:** {sentence}."
    yield f"- **Published:** {published(made)[1]}."
    about = {"Data": made.get("data"), "Features": made.get("extractor"), "Budget": budget(made),
             "Seeds": ", ".join(map(str, seeds_of(made))),
             "Choice of settings": made.get("chosen"), "Pooling": made.get("pooling", {}).get("chosen"),
             "Machine": made.get("machine"),
             "Versions": {**made.get("versions", {}), **made.get("peer", {})}, "Measured on": made.get("date")}
    for title, value in about.items():
        if value:
            yield f"- **{title}:** {words(value)}."
    links = [f"[record](results/{name}.json)"] + ([f"`{made['command']}`"] if "command" in made else [])
    links += [f"[picture](results/pictures/{made['picture']})"] if "picture" in made else []
    yield f"- **Source:** {', '.join(links)}."
    settings = [f"{system}: {words(own)}" if system else words(own) for system, own in settings_of(made).items() if own]
    if len(settings) == 1:
        yield f"- **Settings:** {settings[0]}."
    elif settings:
        yield from ["", "<details><summary>Settings</summary>", "", *(f"- {line}" for line in settings), "", "</details>"]


def records():
    """All records, in the order of HEADLINES, and then those without a headline."""
    found = {path.stem: files.read_json(path) for path in sorted(figures.RESULTS.glob("*.json"))}
    return [found[name] for name in [*headlines.HEADLINES, *sorted(set(found) - set(headlines.HEADLINES))] if name in found]


def write_table():
    """Writes RESULTS.md from every record in results/."""
    made = records()
    lines = [INTRO, *table(COLUMNS, map(line_of, made)), "", "## Details"]
    for record in made:
        lines += ["", *section_of(record)]
    files.write_text("RESULTS.md", "\n".join(lines) + "\n")
    print(f"wrote RESULTS.md from {len(made)} records")
