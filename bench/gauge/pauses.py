"""How long a worker is held up by what other threads of its process do."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING, Any

from gauge.cases import cpu

if TYPE_CHECKING:
    from typing_extensions import Self

    from gauge.cases import Function

#: Seconds; shorter pauses are not looked at.
_SHORT = 0.0005


class Looper:
    """A worker that calls a stage without a pause and remembers the longest one.

    A hold-up is the lesser of two times between the end of one call and of the next:
    by the clock, and the CPU time that other threads of the process took meanwhile. So
    neither what other programs take counts, nor what runs beside it on another core.

    Args:
        function: The stage.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._held_up = self._gap = 0.0
        self._stop = False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        time.sleep(0.1)
        self.longest()

    def longest(self) -> tuple[float, float]:
        """The longest hold-up and the longest gap by the clock since the last look.

        Returns:
            Both in milliseconds.
        """
        found = self._held_up * 1e3, self._gap * 1e3
        self._held_up = self._gap = 0.0
        return found

    def _loop(self) -> None:
        function, clock, own = self._function, time.perf_counter, time.thread_time
        now, others = clock(), cpu() - own()
        while not self._stop:
            function(None)
            before, others_before = now, others
            now, others = clock(), cpu() - own()
            gap = now - before
            if gap > _SHORT:
                self._gap = max(self._gap, gap)
                self._held_up = max(self._held_up, min(gap, others - others_before))

    def stop(self) -> None:
        """End it."""
        self._stop = True
        self._thread.join()


class Garbage:
    """The longest garbage collection meanwhile: the interpreter's, which holds up all.

    Attributes:
        longest: Milliseconds of CPU.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: Any) -> None:
        now = time.thread_time()
        if phase == "start":
            self._began = now
        else:
            self.longest = max(self.longest, (now - self._began) * 1e3)
