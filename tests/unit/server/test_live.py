from __future__ import annotations

import json
import queue

from stagelight._redaction import Redactor
from stagelight.server._document import encode, make_document
from stagelight.server._failed import FailedEvents


def part_of(part, whole, path=""):
    """Places where a document differs from another that it should be a part of."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return [
            wrong
            for key, value in part.items()
            for wrong in part_of(value, whole.get(key, ...), f"{path}/{key}")
        ]
    return [] if part == whole else [(path, part, whole)]


def both(monitor, monkeypatch):
    """What the page gets, and the whole document, of one look."""
    failed = FailedEvents(Redactor())
    report = monitor.tick()
    monkeypatch.setattr(monitor, "tick", lambda: report)
    made = [make_document(monitor, failed, live=live) for live in (True, False)]
    monkeypatch.undo()
    return [json.loads(encode(one)) for one in made]


def test_what_the_page_gets_is_a_part_of_the_document(
    pipeline, monitor, clock, monkeypatch
) -> None:
    """Each number of the stream is at the same place of ``/stats``, and the same."""

    @pipeline.stage
    def work(event):
        clock.advance(0.01)
        if event % 5 == 0:
            raise ValueError
        return event

    jobs = pipeline.queue(queue.Queue(10), "jobs")
    for number in range(4):
        for event in range(8):
            jobs.put(event + number)
            clock.advance(0.02)
        while not jobs.empty():
            try:
                work(jobs.get())
            except ValueError:
                continue
        clock.advance(1)
        monitor.tick()
    live, whole = both(monitor, monkeypatch)
    # The process's own numbers are read anew for each.
    assert [
        one
        for one in part_of(live, whole)
        if one[0] != "/time" and not one[0].startswith("/process/")
    ] == []
    assert live["pipelines"]["unit"]["stages"]["work"]["errors"] == {"ValueError": 6}
    assert live["pipelines"]["unit"]["bottleneck"]["stage"] == "work"
    assert len(encode(live)) < len(encode(whole))


def test_before_the_second_look_the_page_gets_all(
    pipeline, monitor, monkeypatch
) -> None:
    """Where there is no window yet the stream has the numbers since the beginning."""
    pipeline.stage(lambda event: event, name="work")(1)
    live, _ = both(monitor, monkeypatch)
    assert live["pipelines"]["unit"]["stages"]["work"]["count"] == 1
    assert live["last"] == {"unit": {"stages": {}}}
