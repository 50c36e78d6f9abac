"""NaN and infinite losses, on one replica and on several."""

import os
import subprocess
import sys

import tensorflow as tf

from tfgen.models.base.nonfinite import FirstBad

TWO_REPLICAS = """
import tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from cases import images, tiny
from tfgen.runs import callbacks

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = tiny("autoencoder")
x = np.concatenate([images(16)] * 3)
x[40:] = np.nan  # the second replica's part of the third batch
try:
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(16), verbose=0, callbacks=[callbacks.StopOnNaN()])
except callbacks.TrainingDiverged as error:
    print(error)
"""


def test_the_first_step_and_loss_are_remembered():
    guard = FirstBad(["a", "b"])
    for losses in ((1.0, 2.0), (1.0, float("inf")), (float("nan"), 0.0)):
        guard.update_state([tf.constant(loss) for loss in losses])
    assert guard.found() == ("b", 2)
    guard.reset_state()
    assert guard.found() is None


def test_two_replicas_name_the_loss_and_the_step():
    here = os.path.dirname(__file__)
    made = subprocess.run([sys.executable, "-c", TWO_REPLICAS], text=True, capture_output=True, cwd=here, timeout=120,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])})
    assert "'loss' was not finite at step 3 of epoch 1" in made.stdout, made.stderr[-500:]
