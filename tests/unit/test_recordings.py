"""Anybody's recording: read strictly, scored whatever it lacks."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from bench.decay.recording import COLUMNS, Sample, read
from bench.decay.scoring import Replay, score
from hypothesis import given, settings
from hypothesis import strategies as st

from stagelight import ConfigurationError
from stagelight.alerts import default_rules, user_rule

ROOT = Path(__file__).parents[2]
HEADER = ",".join(COLUMNS)
HOUR = 3600.0


def stuck(interval=15.0, begin=0.0, length=1800.0, pipeline="shop"):
    """A stage whose only worker hangs from the start."""
    rows = []
    for step in range(int(length / interval)):
        at = step * interval
        for source, value in (
            ("stage.inflight.age", at),
            ("stage.process.duration.count", step),
            ("stage.process.duration.sum", step * 0.1),
        ):
            rows.append(Sample(begin + at, pipeline, "pay", source, value))
    return rows


def slowing(interval=15.0, *, hours=8.0, begin=0.0, noise=0.05):
    """Calls that take ever longer after three hours, and a queue behind them."""
    rng, rows, count, total, size = random.Random(4), [], 0.0, 0.0, 0.0
    for step in range(int(hours * HOUR / interval)):
        at = step * interval
        slower = 1 + max(at / HOUR - 3, 0) / 2
        able = 10 * interval / (0.5 * slower)
        size = min(max(size + 12 * interval - able, 0.0), 5000.0)
        done = min(able, 12 * interval)
        count += done
        total += done * 0.5 * slower * rng.uniform(1 - noise, 1 + noise)
        for source, value in (
            ("queue.size", size),
            ("stage.process.duration.count", count),
            ("stage.process.duration.sum", total),
        ):
            rows.append(Sample(begin + at, "shop", "pay", source, value))
    return rows


def told(samples):
    """Name, stage and time of what fires."""
    found, _ = score(samples, default_rules())
    return [(one["alert"], one["stage"], one["time"]) for one in found]


def text(samples):
    """A recording as its file."""
    return "\n".join(
        [HEADER]
        + [
            f"{one.time!r},{one.pipeline},{one.stage},stagelight.{one.source},"
            f"{one.value!r}"
            for one in samples
        ]
    )


def test_a_recording_is_scored():
    """CSV in, alerts out; a rule without its input says so."""
    found, quiet = score(read(io.StringIO(text(stuck()))), default_rules())
    assert found == [
        {
            "alert": "StageWorkerStuck",
            "severity": "warning",
            "stage": "pay",
            "time": 315.0,
            "resolved": None,
        }
    ]
    assert "process.memory.limit" in quiet["ProcessMemoryFloorRising"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,a,b,stagelight.queue.size,1", "the time has to be a number of seconds"),
        ("nan,a,b,stagelight.queue.size,1", "not 'nan'"),
        (
            "5,a,b,stagelight.queue.size,much",
            "the value has to be a number, not 'much'",
        ),
        ("5,a,b,stagelight.queue.size,", "the value has to be a number, not ''"),
        ("5,a,b,stagelight.queue.size,inf", "the value has to be finite"),
        ("5,a,b", "it has 3 cells where the header has 5"),
        ("5,a,b,,1", "it names no metric"),
        ("5,a,,stagelight.queue.size,1", "about a stage, and it names none"),
        (f"5,a,{'b' * 2000},stagelight.queue.size,1", "a cell is far too long"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row, message):
    """The line is that of the file, blank ones counted."""
    lines = [HEADER, "", "1,a,b,stagelight.queue.size,1", row]
    with pytest.raises(ConfigurationError) as error:
        list(read(line + "\n" for line in lines))
    assert str(error.value).startswith("line 4: ")
    assert message in str(error.value)


@pytest.mark.parametrize("header", ["", "time,stage,metric,value", "a;b"])
def test_a_wrong_header_is_refused(header):
    """It says which columns it lacks, and what it has to be."""
    with pytest.raises(ConfigurationError, match=r"line 1: .* lacks .*pipeline"):
        list(read([header]))


def test_what_is_no_sample_is_left_out():
    """Gaps, capacities without a bound and foreign metrics; columns in any order."""
    ignored = set()
    lines = [
        "\ufeffvalue, Metric,stage,pipeline,time,note",
        "nan,stagelight.queue.size,b,a,1,",
        "0,stagelight.queue.capacity,b,a,1,",
        "inf,process.memory.limit,,a,1,",
        "7,http.server.duration,b,a,1,",
        "7,process.uptime,b,a,1,",
    ]
    assert list(read(lines, ignored)) == [Sample(1.0, "", "", "process.uptime", 7.0)]
    assert ignored == {"http.server.duration"}


@settings(max_examples=50)
@given(st.text(max_size=100))
def test_no_text_breaks_the_reader(content):
    """A recording is samples or a configuration error, never another exception."""
    with contextlib.suppress(ConfigurationError):
        list(read(io.StringIO(f"{HEADER}\n{content}", newline="")))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e12, 1e12),
            st.text(max_size=5),
            st.text(min_size=1, max_size=5),
            st.floats(-1e18, 1e18),
        ),
        max_size=20,
    )
)
def test_what_a_csv_writer_wrote_is_read(rows):
    """Any names, quoted or not, come back as they were but for outer spaces."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    rows = [row for row in rows if row[2].strip() and "\0" not in row[1] + row[2]]
    for at, pipeline, stage, value in rows:
        writer.writerow([at, pipeline, stage, "stagelight.queue.size", value])
    file.seek(0)
    assert list(read(file)) == [
        Sample(at, pipeline.strip(), stage.strip(), "queue.size", value)
        for at, pipeline, stage, value in rows
    ]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40_000),
            st.sampled_from(["a", "b"]),
            st.sampled_from(
                ["queue.size", "stage.retries", "stage.process.duration.count"]
            ),
            st.floats(-10, 1e9),
        ),
        max_size=60,
    )
)
def test_any_samples_can_be_scored(rows):
    """Gaps, repeated times, counters that fall: an answer, and times in order."""
    samples = [Sample(at, "p", stage, source, v) for at, stage, source, v in rows]
    found, _ = score(samples, default_rules())
    assert [one["time"] for one in found] == sorted(one["time"] for one in found)
    moments = [now for now, _, _ in Replay(samples).moments()]
    assert moments == sorted(moments)


def test_the_order_and_the_origin_of_time_do_not_matter():
    """Shuffled rows, seconds of the epoch: the same alerts."""
    samples = slowing(60.0)
    expected = told(samples)
    assert expected
    shuffled = list(samples)
    random.Random(1).shuffle(shuffled)
    assert told(shuffled) == expected
    epoch = [one._replace(time=one.time + 1.7e9) for one in samples]
    assert [(a, s, at - 1.7e9) for a, s, at in told(epoch)] == expected


@pytest.mark.parametrize("interval", [5.0, 60.0, 300.0, 600.0])
def test_the_interval_does_not_matter_much(interval):
    """A slow stage is told within some samples, whether every 5 s or every 10 min."""
    name, stage, at = told(slowing(interval, hours=5))[0]
    assert (name, stage) == ("StageServiceTimeDrift", "pay")
    assert 3.5 * HOUR < at < 4.2 * HOUR + interval


def test_jitter_and_lost_samples_do_not_matter():
    """Each series at moments of its own, a tenth lost: neither sooner nor false."""
    rng = random.Random(3)
    samples = [
        one._replace(time=one.time + rng.uniform(0, 3))
        for one in slowing(30.0, hours=5)
        if rng.random() > 0.1
    ]
    name, _, at = told(samples)[0]
    assert name == "StageServiceTimeDrift"
    assert 3.5 * HOUR < at < 4.6 * HOUR


def test_a_restart_is_seen_in_the_counters():
    """Without an uptime, counters that begin anew mean a restart; rounding does not."""
    calm = slowing(30.0, hours=3)
    again = [one._replace(time=one.time + 3 * HOUR) for one in calm]
    rounded = [
        one._replace(value=one.value - 1e-6 * (number % 2))
        for number, one in enumerate([*calm, *again])
    ]
    assert told(rounded) == []


def test_a_gap_ends_what_was_pending():
    """Two hours without samples: what held before does not count for after."""
    rule = user_rule("queue.size > 50 for 10m")
    begins = (*range(0, 285, 15), *range(7200, 7485, 15))
    samples = [Sample(float(at), "p", "s", "queue.size", 60.0) for at in begins]
    assert score(samples, [rule])[0] == []
    whole = [
        Sample(float(at), "p", "s", "queue.size", 60.0) for at in range(0, 900, 15)
    ]
    assert [one["time"] for one in score(whole, [rule])[0]] == [600.0]


def test_a_queue_without_bound_and_age_is_judged_by_its_throughput():
    """Little's law: a backlog of more than a minute's work that does not shrink."""
    assert "StageBacklogNotDraining" in {name for name, _, _ in told(slowing(30.0))}


def test_pipelines_are_told_apart():
    """One file with two pipelines: an alert of each, in order."""
    samples = [*stuck(), *stuck(begin=600.0, pipeline="bar")]
    assert [at for _, _, at in told(samples)] == [315.0, 915.0]


def test_the_command_prints_json_and_names_what_is_wrong(tmp_path):
    """The documented command, on a good file, a broken one and none."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(text(stuck()))
    bad.write_bytes(f"{HEADER}\n1,a,b,queue.size,\xff".encode("latin-1"))

    def run(file):
        return subprocess.run(
            [sys.executable, "-m", "bench.decay", "score", str(file), "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(good)
    assert [set(one) for one in json.loads(done.stdout)] == [
        {"alert", "severity", "stage", "time", "resolved"}
    ]
    assert "StageSaturated stays quiet: the recording has no worker" in done.stderr
    done = run(bad)
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 2: it is not UTF-8" in done.stderr
    assert run(tmp_path / "none.csv").returncode == 2
