"""The probe: one journey of two events and a log record, by the program's own way out.

Everything is as ``configure()`` makes it from the environment; only the name of the
service is the doctor's, and the probe is always sampled.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from stagelight import _export, _flushing, _names, _setup
from stagelight._pipeline import Pipeline
from stagelight._providers import PROVIDERS
from stagelight._watched import WATCHED, Watched

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE: Final = "stagelight-doctor"
PIPELINE: Final = "doctor"
STAGE: Final = "probe"
EVENT: Final = "stagelight.doctor.probe"
#: Exported one by one, so that differences that nobody adds up show.
EVENTS: Final = 2
SIGNALS: Final = ("traces", "metrics", "logs")
#: Seconds after the first trouble of an exporter in which it may still recover.
_SECOND_CHANCE: Final = 1.0


@dataclass
class Probe:
    """What was sent, and how it went.

    Attributes:
        trace_id: Of the last event, 32 hexadecimal digits; "" where nothing is traced.
        instance: ``service.instance.id`` of this run.
        job: What Prometheus calls the service.
        taken: Signals whose export was taken.
        reasons: Why others were not.
        sent_at: When, in seconds since the epoch.
    """

    trace_id: str = ""
    instance: str = ""
    job: str = SERVICE
    taken: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)
    sent_at: float = 0.0


def send(timeout: float) -> Probe:
    """Send the probe by the exporters that ``configure()`` builds.

    Args:
        timeout: Seconds that it may take.

    Raises:
        ConfigurationError: The environment cannot be right.
    """
    _name_the_service()
    _be_quiet()
    probe = Probe(sent_at=time.time())
    _setup.configure(service_name=SERVICE, journeys_per_second="all")
    resource = getattr(PROVIDERS.tracer, "resource", None)
    attributes = dict(getattr(resource, "attributes", {}))
    probe.instance = str(attributes.get("service.instance.id", ""))
    space = attributes.get("service.namespace")
    name = str(attributes.get("service.name", SERVICE))
    probe.job = f"{space}/{name}" if space else name

    def process(number: int) -> int:
        context = trace.get_current_span().get_span_context()
        if context.trace_flags.sampled:
            probe.trace_id = f"{context.trace_id:032x}"
        if number == EVENTS:
            _log()
        return number

    stage = Pipeline(PIPELINE).stage(name=STAGE)(process)
    deadline = time.monotonic() + timeout
    for number in range(1, EVENTS + 1):
        stage(number)
        _flush(probe, number, deadline)
    return probe


def _name_the_service() -> None:
    """Be a service of our own, whose series are this run's alone."""
    listed = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    ours = {"service.name", "service.instance.id"}
    kept = [
        pair
        for pair in listed
        if pair.strip() and pair.partition("=")[0].strip() not in ours
    ]
    kept.append(f"service.instance.id={uuid.uuid4()}")
    os.environ["OTEL_RESOURCE_ATTRIBUTES"] = ",".join(kept)
    os.environ["OTEL_SERVICE_NAME"] = SERVICE
    os.environ["OTEL_TRACES_SAMPLER"] = "always_on"
    # Only what we flush ourselves is exported.
    os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "3600000"


def _be_quiet() -> None:
    """The report says it: neither the SDK's log lines nor ours."""
    for name in ("stagelight", "opentelemetry"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def _log() -> None:
    logger = otel_logs.get_logger(_names.SCOPE)
    now = time.time_ns()
    logger.emit(
        timestamp=now,
        observed_timestamp=now,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body="a probe of stagelight doctor",
        attributes={_names.PIPELINE: PIPELINE, _names.STAGE: STAGE},
        event_name=EVENT,
    )


def _flush(probe: Probe, number: int, deadline: float) -> None:
    """Flush, and wait until every exporter has succeeded or is in trouble."""
    before = {signal: _accepted(signal) for signal in SIGNALS}
    _background(_flushing.force_flush, max(deadline - time.monotonic(), 0.5))
    waiting = {signal for signal in SIGNALS if _watched(signal)}
    if number < EVENTS:
        waiting.discard("logs")  # its record belongs to the last event
    trouble: dict[str, float] = {}
    while waiting:
        now = time.monotonic()
        for signal in sorted(waiting):
            if _accepted(signal) > before[signal]:
                waiting.discard(signal)
                probe.taken.add(signal)
                probe.reasons.pop(signal, None)
            elif _export.struggling(signal):
                began = trouble.setdefault(signal, now)
                if now - began > _SECOND_CHANCE:
                    waiting.discard(signal)
                    probe.taken.discard(signal)
                    probe.reasons[signal] = _reason(signal)
        if now > deadline:
            for signal in waiting:
                probe.taken.discard(signal)
                probe.reasons[signal] = _reason(signal) or "no answer in time"
            return
        time.sleep(0.02)


def _background(job: Callable[..., Any], *arguments: Any) -> None:
    threading.Thread(target=job, args=arguments, daemon=True).start()


def _watched(signal: str) -> list[Watched]:
    return [one for one in WATCHED if one.signal == signal]


def _accepted(signal: str) -> int:
    return sum(one.accepted for one in _watched(signal))


def _reason(signal: str) -> str:
    return next((one.reason for one in _watched(signal) if one.reason), "")


def close() -> None:
    """End the exporters without waiting for those in trouble."""
    _flushing.shutdown(0.5)
