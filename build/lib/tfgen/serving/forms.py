"""Forms of an export: which signatures, computed in which precision, compiled by XLA or not, warmed up with what."""

import dataclasses

from tfgen.errors import UserError, did_you_mean

# {precision: largest difference from the model's outputs, absolute up to values of 1, relative above}; codes are equal.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.03}
# With server-side batching these are the sizes of all batches, so that each has been warmed up.
WARMUP_BATCH_SIZES = (1, 8, 32)


@dataclasses.dataclass(frozen=True)
class Form:
    """How an export is written.

    Args:
        precision: `"float32"`, or `"bfloat16"`: layers compute in bfloat16; weights, inputs and outputs stay float32.
        xla: compile each signature with XLA (on a server that allows it).
        signatures: names of the verbs to export; None exports all.
        warmup_batch_sizes: rows of the requests with which a server warms up, one per signature and size.

    Raises:
        UserError: for another precision or a batch size below 1.
    """

    precision: str = "float32"
    xla: bool = False
    signatures: tuple[str, ...] | None = None
    warmup_batch_sizes: tuple[int, ...] = WARMUP_BATCH_SIZES

    def __post_init__(self):
        if self.precision not in TOLERANCES:
            raise UserError(f"precision expects one of {', '.join(TOLERANCES)}, received '{self.precision}'"
                            f"{did_you_mean(self.precision, TOLERANCES)}")
        if any(size < 1 for size in self.warmup_batch_sizes):
            raise UserError(f"warm-up batch sizes expect numbers of at least 1, received "
                            f"{', '.join(map(str, self.warmup_batch_sizes))}")

    @property
    def tolerance(self):
        """Largest difference of an output from the model's, absolute up to values of 1, relative above."""
        return TOLERANCES[self.precision]

    def names(self, verbs):
        """The verbs to export, in the order of the table, of a model with the names `verbs`.

        Raises:
            UserError: for a signature that the model does not have, or none at all.
        """
        wanted = verbs if self.signatures is None else self.signatures
        for name in wanted:
            if name not in verbs:
                raise UserError(f"signatures expect some of {', '.join(verbs)}, received '{name}'"
                                f"{did_you_mean(name, verbs)}")
        if not wanted:
            raise UserError(f"signatures expect at least one of {', '.join(verbs)}, received none")
        return [name for name in verbs if name in wanted]
