"""All processes of a service together, from a Prometheus that scrapes them.

The numbers go through the same looks, windows and insights as a process's own.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

from stagelight._insight import Window
from stagelight._snapshot import DOCUMENT
from stagelight._version import __version__
from stagelight.fleet._alerts import evaluated, said, together
from stagelight.fleet._prometheus import FleetError, Point, Prometheus
from stagelight.fleet._reading import PipelineNumbers, read, sight
from stagelight.fleet._stats import health_report, pipeline_stats, process_stats
from stagelight.fleet._watched import Watched
from stagelight.health._history import History, newest
from stagelight.server._document import encode

__all__ = ["Fleet", "FleetError", "Watched"]

#: Seconds that the window looks back: two scrapes or more at the usual intervals.
WINDOW: Final = 60.0


class Fleet:
    """A service's processes as one.

    Args:
        url: Address of the Prometheus.
        service: Name of the service; may be left out where there is one only.
        window: Seconds that rates and quantiles look back.

    Raises:
        FleetError: The address is none.
    """

    def __init__(
        self, url: str, service: str | None = None, window: float = WINDOW
    ) -> None:
        self._prometheus = Prometheus(url)
        self._service = service
        self._window = window
        self._histories: dict[str, dict[str, History]] = {}
        self._rows: dict[str, dict[str, Any]] = {}

    def document(self, instance: str = "") -> dict[str, Any]:
        """The document of now, of the shape that a process has at ``/stats``.

        Args:
            instance: One process, "" for all together.

        Raises:
            FleetError: Prometheus does not answer, or knows no such service.
        """
        return json.loads(encode(self.state(instance)))  # type: ignore[no-any-return]

    def state(self, instance: str = "") -> dict[str, Any]:
        """As ``document``, with the frozen data that it is made of.

        Args:
            instance: One process, "" for all together.
        """
        now = time.time()
        later = self._prometheus.points(self._service, now)
        service = self._name(later)
        earlier = self._prometheus.points(self._service, now - self._window)
        instances = sorted({p.labels.get("instance", "") for p in later if _is_ours(p)})
        if instance and instance not in instances:
            raise FleetError(
                f"{service} has no process {instance!r}; there are "
                f"{', '.join(instances)}"
            )
        if instance:
            later = [one for one in later if one.labels.get("instance") == instance]
            earlier = [one for one in earlier if one.labels.get("instance") == instance]
        numbers, before = read(later), _without_resets(earlier, later)
        pipelines = {}
        histories = self._histories.setdefault(instance, {})
        rows = self._rows.setdefault(instance, {})
        for name, one in numbers.items():
            seen = sight(one, now)
            old = before.get(name)
            window = Window(
                seen,
                sight(old, now - self._window) if old else None,
                round((now - self._window) * 1e9),
            )
            pipelines[name] = pipeline_stats(name, one, window)
            history = histories.setdefault(name, History())
            history.note(window, now)
            rows[name] = history.last
        return {
            "version": DOCUMENT,
            "time": now,
            "service": service,
            "host": "",
            "stagelight": __version__,
            "instances": instances,
            "process": process_stats(later, now),
            "pipelines": pipelines,
            "health": health_report(numbers, now),
            "alerts": self._alerts(service, pipelines, later),
            "failed": [],
            "tap": False,
            "trace_url": None,
            "last": {name: newest(row) for name, row in rows.items()},
        }

    def history(self, instance: str = "", *, hours: bool = False) -> dict[str, Any]:
        """What each pipeline did since somebody began to watch.

        Args:
            instance: One process, "" for all together.
            hours: By the minute.
        """
        histories = self._histories.get(instance, {})
        now = time.time()
        return {name: one.document(now, hours=hours) for name, one in histories.items()}

    def _alerts(
        self, service: str, pipelines: dict[str, Any], points: list[Point]
    ) -> list[dict[str, Any]]:
        """What fires there, and what the processes say of themselves besides."""
        try:
            found = evaluated(self._prometheus, service, pipelines)
        except FleetError:  # it has no rules, or no API that tells of them
            found = []
        return together(found, said(points))

    def _name(self, points: list[Point]) -> str:
        """Name of the service; without one asked for there must be one only."""
        jobs = sorted(
            {
                one.labels.get("service_name") or one.labels.get("job", "")
                for one in points
                if _is_ours(one)
            }
        )
        if not jobs:
            of = f" of {self._service!r}" if self._service else ""
            raise FleetError(
                f"{self._prometheus.url} has no series{of} named stagelight_...; is it "
                "scraped, by the name that --service says?"
            )
        if self._service is None and len(jobs) > 1:
            raise FleetError(
                f"there are several services, pass one of {', '.join(jobs)}"
            )
        return self._service or jobs[0]


def _is_ours(point: Point) -> bool:
    return point.name.startswith("stagelight_")


def _without_resets(
    earlier: list[Point], later: list[Point]
) -> dict[str, PipelineNumbers]:
    """The older numbers, those of processes left out that began anew meanwhile."""
    now = {(one.name, *sorted(one.labels.items())): one.value for one in later}
    kept = []
    gone: set[str] = set()
    for one in earlier:
        value = now.get((one.name, *sorted(one.labels.items())))
        counts = one.name.endswith(("_total", "_count", "_bucket", "_sum"))
        if value is None or (counts and value < one.value):
            gone.add(one.labels.get("instance", ""))
    kept = [one for one in earlier if one.labels.get("instance", "") not in gone]
    return read(kept)
