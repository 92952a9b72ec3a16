"""What was observed by itself: under which name, by which rule."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _guard, _names
from stagelight._config import Settings
from stagelight._pipeline import Pipeline
from stagelight.instrumentation._naming import name_from

if TYPE_CHECKING:
    from types import FrameType

    from stagelight._registry import PipelineRecord

#: Living queues or pools that share one name; more of them are not worth a series each.
_MOST: Final = 64


class Entry(NamedTuple):
    """One thing that is observed.

    Attributes:
        kind: ``stage``, ``queue`` or ``pool``.
        name: Its name.
        rule: Why it is observed.
        where: What it is, or where it was made.
        capacity: Bound of a queue, or None.
    """

    kind: str
    name: str
    rule: str
    where: str
    capacity: int | None = None


class Ledger:
    """The pipeline of this process, and what was found for it.

    Attributes:
        made: The pipeline, None before there was anything for it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self, settings: Settings | None = None) -> None:
        """Begin anew with these settings.

        Args:
            settings: The user's, or the defaults.
        """
        self.settings = settings or Settings()
        self.entries: list[Entry] = []
        self.declined: dict[tuple[str, str], str] = {}
        self.made: Pipeline | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that everything belongs to, made when something does."""
        made = self.made
        if made is not None:
            return made
        with self.lock:
            if self.made is None:
                self.made = Pipeline(self.settings.pipeline)
            return self.made

    def note(self, entry: Entry) -> None:
        """Keep an entry for the report, one for each name."""
        with self.lock:
            if not any(
                (known.kind, known.name) == (entry.kind, entry.name)
                for known in self.entries
            ):
                self.entries.append(entry)

    def decline(self, kind: str, what: str, why: str) -> None:
        """Keep for the report what is not observed.

        Args:
            kind: ``stage``, ``queue`` or ``pool``.
            what: Its name, or where it was made.
            why: The reason.
        """
        if len(self.declined) < _MOST:
            self.declined.setdefault((kind, what), why)

    def observe(
        self, target: Any, kind: str, frame: FrameType, given: str = ""
    ) -> None:
        """Observe a queue or a pool that the application made.

        Args:
            target: The object.
            kind: ``queue`` or ``pool``.
            frame: The application's frame.
            given: A name that the object has already.
        """
        wanted = given[: _names.MAX_NAME] or name_from(frame, type(target).__name__)
        if not self.settings.wants_queue(wanted):
            self.decline(kind, wanted, "the setting queues leaves it out")
            return
        with self.lock:
            pipeline = self.pipeline
            record: PipelineRecord = pipeline._record  # noqa: SLF001 - same package
            name = _free(record, wanted, kind)
            if name is None:
                _guard.warn_once(
                    f"name {wanted}",
                    "stagelight: %d queues or pools named %r live at once; further "
                    "ones are not observed. Leave them out with queues = ['!%s'].",
                    _MOST,
                    wanted,
                    wanted,
                )
                return
            if kind == "queue":
                pipeline.queue(target, name)
                found: Any = record.queues[name]
                capacity = found.capacity()
            else:
                pipeline.pool(target, name)
                found = record.pools[name].backlog
                capacity = None
            found.automatic = True
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        rule = f"the application made a {type(target).__qualname__}"
        self.note(Entry(kind, name, rule, where, capacity))


def _free(record: PipelineRecord, wanted: str, kind: str) -> str | None:
    """The first name that no living queue or pool has."""
    for number in range(1, _MOST + 1):
        suffix = f"-{number}" if number > 1 else ""
        name = wanted[: _names.MAX_NAME - len(suffix)] + suffix
        queue, pool = record.queues.get(name), record.pools.get(name)
        mine, other = (queue, pool) if kind == "queue" else (pool, queue)
        if other is not None:
            continue
        backlog = mine.backlog if mine is not None and mine is pool else queue
        if backlog is None or backlog.owner is None or backlog.owner() is None:
            return name
    return None


LEDGER: Final = Ledger()
