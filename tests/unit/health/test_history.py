from __future__ import annotations

import math
import queue
from array import array

from stagelight._insight import Window
from stagelight._registry import REGISTRY
from stagelight._sight import look
from stagelight.health._history import (
    COARSE,
    FINE,
    History,
    Layout,
    Row,
    columns,
    newest,
)


def row(at, stages, number):
    """A row in which every number of every stage is the same."""
    layout = Layout(stages, ())
    return Row(at, layout, array("f", [number] * len(layout.columns)))


def test_a_column_that_comes_and_goes_has_gaps() -> None:
    """What begins later has no numbers before, and is forgotten when all are gone."""
    rows = [row(1, ["a"], 1.0), row(2, ["b"], 2.0)]
    found = columns(rows)
    assert repr(found["stages", "a", "rate"]) == "[1.0, nan]"
    assert repr(found["stages", "b", "rate"]) == "[nan, 2.0]"
    rows = [row(3, ["a"], math.nan), row(4, ["b"], 2.0), row(5, ["c"], math.nan)]
    assert {name for _, name, _ in columns(rows)} == {"b", "c"}


def test_the_newest_row_tells_of_the_stages_since_the_look_before() -> None:
    """It has what no window tells, and leaves out a stage that has no numbers yet."""
    layout = Layout(["a", "b"], ["jobs"])
    numbers = array("f", [1, 2, 3, 4, 5, 0.5, 0.25, *[math.nan] * 7, 8, 9])
    assert newest(Row(0, layout, numbers)) == {
        "stages": {"a": {"rate": 1, "errors": 2, "busy": 0.5, "blocked": 0.25}}
    }
    assert newest(None) == {"stages": {}}


def test_a_minute_without_a_number_stays_one(pipeline, clock) -> None:
    """A stage that never finished a call has no quantiles in the view of hours."""
    stage = pipeline.stage(lambda event: event, name="idle")
    history = History()
    stage(1)
    before = look(REGISTRY.pipelines["unit"])[0]
    for at in range(0, 130, 10):
        clock.advance(10)
        now = look(REGISTRY.pipelines["unit"])[0]
        history.note(Window(now, before, 0), float(at))
        before = now
    hours = history.document(130.0, hours=True)
    assert hours["times"] == [60.0, 120.0]
    assert hours["stages"]["idle"]["p95"] == [None, None]
    assert hours["stages"]["idle"]["rate"] == [0.0, 0.0]


def test_hours_of_a_pipeline_cost_constant_memory(pipeline, monitor, clock) -> None:
    """Eight hours leave 300 fine and 480 coarse points of each number, and no more."""
    stage = pipeline.stage(lambda event: event, name="work")
    jobs = pipeline.queue(queue.Queue(10), "jobs")
    history = History()
    before = look(REGISTRY.pipelines["unit"])[0]
    for number in range(9 * 3600 // 5):
        if number % 2:
            jobs.put(1)
            stage(jobs.get())
        clock.advance(5)
        now = look(REGISTRY.pipelines["unit"])[0]
        history.note(Window(now, before, 0), float(number * 5))
        before = now
    now = float(9 * 3600)
    fine, hours = history.document(now), history.document(now, hours=True)
    assert len(fine["times"]) <= FINE
    assert len(hours["times"]) == COARSE
    rates = fine["stages"]["work"]["rate"]
    assert set(rates) == {0.0, 0.2}
    assert {round(rate, 1) for rate in hours["stages"]["work"]["rate"]} == {0.1}
    assert set(hours["queues"]["jobs"]) == {"size", "wait"}
    assert len(history._fine) == FINE
    assert len(history._coarse) == COARSE
    assert len(history._minute) <= 12
