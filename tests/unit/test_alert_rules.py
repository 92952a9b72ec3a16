"""The rule language, its evaluator, and the default rules."""

from __future__ import annotations

import random
import re
from math import isnan, sin
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import ConfigurationError
from stagelight.alerts import _prometheus, default_rules, user_rule
from stagelight.alerts._evaluator import Evaluator
from stagelight.alerts._expressions import PromQL
from stagelight.alerts._settings import read as read_settings
from stagelight.alerts._traces import QUIET, TRACES, healthy
from stagelight.alerts._windows import Extreme, Samples

ROOT = Path(__file__).parents[2]
RULES = default_rules()


def fired(rules, curves, length, interval=15.0):
    """Name, severity and time of what fires, and the evaluator."""
    evaluator = Evaluator(rules)
    found = []
    for step in range(int(length / interval) + 1):
        now = step * interval
        for source, curve in curves.items():
            evaluator.add(now, source, curve(now), pipeline="orders", name="enrich")
        changes = evaluator.tick(now)
        found += [(one.rule.name, one.rule.severity, now) for one in changes.fired]
    return found, evaluator


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("queue.siz > 50", 1, "did you mean queue.size"),
        ("queue.size > 50 fr 1m", 17, "did you mean 'for'"),
        ("queue.size > 50 for 1", 21, "expected a duration such as 5m"),
        ("queue.size > 50 for 1w", 22, "unknown unit 'w'"),
        ("queue.size", 1, "this is no condition"),
        ("queue.size > ", 14, "expected a source or a number, not the end"),
        ("rate(queue.size, 5m) > 1", 6, "only counters"),
        ("slope(stage.retries, 5m) > 1", 7, "take its rate"),
        ("queue.size > stage.active", 12, "stages, the other about queues"),
        ("queue.size > 5 and 3", 16, "compare both sides"),
        ("queue.size > 50 on", 19, "expected the name of a stage"),
        ("process.uptime > 5 on parse", 23, "about the process"),
        ("queue.size > $5", 14, "is not expected here"),
        ("most(queue.size, queue.capacity) > 5", 18, "a number or a duration"),
        ("absent(3) > 1", 8, "changes with time"),
        ("a.b: queue.size > 1", 1, "no dots"),
        ("rate(stage.retries, 0s) > 1", 21, "above 0"),
        ("queue.size > 1 for 31d", 20, "at most 30d"),
        ("(" * 25 + "queue.size", 21, "too deeply"),
        ("queue.size > " + "9" * 400, 14, "too large"),
        ("queue.size > 1" + " or queue.size > 1" * 99, 1351, "too long"),
    ],
)
def test_errors_point_at_the_column(text, column, message):
    """What cannot be read is shown where it stands, with what would be right."""
    with pytest.raises(ConfigurationError) as error:
        user_rule(text)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"column {column}: ")
    assert message in lines[0]
    assert lines[1:] == [f"  {text}", " " * (column + 1) + "^"]


WORDS = st.sampled_from(
    re.split(
        r"\s+",
        """queue.size stage.retries process.uptime stage.active rate floor ahead slope
        most least absent service busy usual_service > >= == ( ) , + - * / and or unless
        else for keep on 5 80% 5MB 5m 0s 1d warning critical Deep : parsed raw-* é""",
    )
)


@given(st.text(max_size=60) | st.lists(WORDS, max_size=14).map(" ".join))
def test_no_text_breaks_the_parser(text):
    """A line is a rule that works, or an error that names a column: nothing else."""
    try:
        rule = user_rule(text)
    except ConfigurationError as error:
        column = int(re.match(r"column (\d+): ", str(error))[1])
        assert 1 <= column <= len(text) + 1
        return
    assert PromQL().render(rule.condition)
    fired([rule, rule.scaled(1 / 60)], {"queue.size": lambda t: t}, 30)


def test_a_user_rule_fires_where_it_is_for():
    """The readable line of the documentation, on the stage that it names."""
    rule = user_rule("queue.size > 50 for 1m on parsed")
    assert (rule.name, rule.severity, rule.hold) == ("UserRule1", "warning", 60.0)
    evaluator = Evaluator([rule])
    times = []
    for now in range(0, 300, 15):
        for name in ("parsed", "other"):
            evaluator.add(now, "queue.size", 60.0 + now, pipeline="p", name=name)
        times += [(now, one.name, one.value) for one in evaluator.tick(now).fired]
    assert times == [(60, "parsed", 120.0)]
    assert [one.labels for one in evaluator.standing()] == [
        {
            "alertname": "UserRule1",
            "severity": "warning",
            "stagelight_pipeline_name": "p",
            "stagelight_queue_name": "parsed",
        }
    ]


def test_an_alert_is_kept_and_does_not_repeat():
    """A condition that flickers is one alert, which ends ten minutes after it."""
    evaluator = Evaluator([user_rule("queue.size > 5")])
    told = []
    for now in range(0, 3600, 15):
        size = 10.0 if now < 900 and now // 15 % 2 else 0.0
        evaluator.add(now, "queue.size", size, pipeline="p", name="q")
        changes = evaluator.tick(now)
        told += [("fired", now) for _ in changes.fired]
        told += [("resolved", now) for _ in changes.resolved]
    assert told == [("fired", 15), ("resolved", 1500)]


@pytest.mark.parametrize(("name", "severity"), TRACES, ids="-".join)
def test_each_default_rule_fires(name, severity):
    """On its own trace each rule fires, and not before the trouble begins."""
    curves, length = TRACES[name, severity]
    found, _ = fired(RULES, {**healthy(), **curves}, length)
    mine = [at for one, grave, at in found if (one, grave) == (name, severity)]
    assert len(mine) == 1
    constant = (name, severity) == ("StageErrorBudgetBurn", "warning")
    assert mine[0] > (0 if constant else 2.1 * 3600)


@pytest.mark.parametrize("name", QUIET)
def test_none_fires_without_reason(name):
    """A burst, a restart, another capacity, and nothing at all raise no alert."""
    curves, length = QUIET[name]
    found, _ = fired(RULES, {**healthy(), **curves}, length)
    assert found == []


def test_absence_is_told_once_there_was_something():
    """Telemetry that stops is missed; what never came is only named as missing."""
    rules = [rule for rule in RULES if rule.name == "PipelineTelemetryMissing"]
    evaluator = Evaluator(rules)
    assert evaluator.tick(0.0).fired == []
    assert evaluator.quiet() == {"PipelineTelemetryMissing": ["stage.active"]}
    evaluator.add(15.0, "stage.active", 1.0, pipeline="p", name="s")
    times = [now for now in range(15, 1200, 15) if evaluator.tick(now).fired]
    assert times == [630]  # five minutes until it is stale, and five more
    assert evaluator.standing()[0].labels == {
        "alertname": "PipelineTelemetryMissing",
        "severity": "critical",
    }


def test_fourteen_rules_and_their_lint():
    """Severity, summary, value, limit, runbook, for, level gates, minimum volumes."""
    assert len({rule.name for rule in RULES}) == 14
    runbooks = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    headings = {
        line[3:].strip().lower() for line in runbooks.splitlines() if "## " in line
    }
    for rule in RULES:
        assert rule.severity in {"warning", "critical"}
        assert rule.hold >= 60, rule.name
        assert rule.keep >= 600
        assert rule.summary, rule.name
        assert "{value}" in rule.description, rule.name
        assert re.search(r"limit: |should be", rule.description), rule.name
        assert (
            "Look" in rule.description
            or "workers" in rule.description
            or (rule.name == "PipelineTelemetryMissing")
        )
        path, _, section = rule.runbook.partition("#")
        assert (path, section in headings) == ("docs/alerts.md", True), rule.name
        line = rule.line
        if "ahead(" in line or "slope(" in line:
            assert re.search(r"(size|age|usage|busy)[^>]*> [\d.]+[%s]", line), rule.name
            assert "floor(" in line
            assert "process.uptime <" in line
        if "_ratio(" in line:
            assert re.search(r"increase\([^)]*\) > \d+", line), rule.name
        trend_only = "ahead(" in line and "queue.size > " not in line
        assert not (trend_only and rule.severity == "critical"), rule.name


def test_a_rule_file_is_compared_rule_by_rule():
    """What a file lacks, has changed or has too much is named."""
    wanted = _prometheus.text(_prometheus.groups(RULES))
    assert _prometheus.difference(wanted, wanted) == []
    found = wanted.replace("- alert: StagePoison", "- alert: Mine")
    found = found.replace("for: '15m'", "for: '16m'", 1)
    assert _prometheus.difference(found, wanted) == [
        "missing: StagePoison",
        "changed: StageSaturated",
        "not in force: Mine",
    ]


def test_the_committed_rule_file_is_the_generated_one():
    """What Prometheus loads is what `stagelight rules` prints."""
    committed = ROOT / "ops" / "rules" / "stagelight.yml"
    assert committed.read_text(encoding="utf-8") == _prometheus.text(
        _prometheus.groups(RULES)
    )


def test_overrides_change_parameters_for_all_or_for_some():
    """A parameter changes everywhere, or where a glob says; a rule can be left out."""
    found = read_settings(
        {
            "StageSaturated": {"share": "95%"},
            "StageSaturated on render*": {"share": "99%"},
            "StageRetryBurn on legacy": {"enabled": False},
            "StageWorkerStuck": {"enabled": False},
            "rules": ["critical Deep: queue.size > 50 on parsed"],
        }
    ).rules
    saturated = [rule for rule in found if rule.name == "StageSaturated"]
    assert [("> 95%" in r.line, "> 99%" in r.line, r.on, r.off) for r in saturated] == [
        (True, False, (), ("render*",)),
        (False, True, ("render*",), ()),
    ]
    assert saturated[0].matcher == 'stagelight_stage_name!~"render.*"'
    retries = next(rule for rule in found if rule.name == "StageRetryBurn")
    assert (retries.covers("legacy"), retries.covers("other")) == (False, True)
    assert not any(rule.name == "StageWorkerStuck" for rule in found)
    assert (found[-1].name, found[-1].severity) == ("Deep", "critical")


def test_runbooks_are_where_the_setting_says():
    """Every rule links to the copy of the page that the setting names."""
    setting = {"runbooks": "https://example.com/alerts", "rules": ["queue.size > 5"]}
    rules = read_settings(setting).rules
    assert {rule.runbook.partition("#")[0] for rule in rules} == {setting["runbooks"]}
    assert rules[-1].runbook.endswith("#rules-of-your-own")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"StageSaturate": {}}, "did you mean StageSaturated"),
        (
            {"StageSaturated": {"shar": 1}},
            "unknown parameter 'shar'; it has fewer, horizon",
        ),
        ({"StageSaturated": {"share": "much"}}, "it takes a number, a share"),
        ({"StageSaturated": 5}, "a table of parameters"),
        ({"StageSaturated": {"enabled": 1}}, "true or false"),
        ({"scale": 0}, "a number above 0"),
        ({"enabled": "no"}, "alerts.enabled: 'no' is not accepted"),
        ({"webhook": "example.com"}, "http:// or https://"),
        ({"rules": "queue.size > 5"}, "a list of lines"),
        ({"rules": ["queue.siz > 5"]}, "alerts.rules, line 1, column 1"),
    ],
)
def test_wrong_settings_name_their_place(setting, message):
    """An unknown key, parameter or value is an error that says what is accepted."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_settings(setting)


def test_a_scale_makes_minutes_of_hours():
    """The same trouble sixty times as fast fires sixty times as early."""
    curves, length = TRACES["StageQueueFillingUp", "warning"]
    slow, _ = fired(RULES, {**healthy(), **curves}, length)
    rules = [rule.scaled(1 / 60) for rule in RULES]
    fast_curves = {
        name: (lambda t, c=curve: c(t * 60))
        for name, curve in {**healthy(), **curves}.items()
        if name in {"queue.size", "queue.capacity"}
    }
    fast, _ = fired(
        rules, {**fast_curves, "process.uptime": lambda t: t}, length / 60, 0.25
    )
    first = {n: at for n, _, at in reversed(slow) if "Queue" in n or "Backlog" in n}
    assert {name: round(at * 60) for name, _, at in reversed(fast)} == first


def test_the_line_is_that_of_least_squares():
    """Slope and prediction equal the textbook's, and constants have none at all."""
    samples = Samples(600.0)
    points = [(t, 5 + 0.1 * t + sin(t)) for t in range(0, 600, 15)]
    for at, value in points:
        samples.add(at, value)
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum(
        (x - mean_x) ** 2 for x, _ in points
    )
    assert samples.line(585.0) == pytest.approx(
        (slope, mean_y + slope * (585 - mean_x)), rel=1e-9
    )
    flat = Samples(600.0)
    for at, _ in points:
        flat.add(at, 0.1)
    assert flat.line(585.0)[0] == 0.0
    assert isnan(Samples(60.0).line(0.0)[0])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.sampled_from([1, -1])
)
def test_extremes_are_those_of_the_window(values, sign):
    """The smallest and largest value of a window are exact at its resolution."""
    extreme = Extreme(600.0, sign)
    for number, value in enumerate(values):
        extreme.add(number * 15.0, value)
        window = values[max(0, number - 40) : number + 1]
        assert extreme.value(number * 15.0) == (min if sign == 1 else max)(window)


def test_times_in_a_window_do_not_drift():
    """Uneven ticks for days: what is kept is a rounding away from when it was."""
    samples, now, chance = Samples(60.0), 1.7e9, random.Random(3)
    for _ in range(5000):
        now += chance.uniform(0.4, 0.7)
        samples.add(now, 3.0 * (now - 1.7e9))
    slope, level = samples.line(now)
    assert slope == pytest.approx(3.0, rel=1e-6)
    assert level == pytest.approx(3.0 * (now - 1.7e9), abs=1e-4)
    assert samples.increase(now) == pytest.approx(180.0, rel=1e-6)


def test_stages_share_their_rules_functions():
    """A further stage costs its series, and is spared what is the same for all."""
    evaluator = Evaluator(RULES)
    for name in ("parse", "write"):
        evaluator.add(0.0, "stage.process.duration.count", 1.0, pipeline="p", name=name)
    evaluator.add(0.0, "queue.size", 1.0, pipeline="p", name="parsed")
    parse, write = (evaluator.entity("stage", "p", n) for n in ("parse", "write"))
    assert parse.plan is write.plan
    assert parse.plan is not evaluator.entity("queue", "p", "parsed").plan
    mine = [one for one in parse.row if one not in parse.process.tracks.values()]
    assert mine
    assert not {id(one) for one in mine} & {id(one) for one in write.row}
