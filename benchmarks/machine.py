"""What a record of speed says of the machine."""

import os


def described(**more):
    """{"device", "cores", "instructions"} and what else is given."""
    return {"device": "CPU", "cores": os.cpu_count(), "instructions": instructions()} | more


def record_name(name, cores=1):
    """The name of a record of speed: of several cores it ends with `-N-cores`, of a processor with AVX2 and without AVX-512
    with `-avx2`, so that either kind of machine has its own."""
    return name + f"-{cores}-cores" * (cores > 1) + "-avx2" * (instructions() == "AVX2")


def instructions():
    """The widest vector instructions of this processor that oneDNN has kernels for; "unknown" outside Linux."""
    try:
        with open("/proc/cpuinfo") as lines:
            flags = next((line.split() for line in lines if line.startswith("flags")), [])
    except OSError:
        flags = []
    known = {"amx_tile": "AMX", "avx512_vnni": "AVX512-VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}
    return next((title for flag, title in known.items() if flag in flags), "unknown")
