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
from stagelight._snapshot import Past
from stagelight.health import _heartbeats
from stagelight.health._checks import CHECKS
from stagelight.health._facts import pipeline_facts, stage_facts
from stagelight.health._flags import FLAGS
from stagelight.health._limits import Limits
from stagelight.health._machine import Facts, Machine, Sign, Transition
from stagelight.health._telling import tell
from stagelight.health._verdict import Life, make_report
from stagelight.health._watched import SAMPLE, WINDOW, Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stagelight._sight import Sight
    from stagelight.health._history import Row
    from stagelight.health._report import HealthReport

#: Seconds between two looks: while somebody watches or something stands still, while
#: something else is wrong, and while nobody watches and all is well.
WATCHED: Final = 1.0
TROUBLED: Final = 5.0
UNWATCHED: Final = 10.0
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
        #: Signs of trouble at the last look, and those of a standstill among them.
        self._signs = self._standing = 0
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
                if not (self._eyes and self._report and self.age < 3 * WATCHED):
                    self.tick()  # else who watches makes it look
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                _guard.caught("monitor", error)
            while self._thread is mine:
                eyes = self._eyes > 0
                left = began + self._period() - time.monotonic()
                if left <= 0:
                    break
                wake.clear()
                wake.wait(min(left, SAMPLE) if eyes else left)
                if eyes:
                    self._sample()

    def _period(self) -> float:
        """Seconds to the next look."""
        if self._eyes or not self.life.started or self._standing:
            return WATCHED
        report = self._report
        calm = report is not None and report.state == _names.HEALTHY
        return UNWATCHED if calm and not self._signs else TROUBLED

    # One look

    def tick(self) -> HealthReport:
        """Look at everything once; returns the new verdict."""
        now, wall = clock() / NANOSECONDS, time.time()
        CHECKS.start_due()
        with REGISTRY.lock:
            records = list(REGISTRY.pipelines.values())
        with self._lock:
            changes = []
            self._signs = self._standing = 0
            for record in records:
                known = self._watched.setdefault(record.name, Watched())
                sight, readings = look(record)
                changes += self._judge(record.name, known, sight, now, wall)
                if known.fresh is not None:
                    known.fresh = (known.fresh[0], readings)
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
            tell(change)
        return report

    def _judge(
        self, name: str, known: Watched, sight: Sight, now: float, wall: float
    ) -> list[Transition]:
        known.remember(sight, WINDOW)
        earlier = known.sights[0] if len(known.sights) > 1 else None
        window = Window(sight, earlier, REGISTRY.started)
        known.fresh = (window, {})
        known.history.note(window, wall)
        known.progress.note(window, now)
        found: list[tuple[str | None, Facts]] = [
            (None, pipeline_facts(window, known.progress, self.limits, now))
        ]
        for one in window.stages.values():
            facts = stage_facts(name, one, window, known.progress, self.limits, now)
            found.append((one.sight.name, facts))
        changes = []
        for stage, facts in found:
            self._standing += facts.stalled is not None
            self._signs += facts.overloaded is not None or facts.degraded is not None
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
            backlogs = [pool.backlog for pool in list(record.pools.values())]
            known.note_sizes(now, [*list(record.queues.values()), *backlogs])

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

    def seen(self, pipeline: str) -> Past:
        """As ``past``, with what was just seen: for a document right after a look."""
        known = self._watched.get(pipeline)
        if known is None:
            return Past()
        past = known.past()
        return Past(past.sight, past.sizes, known.fresh)

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

    def last(self) -> dict[str, Row | None]:
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


MONITOR: Final = Monitor()


def _after_fork() -> None:
    _heartbeats.forget()
    MONITOR.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
