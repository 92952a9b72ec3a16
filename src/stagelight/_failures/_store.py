"""The store: one SQLite file and a folder of large payloads, shared by processes.

Everything of one batch is written in one transaction; a process that is killed leaves
the last whole one. Readers never wait for the writer (write-ahead log).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import format_span_id, format_trace_id

from stagelight._failures._schema import PAYLOADS, PRIVATE, connect, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stagelight._capture import Capture
    from stagelight._failures._draft import Draft

#: Bytes from which on a payload is a file of its own.
LARGE: Final = 64 * 1024
#: Seconds after which a file that nothing refers to is left over from a killed process.
_ORPHAN: Final = 600
_MOST_GROUPS: Final = 4096

_INSERT: Final = """
INSERT INTO failures (time, group_id, pipeline, stage, error_type, message, event_id,
    attempt, outcome, duration, trace_id, span_id, process, codec, payload, file, size,
    hidden, why, detail) VALUES
"""
#: Where in a row its size is.
_SIZE: Final = 16
#: Values in one statement, of which SQLite takes 999 at least: each statement costs the
#: pipeline two turns of the interpreter lock.
_VALUES: Final = 900
_STATE: Final = """
SELECT events, bytes, (SELECT time FROM failures ORDER BY id LIMIT 1),
    (SELECT count(*) FROM groups)
FROM totals
"""
_GROUP: Final = """
ON CONFLICT DO UPDATE SET
    count = count + excluded.count, first = min(first, excluded.first),
    last = max(last, excluded.last)
"""
_COUNT: Final = "ON CONFLICT DO UPDATE SET count = count + excluded.count"


class Batch:
    """What is written together."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        #: Group -> (pipeline, stage, error type, file, function) and what was not kept.
        self.left_out: dict[str, tuple[tuple[str, ...], int, float, float]] = {}
        self.dropped: dict[str, int] = {}
        self.traits: dict[tuple[str, str, str, str], int] = {}

    def leave_out(
        self,
        group: str,
        identity: tuple[str, ...],
        count: int,
        first: float,
        last: float,
    ) -> None:
        """Count events of a group that are not kept.

        Args:
            group: Name of the group.
            identity: Its pipeline, stage, error type, file and function.
            count: How many.
            first: When the first of them was, seconds since the epoch.
            last: When the last of them was.
        """
        known = self.left_out.get(group)
        if known is not None:
            _, before, since, _ = known
            self.left_out[group] = (identity, before + count, since, last)
        elif len(self.left_out) < _MOST_GROUPS:
            self.left_out[group] = (identity, count, first, last)

    def __bool__(self) -> bool:
        return bool(self.drafts or self.left_out or self.dropped or self.traits)


class Store:
    """The writing side; for one thread of one process.

    Args:
        capture: The settings.
        process: What is said of this process, for JSON.
    """

    def __init__(self, capture: Capture, process: Mapping[str, Any]) -> None:
        self._capture = capture
        self._folder = capture.path
        self._process = uuid.uuid4().hex[:12]
        self.database = connect(self._folder, make=True)
        self._document = json.dumps(process, default=str)
        self._introduced = False
        self._sweep()

    def close(self) -> None:
        """Close it."""
        self.database.close()

    def write(self, batch: Batch) -> None:
        """Write a batch as a whole, and drop what is too old or too much.

        Args:
            batch: What is to be written.

        Raises:
            OSError: A file cannot be written.
            sqlite3.Error: The database cannot be written.
        """
        files: list[Path] = []
        gone: list[str] = []
        try:
            rows = [self._row(one, files) for one in batch.drafts]
            with transaction(self.database):
                self._introduce()
                self._insert(_INSERT, rows)
                self._add_up(len(rows), sum(row[_SIZE] for row in rows))
                self._insert("INSERT INTO groups VALUES", _groups(batch), _GROUP)
                dropped = list(batch.dropped.items())
                self._insert("INSERT INTO dropped VALUES", dropped, _COUNT)
                traits = [(*key, count) for key, count in batch.traits.items()]
                self._insert("INSERT INTO traits VALUES", traits, _COUNT)
                gone = self._trim()
        except BaseException:
            for file in files:
                with contextlib.suppress(OSError):
                    file.unlink()
            self._introduced = False
            raise
        for name in gone:
            with contextlib.suppress(OSError):
                (self._folder / PAYLOADS / name).unlink()

    def _insert(self, head: str, rows: Sequence[Sequence[Any]], tail: str = "") -> None:
        """Insert rows, many at once.

        Args:
            head: What comes before the values.
            rows: The rows.
            tail: What comes behind.
        """
        if not rows:
            return
        row = f"({', '.join('?' * len(rows[0]))})"
        number = _VALUES // len(rows[0])
        for first in range(0, len(rows), number):
            some = rows[first : first + number]
            self.database.execute(
                f"{head} {', '.join([row] * len(some))} {tail}",
                [value for one in some for value in one],
            )

    def _add_up(self, events: int, size: int) -> None:
        """Keep the totals: to add up all failures would take long."""
        self.database.execute(
            "UPDATE totals SET events = events + ?, bytes = bytes + ?", (events, size)
        )

    def _introduce(self) -> None:
        if not self._introduced:
            self.database.execute(
                "INSERT OR IGNORE INTO processes VALUES (?, ?, ?)",
                (self._process, time.time(), self._document),
            )
            self._introduced = True

    def _row(self, draft: Draft, files: list[Path]) -> tuple[Any, ...]:
        payload, cause, span = draft.payload, draft.cause, draft.span
        data: bytes | None = payload.data
        name = None
        message, detail = draft.shown()
        size = len(payload.data) + len(detail)
        if len(payload.data) > LARGE:
            name = f"{uuid.uuid4().hex}.bin"
            path = self._folder / PAYLOADS / name
            files.append(path)
            _write_private(path, payload.data)
            data = None
        pipeline, stage, error_type, _, _ = cause.identity
        return (
            draft.time,
            cause.group,
            pipeline,
            stage,
            error_type,
            message,
            draft.shown_id(),
            draft.attempt,
            draft.outcome,
            draft.duration,
            None if span is None else format_trace_id(span.trace_id),
            None if span is None else format_span_id(span.span_id),
            self._process,
            payload.codec,
            data,
            name,
            size,
            payload.hidden,
            payload.why,
            detail,
        )

    def _trim(self) -> list[str]:
        """Delete what is over a limit; returns the files that go with it."""
        gone: list[str] = []
        events, held, oldest, groups = self.database.execute(_STATE).fetchone()
        limit = time.time() - self._capture.max_age
        if oldest is not None and oldest < limit:
            gone += self._delete("age", "time < ?", limit)
            events, held, _, _ = self.database.execute(_STATE).fetchone()
        over = events - self._capture.max_events
        if over > 0:
            gone += self._delete("count", "id <= ?", self._nth(over))
            _, held, _, _ = self.database.execute(_STATE).fetchone()
        if held > self._capture.max_bytes:
            last = self._last_to_go(held - self._capture.max_bytes)
            gone += self._delete("size", "id <= ?", last)
        if groups > _MOST_GROUPS:
            self.database.execute(
                "DELETE FROM groups WHERE id IN (SELECT id FROM groups "
                "ORDER BY last LIMIT ?)",
                (groups - _MOST_GROUPS,),
            )
        return gone

    def _nth(self, number: int) -> int:
        """The id of the failure that so many are not younger than."""
        found = self.database.execute(
            "SELECT id FROM failures ORDER BY id LIMIT 1 OFFSET ?", (number - 1,)
        ).fetchone()
        return int(found[0])

    def _last_to_go(self, excess: int) -> int:
        """The id of the failure up to which all together take so many bytes."""
        found = self.database.execute(
            "SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id) AS total "
            "FROM failures) WHERE total >= ? ORDER BY id LIMIT 1",
            (excess,),
        ).fetchone()
        return int(found[0])

    def _delete(self, reason: str, where: str, value: float) -> list[str]:
        """Delete failures; returns the files that go with them."""
        which = f"FROM failures WHERE {where}"
        (size,) = self.database.execute(
            f"SELECT total(size) {which}", (value,)
        ).fetchone()
        files = self.database.execute(
            f"SELECT file {which} AND file IS NOT NULL", (value,)
        ).fetchall()
        self.database.execute(
            f"DELETE FROM replays WHERE failure IN (SELECT id {which})",  # noqa: S608 - our own text
            (value,),
        )
        number = self.database.execute(f"DELETE {which}", (value,)).rowcount
        self._add_up(-number, -int(size))
        self._insert("INSERT INTO dropped VALUES", [(reason, number)], _COUNT)
        return [file for (file,) in files]

    def _sweep(self) -> None:
        """Remove payload files that a killed process left without a row."""
        limit = time.time() - _ORPHAN
        known = {
            row[0]
            for row in self.database.execute(
                "SELECT file FROM failures WHERE file IS NOT NULL"
            )
        }
        for path in (self._folder / PAYLOADS).iterdir():
            with contextlib.suppress(OSError):
                if path.name not in known and path.stat().st_mtime < limit:
                    path.unlink()


def _groups(batch: Batch) -> list[tuple[Any, ...]]:
    """What the batch adds to each group."""
    counted = Batch()
    counted.left_out = dict(batch.left_out)
    for one in batch.drafts:
        cause = one.cause
        counted.leave_out(cause.group, cause.identity, 1, one.time, one.time)
    return [
        (group, *identity, count, first, last)
        for group, (identity, count, first, last) in counted.left_out.items()
    ]


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
