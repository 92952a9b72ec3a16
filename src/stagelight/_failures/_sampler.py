"""A bounded sample of successful events, at no cost for the calls that are not in it.

Now and then a thread marks every worker, so that its next calls end on the path that
looks at them. A call that is open at such a moment is more likely a long one, hence
the sample is taken some random number of calls later.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, Final

from stagelight import _sinks
from stagelight._workers import WORKERS

if TYPE_CHECKING:
    from stagelight._failures._sink import Sink
    from stagelight._journey import Turn
    from stagelight._slots import Slot, Worker

#: Seconds between two looks, which bounds the samples of one worker.
_EVERY: Final = 0.02
_SKIP: Final = 8
_INSTALLED: Final[list[Sampler]] = []


class Sampler:
    """Hands some successful events to a sink.

    Args:
        sink: The sink.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        #: Worker -> calls until the one that is taken.
        self._left: dict[int, int] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Take samples from now on."""
        _sinks.SUCCESSES.append(self.note)
        threading.Thread(
            target=self._run, name="stagelight-sampler", daemon=True
        ).start()

    def stop(self) -> None:
        """Take no more."""
        self._stop.set()
        if self.note in _sinks.SUCCESSES:
            _sinks.SUCCESSES.remove(self.note)

    def note(self, slot: Slot, worker: Worker, event: Any, turn: Turn | None) -> None:
        """Take a successful call, if it is one's turn; a sink of ``SUCCESSES``.

        Args:
            slot: Slot of its stage.
            worker: Its thread.
            event: Its event.
            turn: Where it came from.
        """
        key = id(worker)
        left = self._left.get(key)
        if left is None:
            return
        if left:
            self._left[key] = left - 1
            worker.special = True
            return
        del self._left[key]
        if event is not None:
            self._sink.sampled(slot, event, turn)

    def mark(self) -> None:
        """Let one of the next calls of every worker be taken."""
        if len(self._left) > len(WORKERS) + 1024:
            self._left.clear()  # of threads that have ended
        for worker in list(WORKERS):
            self._left.setdefault(id(worker), random.randrange(1, _SKIP))  # noqa: S311
            worker.special = True

    def _run(self) -> None:
        while not self._stop.wait(_EVERY):
            self.mark()


def start(sink: Sink) -> None:
    """Sample for a sink from now on.

    Args:
        sink: The sink.
    """
    stop()
    sampler = Sampler(sink)
    _INSTALLED.append(sampler)
    sampler.start()


def stop() -> None:
    """Sample no more."""
    while _INSTALLED:
        _INSTALLED.pop().stop()
