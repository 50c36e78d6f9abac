"""Interleaved timing: every contender once a round, the order rotating, medians over rounds."""

import statistics
import time


def interleaved(contenders, rounds):
    """Seconds of each contender: {name: [one a round]}.

    Args:
        contenders: {name: function without arguments}; each is called twice before the first round.
        rounds: times that each is measured.
    """
    names = list(contenders)
    for name in names:
        contenders[name]()
        contenders[name]()
    seconds = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(seconds, ours, theirs):
    """How many times as fast `ours` is as `theirs`: (median, least, greatest) over rounds, paired within each."""
    paired = [b / a for a, b in zip(seconds[ours], seconds[theirs])]
    return statistics.median(paired), min(paired), max(paired)
