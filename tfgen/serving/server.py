"""The embedded server: models, batches, REST and gRPC of a folder of SavedModels in one process."""

import threading

from tfgen.errors import Failure
from tfgen.serving import addresses, grpc_service, listening, rest
from tfgen.serving.batching import Batching
from tfgen.serving.metrics import Metrics
from tfgen.serving.models import Models


class Server:
    """Serves the SavedModels of a folder until it is stopped.

    Args:
        folder: folder of models, or of one model's versions.
        host: address to listen on.
        port, grpc_port: ports of REST and gRPC; 0 takes a free one.
        token: what clients must send (REST `Authorization: Bearer TOKEN`, gRPC metadata `authorization`); None: nothing,
            which is allowed on loopback only.
        batching: a `Batching`.
        threads: threads of one TensorFlow operation; 0: one per core.
        limit: largest size of a request in bytes.
        poll: seconds between two looks for new versions.
        patience: seconds within which the body of a request must have arrived.
        shared: whether other processes of this user serve at the same ports, see `workers`.

    Attributes:
        port, grpc_port: the ports taken.
        names: those of the models, at any time.

    Raises:
        UserError: for an address other than loopback without a token, or a folder without a model that can be served.
        Failure: if a port is taken.
    """

    def __init__(self, folder, host="127.0.0.1", port=8501, grpc_port=8500, token=None, batching=None, threads=0,
                 limit=2**24, poll=1.0, patience=20.0, shared=False):
        addresses.guard(host, token)
        self._socket = addresses.bound(host, port, shared)
        self.port, batching, self.metrics = self._socket.getsockname()[1], batching or Batching(), Metrics()
        try:
            self.models = Models(folder, batching, self.metrics, threads, poll)
        except BaseException:
            self._socket.close()
            raise
        self._grpc, self.grpc_port = _grpc(grpc_service.Services(self.models, self.metrics, token, limit), host, grpc_port,
                                           batching.queue, shared)
        self._listener = listening.Listener(rest.Rest(self.models, self.metrics, token, limit), self._begin_end, patience)
        self._late, self._thread = threading.Timer(listening.GRACE_SECONDS, self.models.end), None
        self._late.daemon = True
        self._grpc.start()
        self._socket.listen(2048)

    @property
    def names(self):
        return list(self.models.models)

    def run(self):
        """Serves in this thread until SIGTERM, Ctrl-C or `stop`; then answers what is in flight, or refuses what waits too
        long."""
        try:
            self._listener.run(sockets=[self._socket])
        finally:
            self._end_grpc().wait()
            self._late.cancel()
            self.models.close()

    def start(self):
        """Serves in a thread of its own; returns self."""
        self._thread = threading.Thread(target=self.run, name="server", daemon=True)
        self._thread.start()
        return self

    def end(self):
        """Begins the end of `run`, from any thread."""
        self._listener.should_exit = True

    def stop(self):
        """Ends what `start` began."""
        self.end()
        self._thread.join()

    def _begin_end(self):
        self._late.start()
        self._end_grpc()

    def _end_grpc(self):
        return self._grpc.stop(listening.GRACE_SECONDS + listening.LAST_SECONDS)


def _grpc(services, host, port, queue, shared):
    try:
        made, taken = grpc_service.server_of(services, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", queue,
                                             shared)
    except (RuntimeError, OSError):
        taken = 0
    if not taken:
        services.models.close()
        raise Failure(f"{host}:{port} cannot be listened on: choose another --grpc-port, or stop what listens there")
    return made, taken
