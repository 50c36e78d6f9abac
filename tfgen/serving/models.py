"""The models of a folder: which versions are served, new ones picked up while running, broken ones refused."""

import dataclasses
import gc
import multiprocessing
import pathlib
import sys
import threading

from tfgen.errors import UserError
from tfgen.serving.batching import Batcher, task_of
from tfgen.serving.refusals import refuse
from tfgen.serving.saved_model import export_paths
from tfgen.serving.versions import Version

CONFIG = "models.config"


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which versions of a model are served, as in TF Serving's `model_version_policy`.

    Attributes:
        latest: number of the newest versions; 0: all of them.
        numbers: these versions, if any.
        labels: {label: version}.
    """

    latest: int = 1
    numbers: tuple[int, ...] = ()
    labels: dict = dataclasses.field(default_factory=dict)

    def choose(self, numbers):
        """Those of the sorted version numbers that are to be served."""
        if self.numbers:
            return [number for number in numbers if number in self.numbers]
        return numbers[-self.latest:]


def policies(folder):
    """{name: (folder of its versions, Policy)} of a folder of models or of one model.

    A file `models.config`, TF Serving's ModelServerConfig, names the models, their policies and labels; a base path that is
    not on this machine, such as one of a container, stands for the folder of its name in `folder`. Without, each subfolder
    with versions is a model.

    Raises:
        UserError: if there is no model.
    """
    folder = pathlib.Path(folder)
    if (folder / CONFIG).exists():
        return _configured(folder)
    if export_paths(folder):
        return {folder.resolve().name: (folder, Policy())}
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    found = {one.name: (one, Policy()) for one in inside if export_paths(one)}
    if not found:
        raise UserError(f"expected a folder of SavedModels, NAME/VERSION/saved_model.pb, received {folder}: export a "
                        f"run with `tfgen export RUN --to {folder}/NAME`")
    return found


def _configured(folder):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        parsed = text_format.Parse((folder / CONFIG).read_text("utf-8"), model_server_config_pb2.ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UserError(f"expected a ModelServerConfig in {folder / CONFIG}, it cannot be read ({error}): correct it or "
                        "remove it") from None
    found = {}
    for one in parsed.model_config_list.config:
        base, policy = pathlib.Path(one.base_path), one.model_version_policy
        kind = policy.WhichOneof("policy_choice")
        found[one.name] = base if base.is_dir() else folder / base.name, Policy(
            policy.latest.num_versions or 1 if kind == "latest" else int(kind is None), tuple(policy.specific.versions),
            dict(one.version_labels))
    return found


def log(line):
    """Prints a line, with the name of the process if there are several."""
    process = multiprocessing.current_process()
    who = "" if multiprocessing.parent_process() is None else f"{process.name}: "
    print(f"tfgen serve: {who}{line}", file=sys.stderr, flush=True)


class Model:
    """The versions of one model.

    Attributes:
        states: {number: (name of its state as in `ModelVersionStatus`, status code, message)}.
    """

    def __init__(self, name, folder, policy, batching, threads, metrics):
        self.name, self.folder, self.policy, self.threads = name, folder, policy, threads
        self.versions, self.states, self._broken, self._lock = {}, {}, {}, threading.Lock()
        self.batcher = Batcher(name, batching, metrics.batch(name), metrics.queue(name))

    def refresh(self):
        """Loads new versions, then unloads those that are no longer to be served; a broken one is refused with a line."""
        known = {number: path for number, path in export_paths(self.folder).items() if (path / "saved_model.pb").exists()}
        self._broken = {number: was for number, was in self._broken.items()
                        if number in known and was == _fingerprint(known[number])}
        wanted = self.policy.choose([number for number in known if number not in self._broken])
        for number in wanted:
            if number not in self.versions and not self._load(number, known[number]):
                return self.refresh()
        if wanted:
            self._keep(wanted, known)

    def _load(self, number, path):
        before = _fingerprint(path)
        self.states[number] = "LOADING", "OK", ""
        try:
            version = Version(path, self.threads)
        except Exception as error:
            self._broken[number] = before
            line = " ".join(str(error).split())[:300]
            self.states[number] = "END", "UNKNOWN", line
            others = ", ".join(map(str, self.versions))
            log(f"{self.name}: version {number} cannot be served ({line}): "
                + (f"version {others} goes on; export it again" if others else "export it again"))
            return False
        with self._lock:
            self.versions[number] = version
            self.states[number] = "AVAILABLE", "OK", ""
        log(f"{self.name}: version {number} is served")
        return True

    def _keep(self, wanted, known):
        with self._lock:
            gone = [self.versions.pop(number) for number in list(self.versions) if number not in wanted]
            self.states = {number: ("END", "OK", "") if number not in wanted and state[0] == "AVAILABLE" else state
                           for number, state in self.states.items() if number in known}
        for version in gone:
            version.retire()
            log(f"{self.name}: version {version.number} is unloaded")

    def take(self, number=None, label=""):
        """A version in use, which its user must `leave`: the newest, or that of a number (0: the newest) or label.

        Raises:
            Refused: for one that is not served.
        """
        number = self.number_of(label) if label else number
        with self._lock:
            found = self.versions.get(number or max(self.versions, default=0))
            if found is None:
                asked = f"Specific({self.name}, {number})" if number else f"Latest({self.name})"
                refuse(f"Servable not found for request: {asked}", "NOT_FOUND")
            return found.take()

    def number_of(self, label):
        """The version of a label; raises a `Refused` for an unknown one."""
        if label not in self.policy.labels:
            refuse(f"Unrecognized servable version label: {label[:200]}")
        return self.policy.labels[label]

    def close(self):
        """Answers what waits, then unloads all versions."""
        self.batcher.close()
        for version in self.versions.values():
            version.retire()


class Models:
    """The models of a folder, watched by a thread.

    Args:
        folder: folder of models, or of one model's versions.
        batching: a `Batching`.
        metrics: a `Metrics`.
        threads: see `Version`.
        poll: seconds between two looks at the folder.

    Raises:
        UserError: if there is no model, or none can be loaded.
    """

    def __init__(self, folder, batching, metrics, threads=0, poll=1.0):
        self.folder, self.batching, self.threads, self.metrics = folder, batching, threads, metrics
        self.models, self._stop = {}, threading.Event()
        self._refresh()
        if not any(model.versions for model in self.models.values()):
            self.close()
            raise UserError(f"none of the models in {folder} can be served ({', '.join(self.models)}): export them again")
        self._thread = threading.Thread(target=self._watch, args=(poll,), name="versions", daemon=True)
        self._thread.start()

    def _refresh(self):
        before = self._served()
        for name, (folder, policy) in policies(self.folder).items():
            if name not in self.models:
                self.models[name] = Model(name, folder, policy, self.batching, self.threads, self.metrics)
            self.models[name].policy = policy
            self.models[name].refresh()
        if self._served() != before:
            # A JSON request makes thousands of small lists; each of Python's collections would walk all of TensorFlow.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def _served(self):
        return {name: set(model.versions) for name, model in self.models.items()}

    def _watch(self, poll):
        while not self._stop.wait(poll):
            try:
                self._refresh()
            except Exception as error:  # whatever it is, later versions are to be served
                log(f"the folder {self.folder} cannot be read ({' '.join(str(error).split())[:300]}); all goes on as it was")

    def model(self, name):
        """The `Model` called `name`; raises a `Refused` if there is none."""
        if not name:
            refuse("ModelSpec has no name specified.")
        if name not in self.models:
            refuse(f"Servable not found for request: Latest({name[:200]})", "NOT_FOUND")
        return self.models[name]

    def put(self, version, name, signature, inputs, outputs, done):
        """Queues a request on a version in use, which is left at its end; raises a `Refused`."""
        try:
            task = task_of(version, signature, inputs, tuple(outputs), done, self.batching.rows)
            self.models[name].batcher.put(task)
        except BaseException:
            version.leave()
            raise
        return task

    def end(self):
        """Refuses what waits and what comes."""
        for model in list(self.models.values()):
            model.batcher.end()

    def close(self):
        """Stops watching, answers what waits, unloads all."""
        self._stop.set()
        for model in self.models.values():
            model.close()


def _fingerprint(path):
    """What changes when files of a version are written."""
    try:
        return sorted((str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in path.rglob("*"))
    except OSError:
        return []
