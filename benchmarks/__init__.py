"""Speed, side by side with peers in one run: `python -m benchmarks.bench`."""

from tfgen import _start  # noqa: F401  # before TensorFlow, whose kernels it chooses
