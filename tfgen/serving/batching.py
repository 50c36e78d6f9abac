"""Rows of several requests in one call of a model: a bounded queue and the one thread that runs a model's batches."""

import collections
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable

import numpy as np

from tfgen.errors import UserError
from tfgen.serving import refusals
from tfgen.serving.refusals import refuse, stopping


@dataclasses.dataclass(frozen=True)
class Batching:
    """How requests share batches.

    Attributes:
        most: largest number of rows per batch.
        wait: seconds for which the first request of a batch waits for further ones; 0: what is there when the model is
            free.
        sizes: numbers of rows to which batches are padded with copies of their last row, so that XLA or a GPU sees few
            shapes, ascending up to `most`; none: no padding. Only for models whose rows do not influence each other.
        queue: largest number of requests that wait.
        queue_bytes: largest size of their inputs together.
        rows: largest number of rows per request.
    """

    most: int = 64
    wait: float = 0.0
    sizes: tuple[int, ...] = ()
    queue: int = 1024
    queue_bytes: int = 2**28
    rows: int = 1024


def largest_of(sizes, most=None, default=None):
    """The largest number of rows per batch, from the sizes that batches are padded to, that number, both, or `default`.

    Raises:
        UserError: unless the sizes are at least 1, ascend, and end with `most`, as TF Serving wants its
            `allowed_batch_sizes`.
    """
    if not sizes:
        return most or default
    if sizes[0] < 1 or any(one >= two for one, two in itertools.pairwise(sizes)):
        raise UserError("batch sizes expect ascending numbers of at least 1, such as 1,8,32, received "
                        f"{','.join(map(str, sizes))}")
    if most not in (None, sizes[-1]):
        raise UserError(f"the largest batch expects {sizes[-1]} rows, the last of the batch sizes, received {most}: give "
                        "one of the two")
    return sizes[-1]


@dataclasses.dataclass(eq=False, slots=True)
class Task:
    """One request in the queue.

    Attributes:
        version: the `Version` that runs it, which it leaves at its end.
        name: of the signature.
        inputs: {input: array}.
        outputs: names of the wanted outputs, a tuple; none: all.
        rows: number of rows.
        key: tasks with the same key may share a batch; None: none may.
        done: called once per batch, in the batches' thread, with the list of its tasks that have this function; their `made`
            {output: array} or `error` is then set.
    """

    version: object
    name: str
    inputs: dict
    outputs: tuple
    rows: int
    key: tuple | None
    done: Callable
    bytes: int = 0
    arrived: float = 0.0
    made: dict | None = None
    error: Exception | None = None


def task_of(version, name, inputs, outputs, done, most):
    """The `Task` of a request; raises a `Refused` for inputs that the signature does not take."""
    signature = version.signature(name)
    rows = signature.check(inputs, outputs, most)
    key = (version, name, outputs, *(array.shape[1:] for array in inputs.values())) if signature.joins else None
    return Task(version, name, {one: inputs[one] for one in signature.inputs}, outputs, rows, key, done,
                sum(array.nbytes for array in inputs.values()))


class Batcher:
    """The queue of one model and the thread that runs its batches.

    Args:
        name: of the model.
        batching: a `Batching`.
        ran: called with (rows, seconds) after each batch.
        queued: called with the number of requests that wait when it changes.
    """

    def __init__(self, name, batching, ran=lambda rows, seconds: None, queued=lambda number: None):
        self.batching, self.ran, self.queued = batching, ran, queued
        self.waiting, self.bytes, self._closed, self._idle = collections.deque(), 0, False, False
        self._ready = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"batches of {name}", daemon=True)
        self._thread.start()

    def put(self, task):
        """Adds a task; raises a `Refused` (UNAVAILABLE) if the queue is full or closed."""
        with self._ready:
            if self._closed:
                raise stopping()
            if len(self.waiting) >= self.batching.queue or (
                    self.waiting and self.bytes + task.bytes > self.batching.queue_bytes):
                refuse("The batch scheduling queue to which this task was submitted is full", "UNAVAILABLE")
            task.arrived = time.monotonic()
            self.waiting.append(task)
            self.bytes += task.bytes
            self.queued(len(self.waiting))
            if self._idle:
                self._ready.notify()

    def end(self):
        """Refuses what waits and what comes; what the model runs is finished."""
        with self._ready:
            self._closed, late = True, list(self.waiting)
            self.waiting.clear()
            self.bytes = 0
            self.queued(0)
            self._ready.notify()
        for task in late:
            task.error = stopping()
        self._tell(late)

    def close(self):
        """Runs what waits, then ends the thread."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _work(self):
        while batch := self._next():
            self._run(batch)
            del batch

    def _next(self):
        """The tasks of the next batch; [] once the queue is closed and empty."""
        with self._ready:
            while not self.waiting:
                if self._closed:
                    return []
                self._sleep(None)
            first = self.waiting[0]
            until = first.arrived + self.batching.wait
            while not self._closed and (left := until - time.monotonic()) > 0 and self._rows(first.key) < self.batching.most:
                self._sleep(left)
            return self._take(self.waiting.popleft()) if self.waiting else []  # `end` refused them meanwhile

    def _sleep(self, seconds):
        self._idle = True
        self._ready.wait(seconds)
        self._idle = False

    def _rows(self, key):
        return sum(task.rows for task in self.waiting if task.key == key) if key else self.batching.most

    def _take(self, first):
        """The first task and those behind it that fit into its batch."""
        batch, rows, others = [first], first.rows, []
        while first.key and self.waiting and rows < self.batching.most:
            task = self.waiting.popleft()
            if task.key == first.key and rows + task.rows <= self.batching.most:
                batch.append(task)
                rows += task.rows
            else:
                others.append(task)
        self.waiting.extendleft(reversed(others))
        self.bytes -= sum(task.bytes for task in batch)
        self.queued(len(self.waiting))
        return batch

    def _run(self, batch):
        """Runs a batch and tells its tasks; if it fails, each of them alone, so that one bad request harms no other."""
        begun = time.perf_counter()
        try:
            self._share(batch, self._made(batch))
        except Exception as error:
            if len(batch) > 1:
                for task in batch:
                    self._run([task])
                return
            batch[0].error = refusals.of(error)
        self.ran(sum(task.rows for task in batch), time.perf_counter() - begun)
        self._tell(batch)

    @staticmethod
    def _tell(tasks):
        """Ends tasks; those of one event loop are told together, which wakes it up once."""
        groups = {}
        for task in tasks:
            task.inputs = None
            task.version.leave()
            groups.setdefault(task.done, []).append(task)
        for done, ended in groups.items():
            done(ended)

    def _made(self, batch):
        """{output: array} of the rows of a batch, in pieces of at most `most` rows."""
        first, rows = batch[0], sum(task.rows for task in batch)
        inputs = first.inputs if len(batch) == 1 else {
            key: np.concatenate([task.inputs[key] for task in batch]) for key in first.inputs}
        if first.key is None:
            return first.version.run(first.name, inputs, first.outputs)
        pieces = [self._padded(first, {key: array[start:start + self.batching.most] for key, array in inputs.items()})
                  for start in range(0, rows, self.batching.most)]
        return pieces[0] if len(pieces) == 1 else {
            key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}

    def _padded(self, task, inputs):
        """Outputs of the rows of `inputs`, run with as many rows as the next allowed size."""
        rows = len(next(iter(inputs.values())))
        size = min((size for size in self.batching.sizes if size >= rows), default=rows)
        if size > rows:
            inputs = {key: np.concatenate([array, np.repeat(array[-1:], size - rows, axis=0)])
                      for key, array in inputs.items()}
        made = task.version.run(task.name, inputs, task.outputs)
        if wrong := [key for key, array in made.items() if array.shape[:1] != (size,)]:
            refuse(f"output '{wrong[0]}' of '{task.name}' has not one row per row of the inputs", "INTERNAL")
        return {key: array[:rows] for key, array in made.items()} if size > rows else made

    @staticmethod
    def _share(batch, made):
        """Gives each task its own rows."""
        if len(batch) == 1:
            batch[0].made = made
            return
        start = 0
        for task in batch:
            task.made = {key: array[start:start + task.rows] for key, array in made.items()}
            start += task.rows
