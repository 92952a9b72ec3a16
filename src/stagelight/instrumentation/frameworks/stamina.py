"""stamina: its official hook, beside those that are set already or set later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation.frameworks._attempts import retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches


def _hook(details: Any) -> None:
    try:
        retrying(
            "stamina",
            failed=details.retry_num,
            wait=details.wait_for,
            error=details.caused_by,
        )
    except Exception as error:  # noqa: BLE001 - never into the program
        _guard.caught("framework", error)


def _install(module: Any, patches: Patches) -> None:
    """Append ours; a program that sets hooks of its own keeps ours as well."""
    hooks = module.instrumentation
    before = hooks.get_on_retry_hooks
    outer = hooks.set_on_retry_hooks

    def with_ours(make: Any) -> Any:
        def set_on_retry_hooks(given: Any) -> None:
            outer(given)
            outer((*before(), _hook))

        del make
        return set_on_retry_hooks

    def without_ours(make: Any) -> Any:
        def get_on_retry_hooks() -> tuple[Any, ...]:
            return tuple(hook for hook in make() if hook is not _hook)

        return get_on_retry_hooks

    outer((*before(), _hook))
    patches.replace(hooks, "set_on_retry_hooks", with_ours)
    patches.replace(hooks, "get_on_retry_hooks", without_ours)
    patches.finally_(lambda: outer([one for one in before() if one is not _hook]))


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {"stamina": _install}
