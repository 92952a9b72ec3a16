"""tenacity: ``BaseRetrying.iter`` is called once for each attempt and decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._attempts import given_up, retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches


def _sync(module: Any, patches: Patches) -> None:
    patches.after(module.BaseRetrying, "iter", _decided)


def _asynchronous(module: Any, patches: Patches) -> None:
    patches.after(module.AsyncRetrying, "iter", _decided)


def _decided(retrying_: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
    state = args[0] if args else kwargs["retry_state"]
    outcome = state.outcome
    if outcome is None:
        return
    # stamina retries by tenacity, and has a hook of its own for what it repeats.
    before_sleep = getattr(retrying_.before_sleep, "__module__", "") or ""
    stamina = before_sleep.partition(".")[0] == "stamina"
    library = "stamina" if stamina else "tenacity"
    if type(result).__name__ == "DoSleep":
        if not stamina:
            error = outcome.exception() if outcome.failed else None
            failed = state.attempt_number
            retrying(library, failed=failed, wait=float(result), error=error)
    elif retrying_.iter_state.stop_run_result:
        error = outcome.exception() if outcome.failed else None
        given_up(library, failed=state.attempt_number, error=error)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "tenacity": _sync,
    "tenacity.asyncio": _asynchronous,
}
