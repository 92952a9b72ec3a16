"""Attributes that a framework adds to the span of the stage that runs."""

from __future__ import annotations

from typing import Any

from stagelight._journey import enclosing
from stagelight._workers import this_worker


def add_to_span(name: str, number: float) -> None:
    """Add a number to an attribute of the running stage's span.

    Args:
        name: The attribute.
        number: What to add.
    """
    span = stage_span()
    if span is not None:
        known = getattr(span, "attributes", None) or {}
        span.set_attribute(name, known.get(name, 0) + number)


def set_on_span(name: str, value: str | float) -> None:
    """Set an attribute of the running stage's span.

    Args:
        name: The attribute.
        value: Its value.
    """
    span = stage_span()
    if span is not None:
        span.set_attribute(name, value)


def stage_span() -> Any:
    """The running stage's own span, which one of the user's inside of it may hide."""
    span = getattr(getattr(enclosing(this_worker()), "traced", None), "span", None)
    return span if span is not None and span.is_recording() else None
