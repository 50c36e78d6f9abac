"""Garbage of graphs: collected when a process has grown, not as Python would."""

import ctypes
import gc
import os

# Bytes that the process holds after the last full collection, and by how many it may grow before the next.
held, GROWN = {"bytes": 0}, 2**29

# A collection walks every object of every graph alive, and Python starts many while one is traced. What the libraries made
# at import stays.
gc.disable()
gc.collect()
gc.freeze()


def resident():
    """Bytes of memory that this process holds; 0 where that is not known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def collect_if_grown():
    """A full collection if the process has grown by half a gigabyte since the last: the graphs of one U-Net's verbs take
    twice as much. To be called when no model is alive: what is left then stays, and later collections do not walk it."""
    if resident() > held["bytes"] + GROWN:
        gc.collect()
        gc.freeze()
        # Graphs leave memory in many small pieces, which the C library can return to the system.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
        held["bytes"] = resident()


def leave():
    """At the end of a process: the system takes its memory back faster than Python would let all graphs go."""
    gc.freeze()
