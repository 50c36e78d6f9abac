"""Problems in the plane whose truth is known, with their networks and systems."""

from tfgen.toys import densities, networks, problems, systems

__all__ = ["densities", "networks", "problems", "systems"]
