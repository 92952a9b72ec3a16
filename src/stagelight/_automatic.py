"""Names of queues and pools: what was observed unasked gives way to what is asked."""

from __future__ import annotations

import types
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stagelight._buffers import PoolRecord, QueueRecord
from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._registry import PipelineRecord

T = TypeVar("T")

#: Attribute of a twin: itself, held weakly since decorators copy attributes, and the
#: function that it stands for.
_TWIN: Final = "__stagelight_automatic__"
#: Types of objects that the program observes itself; who found them must know.
CLAIMED: Final[weakref.WeakSet[type]] = weakref.WeakSet()
ON_CLAIM: Final[list[Callable[[type], None]]] = []


def claim(kind: type) -> None:
    """Leave a type to the program, which observes objects of it by its own choice.

    Args:
        kind: A type whose ``process`` was observed unasked.
    """
    CLAIMED.add(kind)
    for tell in ON_CLAIM:
        tell(kind)


def mark(twin: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Note what an automatically observed twin stands for.

    Args:
        twin: The observed function.
        function: The application's own.
    """
    setattr(twin, _TWIN, (weakref.ref(twin), function))


def plain(function: Any) -> Any:
    """A function without the observer that found it by itself, or what was given.

    Args:
        function: A function or a bound method.
    """
    inner = getattr(function, "__func__", function)
    space = getattr(inner, "__dict__", None)
    if not isinstance(space, dict) or _TWIN not in space:
        return function
    twin, own = space[_TWIN]
    if twin() is not inner:
        return function
    bound = isinstance(function, types.MethodType)
    return types.MethodType(own, function.__self__) if bound else own


def take_over(
    known: QueueRecord | PoolRecord, pipeline: PipelineRecord, name: str
) -> bool:
    """Give an automatically observed queue or pool the name that the program wants.

    Args:
        known: Its record.
        pipeline: The pipeline that the program wants it in.
        name: The name that the program wants.

    Returns:
        False where the program itself had named it before.
    """
    backlog = known.backlog if isinstance(known, PoolRecord) else known
    if not backlog.automatic:
        return False
    _move(known, pipeline, name)
    backlog.automatic = False
    return True


def make_way(taken: QueueRecord) -> bool:
    """Rename an automatically observed queue or pool, since its name is wanted.

    Args:
        taken: Its record, or a pool's backlog.

    Returns:
        False where the program itself had named it.
    """
    if not taken.automatic:
        return False
    home = taken.pipeline
    pool = home.pools.get(taken.name)
    known = pool if pool is not None and pool.backlog is taken else taken
    number = 2
    while f"{taken.name}-{number}" in {*home.queues, *home.pools}:
        number += 1
    _move(known, home, f"{taken.name}-{number}")
    return True


def _move(known: QueueRecord | PoolRecord, pipeline: PipelineRecord, name: str) -> None:
    if isinstance(known, PoolRecord):
        known.pipeline.pools.pop(known.name, None)
        pipeline.pools[name] = known
        known.backlog.pipeline, known.backlog.name = pipeline, name
    else:
        known.pipeline.queues.pop(known.name, None)
        pipeline.queues[name] = known
    known.pipeline, known.name = pipeline, name


def same_again(
    pipeline: PipelineRecord, target: T, known: QueueRecord | PoolRecord, name: str
) -> T:
    """A queue or pool that is observed already, if it is asked for in the same words.

    Args:
        pipeline: Where it is to belong.
        target: The queue or executor.
        known: Its record.
        name: The name it is to have.

    Raises:
        ConfigurationError: It has another name, or belongs elsewhere.
    """
    same = known.name == name and known.pipeline is pipeline
    if not same and not take_over(known, pipeline, name):
        raise ConfigurationError(
            f"{target!r} is observed already as {known.name!r} of pipeline "
            f"{known.pipeline.name!r}; it cannot be {name!r} as well"
        )
    return target


def refuse_taken(pipeline: PipelineRecord, name: str, mine: QueueRecord | None) -> None:
    """Keep two living queues or pools from sharing one name.

    Args:
        pipeline: Where the name is to be.
        name: The name.
        mine: The record that may have it, once its queue or pool is gone.

    Raises:
        ConfigurationError: Another one has it.
    """
    other = pipeline.queues.get(name)
    pool = pipeline.pools.get(name)
    taken = other or (pool.backlog if pool else None)
    if taken is None:
        return
    alive = taken.owner is not None and taken.owner() is not None
    if (alive or taken is not mine) and not make_way(taken):
        raise ConfigurationError(
            f"pipeline {pipeline.name!r} has a queue or pool named {name!r} already; "
            "two would share one time series: pass another name"
        )
