"""urllib3: ``Retry.increment`` gives the next try, or raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._attempts import given_up, retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches

_NAMES: Final = ("method", "url", "response", "error")


def _install(module: Any, patches: Patches) -> None:
    patches.after(module.Retry, "increment", _incremented)


def _incremented(
    policy: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> None:
    given = {**dict(zip(_NAMES, args, strict=False)), **kwargs}
    response, error = given.get("response"), given.get("error")
    if response is not None and response.get_redirect_location():
        return  # followed, and nothing is repeated
    failed = len(policy.history) + 1
    if not isinstance(result, BaseException):
        after = result.get_retry_after(response) if response is not None else None
        wait = after or result.get_backoff_time()
        retrying("urllib3", failed=failed, wait=float(wait), error=error)
    elif policy.total is not False and failed > 1:
        given_up("urllib3", failed=failed, error=error or result)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "urllib3.util.retry": _install
}
