from __future__ import annotations

import json
import re
from bisect import bisect_left
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from stagelight import _names
from stagelight.cli._top_table import alerts as shown
from stagelight.fleet._alerts import said, together
from stagelight.fleet._prometheus import Point, selectors
from stagelight.fleet._reading import distribution, read, sight

BOUNDS = (*_names.DURATION_BUCKETS, float("inf"))


def point(name, value, **labels):
    """One series; the label names are ours."""
    plain = {f"stagelight_{key}": text for key, text in labels.items()}
    return Point(f"stagelight_{name}", plain, value)


def buckets(values):
    """Cumulative buckets of some seconds, as Prometheus has them."""
    return {bound: float(sum(v <= bound for v in values)) for bound in BOUNDS}


@given(st.lists(st.floats(1e-6, 60, allow_nan=False), max_size=80))
def test_a_distribution_comes_back_from_its_buckets(values) -> None:
    """No sample is lost, and each quantile lies in the bucket of the true one."""
    found = distribution(buckets(values), sum(values))
    assert found.count == len(values)
    for share in (0.5, 0.95, 0.99):
        told = found.quantile(share)
        if not values:
            assert told is None
            continue
        true = sorted(values)[max(ceil(share * len(values)) - 1, 0)]
        place = bisect_left(BOUNDS, true)
        low = BOUNDS[place - 1] if place else 0.0
        assert low * 0.999 <= told <= BOUNDS[place]


def test_a_shared_queue_is_not_summed() -> None:
    """Processes that share a queue all tell what it holds: the largest counts."""
    jobs = {"pipeline_name": "shop", "queue_name": "jobs", "queue_shared": "true"}
    names = ("queue_size", "queue_capacity", "queue_high_watermark")
    series = [point(name, size, **jobs) for size in (7.0, 8.0) for name in names]
    queue = read(series)["shop"].queues["jobs"]
    assert (queue.size, queue.capacity, queue.high) == (8, 8, 8)


def test_processes_are_summed_and_joined() -> None:
    """Counts and sizes add up, the age is the largest, and the ways are kept."""
    series = []
    for number in (1, 2):
        of = {"pipeline_name": "shop"}
        jobs = {**of, "queue_name": "jobs"}
        price = {**of, "stage_name": "price"}
        series += [
            point("queue_size", 3.0 * number, **jobs),
            point("queue_capacity", 10.0, **jobs),
            point("queue_oldest_age_seconds", float(number), **jobs),
            point("queue_enqueued_events_total", 50.0, **jobs),
            point("stage_retries_total", 4.0, **price),
            point("worker_time_seconds_total", 2.0, worker_state="busy", **price),
            point("stage_status", 1.0, state="overloaded", **price),
            point("stage_status", 0.0, state="healthy", **price),
            point(
                "stage_process_duration_seconds_count", 7.0, outcome="success", **price
            ),
            point(
                "flow_link", 1.0, link_from="queue:jobs", link_to="stage:price", **of
            ),
        ]
    numbers = read(series)["shop"]
    queue, stage = numbers.queues["jobs"], numbers.stages["price"]
    assert (queue.size, queue.capacity, queue.oldest, queue.enqueued) == (
        9,
        20,
        2.0,
        100,
    )
    assert (stage.retries, stage.time["busy"], stage.outcomes["success"]) == (
        8,
        4.0,
        14,
    )
    assert stage.states == {"overloaded"}
    seen = sight(numbers, 5.0)
    assert seen.stages["price"].inputs == {"jobs"}
    assert seen.stages["price"].seconds["busy"] == 4_000_000_000


def test_strange_series_are_left_out() -> None:
    """What is no metric of ours, or names no pipeline, counts nowhere."""
    assert read([point("something_else", 1.0), point("queue_size", 1.0)]) == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_service_name_is_no_expression(text) -> None:
    """Whatever a name is made of, it means itself, and cannot end its string."""
    pattern, name = selectors(text)
    assert json.loads(name) == text
    assert re.fullmatch(json.loads(pattern), text)
    assert re.fullmatch(json.loads(pattern), f"shop/{text}")
    assert not re.fullmatch(json.loads(pattern), f"{text}x")


def test_alerts_of_all_processes() -> None:
    """What some process says to fire is an alert of the fleet, the gravest first."""
    grave = {"alert_name": "C", "alert_severity": "critical", "stage_name": "price"}
    series = [
        point("alert_status_ratio", 1.0, alert_name="A", alert_severity="warning"),
        point("alert_status_ratio", 0.0, alert_name="B", alert_severity="warning"),
        point("alert_status_ratio", 1.0, **grave),
    ]
    found = said(series)
    assert [one["name"] for one in found] == ["C", "A"]
    assert together(found, found) == found
    lines = [one.plain for one in shown({"time": 5.0, "alerts": found})]
    assert lines == ["critical  C  price, says ", "warning  A  the process, says "]


def test_top_shows_what_is_told() -> None:
    """An alert has its age, its victims are left out, and no name moves the cursor."""
    told = {
        "name": "A",
        "severity": "warning",
        "summary": "Queue \x1b[2J",
        "began": 3.0,
    }
    victim = {**told, "name": "B", "explained_by": "A of x"}
    lines = [one.plain for one in shown({"time": 5.0, "alerts": [told, victim]})]
    assert lines == ["warning  A 2.00 s  Queue ?[2J"]
