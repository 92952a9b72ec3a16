"""Whether and by whom journeys are traced: provider, budget, sampling."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._distribution import NEVER
from stagelight._shapes import shaped
from stagelight._slots import TRACING
from stagelight._version import __version__
from stagelight._workers import ON_SLOT, set_alert

if TYPE_CHECKING:
    from collections.abc import Callable


#: Where asyncio is imported, this module is.
EVENTS: Final = "asyncio.events"


class Budget:
    """Token bucket over journeys a second, without a lock where it is exhausted."""

    def __init__(self, per_second: float, burst: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._interval = int(NANOSECONDS / per_second)
        self._slack = int(burst * NANOSECONDS)
        self.due = 0

    def renewed(self) -> Budget:
        """The same budget with a lock of its own, for a forked child."""
        fresh = Budget(NANOSECONDS / self._interval, self._slack / NANOSECONDS)
        fresh.due = self.due if self.due == NEVER else 0
        return fresh

    @classmethod
    def none(cls) -> Budget:
        """A budget that grants nothing."""
        budget = cls(1)
        budget.due = NEVER
        return budget

    def take(self, now: int) -> bool:
        """Take one token if there is one.

        Args:
            now: The monotonic clock in nanoseconds.
        """
        if self.due > now:
            return False
        with self._lock:
            if self.due > now:
                return False
            self.due = max(self.due, now - self._slack) + self._interval
            return True


class Tracer:
    """Process-wide tracing state; ``on`` is false while no SDK would take a span.

    Attributes:
        due: Clock before which no journey can be sampled, as far as is known.
        late: Whether only what fails has a span, made when it does.
        followed: Whether a stage was called in a sampled span of the program's own.
        running: None where no asyncio loop runs in this thread; else ask ``in_loop``.
    """

    # What is asked for each event is found fastest.
    __slots__ = ("__dict__", "due", "running", "sdk_decides")

    def __init__(self) -> None:
        self.on = False
        self.late = False
        self.followed = False
        self.due = 0
        # A call of C: this is asked for each event.
        self.running: Callable[[], object] = partial(sys.modules.get, EVENTS)
        self.tracer: trace.Tracer = trace.NoOpTracer()
        self.provider: trace.TracerProvider | None = None
        self.budget: Budget | None = Budget(50)
        self.enabled = True
        self.sdk_decides = False
        self._muted = False

    def configure(
        self,
        provider: trace.TracerProvider | None = None,
        journeys_per_second: float | None = 50,
        *,
        rescuing: bool = False,
    ) -> None:
        """Choose the provider and the budget.

        Args:
            provider: A tracer provider, or None for the global one.
            journeys_per_second: Head-sampled journeys; None for all, 0 for none.
            rescuing: Whether others may be exported later, if there is a sample or not.
        """
        self.provider = provider
        self.enabled = journeys_per_second != 0 or rescuing
        self.budget = None
        if journeys_per_second:
            self.budget = Budget(journeys_per_second)
        elif journeys_per_second == 0 and rescuing:
            self.budget = Budget.none()
        self.due = 0
        self.refresh(anew=True)

    def samples(self, now: int) -> bool:
        """Whether a journey that begins now is in the head sample; takes a token.

        Args:
            now: The monotonic clock in nanoseconds.
        """
        if self.sdk_decides or self.budget is None:
            return True
        taken = self.budget.take(now)
        self.due = self.budget.due
        return taken

    def in_loop(self) -> bool:
        """Whether an asyncio loop runs in this thread, asked without importing it."""
        running = self.running()
        events = sys.modules.get(EVENTS)
        if running is None or running is not events:
            return running is not None
        ask = getattr(events, "_get_running_loop", None)
        if ask is None:  # it is being imported just now
            return False
        self.running = ask
        return self.running() is not None

    def mute(self, *, on: bool) -> None:
        """Trace nothing but failures, or everything again.

        Args:
            on: Whether to do so.
        """
        self._muted = on
        self.refresh(anew=True)

    def refresh(self, *, anew: bool = False) -> None:
        """Look whether a real tracer provider is there now."""
        if (self.on or self.late) and not anew:
            return
        provider = self.provider or trace.get_tracer_provider()
        real = not isinstance(
            provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
        )
        wanted = real and self.enabled
        self.on, self.late = wanted and not self._muted, wanted and self._muted
        if wanted:
            self.tracer = shaped(
                provider.get_tracer(
                    _names.SCOPE, __version__, schema_url=_names.SCHEMA_URL
                )
            )
            self.sdk_decides = bool(os.environ.get("OTEL_TRACES_SAMPLER"))
            self.due = 0
        set_alert(TRACING, on=self.on)


TRACER: Final = Tracer()
ON_SLOT.append(TRACER.refresh)


def _after_fork() -> None:
    if TRACER.budget is not None:
        TRACER.budget = TRACER.budget.renewed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def is_over(span: trace.Span) -> bool:
    """Whether a span has ended: what still has it as its context outlived it.

    Args:
        span: A span, whose end only that of an SDK and ours know.
    """
    return bool(getattr(span, "end_time", None) or getattr(span, "ended", 0))
