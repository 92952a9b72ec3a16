"""Journeys as text, for other processes."""

from __future__ import annotations

from opentelemetry import trace

from stagelight._journey import Journey


def pack(journey: Journey) -> dict[str, str]:
    """A journey's context as the propagators write it, for another process."""
    carrier: dict[str, str] = {}
    context = journey.ambient if journey.context is None else journey.context
    if context:
        from opentelemetry import propagate  # which takes milliseconds to load

        propagate.inject(carrier, context=context)
    return carrier


def unpack(began: int, carrier: dict[str, str]) -> Journey:
    """A journey that came from another process.

    Args:
        began: Clock at its begin.
        carrier: What ``pack`` made.
    """
    if not carrier:
        return Journey(began)
    from opentelemetry import propagate

    context = propagate.extract(carrier)
    if trace.get_current_span(context).get_span_context().is_valid:
        return Journey(began, context)
    return Journey(began, None, context)
