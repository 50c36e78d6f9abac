"""Verbs: what a trained model can do (`table`), as TensorFlow functions (`graphs`) and on arrays (`live`)."""

from tfgen.verbs.table import FIELD_VERBS, VERBS, Option, Text, Verb, option_of, verb_of, verbs_of

__all__ = ["FIELD_VERBS", "Option", "Text", "VERBS", "Verb", "graphs", "live", "option_of", "verb_of", "verbs_of"]
