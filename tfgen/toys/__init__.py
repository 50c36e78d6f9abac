"""Problems in the plane whose truth is known, with their networks and systems."""

from tfgen.toys import networks, problems, systems

__all__ = ["networks", "problems", "systems"]
