"""Runs: a training in a folder with its files, pictures and figures; hyperparameter search."""

from tfgen.runs import budget, callbacks, checkpoints, doctor, regime, strategies, tuning
from tfgen.runs.drawing import examples, to_keep
from tfgen.runs.folder import described, load_data, load_model, open_run, origin, read, read_history
from tfgen.runs.resuming import resume
from tfgen.runs.training import train

__all__ = ["budget", "callbacks", "checkpoints", "described", "doctor", "examples", "load_data", "load_model",
           "open_run", "origin", "read", "read_history", "regime", "resume", "strategies", "to_keep", "train", "tuning"]
