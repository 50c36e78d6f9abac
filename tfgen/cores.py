"""Cores of the machine."""

import os


def available():
    """How many cores this process may use: fewer than the machine has, under `taskset` or in a container's set of cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
