"""Four nodes beside one another, and one that all of them lead to."""

from __future__ import annotations

from functools import partial

from kedro.pipeline import Pipeline, node


def square(number: int) -> int:
    """A number by itself."""
    return number * number


def total(*numbers: int) -> int:
    """Their sum."""
    return sum(numbers)


def create_pipeline() -> Pipeline:
    """Found by the project's registry."""
    names = [f"square_{n}" for n in range(4)]
    squares = [
        node(partial(square, n), None, f"{name}_out", name=name)
        for n, name in enumerate(names)
    ]
    outputs = [f"{name}_out" for name in names]
    return Pipeline([*squares, node(total, outputs, "sum", name="total")])
