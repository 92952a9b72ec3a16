"""Flush and shutdown: bounded in time, whatever the endpoint does."""

from __future__ import annotations

import atexit
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from stagelight import _export, _failures, _guard, _lifecycle
from stagelight._journey import end_turn
from stagelight._providers import PROVIDERS
from stagelight._watched import CLOSING
from stagelight._workers import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that an exit may take to flush, and where the endpoint is known to be dead.
_PATIENCE: Final = 5.0
_NO_PATIENCE: Final = 0.5


def end_turns() -> None:
    """Close what each thread does with its last event: nothing more may come."""
    for worker in list(WORKERS):
        turn = worker.turn
        if turn is not None:
            end_turn(turn)


def force_flush(timeout: float = _PATIENCE) -> bool:
    """Send everything recorded so far; afterwards stats and export agree exactly.

    Args:
        timeout: Seconds it may take.

    Returns:
        Whether everything was handed over in time.
    """
    end_turns()
    _export.hurry()
    late = _side_by_side("force_flush", timeout)
    return _failures.flush(timeout) and not late


def _side_by_side(action: str, timeout: float, *, give_up: bool = False) -> list[str]:
    """Flush or shut down all providers in threads of their own.

    Args:
        action: Name of the provider's method.
        timeout: Seconds it may take.
        give_up: Whether to wait only briefly for those in trouble.

    Returns:
        The signals that were not done in time.
    """
    done: dict[str, bool] = {}
    changed = threading.Event()
    started = time.monotonic()
    waiting = []
    for signal, provider in PROVIDERS.by_signal.items():
        method = getattr(provider, action, None)
        if method is None:
            continue

        def run(signal: str = signal, method: Callable[..., Any] = method) -> None:
            try:
                millis = (int(timeout * 1000),) if action == "force_flush" else ()
                done[signal] = method(*millis) is not False
            except Exception as error:  # noqa: BLE001 - a provider's trouble at the end
                done[signal] = False
                _guard.caught("flush", error)
            finally:
                changed.set()

        waiting.append(signal)
        _lifecycle.start(run)
    while True:
        changed.clear()
        waited = time.monotonic() - started
        open_ = [signal for signal in waiting if signal not in done]
        patience = max(
            (
                min(timeout, _NO_PATIENCE)
                if give_up and _export.struggling(signal)
                else timeout
                for signal in open_
            ),
            default=0,
        )
        if waited >= patience:
            return [signal for signal in waiting if not done.get(signal)]
        changed.wait(min(patience - waited, 0.1))


def flush_now(timeout: float | None = None) -> None:
    """Flush before the process ends, in bounded time.

    Args:
        timeout: Seconds, by default 5; half a second where nobody is listening.
    """
    if PROVIDERS.closed:
        return
    end_turns()
    _export.hurry()
    late = _side_by_side("force_flush", timeout or _PATIENCE, give_up=True)
    _failures.flush(timeout or _PATIENCE)
    if late and PROVIDERS.made:
        _export.close(late)
        # They would wait for the same endpoint again, for half a minute each.
        for provider in PROVIDERS.by_signal.values():
            for name in ("_atexit_handler", "_at_exit_handler"):
                handler = getattr(provider, name, None)
                if handler is not None:
                    atexit.unregister(handler)


def shutdown(timeout: float = _PATIENCE) -> None:
    """Flush everything, and close what ``configure`` made; safe to call twice.

    What is recorded later still shows in ``stats()``, and is not exported.

    Args:
        timeout: Seconds it may take, and half a second more where the endpoint hangs.
    """
    if PROVIDERS.closed:
        return
    deadline = time.monotonic() + timeout
    flush_now(timeout)
    PROVIDERS.closed = True
    if not PROVIDERS.made:
        return
    if not CLOSING.is_set():
        _export.close(())
    left = max(deadline - time.monotonic(), _NO_PATIENCE)
    _side_by_side("shutdown", left, give_up=True)
