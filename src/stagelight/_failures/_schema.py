"""The file of the store: its tables, and how it is opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from stagelight._errors import StagelightError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DATABASE: Final = "failures.db"
PAYLOADS: Final = "payloads"
VERSION: Final = 2
_BUSY: Final = 5.0
#: Mode of every file.
PRIVATE: Final = 0o600

_SCHEMA: Final = """
CREATE TABLE processes (
    id TEXT PRIMARY KEY, started REAL, document TEXT
) WITHOUT ROWID;
CREATE TABLE groups (
    id TEXT PRIMARY KEY, pipeline TEXT, stage TEXT, error_type TEXT,
    file TEXT, function TEXT, count INTEGER, first REAL, last REAL
) WITHOUT ROWID;
CREATE TABLE failures (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL, group_id TEXT, pipeline TEXT,
    stage TEXT, error_type TEXT, message TEXT, event_id TEXT, attempt INTEGER,
    outcome TEXT, duration REAL, trace_id TEXT, span_id TEXT, process TEXT,
    codec TEXT, payload BLOB, file TEXT, size INTEGER, hidden INTEGER, why TEXT,
    detail TEXT
);
CREATE INDEX by_group ON failures (group_id, id);
CREATE TABLE dropped (reason TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
CREATE TABLE replays (
    failure INTEGER, time REAL, result TEXT, error_type TEXT, message TEXT,
    trace_id TEXT, span_id TEXT
);
CREATE INDEX by_failure ON replays (failure);
CREATE TABLE traits (
    kind TEXT, scope TEXT, name TEXT, value TEXT, count INTEGER,
    PRIMARY KEY (kind, scope, name, value)
) WITHOUT ROWID;
CREATE TABLE totals (events INTEGER, bytes INTEGER);
INSERT INTO totals VALUES (0, 0);
"""


class StoreError(StagelightError):
    """A store that is not there, or cannot be read; the text says what to do."""

    __module__ = "stagelight"


def connect(folder: Path, *, make: bool = False) -> sqlite3.Connection:
    """A connection to the store of a folder.

    Args:
        folder: Where it is.
        make: Whether to make it where it is not there.

    Raises:
        StoreError: It is not there, or another version wrote it.
        OSError: The folder cannot be made.
        sqlite3.Error: The file cannot be opened.
    """
    path = folder / DATABASE
    if make:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / PAYLOADS).mkdir(mode=0o700, exist_ok=True)
        # SQLite gives its further files the mode of this one. An existing one is not
        # opened: closing it would end all locks that this process has on it.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
    elif not path.is_file():
        raise StoreError(
            f"there is no store of failed events in {str(folder)!r}; "
            "turn capture on (stagelight run --capture FOLDER), or name its folder"
        )
    database = sqlite3.connect(
        path, timeout=_BUSY, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(database, path, make=make)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path, *, make: bool) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0 and make:
        database.execute("PRAGMA journal_mode = WAL")
        with transaction(database):
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:  # else another process was faster
                for statement in _statements(_SCHEMA):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {VERSION}")
                version = VERSION
    if version != VERSION:
        raise StoreError(
            f"{str(path)!r} has version {version} of the store, this is version "
            f"{VERSION}; move it away, or use the stagelight that wrote it"
        )
    database.execute("PRAGMA synchronous = NORMAL")


def _statements(script: str) -> Iterable[str]:
    """The statements of a script: ``executescript`` would commit before it begins."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction, which is undone as a whole where it fails.

    Args:
        database: The connection.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
