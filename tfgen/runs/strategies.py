"""Where a run trains: on one device, on several of one machine, or on those of several machines (`tf.distribute`)."""

import contextlib
import functools
import json
import os

import keras
import tensorflow as tf

from tfgen import cores
from tfgen.data.streams import Portion
from tfgen.errors import Failure, UserError, note

NAMES = ("mirrored", "multiworker")
JOBS = ("chief", "worker")
EXAMPLE = '{"cluster": {"worker": ["HOST1:2222", "HOST2:2222"]}, "task": {"type": "worker", "index": 0}}'
# What TensorFlow raises when a process of a training is gone.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


def strategy_of(name, replicas=None):
    """A `tf.distribute` strategy, to be made before TensorFlow's first operation.

    Args:
        name: `"mirrored"`, several devices of this machine, or `"multiworker"`, those of all processes that the environment
            variable TF_CONFIG lists.
        replicas: number of devices of `"mirrored"`, >= 1: the first GPUs or, on a machine without, as many logical devices
            of its CPU, to try it. None: all GPUs.

    Raises:
        UserError: for another name, more devices than there are, or a missing or broken TF_CONFIG.
    """
    if name not in NAMES:
        raise UserError(f"strategy expects {' or '.join(NAMES)}, received '{name}'; one device needs none")
    if name == "multiworker":
        if replicas is not None:
            raise UserError(f"replicas expects the strategy mirrored, received {replicas} with multiworker: its workers use "
                            "all of their devices; leave it out")
        return multiworker()
    return mirrored(replicas)


def mirrored(replicas=None):
    """`tf.distribute.MirroredStrategy` of the first `replicas` devices. Errors as for `strategy_of`."""
    found = len(tf.config.list_physical_devices("GPU"))
    count = found if replicas is None else replicas
    if count < 1 or found and count > found:
        raise UserError(f"mirrored expects GPUs or a number of replicas, received {replicas or 'none'} and found {found} "
                        "GPUs: choose a number of devices that are there, or train without a strategy")
    if found:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(count)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise UserError(f"expected {count} logical CPU devices, found {len(tf.config.list_logical_devices('CPU'))}, and "
                            "TensorFlow has begun: make the strategy first in the program") from None
    # Several collective strategies of one process would wait for each other on a CPU.
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)],
                                          cross_device_ops=tf.distribute.ReductionToOneDevice())


def multiworker():
    """`tf.distribute.MultiWorkerMirroredStrategy` of the processes in TF_CONFIG; waits for all of them.

    Errors as for `strategy_of`.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers = [address for kind in JOBS for address in config["cluster"].get(kind, [])]
        address = config["cluster"][config["task"]["type"]][int(config["task"]["index"])]
        ours = workers.index(address)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"multiworker expects TF_CONFIG with the addresses of all workers and this one's index, such as "
                        f"{EXAMPLE}, received {text or 'none'} ({type(error).__name__}: {error}): set it") from None
    note(f"worker {ours + 1} of {len(workers)}: waits for the others")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UserError(f"expected the strategy multiworker before TensorFlow's first operation, received {error}: make it "
                        "first in the program") from None


def processes(strategy):
    """Number of processes of a strategy."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    spec = strategy.cluster_resolver.cluster_spec()
    return max(1, sum(spec.num_tasks(job) for job in spec.jobs if job in JOBS))


def chief(strategy):
    """Whether this process is the one that writes the run."""
    if processes(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0
                                             and not resolver.cluster_spec().as_dict().get("chief"))


def described(strategy):
    """What the record of a run says of its devices."""
    return {"replicas": strategy.num_replicas_in_sync, "processes": processes(strategy), "threads": threads()}


def threads():
    """{"within_an_operation", "operations_at_once"}: the sizes of TensorFlow's pools of threads on the CPU.

    A run leaves them to TensorFlow, which takes one thread per core for either: no other setting was faster beyond noise
    (`python -m benchmarks.settings`).
    """
    pools = {"within_an_operation": (tf.config.threading.get_intra_op_parallelism_threads, "TF_NUM_INTRAOP_THREADS"),
             "operations_at_once": (tf.config.threading.get_inter_op_parallelism_threads, "TF_NUM_INTEROP_THREADS")}
    asked = {variable: os.environ.get(variable, "") for _, variable in pools.values()}
    return {name: set_to() or int(asked[variable] if asked[variable].isdigit() else 0) or cores.available()
            for name, (set_to, variable) in pools.items()}


def check(strategy, dataset, model, batch_size):
    """Raises a `UserError` for batches or validation data that the replicas cannot share."""
    count = strategy.num_replicas_in_sync
    if count > 1:
        portion = Portion(count, parts=model.batches_per_step * model.accumulate)
        portion.check(batch_size * model.batches_per_step)
        portion.steps(dataset.spec.sizes["validation"], batch_size)


def agreed(strategy, value):
    """Whether `value` is true in any process; each of them has to ask."""
    return value if processes(strategy) == 1 else bool(votes(strategy)(tf.constant(float(value))) > 0)


@functools.cache
def votes(strategy):
    """The graph that sums a number over the replicas of a strategy."""
    return tf.function(lambda vote: strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(tf.identity, args=(vote,)),
                                                    axis=None))


class Together(keras.callbacks.Callback):
    """Stops all processes after an epoch if one of them stops: only the chief knows the objective."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = agreed(self.model.distribute_strategy, self.model.stop_training)


@contextlib.contextmanager
def survivors(strategy, out):
    """Context manager of a training in several processes: says how to go on if another one is gone, or after Ctrl-C.

    Raises:
        Failure: if another process is gone.
    """
    if processes(strategy) == 1:
        yield
        return
    advice = (f"start all processes again with `tfgen train --resume {out} --strategy multiworker`, they go on at the last "
              "checkpoint")
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped: {advice}") from None
    except GONE as error:
        raise Failure(f"another process of the training is gone ({type(error).__name__}): {advice}") from error
