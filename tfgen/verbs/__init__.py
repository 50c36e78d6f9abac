"""Verbs: what a trained model can do (`table`), as TensorFlow functions (`graphs`) and on arrays (`live`)."""

from tfgen.verbs.table import VERBS, Option, Verb, verbs_of

__all__ = ["Option", "VERBS", "Verb", "graphs", "live", "verbs_of"]
