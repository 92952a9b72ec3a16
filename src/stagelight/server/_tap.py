"""Samples of events at a stage, in and out, redacted: off unless it was allowed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _sinks
from stagelight._slots import TAP
from stagelight._workers import set_alert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stagelight._records import StageRecord
    from stagelight._redaction import Redactor

MOST_EVENTS: Final = 1000
SHORTEST: Final = 0.1
LONGEST: Final = 60.0
#: Who looks at once.
MOST: Final = 8
_OPEN: Final[set[Tap]] = set()


class Tap:
    """One look at the events of some stages.

    Args:
        stage: Name of the stage, or a glob.
        pipeline: Name of the pipeline, or a glob.
        limit: Events in an interval; of more a fair sample is shown.
        interval: Seconds between two samples.
        redactor: Takes out what is not to leave.
    """

    def __init__(
        self,
        stage: str,
        redactor: Redactor,
        *,
        pipeline: str = "*",
        limit: int = 10,
        interval: float = 1.0,
    ) -> None:
        self._stage, self._pipeline = stage, pipeline
        self._redactor = redactor
        self._limit, self._interval = limit, interval
        self._seen = 0
        self._kept: list[dict[str, Any]] = []

    def open(self) -> None:
        """Begin to look: calls take the full path from now on."""
        _OPEN.add(self)
        _sinks.TAPS.append(self.note)
        set_alert(TAP, on=True)

    def close(self) -> None:
        """Look no more; without any other tap the calls are as fast as ever."""
        _OPEN.discard(self)
        if self.note in _sinks.TAPS:
            _sinks.TAPS.remove(self.note)
        if not _sinks.TAPS:
            set_alert(TAP, on=False)

    def note(
        self, stage: StageRecord, event: Any, result: Any, error: BaseException | None
    ) -> None:
        """Take a call into account: kept with a chance that is the same for each.

        Args:
            stage: The stage.
            event: What went in.
            result: What came out.
            error: What it raised, or None.
        """
        if not fnmatchcase(stage.name, self._stage) or not fnmatchcase(
            stage.pipeline.name, self._pipeline
        ):
            return
        self._seen += 1
        place = len(self._kept)
        if place >= self._limit:
            place = random.randrange(self._seen)  # noqa: S311 - a sample is no secret
            if place >= self._limit:
                return
        # At once: the next stage may change it.
        shown = self._show(stage, event, result, error)
        if place < len(self._kept):
            self._kept[place] = shown
        else:
            self._kept.append(shown)

    def _show(
        self, stage: StageRecord, event: Any, result: Any, error: BaseException | None
    ) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "time": time.time(),
            "pipeline": stage.pipeline.name,
            "stage": stage.name,
            "in": self._redactor.value(event),
        }
        if error is not None:
            shown["error"] = self._redactor.text(f"{type(error).__qualname__}: {error}")
        else:
            shown["out"] = self._redactor.value(result)
        return shown

    def take(self) -> tuple[list[dict[str, Any]], int]:
        """What was kept since the last time, and how many calls there were."""
        kept, self._kept = self._kept, []
        seen, self._seen = self._seen, 0
        return kept, seen

    async def lines(self) -> AsyncIterator[bytes]:
        """A JSON line for each sampled event, and one for each interval that counts."""
        self.open()
        try:
            while True:
                await asyncio.sleep(self._interval)
                kept, seen = self.take()
                for one in kept:
                    yield _line(one)
                yield _line({"seen": seen, "shown": len(kept)})
        finally:
            self.close()


def is_full() -> bool:
    """Whether as many look as may."""
    return len(_OPEN) >= MOST


def _line(document: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(document, ensure_ascii=False, default=_name_of)
    except ValueError as error:  # a number that is none in JSON, or a circle
        _guard.caught("tap", error)
        text = "{}"
    return text.encode("utf-8", "replace") + b"\n"


def _name_of(value: object) -> str:
    return f"<{type(value).__qualname__}>"
