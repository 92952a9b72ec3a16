"""Reads back what arrived in Jaeger and Prometheus, over their supported APIs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


def eventually(ask: Callable[[], T], timeout: float = 90, pause: float = 0.2) -> T:
    """Ask until the answer is true, and return it; the last answer if time is up.

    For what other processes do in their own time; what is asserted afterwards says
    more than a timeout could.
    """
    deadline = time.monotonic() + timeout
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(pause)
    return answer


@dataclass(frozen=True)
class JaegerSpan:
    """A span as Jaeger stores it."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    failed: bool
    attributes: dict[str, Any]


class Jaeger:
    """Jaeger's query API, version 3."""

    def __init__(self, url: str) -> None:
        """Take the address of its page."""
        self._url = url

    def services(self) -> list[str]:
        """Return the services that sent spans."""
        found: list[str] = self._get("services")["services"]
        return found

    def trace(self, trace_id: str) -> list[JaegerSpan]:
        """Return a trace's spans, none where it is unknown."""
        return self._spans(f"traces/{trace_id}")

    def traces(self, service: str, limit: int = 5000) -> dict[str, list[JaegerSpan]]:
        """Return a service's traces by their id."""
        query = urllib.parse.urlencode(
            {
                "query.service_name": service,
                "query.start_time_min": "2020-01-01T00:00:00Z",
                "query.start_time_max": "2100-01-01T00:00:00Z",
                "query.num_traces": limit,
            }
        )
        found: dict[str, list[JaegerSpan]] = {}
        for span in self._spans(f"traces?{query}"):
            found.setdefault(span.trace_id, []).append(span)
        return found

    def _spans(self, path: str) -> list[JaegerSpan]:
        try:
            answer = self._get(path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return [
            _span(span)
            for group in answer["result"].get("resourceSpans", ())
            for scoped in group["scopeSpans"]
            for span in scoped["spans"]
        ]

    def _get(self, path: str) -> Any:
        with _DIRECT.open(f"{self._url}/api/v3/{path}", timeout=30) as answer:
            return json.load(answer)


def _span(span: dict[str, Any]) -> JaegerSpan:
    values = (
        (pair["key"], next(iter(pair["value"].values()), None))
        for pair in span.get("attributes", ())
    )
    return JaegerSpan(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        name=span["name"],
        kind=_KINDS[span["kind"]],
        failed=span.get("status", {}).get("code") == 2,
        attributes=dict(values),
    )


class Prometheus:
    """Prometheus's query API."""

    def __init__(self, url: str) -> None:
        """Take the address of its page."""
        self._url = url

    def query(self, query: str) -> dict[tuple[str, ...], float]:
        """Ask now; the values by their labels' values, in the labels' order."""
        found = self._get("query", query=query)["result"]
        return {
            tuple(
                value for key, value in sorted(one["metric"].items()) if key[:2] != "__"
            ): float(one["value"][1])
            for one in found
        }

    def number(self, query: str) -> float | None:
        """Ask for one number; None where nothing is found."""
        found = self.query(query)
        if len(found) > 1:
            raise ValueError(f"{query} has {len(found)} values: {found}")
        return next(iter(found.values()), None)

    def exemplars(self, query: str) -> list[dict[str, str]]:
        """Return the labels of all exemplars of the last hour."""
        now = time.time()
        found = self._get("query_exemplars", query=query, start=now - 3600, end=now + 1)
        return [one["labels"] for series in found for one in series["exemplars"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        found: list[dict[str, Any]] = self._get("alerts")["alerts"]
        return found

    def _get(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        url = f"{self._url}/api/v1/{path}?{query}"
        with _DIRECT.open(url, timeout=30) as answer:
            return json.load(answer)["data"]
