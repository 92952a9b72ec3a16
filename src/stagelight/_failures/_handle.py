"""``pipeline.failures``: what failed in one pipeline, and how to put it back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagelight import _failures
from stagelight._failures._location import Stage, find_stage
from stagelight._failures._reading import Reader
from stagelight._failures._replay import (
    SUCCESS,
    event_of,
    replay,
    skipped,
    with_arguments,
)
from stagelight._failures._schema import StoreError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from stagelight._failures._replay import Replayed
    from stagelight._registry import PipelineRecord

    _Entries = list[dict[str, Any]]
    _Replays = list[Replayed]


def replay_one(
    reader: Reader,
    number: int,
    *,
    allow_pickle: bool = False,
    stage: Callable[[dict[str, Any]], Stage] = find_stage,
) -> Replayed:
    """Replay one failure, and remember how it went.

    Args:
        reader: Its store.
        number: Its id.
        allow_pickle: Whether a pickle may be loaded.
        stage: Finds the stage of a failure.

    Raises:
        StoreError: It is not there, or its stage cannot be found.
    """
    found = reader.failure(number)
    chosen = stage(found)
    try:
        event = event_of(
            reader.payload(number), chosen.modules, allow_pickle=allow_pickle
        )
        chosen = with_arguments(chosen, found["arguments"])
    except StoreError as error:
        return skipped(found, str(error))
    made = replay(found, chosen, event)
    kind, _, text = made.after.partition(": ")
    failed = made.exception is not None
    reader.note_replay(
        number,
        time.time(),
        {
            "result": made.result,
            "error_type": kind if failed else None,
            "message": text if failed else None,
            "trace_id": made.trace_id,
            "span_id": made.span_id,
        },
    )
    return made


class Failures:
    """The failed events of one pipeline, where capture keeps them.

    Args:
        record: The pipeline.
        folder: Where they are kept; by default where this process keeps them.
    """

    __module__ = "stagelight"

    def __init__(
        self, record: PipelineRecord, folder: str | os.PathLike[str] | None = None
    ) -> None:
        self._record = record
        self._folder = folder

    def _reader(self) -> Reader:
        capture = _failures.installed()
        folder = self._folder or (capture.path if capture is not None else None)
        if folder is None:
            raise StoreError(
                "no failed events are kept: configure(capture=FOLDER) turns that on"
            )
        _failures.flush()
        return Reader(Path(folder))

    def list(self, **filters: Any) -> _Entries:
        """Failed events that are kept, the newest first.

        Args:
            filters: ``stage``, ``error_type`` (globs), ``group``, ``event_id``,
                ``since`` (seconds since the epoch), ``limit``.

        Raises:
            StoreError: There is no store.
        """
        with self._reader() as reader:
            return reader.failures(pipeline=self._record.name, **filters)

    def groups(self) -> _Entries:
        """Groups by stage, exception and frame, the largest first.

        Raises:
            StoreError: There is no store.
        """
        with self._reader() as reader:
            return reader.groups(self._record.name)

    def replay(
        self,
        ids: Iterable[int] | None = None,
        *,
        group: str | None = None,
        through: Callable[[Any], Any] | None = None,
        allow_pickle: bool = False,
    ) -> _Replays:
        """Put failed events back through the pipeline, the oldest first.

        Each replay is a span that is linked to the original, and is remembered with
        it. What fails again is not kept a second time.

        Args:
            ids: Which ones; by default all that did not pass in a replay before.
            group: Only those of this group.
            through: Takes each event, such as the ``put`` of the first queue; by
                default its own stage, as this process has it.
            allow_pickle: Whether pickled events may be loaded, which runs whatever
                code is in them.

        Returns:
            How each went; ``value`` is what the stage returned.

        Raises:
            StoreError: There is no store, or an event is not there.
        """
        with self._reader() as reader:
            if ids is None:
                listed = reader.failures(pipeline=self._record.name, group=group)
                ids = [one["id"] for one in listed if one["replayed"] != SUCCESS][::-1]
            return [
                self._one(reader, number, through, allow_pickle=allow_pickle)
                for number in ids
            ]

    def _one(
        self,
        reader: Reader,
        number: int,
        through: Callable[[Any], Any] | None,
        *,
        allow_pickle: bool,
    ) -> Replayed:
        def stage(found: dict[str, Any]) -> Stage:
            call = through or self._present(found["stage"])
            if call is None:
                return find_stage(found)
            return Stage(call, "", {}, alone=through is not None)

        try:
            return replay_one(reader, number, allow_pickle=allow_pickle, stage=stage)
        except StoreError as error:
            return skipped(reader.failure(number), str(error))

    def _present(self, name: str) -> Callable[[Any], Any] | None:
        """The stage as this process made it, if it still has it."""
        record = self._record.stages.get(name)
        twin = record.twin() if record is not None and record.twin else None
        process = getattr(twin, "process", None)
        return process if callable(process) else twin
