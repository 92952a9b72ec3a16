"""Which stage limits a pipeline over a window, and what would help."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stagelight._bottleneck import find_bottleneck
from stagelight._insight import most_used, predict, used
from stagelight._model import Bottleneck

if TYPE_CHECKING:
    from stagelight._insight import Window
    from stagelight._insight._window import QueueWindow, StageWindow
    from stagelight._model import QueueStats, StageStats

#: By how much another stage's workers must be fuller than those behind a full queue.
_CLEARLY: Final = 0.1
#: Processors from which on threads may be waiting for the interpreter.
_CONTENDED: Final = 0.8


def bottleneck_of(
    window: Window,
    stages: dict[str, StageStats],
    queues: dict[str, QueueStats],
    passes: dict[str, set[str]],
    computed: float,
) -> Bottleneck | None:
    """The bottleneck over a window, and what one more worker there would bring.

    Args:
        window: What happened.
        stages: The stages by name.
        queues: Queues and pools' backlogs by name.
        passes: Queue or pool to the queues whose events are passed on to it.
        computed: Processor seconds of the process since the beginning, which count
            where the window reaches back that far.
    """
    if window.earlier is not None:
        return recent_bottleneck(window, passes)
    found = find_bottleneck(stages, queues, passes, window.seconds, computed)
    return _improved(found, window)


def recent_bottleneck(window: Window, passes: dict[str, set[str]]) -> Bottleneck | None:
    """As ``bottleneck_of``, told by the window alone.

    Args:
        window: What happened; without an older look it tells of no bottleneck.
        passes: Queue or pool to the queues whose events are passed on to it.
    """
    if window.earlier is None:
        return None
    seconds = window.seconds
    stages = {name: _brief(one, seconds) for name, one in window.stages.items()}
    queues = {name: _brief_queue(one, seconds) for name, one in window.queues.items()}
    computed = (window.cores or 0.0) * seconds
    found = find_bottleneck(stages, queues, passes, seconds, computed)
    return _improved(found, window)


def _improved(found: Bottleneck | None, window: Window) -> Bottleneck | None:
    """What the window tells more clearly, and what one more worker would bring."""
    if found is None:
        return None
    clearer = most_used(window, used(window, found.stage) + _CLEARLY)
    # Where the threads wait for the interpreter all of them look busy.
    if clearer is not None and (window.cores or 0.0) < _CONTENDED:
        name, evidence = clearer
        found = Bottleneck(name, window.stages[name].busy, evidence)
    gain = predict(window, found.stage)
    if gain is None:
        return found
    return replace(found, gain=gain.share, limit=gain.limit, confidence=gain.confidence)


def _brief(seen: StageWindow, seconds: float) -> StageStats:
    """A stage over the window, as far as its bottleneck is told from it."""
    made: Any = _Brief()  # to copy all fields of fifty stages a second is dear
    stage = seen.sight
    made.name, made.inputs, made.inner = stage.name, stage.inputs, stage.inner
    made.worker_seconds = {k: v * seconds for k, v in seen.seconds.items()}
    made.utilization = seen.busy if sum(seen.seconds.values()) else None
    return made  # type: ignore[no-any-return]


def _brief_queue(seen: QueueWindow, seconds: float) -> QueueStats:
    """A queue over the window, as far as a bottleneck is told from it."""
    made: Any = _Brief()
    queue = seen.sight
    made.name, made.size, made.oldest_age = queue.name, queue.size, queue.oldest_age
    made.put_blocked = seen.blocked * seconds
    made.wait = seen.quantiles
    return made  # type: ignore[no-any-return]


class _Brief:
    """Some fields of a stage or queue."""
