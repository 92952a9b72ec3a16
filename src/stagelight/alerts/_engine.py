"""The thread that samples, evaluates and tells; it never touches the pipeline."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _sinks
from stagelight._registry import REGISTRY
from stagelight.alerts._delivery import Outbox, Target, started
from stagelight.alerts._evaluator import Evaluator, Standing
from stagelight.alerts._hints import Hints
from stagelight.alerts._inhibition import explained, stages_of
from stagelight.alerts._notice import Notice, notice
from stagelight.alerts._reading import Graph, identity, sample, stack
from stagelight.alerts._targets import to_log, to_telemetry
from stagelight.health import flag, unflag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight.alerts._rule import Rule

_STUCK: Final = frozenset({"stuck worker", "stalled", "slow stage"})
#: Resolved alerts whose status is 0 in the metric for a while.
_REMEMBERED: Final = 50
#: Wall clock when this was loaded, less a clock that nobody sets.
_EPOCH: Final = time.time() - time.monotonic()


def steady() -> float:
    """Seconds since the epoch, which go on evenly when the wall clock is set."""
    return _EPOCH + time.monotonic()


class Engine:
    """Rules over this process, and who is told.

    Args:
        rules: The rules in force, the gravest first.
        interval: Seconds between two evaluations.
        targets: Who is told besides telemetry.
        log: Who is told at once, in the engine's thread; by default the logger
            ``stagelight.alerts``.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        interval: float = 5.0,
        targets: Iterable[Target] = (),
        log: Callable[[list[Notice]], None] | None = to_log,
        clock: Callable[[], float] = steady,
    ) -> None:
        self.evaluator = Evaluator(rules)
        self.interval = interval
        self.outboxes = [Outbox(one) for one in targets]
        self._log = log
        self._clock = clock
        self._hints = Hints()
        self._told: dict[int, tuple[Standing, Notice]] = {}
        self._resolved: list[Notice] = []
        self._firing: list[Notice] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._waited = False

    def start(self, *, waited: bool = False) -> None:
        """Evaluate from the first pipeline on, in a thread of its own.

        Args:
            waited: Whether the first interval is over already.
        """
        self._waited = waited
        identity()  # what it imports is loaded before a program may hide it
        _sinks.ALERTS.append(self.documents)
        _sinks.HINTS.append(self._hints.documents)
        with REGISTRY.lock:
            there = bool(REGISTRY.pipelines)
            if not there:
                REGISTRY.on_first.append(self._begin)
        if there:
            self._begin()

    def _begin(self) -> None:
        if self._stop.is_set() or self._thread is not None:
            return
        self._thread = started(self._run, "stagelight-alerts")

    def close(self, timeout: float = 2.0) -> None:
        """Stop, and deliver what waits as far as the time allows.

        Args:
            timeout: Seconds.
        """
        deadline = time.monotonic() + timeout
        self._leave()
        if self._pid == os.getpid():
            if self._thread is not None:
                self._thread.join(timeout)
            for outbox in self.outboxes:
                outbox.close(max(deadline - time.monotonic(), 0.0))

    def _leave(self) -> None:
        self._stop.set()
        if self.documents in _sinks.ALERTS:
            _sinks.ALERTS.remove(self.documents)
            _sinks.HINTS.remove(self._hints.documents)
        if self._begin in REGISTRY.on_first:
            REGISTRY.on_first.remove(self._begin)
        for _, told in self._told.values():
            unflag(_flag(told))

    def _run(self) -> None:
        pause = 0.0 if self._waited else self.interval
        due = time.monotonic() + pause
        while not self._stop.wait(pause):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - never into the program
                _guard.caught("alerts", error)
            due += self.interval
            pause = max(due - time.monotonic(), self.interval / 10)

    def tick(self) -> list[Notice]:
        """Sample, evaluate and tell, once.

        Returns:
            What was told.
        """
        now = self._clock()
        self._hints.update(now, sample(self.evaluator, now, identity()))
        self.evaluator.tick(now)
        standing = self.evaluator.standing()
        if not standing and not self._told:
            self._firing = []
            return []
        graph = Graph()
        victims = explained(standing, graph)
        news = self._begun(standing, victims, graph, now)
        news += self._ended(now)
        self._firing = [
            self._seen(one, victims.get(id(one)), graph, now) for one in standing
        ]
        self._tell(news)
        return news

    def _seen(
        self, one: Standing, cause: Standing | None, graph: Graph, now: float
    ) -> Notice:
        """An alert that fires as it is now, with what was told of it."""
        found = notice(one, now, stages_of(one, graph))
        _, told = self._told.get(id(one), (one, found))
        because = "" if cause is None else f"{cause.rule.name} of {cause.name}"
        return replace(
            found, stack=told.stack, victims=told.victims, explained_by=because
        )

    def _begun(
        self,
        standing: list[Standing],
        victims: dict[int, Standing],
        graph: Graph,
        now: float,
    ) -> list[Notice]:
        news = []
        for one in standing:
            if id(one) in self._told or id(one) in victims:
                continue
            found = notice(one, now, stages_of(one, graph))
            mine = [v for v in standing if victims.get(id(v)) is one]
            trace = stack(one.pipeline, found.stage) if found.cause in _STUCK else None
            found = replace(
                found,
                stack=trace,
                victims=[f"{v.rule.name} of {v.name}" for v in mine],
            )
            self._told[id(one)] = (one, found)
            news.append(found)
            if found.pipeline and found.stage:
                flag(
                    _flag(found),
                    found.summary,
                    pipeline=found.pipeline,
                    stage=found.stage,
                    value=found.value,
                    limit=found.limit or 0.0,
                )
        return news

    def _ended(self, now: float) -> list[Notice]:
        news = []
        for key, (one, begun) in list(self._told.items()):
            if one.ended is not None or not self.evaluator.has(one):
                ended = one.ended if one.ended is not None else now
                news.append(replace(begun, state="resolved", ended=ended, stack=None))
                del self._told[key]
                unflag(_flag(begun))
        self._resolved = [*self._resolved, *news][-_REMEMBERED:]
        return news

    def _tell(self, news: list[Notice]) -> None:
        if not news:
            return
        to_telemetry(news)
        if self._log is not None:
            self._log(news)
        for outbox in self.outboxes:
            outbox.put(news)

    def abandon(self) -> None:
        """Forget everything: this is a forked child, and the parent goes on."""
        self._leave()
        for outbox in self.outboxes:
            outbox.after_fork()

    def firing(self) -> list[Notice]:
        """The alerts that fire now, victims included, the gravest first."""
        return list(self._firing)

    def history(self) -> list[Notice]:
        """What was told, the oldest first; of those resolved the latest fifty."""
        told = [one for _, one in self._told.values()]
        return sorted([*self._resolved, *told], key=lambda one: one.began)

    def documents(self) -> list[dict[str, Any]]:
        """Alerts that fire, and those resolved lately, as plain data."""
        firing = [one.document() for one in self._firing]
        there = {tuple(sorted(one["attributes"].items())) for one in firing}
        for one in self._resolved:
            key = tuple(sorted(one.attributes().items()))
            if key not in there:
                there.add(key)
                firing.append(one.document())
        return firing


def _flag(one: Notice) -> str:
    """The name of an alert's flag in health."""
    return f"alert {one.severity} {one.name} {one.pipeline} {one.queue or one.stage}"
