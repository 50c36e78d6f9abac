"""The queue of a model: rows of several requests in one call, each with its own rows back."""

import threading

import numpy as np
import pytest

from tfgen.serving.batching import Batcher, Batching, Task, largest_of
from tfgen.serving.refusals import Refused


class Doubling:
    """A version whose call doubles its rows; it can be held, and refuses rows of -1."""

    def __init__(self):
        self.sizes, self.left, self.free = [], 0, threading.Event()
        self.free.set()

    def run(self, name, inputs, outputs):
        assert self.free.wait(10)
        self.sizes.append(len(inputs["x"]))
        if (inputs["x"] == -1).any():
            raise Refused("INVALID_ARGUMENT", "minus one")
        return {"y": 2 * inputs["x"], "z": inputs["x"][:, None] + np.arange(2)}

    def leave(self):
        self.left += 1


class Asked:
    """Tasks of one version, put into a queue, and their ends."""

    def __init__(self, **batching):
        self.version, self.told, self.ended = Doubling(), [], threading.Semaphore(0)
        self.batcher = Batcher("doubling", Batching(**batching))

    def done(self, tasks):
        self.told += tasks
        for _ in tasks:
            self.ended.release()

    def put(self, *rows, key="x"):
        x = np.array(rows, float)
        task = Task(self.version, "", {"x": x}, (), len(x), (self.version, key), self.done, x.nbytes)
        self.batcher.put(task)
        return task

    def end(self, count):
        self.version.free.set()
        for _ in range(count):
            assert self.ended.acquire(timeout=10)


@pytest.fixture
def asked():
    made = []

    def make(**batching):
        made.append(Asked(**batching))
        return made[-1]

    yield make
    for one in made:
        one.version.free.set()
        one.batcher.close()


def held(one):
    """Puts a first task and waits until the model runs it, so that the next ones wait."""
    one.version.free.clear()
    first = one.put(0)
    while one.batcher.waiting:
        pass
    return first


def test_rows_that_wait_share_batches_and_each_task_gets_its_own(asked):
    one = asked(most=4)
    tasks = [held(one), one.put(1, 2), one.put(3), one.put(4, 5, 6), one.put(7)]
    one.end(5)
    # The first alone, then those that fit into 4 rows, in order.
    assert one.version.sizes == [1, 4, 3] and one.version.left == 5
    for task, rows in zip(tasks, ([0], [1, 2], [3], [4, 5, 6], [7]), strict=True):
        assert task.made["y"].tolist() == [2 * row for row in rows] and task.error is None
        assert task.made["z"].tolist() == [[row, row + 1] for row in rows]


def test_other_signatures_do_not_share_and_keep_their_order(asked):
    one = asked(most=8)
    tasks = [held(one), one.put(1), one.put(2, key="other"), one.put(3), one.put(4, key="other")]
    one.end(5)
    assert one.version.sizes == [1, 2, 2] and [task.made["y"][0] for task in tasks] == [0, 2, 4, 6, 8]


def test_a_request_of_more_rows_than_a_batch_runs_in_pieces(asked):
    one = asked(most=4)
    task = one.put(*range(10))
    one.end(1)
    assert one.version.sizes == [4, 4, 2] and task.made["y"].tolist() == list(range(0, 20, 2))


def test_one_bad_request_harms_no_other(asked):
    one = asked(most=8)
    tasks = [held(one), one.put(1), one.put(-1), one.put(3)]
    one.end(4)
    assert [task.error and str(task.error) for task in tasks] == [None, None, "minus one", None]
    assert tasks[3].made["y"].tolist() == [6] and one.version.left == 4


def test_padding_does_not_reach_the_answer(asked):
    one = asked(most=8, sizes=(4, 8))
    tasks = [one.put(1, 2, 3)]
    one.end(1)
    assert one.version.sizes == [4] and tasks[0].made["y"].tolist() == [2, 4, 6]


def test_batches_are_padded_to_the_next_size_and_the_largest_is_the_last(asked):
    one = asked(most=largest_of((1, 4), None, 64), sizes=(1, 4))
    tasks = [held(one), one.put(1), one.put(2, 3), one.put(4, 5, 6, 7, 8, 9)]
    one.end(4)
    # 1 row; 3 of the 4 that fit; 6 in pieces of 4 and 2.
    assert one.version.sizes == [1, 4, 4, 4]
    for task, rows in zip(tasks, ([0], [1], [2, 3], [4, 5, 6, 7, 8, 9]), strict=True):
        assert task.made["y"].tolist() == [2 * row for row in rows]
    assert largest_of((), None, 64) == 64 and largest_of((), 5, 64) == 5 and largest_of((2, 5), 5, 64) == 5


def test_a_batch_waits_for_more_rows(asked):
    one = asked(most=3, wait=5.0)
    tasks = [one.put(1), one.put(2), one.put(3)]
    one.end(3)
    assert one.version.sizes == [3] and [task.made["y"][0] for task in tasks] == [2, 4, 6]


@pytest.mark.parametrize("batching", [{"queue": 2}, {"queue_bytes": 16}])
def test_a_full_queue_refuses(asked, batching):
    one = asked(**batching)
    held(one)
    one.put(1), one.put(2)
    with pytest.raises(Refused, match="queue to which this task was submitted is full") as caught:
        one.put(3)
    assert caught.value.code == "UNAVAILABLE" and caught.value.http == 503
    one.end(3)


def test_what_waits_can_be_refused_at_the_end(asked):
    """What the model runs is finished."""
    one = asked()
    first, *late = held(one), one.put(1), one.put(2)
    one.batcher.end()
    assert one.told == late and all(task.error.code == "UNAVAILABLE" and task.error.http == 503 for task in late)
    with pytest.raises(Refused, match="stopping"):
        one.put(3)
    one.end(3)
    one.batcher.close()
    assert first.made["y"].tolist() == [0] and one.version.sizes == [1] and one.version.left == 3


def test_a_batch_that_waits_for_more_rows_can_be_refused(asked):
    one = asked(most=3, wait=30.0)
    task = one.put(1)
    while not one.batcher._idle:
        pass
    one.batcher.end()
    one.batcher.close()
    assert one.told == [task] and str(task.error) == "the server is stopping" and one.version.sizes == []


def test_what_waits_is_answered_at_the_end(asked):
    one = asked()
    held(one), one.put(1), one.put(2)
    one.version.free.set()
    one.batcher.close()
    assert len(one.told) == 3
    with pytest.raises(Refused, match="stopping"):
        one.put(3)
