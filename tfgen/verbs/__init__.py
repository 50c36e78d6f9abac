"""Verbs: what a trained model can do (`table`), as TensorFlow functions (`graphs`) and on arrays (`live`)."""

from tfgen.verbs.table import VERBS, Option, Text, Verb, option_of, verbs_of

__all__ = ["Option", "Text", "VERBS", "Verb", "graphs", "live", "option_of", "verbs_of"]
