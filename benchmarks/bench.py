"""Speed of training, side by side with peers in one run, on the CPU.

`python -m benchmarks.bench` measures images/s of `model.fit` beside a bare TensorFlow loop over the same networks and
beside the same networks in PyTorch and JAX, the contractive penalty beside a naive one, the incremental sampler beside a
naive one, and bfloat16 beside float32; it prints a table and writes `results/bench-*.json`. Before anything is timed,
losses, gradients and parameter counts, or samples, are asserted to be equal.
The process is confined to one core unless told otherwise, so that each library's pools of threads take what they would take
on such a machine; with more, a neighbour on the machine stalls whole steps. Records of N cores end with `-N-cores`,
those of processors with AVX2 and without AVX-512 with `-avx2`.
Ratios are of wall time; those of CPU time stand beside them, because on one core they hardly feel neighbours. Rates in
GFLOP/s are of the floating-point operations that TensorFlow counts in a step, beside those of as many in products of
matrices and in a wide convolution, in the same run.
"""

import argparse
import os
from importlib import metadata

import tensorflow as tf

from benchmarks import machine, timing
from benchmarks.diffusion import diffusers
from benchmarks.explicit_jobs import normflows
from benchmarks.jobs import jax, jobs, torch
from benchmarks.limits import Limit
from tfgen.figures import records

TITLES = {"fit": "fit", "fit_16": "fit, steps_per_execution=16", "bare": "bare tf.function loop",
          "example": "the step of Keras' public example", "torch": "PyTorch, default layout",
          "torch_channels_last": "PyTorch, channels_last",
          "torch_fused": "PyTorch, channels_last, fused Adam",
          "torch_compiled": "PyTorch, the same, torch.compile", "torch_autocast": "PyTorch, the same, autocast to bfloat16",
          "torch_autocast_compiled": "PyTorch, the same, torch.compile", "jax": "JAX, jit",
          "normflows": "normflows, default layout",
          "normflows_channels_last": "normflows, channels_last",
          "diffusers": "diffusers, default layout", "diffusers_channels_last": "diffusers, channels_last",
          "matrix_product": "as many operations, in matrix products",
          "wide_convolution": "as many operations, in a convolution",
          "float32": "fit, float32", "bfloat16": "fit, bfloat16",
          "sample": "the verb sample", "ours": "tfgen.losses.Contractive", "naive": "batch_jacobian",
          "transposed": "transposed convolution, 4x4", "depth_3x3": "the same as a 3x3 convolution, depth_to_space",
          "depth_2x2": "2x2 convolution, depth_to_space", "ending": "tfgen.layers.LeakyReLU",
          "keras_rectifier": "keras.layers.LeakyReLU",
          "incremental": "incremental sampler", "naive_sampler": "the network once per pixel"}


def summary(wall, cpu, per_round, ours, unit):
    """{quantity: spread}: throughputs, and how many times as fast each of `ours` is as each peer."""
    values = {f"{name}_{unit}": timing.spread(per_round / second for second in wall[name]) for name in wall}
    for mine in ours:
        for peer in peers(wall, ours):
            values[f"{mine}_over_{peer}"] = timing.speedup(wall, mine, peer)
            values[f"{mine}_over_{peer}_cpu"] = timing.speedup(cpu, mine, peer)
    return values


def peers(seconds, ours):
    """The variants that are not ours."""
    return [name for name in seconds if name not in ours]


def show(title, values, names, ours, unit, marks):
    """Prints one benchmark's rows: medians with their ranges."""
    print(f"\n{title}\n  {'':34}{unit:>12}{'min':>9}{'max':>9}")
    for name in names:
        rate = values[f"{name}_{unit}"]
        print(f"  {TITLES[name]:34}{rate['median']:12.5g}{rate['min']:9.5g}{rate['max']:9.5g}")
    for mine in ours:
        for peer in peers(names, ours):
            ratio, mark = values[f"{mine}_over_{peer}"], marks.get(peer)
            cpu = values[f"{mine}_over_{peer}_cpu"]
            verdict = f"; mark {mark}: {'met' if ratio['median'] >= mark else 'MISSED'}" if mark else ""
            print(f"  {TITLES[mine]} / {TITLES[peer]}: {ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f}), "
                  f"CPU time {cpu['median']:.2f} ({cpu['min']:.2f} … {cpu['max']:.2f}){verdict}", flush=True)


def flat(values):
    """{"a": {"median": m, "min": l, "max": h}} -> {"a": m, "a_min": l, "a_max": h}."""
    return {key if part == "median" else f"{key}_{part}": number
            for key, spread in values.items() for part, number in spread.items()}


def computed(variants, wall, ours):
    """{quantity: spread}: GFLOP/s of ours and of the limits, for benchmarks that have such."""
    flops = {name: variant.flops for name, variant in variants.items() if isinstance(variant, Limit)}
    flops |= {name: next(iter(flops.values())) for name in ours if flops}
    return {f"{name}_gflop_per_s": timing.spread(number / second / 1e9 for second in wall[name])
            for name, number in flops.items()}


def confine(cores):
    """Gives this process so many cores, or, where the system cannot, each library so many threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    else:
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(cores)
    if torch:
        torch.set_num_threads(cores)


def run(fast=False, cores=1, only=()):
    """Runs every benchmark; writes records unless fast; returns {name: values}.

    Args:
        fast: a few steps only, for tests; the numbers mean nothing.
        cores: that the process has, for the records.
        only: names of the benchmarks to run; none: all.
    """
    about = {"seeds": [0],
             "published": "none; ratios within one run: medians over rounds, with ranges",
             "peer": {name: metadata.version(name) if module else None
                      for name, module in (("torch", torch), ("jax", jax), ("normflows", normflows),
                                           ("diffusers", diffusers))}}
    for name, module in (("PyTorch", torch), ("JAX", jax), ("normflows", normflows), ("diffusers", diffusers)):
        if not module:
            print(f"{name} is not installed: its rows are left out (pip install '.[bench]')")
    made = {}
    for name, job in jobs(fast).items():
        if only and name not in only:
            continue
        variants, marks = job.make(), job.marks | (job.shared if cores > 1 else {})
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        wall, cpu = job.clock(variants, 1 if fast else job.rounds, job.limit)
        counted = job.steps * (job.batch_size if job.unit == "images_per_s" else 1)
        values = summary(wall, cpu, counted, job.ours, job.unit)
        show(f"{job.title} ({name})", values, list(variants), job.ours, job.unit, marks)
        rates = computed(variants, wall, job.ours)
        if rates:
            print("  GFLOP/s: " + ", ".join(f"{key.removesuffix('_gflop_per_s')} {rate['median']:.0f}"
                                            for key, rate in rates.items()), flush=True)
        made[name] = flat(values | rates)
        if not fast:
            command = f"python -m benchmarks.bench --only {name}" + f" --cores {cores}" * (cores > 1)
            rounds = len(next(iter(wall.values())))
            records.record(machine.record_name(name, cores), flat(values | rates), title=job.title, command=command,
                           budget={"rounds": rounds, "steps_a_round": job.steps},
                           data={"name": "random", "image_shape": job.image_shape, "batch_size": job.batch_size},
                           machine=machine.described(threads=cores, load_before=load), marks=marks, **about)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="a few steps, no records: to see that it runs")
    parser.add_argument("--cores", type=int, default=1, help="cores that the process gets")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="such as bench-dcgan; default: all")
    arguments = parser.parse_args()
    tf.config.set_visible_devices([], "GPU")
    confine(arguments.cores)
    run(arguments.fast, arguments.cores, arguments.only)


if __name__ == "__main__":
    main()
