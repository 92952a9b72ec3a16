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
    seconds = window.seconds
    if window.earlier is not None:
        computed = (window.cores or 0.0) * seconds
        stages = {
            name: _brief(stages[name], one, seconds)
            for name, one in window.stages.items()
            if name in stages
        }
        queues = {
            name: _brief_queue(queues[name], one, seconds)
            for name, one in window.queues.items()
            if name in queues
        }
    found = find_bottleneck(stages, queues, passes, seconds, computed)
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


def _brief(stage: StageStats, seen: StageWindow, seconds: float) -> StageStats:
    """A stage over the window, as far as its bottleneck is told from it."""
    made: Any = _Brief()  # to copy all fields of fifty stages a second is dear
    made.name, made.inputs, made.inner = stage.name, stage.inputs, stage.inner
    made.worker_seconds = {k: v * seconds for k, v in seen.seconds.items()}
    made.utilization = seen.busy if sum(seen.seconds.values()) else None
    return made  # type: ignore[no-any-return]


def _brief_queue(queue: QueueStats, seen: QueueWindow, seconds: float) -> QueueStats:
    """A queue over the window, as far as a bottleneck is told from it."""
    made: Any = _Brief()
    made.name, made.size, made.oldest_age = queue.name, queue.size, queue.oldest_age
    made.put_blocked = seen.blocked * seconds
    made.wait = seen.quantiles
    return made  # type: ignore[no-any-return]


class _Brief:
    """Some fields of a stage or queue."""
