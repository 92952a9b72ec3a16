from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest
from gauge import history
from gauge.figures import Figure, calls, ratios

if TYPE_CHECKING:
    from pathlib import Path


def record(python: str = "3.11.7", **figures: float) -> history.Record:
    """A record of the history."""
    return {"date": "2026-11-25", "python": python, "commit": "c", "ratios": figures}


def test_the_recorded_value_is_the_median_of_the_last_five():
    """One odd record changes nothing, and old ones are forgotten."""
    values = [9.0, 9.0, 9.0, 1.0, 1.2, 7.0, 1.1, 1.3]
    records = [record(stage=value) for value in values]
    assert history.recorded(records, "3.11.2") == {"stage": 1.2}


def test_each_python_has_its_own_history():
    """A newer interpreter is not compared with an older one; patch levels are."""
    records = [record("3.11.7", stage=1.0), record("3.12.0", stage=2.0)]
    assert history.recorded(records, "3.11.9") == {"stage": 1.0}
    assert history.recorded(records, "3.12.1") == {"stage": 2.0}
    assert history.recorded(records, "3.13.0") == {}


def test_a_ratio_missing_from_some_records_counts_where_it_is():
    """Rooms that were not measured leave no hole."""
    records = [record(stage=1.0), record(queue=3.0), record(stage=2.0, queue=5.0)]
    assert history.recorded(records, "3.11") == {"stage": 1.5, "queue": 4.0}


@pytest.mark.parametrize(
    ("now", "found"),
    [(0.5, []), (1.0, []), (1.15, []), (1.16, ["stage"]), (9.0, ["stage"])],
)
def test_worse_is_more_than_fifteen_percent(now: float, found: list[str]):
    """Better, equal and a little worse pass."""
    assert [one.name for one in history.worse({"stage": now}, {"stage": 1.0})] == found


def test_a_ratio_that_was_never_recorded_is_not_worse():
    """Nor is one that is not measured any more."""
    assert history.worse({"new": 9.0}, {"old": 1.0}) == []


def test_worse_says_by_how_much():
    """The line names the ratio, both values and the change."""
    (problem,) = history.worse({"stage": 1.5}, {"stage": 1.2})
    assert str(problem) == "stage: 1.5, recorded 1.2 (+25%)"


def test_a_second_run_can_only_excuse():
    """Of two runs the better value counts, also where the second had fewer."""
    first = {"stage": 1.4, "queue": 1.0, "other": 2.0}
    again = {"stage": 1.0, "queue": 1.3, "further": 1.0}
    assert history.better_of(first, again) == {"stage": 1.0, "queue": 1.0, "other": 2.0}


def test_append_keeps_what_was_there(tmp_path: Path):
    """A record has its date, Python, commit, and ratios to four digits."""
    path = tmp_path / "history.json"
    assert history.read(path) == []
    path.write_text(json.dumps([record(stage=1.0)]), encoding="utf-8")
    history.append({"stage": 1.23456}, path)
    old, new = history.read(path)
    assert old == record(stage=1.0)
    assert new["python"] == platform.python_version()
    assert new["ratios"] == {"stage": 1.235}
    assert sorted(new) == ["commit", "date", "python", "ratios"]


def test_the_history_of_this_repository_is_sound():
    """Every record has ratios above zero, under a Python version."""
    for one in history.read():
        assert one["python"].count(".") == 2
        assert one["ratios"]
        assert all(value > 0 for value in one["ratios"].values())


def test_ratios_are_made_within_a_turn():
    """A turn that was slow for all changes no ratio; only ratios are kept."""
    names = ("default: function", "prometheus_client histogram + counter")
    turns = [
        {
            name: {"us": cost * pace, "bare": 0.1}
            for name, cost in zip(names, (2, 4), strict=True)
        }
        for pace in (1.0, 3.0, 1.5)
    ]
    (figure,) = calls(turns)
    assert figure.name == " / ".join(names)
    assert figure.values == (0.5, 0.5, 0.5)
    assert figure.holds
    figures = [figure, Figure("collection", (140.0, 160.0, 170.0), "ms", 150)]
    assert ratios(figures) == {figure.name: 0.5}
    assert figures[1].holds is False
