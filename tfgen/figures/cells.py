"""The values of a record as text: numbers with their spread, budgets, targets, rows of tables."""

import math
import re

from tfgen.figures import headlines

# {field of a budget: its unit}; of two with one unit the first counts.
BUDGET = {"epochs": "epochs", "pre-training epochs": "epochs of pre-training", "steps": "steps per training",
          "steps_at_most": "steps per training at most", "fine-tuning steps": "steps of fine-tuning",
          "sampler_steps": "steps per sample", "rounds": "rounds", "steps_a_round": "steps per round",
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


def without_spread(values):
    """The keys of values that are neither the error nor an end of the range of another."""
    spread = {name for key in values for name in (*error_keys(key), f"{key}_min", f"{key}_max")}
    return [key for key in values if key not in spread]


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


def span(numbers):
    """A number, or the range of several."""
    low, high = (number(end) if end >= 1000 else f"{end:.3g}" for end in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def budget(made):
    """What the trainings of a record took, in words."""
    spent, said = made.get("budget", {}), {}
    minutes = [value for key, value in values_of(made).items() if key.startswith("cpu_minutes ")]
    for key, unit in BUDGET.items():
        numbers = list(under(key, spent))
        if numbers and unit not in said:
            # A budget is planned; the rows of a table say what each training took.
            planned = len(numbers) == 1 and "CPU minutes" in unit
            off = planned and any(abs(taken / numbers[0] - 1) > 0.05 for taken in minutes)
            said[unit] = f"{span(numbers)} {unit}" + (f" planned, {span(minutes)} taken" if off else "")
    if not any("CPU" in unit for unit in said) and minutes:
        said["CPU"] = f"{span(minutes)} CPU minutes per training"
    if not any("CPU" in unit for unit in said) and "wall_minutes" in spent:
        said["wall"] = f"{span([spent['wall_minutes']])} minutes of wall time in all"
    parts, seeds = list(said.values()), seeds_of(made)
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
        for name in without_spread(values):
            if re.fullmatch(pattern, name) and (values[name] > target if most else values[name] < target):
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
