"""The doctor: one probe down the whole way, and what it met at each hop."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stagelight._doctor import (
    _advice,
    _collector,
    _jaeger,
    _logs,
    _probe,
    _prometheus,
    _settings,
    _wire,
)
from stagelight._doctor._findings import FAILED, OK, SKIPPED, WARNING, Finding, Report
from stagelight._environment import check_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._doctor._probe import Probe
    from stagelight._doctor._settings import Target

__all__ = ["Addresses", "Finding", "Report", "addresses", "examine"]

#: Seconds that the export itself may take.
_EXPORT: Final = 10.0
#: Seconds after which Jaeger has a trace, or will not get it.
_TRACE: Final = 10.0
_PORTS: Final = {
    "jaeger": ":16686",
    "prometheus": ":9090",
    "collector": ":8888/metrics",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the backends are; "" for one that is not asked.

    Attributes:
        jaeger: Base address of Jaeger's query service.
        prometheus: Base address of Prometheus.
        collector: Where the collector shows its own counters.
        loki: Base address of Loki.
        given: Names of those that the user gave.
        sure: Names of those that must be there: given, or of a stack on this host.
            Elsewhere they are only guessed to be beside the collector.
    """

    jaeger: str
    prometheus: str
    collector: str
    loki: str
    given: frozenset[str]
    sure: frozenset[str]


def addresses(given: Mapping[str, str | None]) -> Addresses:
    """The backends' addresses: as given, else beside the collector.

    Behind a vendor's endpoint, which is encrypted, there is none of them.

    Args:
        given: Addresses by name; ``none`` for one not to be asked, None for the
            default.

    Raises:
        ConfigurationError: The environment cannot be right.
    """
    check_environment()
    found = {"loki": ""}
    going = [
        target
        for target in _settings.targets(os.environ)
        if target.exporter.startswith("otlp")
    ]
    plain = next((target for target in going if not target.encrypted), None)
    for name, rest in _PORTS.items():
        found[name] = ""
        if plain is not None:
            host = "127.0.0.1" if plain.local else plain.host
            host = f"[{host}]" if ":" in host else host
            found[name] = f"http://{host}{rest}"
    for name, value in given.items():
        if value is not None:
            found[name] = "" if value == "none" else value.rstrip("/")
    named = frozenset(name for name, value in given.items() if value is not None)
    local = plain is not None and plain.local
    return Addresses(**found, given=named, sure=frozenset(found) if local else named)


def examine(where: Addresses, timeout: float) -> Report:
    """Send the probe, and look for it everywhere.

    Args:
        where: The backends.
        timeout: Seconds that the looking may take.

    Raises:
        ConfigurationError: The environment cannot be right.
    """
    report = Report()
    _settings.check(report, os.environ)
    # Read now: the probe names its service in the environment.
    targets = [
        target
        for target in _settings.targets(os.environ)
        if target.exporter.startswith("otlp")
    ]
    delta = _settings.delta_wanted(os.environ)
    spoken = _listen(targets)
    aside = Report()
    counters = _collector.source(
        aside,
        where.collector,
        where.prometheus,
        timeout,
        asked="collector" in where.given,
    )
    probe = _probe.send(_EXPORT)
    try:
        _tell_exports(report, targets, spoken, probe)
        report.findings += aside.findings
        passed = _collector.check(report, counters, probe)
        _look(report, where, probe, passed, timeout, delta=delta)
    finally:
        _probe.close()
    if targets and not (where.jaeger or where.prometheus or where.loki):
        report.add(
            "backends",
            SKIPPED,
            "none was asked: the endpoint is encrypted, so it is not that of the local "
            "stack",
            "name them with --jaeger, --prometheus and --loki",
        )
    return report


def _look(  # noqa: PLR0913 - everything that is known by now
    report: Report,
    where: Addresses,
    probe: Probe,
    passed: _collector.Passed,
    timeout: float,
    *,
    delta: bool,
) -> None:
    """Ask all backends side by side, and tell in the order of the way."""
    now = time.monotonic()
    parts = [Report() for _ in range(3)]
    with ThreadPoolExecutor(len(parts)) as workers:
        jobs = [
            workers.submit(
                _jaeger.check,
                parts[0],
                where.jaeger,
                probe,
                passed,
                now + min(timeout, _TRACE),
                sure="jaeger" in where.sure,
            ),
            workers.submit(
                _prometheus.check,
                parts[1],
                where.prometheus,
                probe,
                now + timeout,
                delta=delta,
                patience=timeout,
                sure="prometheus" in where.sure,
            ),
            workers.submit(
                _logs.check_loki, parts[2], where.loki, probe, now + timeout
            ),
        ]
        for job in jobs:
            job.result()
    _logs.check(parts[2], passed, probe, where.loki)
    for part in parts:
        report.findings += part.findings
        report.links.update(part.links)


def _listen(targets: list[Target]) -> dict[tuple[str, int], frozenset[str] | str]:
    """What is spoken at each place, or why nobody is there."""
    found: dict[tuple[str, int], frozenset[str] | str] = {}
    for target in targets:
        place = (target.host, target.port)
        if place not in found:
            try:
                found[place] = _wire.spoken(*place, encrypted=target.encrypted)
            except _wire.UnreachableError as error:
                found[place] = str(error)
    return found


def _tell_exports(
    report: Report,
    targets: list[Target],
    spoken: Mapping[tuple[str, int], frozenset[str] | str],
    probe: Probe,
) -> None:
    """Say which signals get out, those with one trouble in one finding."""
    taken: dict[str, list[str]] = {}
    failed: dict[tuple[str, str], tuple[list[str], str]] = {}
    for target in targets:
        place = target.endpoint.removesuffix(f"/v1/{target.signal}")
        if target.signal in probe.taken:
            taken.setdefault(place, []).append(target.signal)
            continue
        there = spoken[target.host, target.port]
        reason = probe.reasons.get(target.signal, "no exporter of it was made")
        advice = _advice.of_export(target, there, reason)
        short = there if isinstance(there, str) else _advice.shortened(reason)
        failed.setdefault((place, advice), ([], short))[0].append(target.signal)
    for place, signals in taken.items():
        report.add("export", OK, f"{', '.join(signals)} are taken by {place}")
    for (place, advice), (signals, reason) in failed.items():
        text = f"{', '.join(signals)} are not taken by {place}: {reason}"
        report.add("export", FAILED, text, advice)
    if "traces" in probe.taken and not probe.trace_id:
        report.add("export", WARNING, "the probe was not sampled by this configuration")
