"""What a server counts, for Prometheus."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self._requests = Counter("tfgen_serving_requests", "Requests by model, interface and status code.",
                                 ["model", "interface", "code"], registry=self.registry)
        self._latency = Histogram("tfgen_serving_latency_seconds", "From a request's arrival to its answer.",
                                  ["interface"], registry=self.registry)
        self._batches = Histogram("tfgen_serving_batch_rows", "Rows per batch.", ["model"], registry=self.registry,
                                  buckets=[2**n for n in range(11)])
        self._seconds = Counter("tfgen_serving_batch_seconds", "Time in which batches ran.", ["model"],
                                registry=self.registry)
        self._queue = Gauge("tfgen_serving_queue_requests", "Requests that wait.", ["model"], registry=self.registry)
        self._children = {}

    def request(self, model, interface, code, seconds):
        """Counts one request; `model` is the name of a model, or "" where it is unknown."""
        key = model, interface, code
        if key not in self._children:
            self._children[key] = self._requests.labels(*key), self._latency.labels(interface)
        counter, latency = self._children[key]
        counter.inc()
        latency.observe(seconds)

    def batch(self, model):
        """Function (rows, seconds) that counts a batch of a model."""
        rows_of, seconds_of = self._batches.labels(model), self._seconds.labels(model)

        def count(rows, seconds):
            rows_of.observe(rows)
            seconds_of.inc(seconds)

        return count

    def queue(self, model, batcher):
        """Tells the length of a model's queue when asked."""
        self._queue.labels(model).set_function(lambda: len(batcher.waiting))

    def page(self):
        """The text that Prometheus reads."""
        return prometheus_client.generate_latest(self.registry)
