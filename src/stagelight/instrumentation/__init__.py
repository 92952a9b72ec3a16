"""Observe programs that know nothing of stagelight.

``StagelightInstrumentor`` is the entry point of ``opentelemetry-instrument``; the
command ``stagelight run`` installs the same joints. It is found late, because its base
class loads what ``stagelight run`` has no use for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stagelight.instrumentation._instrumentor import StagelightInstrumentor

__all__ = ["StagelightInstrumentor"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from stagelight.instrumentation import _instrumentor

        return getattr(_instrumentor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
