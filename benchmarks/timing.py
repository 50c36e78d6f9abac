"""Interleaved timing: on a busy machine only what was measured side by side can be compared."""

import statistics
import time


def interleave(variants, repetitions, limit=float("inf")):
    """Times each variant once a round, in a rotating order that turns round every other time.

    Args:
        variants: {name: function without arguments}; each is called once before, which is not counted.
        repetitions: rounds, >= 1.
        limit: seconds after which no further round begins, if there were 5.

    Returns:
        ({name: seconds of each round}, the same in CPU seconds of this process).
    """
    names = list(variants)
    for name in names:
        variants[name]()
    wall, cpu = {name: [] for name in names}, {name: [] for name in names}
    stop = time.perf_counter() + limit
    for index in range(repetitions):
        if index >= 5 and time.perf_counter() > stop:
            break
        start = index % len(names)
        order = names[start:] + names[:start]
        for name in order[::-1] if index % 2 else order:
            begin, busy = time.perf_counter(), time.process_time()
            variants[name]()
            wall[name].append(time.perf_counter() - begin)
            cpu[name].append(time.process_time() - busy)
    return wall, cpu


def spread(numbers):
    """{"median", "min", "max"} to four digits."""
    numbers = list(numbers)
    found = {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers)}
    return {key: float(f"{value:.4g}") for key, value in found.items()}


def speedup(seconds, ours, peer):
    """How many times as fast `ours` is as `peer`: spread of the ratios within each round."""
    return spread(theirs / mine for mine, theirs in zip(seconds[ours], seconds[peer], strict=True))
