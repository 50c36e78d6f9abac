"""Workers of a search: processes that ask the oracle of another process for trials, and their supervisor."""

import collections
import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time
from concurrent import futures

from tfgen import cores
from tfgen.errors import Failure, UserError, note, require

# Times that a worker is started again.
RESTARTS = 3
# Seconds that workers of other machines have to hear that the search has ended.
FAREWELL = 60.0
SUPERVISOR = "TFGEN_SUPERVISOR"
VARIABLES = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


class Chief:
    """The address at which workers ask an oracle for trials, for the length of a `with` block.

    Args:
        oracle: a `keras_tuner.Oracle`.
        listen: HOST:PORT; port 0 takes a free one.

    Raises:
        UserError: for an address that cannot be had.
    """

    def __init__(self, oracle, listen="127.0.0.1:0"):
        import grpc
        from keras_tuner.src import protos
        from keras_tuner.src.distribute import oracle_chief

        # KerasTuner's own loop ends up to 20 s late, and wants a port that is known to be free.
        self.oracle, self.servicer = oracle, oracle_chief.OracleServicer(oracle)
        self.server = grpc.server(futures.ThreadPoolExecutor(1))
        protos.get_service_grpc().add_OracleServicer_to_server(self.servicer, self.server)
        self.host, _, port = listen.rpartition(":")
        require(self.host and port.isdecimal() and int(port) < 2**16,
                f"expected HOST:PORT to listen on, received '{listen}'")
        try:
            self.port = self.server.add_insecure_port(listen)
        except RuntimeError:
            raise UserError(f"expected an address of this machine that is free to listen on, received {listen}: choose "
                            "another") from None

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(None)

    def environment(self, name):
        """{variable: value} of a worker."""
        return dict(zip(VARIABLES, (self.host, str(self.port), name), strict=True))

    def wait(self):
        """Waits until every trial has ended, and then until the workers know."""
        while self.oracle.ongoing_trials or not self.servicer.stop_triggered:
            time.sleep(0.1)
        end = time.monotonic() + FAREWELL
        while self.oracle.tuner_ids and time.monotonic() < end:
            time.sleep(0.1)


def supervise(chief, out, count):
    """Runs `count` local workers until the search has ended; starts one that has died again, under its own name.

    KerasTuner gives a worker of the same name its trial back. The workers' output is in `out/workers/NAME.log`.

    Raises:
        Failure: for a worker that cannot go on, or has died too often. All workers have ended then.
    """
    names = [f"worker-{index}" for index in range(count)]
    restarts, running = collections.Counter(), {}
    try:
        running |= {name: started(chief, out, name, count) for name in names}
        while running:
            for name, process in list(running.items()):
                code = process.poll()
                if code == 0:
                    del running[name]
                elif code is not None:
                    log = out / "workers" / f"{name}.log"
                    if code == 2 or restarts[name] == RESTARTS:
                        raise Failure(f"{name} ended with {last_line(log)} (exit code {code}, {restarts[name]} restarts, "
                                      f"see {log}): no ended trial is lost, go on with `tfgen tune --resume {out}`")
                    restarts[name] += 1
                    note(f"{name} ended with exit code {code}: started again, which it may be {RESTARTS} times")
                    running[name] = started(chief, out, name, count)
            time.sleep(0.1)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
            process.kill()
            process.wait()


def started(chief, out, name, count):
    """The process of a local worker, one of `count`. Ctrl-C in a terminal reaches its supervisor only."""
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(1, cores.available() // count))}
    (out / "workers").mkdir(exist_ok=True)
    with open(out / "workers" / f"{name}.log", "a", encoding="utf-8") as log:
        return subprocess.Popen([sys.executable, "-m", "tfgen.cli", "tune", "--join", str(out), "--quiet"],
                                env=threads | os.environ | chief.environment(name) | {SUPERVISOR: str(os.getpid())},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def last_line(log):
    """The last line of a worker's output, in quotes, or "no message"."""
    lines = log.read_text("utf-8", "replace").split("\n")
    return next((f"'{line.strip()}'" for line in reversed(lines) if line.strip()), "no message")


def check_environment():
    """Raises a `UserError` unless this process is to be a worker of a search."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    require(not missing, f"a worker expects the environment that `tfgen tune --listen HOST:PORT` prints, it lacks "
                         f"{', '.join(missing)}: set it")


def follow_supervisor():
    """Ends this process soon after its supervisor has ended, however that came about."""
    supervisor = os.environ.get(SUPERVISOR)

    def watch():
        while str(os.getppid()) == supervisor:
            time.sleep(0.5)
        os._exit(1)

    if supervisor:
        threading.Thread(target=watch, daemon=True).start()


def instructions(chief, out):
    """What to run on other machines."""
    variables = " ".join(f"{name}={value}" for name, value in chief.environment("NAME").items())
    return (f"workers of other machines that share the folder {pathlib.Path(out).resolve()}, each with a NAME of its own: "
            f"{variables} tfgen tune --join {pathlib.Path(out).resolve()}")
