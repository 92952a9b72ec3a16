"""What every test shares."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator


# How long an example takes, or finding it, is the machine's affair: it is no failure.
settings.register_profile(
    "stagelight", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("stagelight")

# A shell ignores SIGINT in what it starts in the background, and so do its children:
# those that are sent one would go on for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--require-stack`, for machines that can build the real stack."""
    parser.addoption(
        "--require-stack",
        action="store_true",
        help="fail the tests of the real stack where they would be skipped",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hold single tests marked `stack` to `--require-stack`."""
    report = yield
    if item.get_closest_marker("stack") and not hasattr(report, "wasxfail"):
        _refuse_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Hold whole files in tests/stack, which `importorskip` skips, to it as well."""
    report = yield
    if "stack" in collector.path.parts:
        _refuse_skip(report, collector.config)
    return report


def _refuse_skip(
    report: pytest.TestReport | pytest.CollectReport, config: pytest.Config
) -> None:
    if report.skipped and config.getoption("require_stack"):
        report.outcome = "failed"
        report.longrepr = f"--require-stack forbids this skip: {report.longrepr}"
