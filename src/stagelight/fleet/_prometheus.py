"""Asking a Prometheus for all our series at one moment."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from stagelight._errors import StagelightError

_TIMEOUT: Final = 10.0
#: Ours, whatever comes behind the name: Prometheus appends unit and ``_total``.
_OURS: Final = "stagelight_.+"
_PROCESS: Final = (
    "process_resident_memory_bytes|process_memory_usage_bytes"
    "|process_start_time_seconds"
)


class FleetError(StagelightError):
    """Prometheus does not answer, or knows nothing of what was asked for."""

    __module__ = "stagelight.fleet"


@dataclass(frozen=True, slots=True)
class Point:
    """The value of one series at one moment."""

    name: str
    labels: dict[str, str]
    value: float


class Prometheus:
    """One Prometheus.

    Args:
        url: Its address.

    Raises:
        FleetError: It is no http address.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise FleetError(f"{url!r} is no http address of a Prometheus")
        self.url = url.rstrip("/")

    def points(self, service: str | None, at: float) -> list[Point]:
        """Every series of ours at one moment.

        Args:
            service: Name of the service, as ``job`` or ``service_name``; None for any.
            at: Wall clock in seconds.

        Raises:
            FleetError: It does not answer.
        """
        names = f'__name__=~"{_OURS}|{_PROCESS}"'
        if service is None:
            return self._ask(f"{{{names}}}", at)
        pattern, name = selectors(service)
        asked = f"{{{names},job=~{pattern}}} or {{{names},service_name={name}}}"
        return self._ask(asked, at)

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that it evaluates, as its API tells of them.

        Raises:
            FleetError: It does not answer.
        """
        data = self._fetch(urllib.request.Request(f"{self.url}/api/v1/alerts"))  # noqa: S310 - http, see above
        return data.get("alerts") or []

    def _ask(self, query: str, at: float) -> list[Point]:
        form = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"})
        request = urllib.request.Request(  # noqa: S310 - http, see above
            f"{self.url}/api/v1/query", data=form.encode(), method="POST"
        )
        found = []
        for series in self._fetch(request)["result"]:
            labels = dict(series["metric"])
            name = labels.pop("__name__", "")
            found.append(Point(name, labels, float(series["value"][1])))
        return found

    def _fetch(self, request: urllib.request.Request) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                body: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read(500).decode("utf-8", "replace")
            raise FleetError(f"{self.url}: {error.code} {text}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise FleetError(f"{self.url}: {reason}; is a Prometheus there?") from None
        if body.get("status") != "success":
            raise FleetError(f"{self.url}: {body.get('error', 'no success')}")
        data: dict[str, Any] = body["data"]
        return data


def selectors(service: str) -> tuple[str, str]:
    """A service's name as PromQL strings: a pattern for ``job``, and itself.

    PromQL has the strings of Go, which has those of JSON.

    Args:
        service: The name; nothing of it is an expression.
    """
    pattern = json.dumps(f"(.+/)?{re.escape(service)}", ensure_ascii=False)
    return pattern, json.dumps(service, ensure_ascii=False)
