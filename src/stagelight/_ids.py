"""Ids of new spans: at random, or as the provider's own generator makes them."""

from __future__ import annotations

import random
from typing import Any, Final

from opentelemetry import trace

_UNSAMPLED: Final = trace.TraceFlags(trace.TraceFlags.DEFAULT)
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_STATE: Final = trace.INVALID_SPAN_CONTEXT.trace_state
_new: Final = tuple.__new__


class _Ids:
    """How ids are made: at random, or as the provider's own generator does."""

    def __init__(self) -> None:
        self.generator: Any = None

    def trace_id(self) -> int:
        """A new trace id."""
        if self.generator is not None:
            return int(self.generator.generate_trace_id())
        return random.getrandbits(128) or 1

    def span_id(self) -> int:
        """A new span id."""
        if self.generator is not None:
            return int(self.generator.generate_span_id())
        return random.getrandbits(64) or 1


IDS: Final = _Ids()


def _is_plain() -> bool:
    """Whether a span's context is what it is taken for: a tuple, in this order."""
    made: object = trace.SpanContext(1, 2, is_remote=False, trace_flags=_SAMPLED)
    return isinstance(made, tuple) and made == (1, 2, False, _SAMPLED, _STATE, True)


_PLAIN: Final = _is_plain()


def fresh_ids(trace_id: int, *, sampled: bool = False) -> trace.SpanContext:
    """Ids of a new span.

    Args:
        trace_id: The trace that it belongs to, 0 for a new one.
        sampled: Whether it is in the head sample.
    """
    flags = _SAMPLED if sampled else _UNSAMPLED
    if _PLAIN and IDS.generator is None:
        # Random ids need not be checked, which is most of what making it costs.
        ids = trace_id or random.getrandbits(128) or 1, random.getrandbits(64) or 1
        return _new(trace.SpanContext, (*ids, False, flags, _STATE, True))
    return trace.SpanContext(
        trace_id or IDS.trace_id(), IDS.span_id(), is_remote=False, trace_flags=flags
    )
