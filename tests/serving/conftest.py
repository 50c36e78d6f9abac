"""One embedded server for all its tests."""

import pytest
from asking import LIMIT
from cases import tiny

from tfgen.serving import export, saved_model


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of a version of a conditional VAE."""
    folder = tmp_path_factory.mktemp("models") / "cvae"
    return export.export(tiny("conditional_vae"), folder)


@pytest.fixture(scope="session")
def stored(exported):
    return saved_model.Served(exported)


@pytest.fixture(scope="session")
def server(exported):
    from tfgen.serving.batching import Batching
    from tfgen.serving.server import Server

    made = Server(exported.parents[1], port=0, grpc_port=0, limit=LIMIT, poll=0.1, patience=0.4,
                  batching=Batching(most=4, rows=50)).start()
    yield made
    made.stop()
