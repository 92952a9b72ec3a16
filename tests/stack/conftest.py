"""One real stack for all tests here; skipped where it cannot be built or found."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import OtlpReceiver
from harness.backends import Jaeger, Prometheus
from realstack import Stack, Unavailable, build

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("stack")


@pytest.fixture(scope="session")
def log_backend():
    """Where the stack's collector sends logs."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def otelcol():
    """The collector's program."""
    try:
        return build("otelcol")
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(tmp_path_factory, log_backend):
    """Collector, Jaeger, Prometheus and Alertmanager, as the repository has them."""
    env = {
        "LOGS_EXPORTERS": "[otlp_http/logs]",
        "LOGS_OTLP_ENDPOINT": log_backend.http_endpoint,
    }
    try:
        stack = Stack(tmp_path_factory.mktemp("stack"), env=env, scrape="1s")
    except Unavailable as error:
        pytest.skip(str(error))
    with stack:
        yield stack


@pytest.fixture(scope="session")
def jaeger(stack):
    """The stack's Jaeger, to be asked."""
    return Jaeger(stack.jaeger_url)


@pytest.fixture(scope="session")
def prometheus(stack):
    """The stack's Prometheus, to be asked."""
    return Prometheus(stack.prometheus_url)
