"""Fields: signals as functions of coordinates."""

from tfgen.models.fields.field import Field
from tfgen.models.fields.gon import GON
from tfgen.models.fields.nerf import NeRF

__all__ = ["GON", "Field", "NeRF"]
