"""What a recipe is told about a data set."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """A description of images, without the images.

    Attributes:
        name: of the data set.
        image_shape: (height, width, channels); 1 or 3 channels.
        num_classes: labels are 0 ... num_classes - 1; None for unlabelled data.
        sizes: {split: images}.
        class_names: one a class, or ().

    Raises:
        ValueError: for a shape that is no image's.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int | None = None
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or self.image_shape[2] not in (1, 3):
            raise ValueError(f"DataSpec expects image_shape (height, width, 1 or 3), received {self.image_shape}")

    def to_json(self):
        """A dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values):
        """The inverse of `to_json`."""
        return cls(**values)
