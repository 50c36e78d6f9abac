"""Graphs whose weights stay as they are: what depends on weights alone is known while they are traced."""

import contextlib
import contextvars

import tensorflow as tf

_FROZEN = contextvars.ContextVar("frozen", default=False)


@contextlib.contextmanager
def weights():
    """Context manager: graphs traced within are of the present weights for good."""
    token = _FROZEN.set(True)
    try:
        yield
    finally:
        _FROZEN.reset(token)


def active():
    """Whether `weights` is in force."""
    return _FROZEN.get()


def known(function):
    """The value of `function()`, a tensor of weights alone, as a number while `weights` is in force; else None."""
    if not active():
        return None
    with tf.init_scope():
        return function().numpy()
