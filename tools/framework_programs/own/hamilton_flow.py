"""A dataflow of four nodes that runs its own module."""

from __future__ import annotations

import sys

from hamilton import driver


def doubled(amounts: list[int]) -> list[int]:
    """Twice each amount."""
    return [2 * one for one in amounts]


def total(doubled: list[int]) -> int:
    """Their sum."""
    return sum(doubled)


def largest(doubled: list[int]) -> int:
    """The largest of them."""
    return max(doubled)


def share(largest: int, total: int) -> float:
    """How much of the sum the largest is."""
    return largest / total


if __name__ == "__main__":
    flow = driver.Builder().with_modules(sys.modules[__name__]).build()
    print(flow.execute(["share", "total"], inputs={"amounts": [1, 2, 5]}))
