"""Who is told: a log, a webhook, a Slack channel, a function, an Alertmanager."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names, _sinks
from stagelight.alerts._delivery import Refused
from stagelight.alerts._evaluator import FIRING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.alerts._notice import Notice

#: Where alerts go that the log is asked for.
LOG: Final = logging.getLogger("stagelight.alerts")
_LEVEL: Final = {"warning": logging.WARNING, "critical": logging.ERROR}
_COLOUR: Final = {"warning": "warning", "critical": "danger"}
#: Prometheus sends resolved alerts on for that long.
_RETENTION: Final = 900.0
RESEND: Final = 60.0


def in_words(notice: Notice) -> str:
    """A notice in one line.

    Args:
        notice: It.
    """
    if notice.state != FIRING:
        return f"resolved: {notice.summary}"
    victims = f" It explains: {', '.join(notice.victims)}." if notice.victims else ""
    return f"{notice.severity}: {notice.summary}. {notice.description}{victims}"


def to_log(notices: list[Notice]) -> None:
    """Write notices to the logger ``stagelight.alerts``.

    Args:
        notices: What to tell.
    """
    for one in notices:
        level = _LEVEL[one.severity] if one.state == FIRING else logging.INFO
        LOG.log(level, "%s", in_words(one))


def to_telemetry(notices: list[Notice]) -> None:
    """Emit each notice as an OpenTelemetry log event.

    Args:
        notices: What to tell.
    """
    for one in notices:
        attributes: dict[str, str | int | float | bool] = {
            _names.ALERT: one.name,
            _names.SEVERITY: one.severity,
            "stagelight.alert.state": one.state,
            "stagelight.alert.value": one.value,
            "stagelight.alert.cause": one.cause,
            "stagelight.alert.summary": one.summary,
            "stagelight.alert.description": one.description,
            "stagelight.alert.runbook_url": one.runbook,
        }
        if one.limit is not None:
            attributes["stagelight.alert.limit"] = one.limit
        if one.left is not None:
            attributes["stagelight.alert.seconds_left"] = one.left
        if one.stack:
            attributes["code.stacktrace"] = one.stack
        if one.victims:
            attributes["stagelight.alert.victims"] = ", ".join(one.victims)
        _sinks.announce(
            _sinks.EventRecord(
                name=_names.ALERT_EVENT,
                pipeline=one.pipeline,
                stage=one.stage or None,
                queue=one.queue or None,
                time_ns=round((one.ended or one.began) * 1e9),
                attributes=attributes,
            )
        )


def _posted() -> Callable[[str, Any], None]:
    from stagelight.alerts._posting import post

    return post


class Webhook:
    """Posts notices as JSON: ``{"version": 1, "alerts": [...]}``.

    Args:
        address: Where to.
    """

    again: float | None = None

    def __init__(self, address: str) -> None:
        self.name, self._post = "webhook", _posted()
        self._address = address

    def send(self, notices: list[Notice]) -> None:
        """Deliver."""
        documents = [one.document() for one in notices]
        self._post(self._address, {"version": 1, "alerts": documents})


class Slack:
    """Posts notices as a message to a Slack-compatible webhook.

    Args:
        address: Where to.
    """

    again: float | None = None

    def __init__(self, address: str) -> None:
        self.name, self._post = "slack", _posted()
        self._address = address

    def send(self, notices: list[Notice]) -> None:
        """Deliver."""
        parts: list[dict[str, Any]] = [
            {
                "color": _COLOUR[one.severity] if one.state == FIRING else "good",
                "title": f"[{one.state}] {one.name}: {one.summary}",
                "text": one.description,
                "footer": one.runbook,
                "fallback": in_words(one),
            }
            for one in notices
        ]
        text = "\n".join(in_words(one) for one in notices)
        self._post(self._address, {"text": text, "attachments": parts})


class Callback:
    """Calls a function with each notice, in a thread of ours.

    Args:
        function: Takes a ``Notice``.
    """

    again: float | None = None

    def __init__(self, function: Callable[[Notice], object]) -> None:
        self.name = getattr(function, "__qualname__", "callback")
        self._function = function

    def send(self, notices: list[Notice]) -> None:
        """Deliver."""
        for one in notices:
            try:
                self._function(one)
            except Exception as error:  # noqa: PERF203 - a handful
                raise Refused(f"{type(error).__name__}: {error}") from error


class Alertmanager:
    """Does a client's duties towards an Alertmanager's second interface.

    What fires is sent again each minute, with an end that lies ahead, so that it ends
    by itself should this process die. What is resolved is sent for 15 minutes more.

    Args:
        address: Its base address.
        interval: Seconds between two evaluations.
        clock: The wall clock.
    """

    def __init__(
        self,
        address: str,
        interval: float = 15.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self._post = "alertmanager", _posted()
        self.again: float | None = RESEND
        self._address = address.rstrip("/") + "/api/v2/alerts"
        self._ahead = 4 * max(interval, RESEND)
        self._clock = clock
        self._known: dict[tuple[tuple[str, str], ...], Notice] = {}

    def send(self, notices: list[Notice]) -> None:
        """Deliver what is new, and all that still holds."""
        now = self._clock()
        for one in notices:
            self._known[tuple(sorted(one.labels.items()))] = one
        self._known = {
            key: one
            for key, one in self._known.items()
            if one.ended is None or now - one.ended < _RETENTION
        }
        if self._known:
            alerts = [self._alert(one, now) for one in self._known.values()]
            self._post(self._address, alerts)

    def _alert(self, one: Notice, now: float) -> dict[str, Any]:
        end = now + self._ahead if one.ended is None else one.ended
        found = {
            "summary": one.summary,
            "description": one.description,
            "cause": one.cause,
            "runbook_url": one.runbook,
        }
        if one.queue and one.stage:
            found["stage"] = one.stage
        return {
            "labels": one.labels,
            "annotations": found,
            "startsAt": _moment(one.began),
            "endsAt": _moment(end),
        }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
