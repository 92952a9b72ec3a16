"""Upper bounds on time, measured on a machine that has other work as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def least(measure: Callable[[], float], limit: float, tries: int = 5) -> float:
    """Return the smallest of some measurements; one below the limit is the last.

    Other work makes everything last longer and nothing shorter: what has once been
    within a limit needs no more than that, and what never is has a reason of its own.

    Args:
        measure: Does it once, and tells how long it took.
        limit: What it should take less than, in the same unit.
        tries: How often to measure at most.
    """
    found: list[float] = []
    while not found or (min(found) >= limit and len(found) < tries):
        found.append(measure())
    return min(found)
