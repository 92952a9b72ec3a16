"""The report, however the program ends: by itself, an exception, SIGTERM or Ctrl-C."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stagelight import _guard
from stagelight.cli import _alerting, _stderr, _uncaught
from stagelight.cli._failures import Failures
from stagelight.instrumentation import _children, _install

if TYPE_CHECKING:
    from stagelight._model import Snapshot
    from stagelight.alerts import Notice
    from stagelight.cli._modules import SetAside
    from stagelight.cli._plan import Plan


class Ending:
    """What is left to do when the program has ended; its children do none of it."""

    def __init__(self, plan: Plan, aside: SetAside, *, exporting: bool) -> None:
        self._plan = plan
        self._aside = aside
        self._exporting = exporting
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._reported = False
        self._inner: Any = signal.SIG_DFL
        self._mask: set[Any] = set()
        self.failures = Failures()

    def install(self) -> None:
        """Stand last in line at exit, since the program's own handlers come later."""
        self.failures.install()
        atexit.register(_uncaught.at_last)
        atexit.register(self.report)
        with contextlib.suppress(ValueError, OSError):  # no main thread, no signals
            from stagelight import _lifecycle

            now = signal.getsignal(signal.SIGTERM)
            if now in {signal.SIG_DFL, _lifecycle._on_sigterm}:  # noqa: SLF001
                self._inner = now
                signal.signal(signal.SIGTERM, self._on_sigterm)
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(
                        before=self._begin_fork,
                        after_in_parent=self._in_parent,
                        after_in_child=self._in_child,
                    )

    def _begin_fork(self) -> None:
        # A signal between the fork and the child's first step would be lost: Python
        # forgets those that it has noted and not yet handled.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _in_parent(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _in_child(self) -> None:
        """A child ends by SIGTERM as it would without us."""
        with contextlib.suppress(ValueError):
            if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
                signal.signal(signal.SIGTERM, self._inner)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _on_sigterm(self, number: int, frame: object) -> None:
        if os.getpid() == self._pid:
            # In a thread of its own: this one may hold a lock that the report needs.
            helper = threading.Thread(target=self.report, daemon=True)
            with contextlib.suppress(RuntimeError):
                helper.start()
                helper.join(10)
        elif callable(self._inner):
            self._inner(number, frame)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def report(self) -> None:
        """Flush, write the document, print the table; once."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._reported:
                return
            self._reported = True
        try:
            from stagelight import _failures, _flushing

            _install.complain()
            _flushing.end_turns()
            state = None
            if self._plan.table or self._plan.json is not None:
                from stagelight._snapshot import snapshot

                # Before the flush, whose time is not the program's.
                state = snapshot()
            _failures.flush()
            told = _alerting.end()
            if self._exporting:
                _flushing.shutdown()
            self._aside.bring_back()
            if state is not None:
                self._tell(state, told)
            elif self._plan.explain:
                self._explain()
        except Exception as error:  # noqa: BLE001 - the program's own exit counts
            _guard.caught("report", error)

    @staticmethod
    def _explain() -> None:
        from stagelight.cli import _explain

        _stderr.write(_explain.render())

    def _tell(self, state: Snapshot, told: list[Notice]) -> None:
        process = replace(
            state.process,
            telemetry_dropped=dict(_guard.LOST),
            telemetry_errors=dict(_guard.ERRORS),
        )
        state = replace(state, process=process)
        failures = self.failures.groups()
        if self._plan.json is not None:
            from stagelight.cli import _document

            _document.write(self._plan.json, state, failures, told)
        if self._plan.explain:
            self._explain()
        if self._plan.table:
            from stagelight.cli import _table

            text = _table.render(
                state,
                failures,
                told,
                terminal=_stderr.is_terminal(),
                exporting=self._exporting,
                children=_children.COUNT[0],
            )
            _stderr.write(text)
