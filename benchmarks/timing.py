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


def once_between(variants, repetitions, limit=float("inf")):
    """As `interleave`, for a last variant that takes minutes: it runs once, uncounted calls included, between the halves of
    the others' repetitions, and its time stands for each of them.

    Args:
        variants: {name: function without arguments}, of which the last is timed at its first call.
        repetitions: of the others, >= 1.
        limit: ignored.
    """
    *others, slow = variants
    halves = repetitions // 2, repetitions - repetitions // 2
    found = [interleave({name: variants[name] for name in others}, halves[0])]
    begin, busy = time.perf_counter(), time.process_time()
    variants[slow]()
    taken = time.perf_counter() - begin, time.process_time() - busy
    found.append(interleave({name: variants[name] for name in others}, halves[1]))
    return tuple({name: first[name] + second[name] for name in others} | {slow: [seconds] * repetitions}
                 for first, second, seconds in zip(*found, taken, strict=True))


def spread(numbers):
    """{"median", "min", "max"} to four digits."""
    numbers = list(numbers)
    found = {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers)}
    return {key: float(f"{value:.4g}") for key, value in found.items()}


def speedup(seconds, ours, peer):
    """How many times as fast `ours` is as `peer`: spread of the ratios within each round."""
    return spread(theirs / mine for mine, theirs in zip(seconds[ours], seconds[peer], strict=True))
