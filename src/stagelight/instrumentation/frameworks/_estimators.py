"""What scikit-learn's compositions consist of, and which of them run now."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS: Final = (
    "fit",
    "partial_fit",
    "fit_transform",
    "transform",
    "fit_predict",
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "score",
    "inverse_transform",
)
#: Where a composition keeps (name, estimator, ...) of its steps, fitted or not.
_STEPS: Final = (
    "steps",
    "transformer_list",
    "transformers",
    "transformers_",
    "estimators",
)


class Running:
    """The compositions that run now, as one outermost call sees them."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        #: Held for as long as their identities are in use.
        self.kept: list[Any] = []
        self.open: set[int] = set()

    def add(self, estimator: Any, name: str) -> None:
        """Record an estimator's methods under a name.

        Args:
            estimator: One that a composition runs.
            name: As its user calls it there.
        """
        self.names[id(estimator)] = name
        self.kept.append(estimator)


RUNNING: Final[ContextVar[Running | None]] = ContextVar("sklearn", default=None)


def members_of(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Names and estimators of a composition's steps.

    Args:
        estimator: Any estimator.
    """
    space = getattr(estimator, "__dict__", {})
    for attribute in _STEPS:
        steps = space.get(attribute)
        if isinstance(steps, list):
            for one in steps:
                if isinstance(one, tuple) and hasattr(one[1], "fit"):
                    yield str(one[0]), one[1]
    fitted = space.get("named_estimators_")  # an ensemble's, which it fits as clones
    if isinstance(fitted, dict):
        for name, one in fitted.items():
            if hasattr(one, "fit"):
                yield str(name), one
