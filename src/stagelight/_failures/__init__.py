"""Failed events, kept on disk: captured, grouped, explained, replayed.

Off by default. ``install`` registers a sink on the record layer; reading needs no more
than the folder.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _sinks
from stagelight._slots import ENTRY
from stagelight._workers import set_alert

if TYPE_CHECKING:
    from stagelight._capture import Capture
    from stagelight._failures._sink import Sink

#: At most one.
_INSTALLED: Final[list[Sink]] = []
_READY: Final[list[bool]] = []
_PATIENCE: Final = 5.0
_CHILD_PATIENCE: Final = 2.0


def install(capture: Capture, redact: tuple[str, ...] = ()) -> None:
    """Keep failed events from now on; replaces what was installed before.

    Args:
        capture: Which, how and where.
        redact: The setting ``redact``: regular expressions of what is not to be kept.
    """
    from stagelight._failures import _traces
    from stagelight._failures._sink import Sink
    from stagelight._failures._texts import TEXTS

    uninstall()
    TEXTS.use(redact)
    _traces.forget()
    sink = Sink(capture)
    _INSTALLED.append(sink)
    _sinks.EVENTS.append(sink)
    if capture.at_entry:
        _sinks.ENTRIES.append(sink.entered)
        set_alert(ENTRY, on=True)
    if capture.attributes:
        from stagelight._failures import _sampler

        _sampler.start(sink)
    _flush_children(sink)
    if not _READY:
        _READY.append(True)
        atexit.register(flush)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)


def uninstall() -> None:
    """Write what waits, and keep nothing more."""
    while _INSTALLED:
        sink = _INSTALLED.pop()
        _sinks.EVENTS.remove(sink)
        if _sinks.ENTRIES:
            _sinks.ENTRIES.clear()
            set_alert(ENTRY, on=False)
        if sink.capture.attributes:
            from stagelight._failures import _sampler

            _sampler.stop()
        sink.writer.flush(_PATIENCE)
        sink.writer.close()


def installed() -> Capture | None:
    """The settings in force, None where nothing is kept."""
    return _INSTALLED[0].capture if _INSTALLED else None


def flush(timeout: float = _PATIENCE) -> bool:
    """Wait until every failed event so far is on the disk.

    Args:
        timeout: Seconds it may take.

    Returns:
        Whether it is.
    """
    done = [sink.writer.flush(timeout) for sink in _INSTALLED]
    return all(done)


def groups_document(
    folder: str | os.PathLike[str] | None = None, *, limit: int | None = None
) -> dict[str, Any]:
    """The groups of failed events as data for JSON: for the page, and ``--json``.

    Args:
        folder: Where they are kept; by default where this process keeps them.
        limit: Groups at most, the largest first.

    Returns:
        ``groups`` (each with its count, what is kept, first and last seen, an example
        and hints), ``kept``, and ``dropped`` by reason; empty while there is no store.
    """
    from pathlib import Path

    from stagelight._failures import _reading
    from stagelight._failures._schema import DATABASE

    capture = installed()
    if folder is None and capture is not None:
        folder = capture.path
    if folder is None or not (Path(folder) / DATABASE).is_file():
        return {"groups": [], "kept": 0, "dropped": {}}
    with _reading.Reader(Path(folder)) as reader:
        return reader.groups_document(limit=limit)


def _after_fork() -> None:
    """A child writes by itself, and flushes however ``multiprocessing`` ends it."""
    for sink in _INSTALLED:
        try:
            sink.writer.leave()
            sink.after_fork()
            if sink.capture.attributes:
                from stagelight._failures import _sampler

                _sampler.start(sink)
            _flush_children(sink)
        except Exception as error:  # noqa: BLE001, PERF203 - never into the pipeline
            _guard.caught("fork", error)


def _flush_children(sink: Sink) -> None:
    """Flush where ``multiprocessing`` is about to run this process as a child."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(sink, _flush_at_end)


def _flush_at_end(_: Sink) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, flush, args=(_CHILD_PATIENCE,), exitpriority=0)
