"""Four nodes beside one another, and one that all of them lead to."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node


def one() -> int:
    """A first square."""
    return 1


def four() -> int:
    """A second one."""
    return 4


def total(*numbers: int) -> int:
    """Their sum."""
    return sum(numbers)


def create_pipeline() -> Pipeline:
    """Found by the project's registry."""
    sources = {"one": one, "four": four, "one_again": one, "four_again": four}
    outputs = [f"{name}_out" for name in sources]
    made = zip(sources.items(), outputs, strict=True)
    squares = [node(function, None, out, name=name) for (name, function), out in made]
    return Pipeline([*squares, node(total, outputs, "sum", name="total")])
