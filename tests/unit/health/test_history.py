from __future__ import annotations

import queue

from stagelight._insight import Window
from stagelight._registry import REGISTRY
from stagelight._sight import look
from stagelight.health._history import COARSE, FINE, Columns, History


def test_it_keeps_a_bounded_number_of_rows() -> None:
    """However many rows are added, the newest are kept, and never twice as many."""
    table = Columns(10)
    for number in range(1000):
        table.add(float(number), {("stages", "a", "rate"): float(number)})
        assert len(table.times) < 20
    times, columns = table.tail(0)
    assert times == [float(number) for number in range(990, 1000)]
    assert columns["stages", "a", "rate"] == times


def test_a_column_that_comes_and_goes_has_gaps() -> None:
    """What begins later has no numbers before, and is forgotten when all are gone."""
    table = Columns(3)
    table.add(1, {("stages", "a", "rate"): 1.0})
    table.add(2, {("stages", "b", "rate"): 2.0})
    assert table.tail(0)[1] == {
        ("stages", "a", "rate"): [1.0, None],
        ("stages", "b", "rate"): [None, 2.0],
    }
    for at in range(3, 12):
        table.add(at, {("stages", "b", "rate"): 2.0})
    assert list(table.tail(0)[1]) == [("stages", "b", "rate")]


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
    sizes = [
        len(column)
        for table in (history._fine, history._coarse)
        for column in table.columns.values()
    ]
    assert max(sizes) < 2 * COARSE
