"""Published figures: measurements (`measures`), records in results/ (`records`), and RESULTS.md (`table`, `headlines`)."""

from tfgen.figures import records
from tfgen.figures.measures import FIGURES, Figure, reproduce

__all__ = ["FIGURES", "Figure", "records", "reproduce"]
