"""The reading side of a store: failures, groups, hints and events."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from stagelight._failures._hints import hints
from stagelight._failures._payloads import REPR, Payload
from stagelight._failures._schema import PAYLOADS, StoreError, connect

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_COLUMNS: Final = (
    *("id", "time", "group_id", "pipeline", "stage", "error_type", "message"),
    *("event_id", "attempt", "outcome", "duration", "trace_id", "span_id", "codec"),
    *("size", "hidden", "why"),
)
_LAST: Final = (
    "(SELECT result FROM replays WHERE failure = failures.id "
    "ORDER BY rowid DESC LIMIT 1)"
)


class Reader:
    """Reads a store; to be used in ``with``.

    Args:
        folder: Where it is.

    Raises:
        StoreError: There is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._database = connect(folder)
            self._database.row_factory = sqlite3.Row
        except sqlite3.Error as error:
            raise StoreError(f"the store in {str(folder)!r}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def failures(  # noqa: PLR0913 - keyword only
        self,
        *,
        pipeline: str | None = None,
        stage: str | None = None,
        error_type: str | None = None,
        group: str | None = None,
        event_id: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Failed events, the newest first.

        Args:
            pipeline: Only those of this pipeline.
            stage: Only those of this stage, a glob.
            error_type: Only those with this exception, a glob.
            group: Only those of this group.
            event_id: Only those of this event.
            since: Only those after this time, seconds since the epoch.
            limit: At most so many.
        """
        wheres, values = ["1"], []
        for column, how, value in (
            ("pipeline", "=", pipeline),
            ("stage", "GLOB", stage),
            ("error_type", "GLOB", error_type),
            ("group_id", "=", group),
            ("event_id", "=", event_id),
            ("time", ">=", since),
        ):
            if value is not None:
                wheres.append(f"{column} {how} ?")
                values.append(value)
        rows = self._database.execute(
            f"SELECT {', '.join(_COLUMNS)}, {_LAST} AS replayed FROM failures "  # noqa: S608 - our own text
            f"WHERE {' AND '.join(wheres)} ORDER BY id DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [_entry(row) for row in rows]

    def failure(self, number: int) -> dict[str, Any]:
        """All that is known of one failed event, its payload as it may be shown.

        Args:
            number: Its id.

        Raises:
            StoreError: It is not there.
        """
        row = self._database.execute(
            f"SELECT *, {_LAST} AS replayed FROM failures WHERE id = ?",  # noqa: S608 - our own text
            (number,),
        ).fetchone()
        if row is None:
            raise StoreError(
                f"there is no failed event {number} in {str(self.folder)!r}; "
                "stagelight failures list shows those that are there"
            )
        process = self._database.execute(
            "SELECT document FROM processes WHERE id = ?", (row["process"],)
        ).fetchone()
        replays = self._database.execute(
            "SELECT time, result, error_type, message, trace_id, span_id FROM replays "
            "WHERE failure = ? ORDER BY rowid",
            (number,),
        )
        return {
            **_entry(row),
            **json.loads(row["detail"]),
            "process": json.loads(process[0]) if process else {},
            "replays": [dict(one) for one in replays],
        }

    def payload(self, number: int) -> Payload:
        """The event of one failure, as it was kept.

        Args:
            number: Its id.

        Raises:
            StoreError: It is not there.
        """
        row = self._database.execute(
            "SELECT codec, payload, file, hidden, why FROM failures WHERE id = ?",
            (number,),
        ).fetchone()
        if row is None:
            raise StoreError(f"there is no failed event {number}")
        data = row["payload"]
        if row["file"] is not None:
            try:
                data = (self.folder / PAYLOADS / row["file"]).read_bytes()
            except OSError as error:
                raise StoreError(f"the event of failure {number}: {error}") from None
        return Payload(row["codec"], data or b"", row["hidden"], row["why"])

    def groups(
        self, pipeline: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """The groups, the largest first.

        Args:
            pipeline: Only those of this pipeline.
            limit: At most so many.
        """
        rows = self._database.execute(
            "SELECT groups.*, count(failures.id) AS kept, max(failures.id) AS example "
            "FROM groups LEFT JOIN failures ON failures.group_id = groups.id "
            "WHERE ? IS NULL OR groups.pipeline = ? "
            "GROUP BY groups.id ORDER BY groups.count DESC, groups.last DESC "
            "LIMIT ?",
            (pipeline, pipeline, -1 if limit is None else limit),
        ).fetchall()
        return [self._group(row) for row in rows]

    def _group(self, row: sqlite3.Row) -> dict[str, Any]:
        example: dict[str, Any] = {}
        frame = {"file": row["file"], "function": row["function"], "line": None}
        if row["example"] is not None:
            found = self.failure(row["example"])
            example = {
                key: found[key]
                for key in ("id", "event_id", "message", "trace_id", "replayable")
            }
            lines = [
                one["line"]
                for one in found["exception"][0]["frames"]
                if (one["file"], one["function"]) == (row["file"], row["function"])
            ]
            frame["line"] = lines[-1] if lines else None
        replays = self._database.execute(
            f"SELECT {_LAST} AS result, count(*) FROM failures WHERE group_id = ? "  # noqa: S608 - our own text
            "GROUP BY result HAVING result IS NOT NULL",
            (row["id"],),
        )
        stage = f"{row['pipeline']}\n{row['stage']}"
        failed, failures = self._traits("failure", row["id"])
        succeeded, successes = self._traits("success", stage)
        return {
            "id": row["id"],
            "pipeline": row["pipeline"],
            "stage": row["stage"],
            "error_type": row["error_type"],
            "frame": frame,
            "count": row["count"],
            "kept": row["kept"],
            "first": row["first"],
            "last": row["last"],
            "example": example or None,
            "replays": {one["result"]: one[1] for one in replays},
            "hints": [
                hint._asdict() for hint in hints(failed, failures, succeeded, successes)
            ],
        }

    def _traits(self, kind: str, scope: str) -> tuple[dict[tuple[str, str], int], int]:
        rows = self._database.execute(
            "SELECT name, value, count FROM traits WHERE kind = ? AND scope = ?",
            (kind, scope),
        )
        found = {(row["name"], row["value"]): row["count"] for row in rows}
        return found, found.pop(("", ""), 0)

    def dropped(self) -> dict[str, int]:
        """How many failed events are not kept (any more), by reason."""
        return dict(self._database.execute("SELECT * FROM dropped").fetchall())

    def groups_document(
        self, pipeline: str | None = None, limit: int | None = None
    ) -> dict[str, Any]:
        """Groups and counts as data for JSON.

        Args:
            pipeline: Only the groups of this pipeline.
            limit: Groups at most.
        """
        (kept, size) = self._database.execute("SELECT * FROM totals").fetchone()
        return {
            "groups": self.groups(pipeline, limit),
            "kept": kept,
            "bytes": size,
            "dropped": self.dropped(),
        }

    def note_replay(self, number: int, at: float, result: dict[str, Any]) -> None:
        """Remember how a replay of a failed event went.

        Args:
            number: Its id.
            at: When, seconds since the epoch.
            result: ``result``, ``error_type``, ``message``, ``trace_id``, ``span_id``.
        """
        self._database.execute(
            "INSERT INTO replays VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                at,
                *(result[key] for key in ("result", "error_type", "message")),
                *(result[key] for key in ("trace_id", "span_id")),
            ),
        )


def _entry(row: sqlite3.Row) -> dict[str, Any]:
    """A row as it is listed."""
    names = {"group_id": "group"}
    found = {names.get(one, one): row[one] for one in _COLUMNS}
    found["replayable"] = row["codec"] != REPR
    found["replayed"] = row["replayed"]
    return found
