"""The details of a record in RESULTS.md: its tables, its settings, its source."""

import re

from tfgen.figures import headlines
from tfgen.figures.cells import budget, cell, missed, published, seeds_of, table, values_of, without_spread


def grids_of(made):
    """Lines of a record's tables, and of one with the values that are in none of them."""
    values, headline, used = values_of(made), headlines.of(made), set()
    keys = without_spread(values)
    for grid in headline.grids:
        patterns = [re.escape(key).replace(r"\{\}", "(.+)") for key in grid.columns.values()]
        names = dict.fromkeys(match[1] for pattern in patterns for key in keys
                              if (match := re.fullmatch(pattern, key)))
        yield from grid_lines(grid, list(names), values, used)
    if rest := [key for key in keys if key in made["values"] and key not in used]:
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
        found |= {next((row[key] for key in ("arm", "method", "recipe") if key in row), None): row["settings"]
                  for row in rows if "settings" in row}
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
