"""Several processes that serve one folder at the same ports: `tfgen serve --workers N`.

One process answers REST in one thread, which Python's lock and TensorFlow's calls make wait for each other; several share
the cores without waiting. Linux shares connections out among the processes that listen at a port (SO_REUSEPORT). Each
process loads all models, joins the rows of its own connections, and looks for new versions by itself. The supervisor holds
no model and does not import TensorFlow.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
import time

from tfgen import cores
from tfgen.errors import Failure, UserError
from tfgen.serving import addresses

END_SECONDS = 60.0  # within which a worker must have ended, longer than a server's own grace
# One that ended within so many seconds of its start is replaced after a pause, which doubles up to a minute.
SHORT_LIFE, LONGEST_PAUSE = 60.0, 60.0
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of prometheus-client keep what they count
_SPAWN = multiprocessing.get_context("spawn")


def work(pipe, given, counts):
    """The process of one worker: sends the names of the models that it serves, or the error, and serves until it is told to
    end, or its supervisor has ended."""
    os.environ[FOLDER] = counts  # before prometheus-client is imported
    from tfgen import _start

    _start.libraries()
    # Ctrl-C reaches all processes of a terminal: until the server has its handler, the supervisor ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from tfgen.serving.server import Server

    try:
        made = Server(**given, shared=True)
    except (UserError, Failure) as error:
        pipe.send(error)
        return
    # uvicorn has handlers of its own while it runs, and then these again: what is in flight is answered all the same.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: made.end())
    pipe.send(made.names)
    threading.Thread(target=_end_with, args=(pipe, made), daemon=True).start()
    made.run()


def _end_with(pipe, made):
    """Ends a server when the supervisor's end of the pipe is closed."""
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()
    made.end()


class Worker:
    """One process.

    Attributes:
        process: it.
        pipe: where it tells that it is ready.
        begun: when it was started, of `time.monotonic`.
        names: those of its models once it is ready; None before.
    """

    def __init__(self, number, given, counts):
        self.names, (self.pipe, other), self.begun = None, _SPAWN.Pipe(), time.monotonic()
        self.process = _SPAWN.Process(target=work, args=(other, given, counts), name=f"worker {number}")
        # Inherited, for the time before `work`.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
            other.close()

    def hear(self):
        """Reads what the worker tells.

        Raises:
            UserError, Failure: that of its start, or one that says how it ended.
        """
        try:
            told = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            raise Failure(f"a server's process ended with code {self.process.exitcode} while it loaded the models: start "
                          "fewer --workers if memory is short") from None
        if isinstance(told, Exception):
            raise told
        self.names = told

    def end(self):
        """Waits until it has ended, as it was asked to."""
        self.process.join(END_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


class Workers:
    """A context manager: the processes that serve a folder, all ready; one that ends is replaced during `run`.

    Args:
        number: of processes, at least 1.
        folder, host, port, grpc_port, token: as of a `Server`.
        threads: of one TensorFlow operation per process; 0: an equal share of the cores, at least one.
        given: further arguments of a `Server`, for each process.

    Attributes:
        port, grpc_port: the ports taken.
        names: those of the models; [] if the end was asked for before they were loaded.

    Raises:
        UserError, Failure: as a `Server` does.
    """

    def __init__(self, number, folder, host="127.0.0.1", port=8501, grpc_port=8500, token=None, threads=0, **given):
        addresses.guard(host, token)
        self._number, self._stack = number, contextlib.ExitStack()
        with self._stack:
            self.port, self.grpc_port = self._stack.enter_context(addresses.reserved(host, port, grpc_port))
            self._counts = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tfgen-counts-"))
            self._given = {"folder": folder, "host": host, "port": self.port, "grpc_port": self.grpc_port,
                           "token": token, "threads": threads or max(1, cores.available() // number), **given}
            self._stop, self._told = _SPAWN.Pipe(duplex=False)
            for one in (signal.SIGINT, signal.SIGTERM):
                self._stack.callback(signal.signal, one, signal.signal(one, self._end))
            self._workers, self._due, self._pause, self.names = [], [], 0.0, []
            self._stack.callback(self._end_all)
            for index in range(number):
                self._workers.append(Worker(index, self._given, self._counts))
            while not self._stopped and any(worker.names is None for worker in self._workers):
                self._look()
            self.names = self._workers[0].names or []
            self._stack = self._stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stack.close()

    def run(self):
        """Serves until SIGTERM or Ctrl-C."""
        while not self._stopped:
            self._look()

    @property
    def _stopped(self):
        return self._stop.poll()

    def _end(self, *_):
        self._told.send(None)

    def _end_all(self):
        """Asks all workers to end, then waits for each."""
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in self._workers:
            worker.end()

    def _look(self):
        """Waits until something happens: the end is asked for, a worker is ready or has ended, or one is due to start."""
        fresh = {worker.pipe: worker for worker in self._workers if worker.names is None}
        ended = {worker.process.sentinel: worker for worker in self._workers if worker.names is not None}
        patience = max(0.0, min(self._due) - time.monotonic()) if self._due else None
        for one in multiprocessing.connection.wait([self._stop, *fresh, *ended], patience):
            if self._stopped:
                return
            if one in fresh:
                self._hear(fresh[one])
            elif one in ended:
                ended[one].process.join()
                self._replace(ended[one], f"a server's process ended with code {ended[one].process.exitcode}")
        for due in [due for due in self._due if due <= time.monotonic()]:
            self._due.remove(due)
            self._workers.append(Worker(self._number, self._given, self._counts))
            self._number += 1

    def _hear(self, worker):
        """Reads what a new worker tells; one that cannot load the models while others serve is tried again."""
        try:
            worker.hear()
        except (UserError, Failure) as error:
            if not self.names or all(other.names is None for other in self._workers):
                raise
            self._replace(worker, str(error))

    def _replace(self, worker, why):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.process.pid, self._counts)
        short = time.monotonic() - worker.begun < SHORT_LIFE
        self._pause = min(LONGEST_PAUSE, max(1.0, 2 * self._pause)) if short else 0.0
        print(f"tfgen serve: {why}: another one takes its place" + f" in {self._pause:g} s" * short, file=sys.stderr,
              flush=True)
        self._workers.remove(worker)
        worker.end()
        self._due.append(time.monotonic() + self._pause)
