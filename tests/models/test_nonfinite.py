"""NaN and infinite losses, on one replica and on several."""

import numpy as np
import pytest
import tensorflow as tf
from cases import images, tiny
from helpers import two_replicas

from tfgen.data.streams import untuned
from tfgen.models.base.nonfinite import FirstBad
from tfgen.runs import callbacks, fitting


def test_the_first_step_and_loss_are_remembered():
    guard = FirstBad(["a", "b"])
    for losses in ((1.0, 2.0), (1.0, float("inf")), (float("nan"), 0.0)):
        guard.update_state([tf.constant(loss) for loss in losses])
    assert guard.found() == ("b", 2)
    guard.reset_state()
    assert guard.found() is None


def test_two_replicas_name_the_loss_and_the_step():
    with two_replicas().scope():
        model = tiny("autoencoder")
    x = np.concatenate([images(16)] * 3)
    x[40:] = np.nan  # The second replica's part of the third batch.
    batches = fitting.shared(two_replicas(), lambda portion: untuned(tf.data.Dataset.from_tensor_slices(
        x.reshape(3, 2, 8, *x.shape[1:])[:, portion.first])))
    with pytest.raises(callbacks.TrainingDiverged, match="'loss' was not finite at step 3 of epoch 1"):
        model.fit(batches, verbose=0, callbacks=[callbacks.StopOnNaN()])
