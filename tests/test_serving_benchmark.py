"""The soak of the embedded server, for seconds."""

import pytest

pytest.importorskip("tfgen.serving.rest", reason="the extra 'serving' is not installed")

from benchmarks import serving_soak  # noqa: E402


@pytest.mark.rotating
def test_a_short_soak_finds_no_fault():
    """Two new versions and a corrupt one come while good, bad and aborted requests go on; the server ends with 0."""
    made = serving_soak.run(4.0, fast=True)
    assert made["good"] > 10 and made["bad"] > 10 and made["aborted"] > 10


def test_a_soak_tells_wrong_answers():
    soak = serving_soak.Soak("http://127.0.0.1:1", "127.0.0.1:1")
    soak.count("good")
    soak.count("good", "wrong images of seeds [1]")
    assert soak.counts["good"] == 2 and soak.faults == ["wrong images of seeds [1]"]
