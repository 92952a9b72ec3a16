"""Looks at all pipelines every few seconds, and keeps the verdict for the probes."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names, _sinks, _snapshot
from stagelight._cells import NANOSECONDS
from stagelight._insight import Window
from stagelight._registry import REGISTRY
from stagelight._sight import look
from stagelight._sinks import EventRecord
from stagelight._snapshot import Past
from stagelight.health import _heartbeats
from stagelight.health._checks import CHECKS
from stagelight.health._facts import pipeline_facts, stage_facts
from stagelight.health._flags import FLAGS
from stagelight.health._limits import Limits
from stagelight.health._machine import Facts, Machine, Sign, Transition
from stagelight.health._verdict import Life, make_report
from stagelight.health._watched import SAMPLE, WINDOW, Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stagelight._sight import Sight
    from stagelight.health._report import HealthReport

#: Seconds between two looks: while somebody watches, and while nobody does.
WATCHED: Final = 1.0
UNWATCHED: Final = 5.0
_KEPT: Final = 100


class Monitor:
    """Looks, judges and remembers; one in a process.

    Args:
        limits: The thresholds.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.life = Life()
        self._lock = threading.RLock()
        self._watched: dict[str, Watched] = {}
        self._process = self._machine("", None)
        self._history: deque[Transition] = deque(maxlen=_KEPT)
        self._lost = 0
        self._lost_at = 0.0
        self._users = 0
        self._eyes = 0
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._report: HealthReport | None = None
        self.looked_at = clock()

    def set_limits(self, limits: Limits) -> None:
        """Use other thresholds from now on; what was judged by others is forgotten.

        Args:
            limits: The thresholds.
        """
        with self._lock:
            if limits != self.limits:
                self.limits = limits
                self._process = self._machine("", None)
                for known in self._watched.values():
                    known.machines.clear()

    # Its thread

    def start(self) -> None:
        """Begin to look, or go on for one more user."""
        with self._lock:
            self._users += 1
            if self._thread is not None:
                return
            _snapshot.PAST[:] = [self.past]
            _sinks.STATUS.append(self.statuses)
            self._wake = threading.Event()
            self._thread = threading.Thread(
                target=self._run,
                args=(self._wake,),
                name="stagelight-monitor",
                daemon=True,
            )
            self._thread.start()

    def stop(self) -> None:
        """End for one user; the last one ends the thread."""
        with self._lock:
            self._users = max(self._users - 1, 0)
            if self._users or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._detach()
            self._wake.set()
        thread.join(2)

    def _detach(self) -> None:
        _snapshot.PAST.clear()
        if self.statuses in _sinks.STATUS:
            _sinks.STATUS.remove(self.statuses)

    def watch(self) -> None:
        """Look more often: somebody sees it."""
        with self._lock:
            self._eyes += 1
            self._wake.set()

    def unwatch(self) -> None:
        """Somebody looks away."""
        with self._lock:
            self._eyes = max(self._eyes - 1, 0)

    def _run(self, wake: threading.Event) -> None:
        mine = threading.current_thread()
        while self._thread is mine:
            began = time.monotonic()
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                _guard.caught("monitor", error)
            while self._thread is mine:
                eyes = self._eyes > 0
                soon = eyes or not self.life.started  # what waits for it is not to wait
                left = began + (WATCHED if soon else UNWATCHED) - time.monotonic()
                if left <= 0:
                    break
                wake.clear()
                wake.wait(min(left, SAMPLE) if eyes else left)
                if eyes:
                    self._sample()

    # One look

    def tick(self) -> HealthReport:
        """Look at everything once; returns the new verdict."""
        now, wall = clock() / NANOSECONDS, time.time()
        CHECKS.start_due()
        with REGISTRY.lock:
            records = list(REGISTRY.pipelines.values())
        with self._lock:
            changes = []
            for record in records:
                known = self._watched.setdefault(record.name, Watched())
                sight, _ = look(record)
                changes += self._judge(record.name, known, sight, now, wall)
            for name in self._watched.keys() - {record.name for record in records}:
                del self._watched[name]
            change = self._process.update(self._process_facts(now), now, wall)
            changes += [change] if change else []
            self.life.note(any(r.stages or r.queues or r.pools for r in records))
            self._history.extendleft(changes)
            self._report = make_report(
                self.life,
                self._process,
                {name: one.machines for name, one in self._watched.items()},
                tuple(self._history),
                self.limits,
                wall,
            )
            self.looked_at = clock()
            report = self._report
        for change in changes:
            _tell(change)
        return report

    def _judge(
        self, name: str, known: Watched, sight: Sight, now: float, wall: float
    ) -> list[Transition]:
        known.remember(sight, WINDOW)
        known.history.note(sight, wall)
        earlier = known.sights[0] if len(known.sights) > 1 else None
        window = Window(sight, earlier, REGISTRY.started)
        known.progress.note(window, now)
        found: list[tuple[str | None, Facts]] = [
            (None, pipeline_facts(window, known.progress, self.limits, now))
        ]
        for one in window.stages.values():
            facts = stage_facts(name, one, window, known.progress, self.limits, now)
            found.append((one.sight.name, facts))
        changes = []
        for stage, facts in found:
            machine = known.machines.get(stage)
            if machine is None:
                machine = known.machines[stage] = self._machine(name, stage)
            change = machine.update(FLAGS.joined(facts, name, stage), now, wall)
            changes += [change] if change else []
        return changes

    def _machine(self, pipeline: str, stage: str | None) -> Machine:
        now = clock() / NANOSECONDS
        return Machine(pipeline, stage, self.limits, now, time.time())

    def _process_facts(self, now: float) -> Facts:
        """Telemetry that is lost on its way out, and flags without a pipeline."""
        lost = sum(_guard.LOST.values())
        if lost > self._lost:
            self._lost_at = now
        sign = None
        if lost and now - self._lost_at < WINDOW and self._lost_at:
            new = lost - self._lost or lost
            sign = Sign(f"{new:,} telemetry items were lost on their way out", new, 0)
        self._lost = lost
        facts = Facts(degraded=sign, degraded_clear=sign is None)
        return FLAGS.joined(facts, "", None)

    def _sample(self) -> None:
        """Note the sizes of all queues: a mean needs more than one look a second."""
        now = time.monotonic()
        for name, known in list(self._watched.items()):
            record = REGISTRY.pipelines.get(name)
            if record is None:
                continue
            sizes = {one.name: one.size() for one in list(record.queues.values())}
            sizes |= {p.name: p.backlog.size() for p in list(record.pools.values())}
            known.sizes.append((now, {k: v for k, v in sizes.items() if v is not None}))
            while known.sizes and now - known.sizes[0][0] > WINDOW:
                known.sizes.popleft()

    # What others ask for

    def report(self) -> HealthReport:
        """The verdict of the last look; the first one is made at once."""
        if self._thread is None or self._report is None:
            return self.tick()
        return self._report

    def past(self, pipeline: str) -> Past:
        """What ``stats()`` takes as the beginning of its window."""
        known = self._watched.get(pipeline)
        return known.past() if known is not None else Past()

    def statuses(self) -> Iterator[tuple[str, str, str]]:
        """Pipeline, stage and state of each stage, for the metric."""
        for name, known in list(self._watched.items()):
            for stage, machine in list(known.machines.items()):
                if stage is not None:
                    yield name, stage, self.life.word or machine.state

    def history(self, *, hours: bool = False) -> dict[str, Any]:
        """What each pipeline did; see ``History.document``."""
        now = time.time()
        with self._lock:
            return {
                name: known.history.document(now, hours=hours)
                for name, known in self._watched.items()
            }

    def last(self) -> dict[str, dict[tuple[str, ...], float]]:
        """The newest row of each pipeline's history."""
        with self._lock:
            return {name: one.history.last for name, one in self._watched.items()}

    @property
    def age(self) -> float:
        """Seconds since the last look."""
        return (clock() - self.looked_at) / NANOSECONDS

    def after_fork(self) -> None:
        """A forked child has no monitor until it starts one."""
        self._detach()
        eyes = Monitor(self.limits)
        self.__dict__.update(eyes.__dict__)


def _tell(change: Transition) -> None:
    """One log event for one change of state."""
    _sinks.announce(
        EventRecord(
            name=_names.STATE_EVENT,
            pipeline=change.pipeline,
            stage=change.stage,
            queue=None,
            time_ns=round(change.time * NANOSECONDS),
            attributes={
                _names.STATE: change.after,
                _names.STATE_BEFORE: change.before,
                _names.STATE_REASON: change.reason,
                _names.STATE_VALUE: float(change.value),
                _names.STATE_LIMIT: float(change.limit),
                _names.STATE_SINCE: change.time,
            },
        )
    )


MONITOR: Final = Monitor()


def _after_fork() -> None:
    _heartbeats.forget()
    MONITOR.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
