"""Locations and scales of vectors, by which a likelihood and a bijector standardise."""

from tfgen.errors import require


def check_scaling(name, location, scale):
    """Raises a `UserError` that names `name` unless there are as many locations as scales, all of them above 0."""
    require(len(location) == len(scale) and all(value > 0 for value in scale),
            f"{name}(location, scale) expects as many locations as scales > 0, received {len(location)} and {len(scale)}, "
            f"the smallest {min(scale, default=None)}")
