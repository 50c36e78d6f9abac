"""What a server counts, for Prometheus."""

import os

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess


class Metrics:
    """The counters of one server, in a registry of its own; the page adds up those of all its processes."""

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
        self._queue = Gauge("tfgen_serving_queue_requests", "Requests that wait.", ["model"], registry=self.registry,
                            multiprocess_mode="livesum")
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

    def queue(self, model):
        """Function (number) that tells how many requests of a model wait."""
        return self._queue.labels(model).set

    def page(self):
        """The text that Prometheus reads."""
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # where prometheus-client keeps what the processes count
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        return prometheus_client.generate_latest(registry)
