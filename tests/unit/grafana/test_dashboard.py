from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from stagelight import _grafana, _names
from stagelight._promql import label, series

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "ops" / "grafana" / "dashboards" / "stagelight.json"
DASHBOARD = _grafana.dashboard()
PANELS = DASHBOARD["panels"]


def test_the_committed_file_is_the_generated_one():
    """What Grafana is provisioned with is what `stagelight grafana` prints."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == DASHBOARD


@pytest.mark.parametrize("metric", _names.METRICS, ids=lambda metric: metric.name)
def test_each_metric_is_shown(metric):
    """No metric of the table is missing from the dashboard."""
    if metric in {_names.STAGE_STATUS, _names.FLOW_LINK}:
        pytest.skip("it is there for the live page of a whole service")
    assert series(metric) in json.dumps(PANELS)


def test_panels_have_ids_and_places_of_their_own():
    """No two panels share an id, and none covers another or the edge."""
    assert [panel["id"] for panel in PANELS] == list(range(1, len(PANELS) + 1))
    cells = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells[panel["id"]] = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
    for one, other in combinations(cells.values(), 2):
        assert not one & other


def test_each_query_follows_the_variables():
    """Each panel narrows with the choice of service and instance."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            assert 'job=~"$service"' in target["expr"]
            assert 'instance=~"$instance"' in target["expr"]
            assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (_names.PROCESS_DURATION, "stagelight_stage_process_duration_seconds"),
        (_names.CONSUMED, "stagelight_stage_consumed_events_total"),
        (_names.QUEUE_SIZE, "stagelight_queue_size"),
        (_names.OLDEST_AGE, "stagelight_queue_oldest_age_seconds"),
        (_names.PUT_BLOCKED, "stagelight_queue_put_blocked_time_seconds_total"),
        (_names.BLOCKED_MAX, "stagelight_worker_blocked_max_seconds"),
        (_names.MEMORY, "process_memory_usage_bytes"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_names_are_those_of_the_collectors_exporter(metric, expected):
    """Units and kinds become suffixes as the exporter's strategy has it."""
    assert series(metric) == expected


def test_labels():
    """An attribute's dots become underscores."""
    assert label("stagelight.stage.name") == "stagelight_stage_name"
