"""The handle by which a program names its stages, queues and pools."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stagelight import _guard, _names
from stagelight._automatic import refuse_taken, same_again
from stagelight._buffers import PoolRecord, QueueRecord
from stagelight._errors import ConfigurationError
from stagelight._explicit import begin_turn, drop_turn
from stagelight._known import OBSERVED
from stagelight._pool import observe_pool, pool_kind
from stagelight._queue import observe_queue
from stagelight._register import add_stage, check_name, default_name
from stagelight._registry import LATE, REGISTRY
from stagelight._stage import note_twin, observe_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from stagelight._failures._handle import Failures
    from stagelight._records import Kind, StageRecord

T = TypeVar("T")


class Pipeline:
    """A named pipeline: the handle that stages, queues and pools are observed with.

    Two handles with one name are the same pipeline. Everything it returns is a drop-in
    for what it was given, and records from the first call on.

    Args:
        name: Its name, at most 64 characters; by default the service's name
            (``OTEL_SERVICE_NAME``), else the program's.

    Raises:
        ConfigurationError: The name cannot be one.
    """

    __module__ = "stagelight"

    def __init__(self, name: str | None = None) -> None:
        chosen = default_name() if name is None else check_name(name, "pipeline")
        self._record = REGISTRY.pipeline(chosen)

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return self._record.name

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r})"

    @overload
    def stage(
        self,
        target: T,
        *,
        name: str | None = None,
        event_id: Callable[[Any], object] | None = None,
    ) -> T: ...

    @overload
    def stage(
        self,
        target: None = None,
        *,
        name: str | None = None,
        event_id: Callable[[Any], object] | None = None,
    ) -> Callable[[T], T]: ...

    def stage(
        self,
        target: Any = None,
        *,
        name: str | None = None,
        event_id: Callable[[Any], object] | None = None,
    ) -> Any:
        """Observe a stage; a decorator, with or without arguments, or a call.

        Args:
            target: A function, method, coroutine function, generator function,
                asynchronous generator function, ``functools.partial``, callable, an
                object with ``.process(event)``, or a class of such objects.
            name: Name of the stage; by default that of the function or class.
            event_id: Maps an event to its identifier for logs and spans; by default
                ``event["id"]``, else ``event.id``.

        Returns:
            A drop-in: same results, exceptions, signature, laziness and pickling.

        Raises:
            ConfigurationError: The target is no stage, or the name is taken by
                another one, missing (a lambda) or too long.
        """
        if name is not None:
            check_name(name, "stage")
        if target is None:
            return lambda one: self.stage(one, name=name, event_id=event_id)
        observed = observe_stage(target, self.maker(name, event_id))
        note_twin(observed)
        return observed

    def queue(self, target: T, name: str) -> T:
        """Observe a queue in place.

        Args:
            target: ``queue.Queue`` or a subclass, ``asyncio.Queue``,
                ``multiprocessing.Queue`` or ``JoinableQueue``, ``queue.SimpleQueue``.
            name: Its name, unique among the pipeline's queues and pools.

        Returns:
            The same object; for a ``SimpleQueue``, which is a C type, a wrapper.

        Raises:
            ConfigurationError: It is no such queue, or another one has that name.
        """
        check_name(name, "queue")
        with REGISTRY.lock:
            known = OBSERVED.get(target)
            if known is not None:
                return same_again(self._record, target, known, name)
            record = self._record.queues.get(name)
            refuse_taken(self._record, name, record)
            if record is None:
                record = QueueRecord(self._record, name)
            observed = observe_queue(target, record)
            record.owner = weakref.ref(observed)
            self._record.queues[name] = record
            OBSERVED.add(observed, record)
            return observed  # type: ignore[no-any-return]

    def pool(self, executor: T, name: str) -> T:
        """Observe an executor in place: backlog, task wait and run time, workers.

        Tasks that are no stage themselves are recorded as a stage of the pool's name.

        Args:
            executor: A ``ThreadPoolExecutor``, ``ProcessPoolExecutor``, another
                ``concurrent.futures`` executor, a ``multiprocessing.Pool`` or
                ``multiprocessing.pool.ThreadPool``.
            name: Its name, unique among the pipeline's queues and pools.

        Returns:
            The same object.

        Raises:
            ConfigurationError: It is no executor, or another one has that name.
        """
        check_name(name, "pool")
        with REGISTRY.lock:
            known = OBSERVED.get(executor)
            if known is not None:
                return same_again(self._record, executor, known, name)
            kind = pool_kind(executor)
            record = self._record.pools.get(name)
            refuse_taken(self._record, name, record.backlog if record else None)
            if record is None:
                record = PoolRecord(self._record, name, kind)
            record.kind, record.working = kind, None
            home = record
            observe_pool(
                executor,
                record,
                lambda: Pipeline(home.pipeline.name)._pool_stage(home.name),  # noqa: SLF001
            )
            record.backlog.owner = weakref.ref(executor)
            self._record.pools[name] = record
            OBSERVED.add(executor, record)
            return executor

    def observe(self, existing: T) -> T:
        """Observe every stage of an existing pipeline object, in place.

        Args:
            existing: Any object with ``.stages``, a list, tuple or dict of stages.

        Returns:
            The same object, whose ``.stages`` now holds the observed twins.

        Raises:
            ConfigurationError: It has no such ``.stages``, or one of them is no
                stage; nothing was changed then.
        """
        stages = getattr(existing, "stages", None)
        if isinstance(stages, dict):
            pairs = [(str(key), stage) for key, stage in stages.items()]
        elif isinstance(stages, (list, tuple)):
            pairs = [("", stage) for stage in stages]
        else:
            raise ConfigurationError(
                f"pipeline.observe() got {existing!r}, whose .stages is "
                f"{type(stages).__name__}; it takes an object whose .stages is a "
                "list, tuple or dict of stages"
            )
        for number, (key, stage) in enumerate(pairs):
            if not callable(getattr(stage, "process", None)) and not callable(stage):
                raise ConfigurationError(
                    f"pipeline.observe(): stage {key or number} is {stage!r}, which "
                    "has no .process(event) method and is not callable"
                )
        with REGISTRY.lock:
            before = set(self._record.stages)
            try:
                observed = [
                    observe_stage(
                        stage, self.maker(_own_name(key, stage), None, unique=True)
                    )
                    for key, stage in pairs
                ]
            except ConfigurationError:
                for name in {*self._record.stages} - before:
                    del self._record.stages[name], self._record.sources[name]
                raise
        if isinstance(stages, dict):
            stages.update(zip(list(stages), observed, strict=True))
        elif isinstance(stages, list):
            stages[:] = observed
        else:
            make = getattr(stages, "_make", type(stages))  # a named tuple's
            existing.stages = make(observed)  # type: ignore[attr-defined]
        return existing

    @contextmanager
    def journey(self, event: object = None) -> Iterator[None]:
        """Make everything observed inside one event's journey.

        For code that fetches for itself and processes inline, where neither a queue
        nor an argument tells which event a stage call is about.

        Args:
            event: The event, if there is one object for it.
        """
        turn = None
        try:
            turn, before = begin_turn(event, self._record)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("journey", error)
        try:
            yield
        finally:
            if turn is not None:
                drop_turn(turn, before)

    @property
    def failures(self) -> Failures:
        """The failed events that are kept: ``list()``, ``groups()``, ``replay()``."""
        with LATE:
            from stagelight._failures._handle import Failures

        return Failures(self._record)

    def stats(self) -> dict[str, Any]:
        """The state of this pipeline as one plain JSON-able document.

        Stages (counts, rates over 1, 10 and 60 s, percentiles, errors), queues, pools
        and worker load, the bottleneck, and this process's memory and uptime. The
        numbers are the very ones that OpenTelemetry exports. See ``PipelineStats``.
        """
        with LATE:
            from stagelight._snapshot import pipeline_document

        return pipeline_document(self._record)

    def maker(
        self,
        name: str | None,
        event_id: Callable[[Any], object] | None,
        *,
        unique: bool = False,
    ) -> Callable[[str, Kind, str, str], StageRecord]:
        """What makes this pipeline's stage records; for wrappers, not for users.

        Args:
            name: Name of the stage, or None for the default.
            event_id: Maps an event to its identifier.
            unique: Whether a namesake gets a number instead of an error.
        """

        def make(default: str, kind: Kind, function: str, source: str) -> StageRecord:
            chosen = name or default
            if chosen == "<lambda>":
                raise ConfigurationError(
                    f"the stage {source} is a lambda and has no name; pass name="
                )
            check_name(chosen, "stage")
            record = add_stage(
                self._record, chosen, kind, function, source, unique=unique
            )
            if event_id is not None:
                record.event_id = event_id
            return record

        return make

    def _pool_stage(self, name: str) -> StageRecord:
        taken = self._record.stages.get(name)
        if taken is not None and taken.function != "task":
            name = f"{name[: _names.MAX_NAME - 5]}.task"
        return add_stage(self._record, name, "call", "task", f"pool {name}")


def journey(event: object = None) -> AbstractContextManager[None]:
    """Make everything observed inside one event's journey of the default pipeline.

    Args:
        event: The event, if there is one object for it.
    """
    return Pipeline().journey(event)


def _own_name(key: str, stage: object) -> str | None:
    name = key or getattr(stage, "name", None)
    return name if isinstance(name, str) else None
