"""Interleaved timing: on a busy machine only what was measured side by side can be compared."""

import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

from tfgen.errors import Failure


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


def answering(work):
    """A worker of `in_turns`, once it is warm: says so, and answers each line of standard input with `work()` as JSON."""
    print(json.dumps("warm"), flush=True)
    for _ in iter(sys.stdin.readline, ""):
        print(json.dumps(work()), flush=True)


def rates(run, counted):
    """Calls a function once and answers as a worker of `in_turns`: with `counted` per second of each further call."""
    run()

    def rate():
        start = time.perf_counter()
        run()
        return counted / (time.perf_counter() - start)

    answering(rate)


def answer_of(worker):
    """The next answer of a process; raises a `Failure` of one line if it has ended."""
    if not (line := worker.stdout.readline()):
        raise Failure(f"expected an answer of `{shlex.join(worker.args)}`, received none: it ended with code "
                      f"{worker.wait()}, run it to see why")
    return json.loads(line)


def in_turns(commands, rounds):
    """{label: [what it answered in each round]} of processes that work one at a time, once all are warm.

    Args:
        commands: {label: (command line, environment variables)}; each ends with `answering`.
        rounds: number of them, >= 1; the order turns round every other time.

    Raises:
        Failure: if a process ends.
    """
    workers = {label: subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables)
               for label, (command, variables) in commands.items()}
    found = {label: [] for label in commands}
    try:
        for worker in workers.values():
            answer_of(worker)
        for index in range(rounds):
            for label in list(commands)[::-1] if index % 2 else commands:
                with contextlib.suppress(BrokenPipeError):
                    workers[label].stdin.write("\n")
                    workers[label].stdin.flush()
                found[label].append(answer_of(workers[label]))
    finally:
        for worker in workers.values():
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.close()
            worker.wait()
            worker.stdout.close()
    return found


def spread(numbers):
    """{"median", "min", "max"} to four digits."""
    numbers = list(numbers)
    found = {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers)}
    return {key: float(f"{value:.4g}") for key, value in found.items()}


def speedup(seconds, ours, peer):
    """How many times as fast `ours` is as `peer`: spread of the ratios within each round."""
    return spread(theirs / mine for mine, theirs in zip(seconds[ours], seconds[peer], strict=True))
