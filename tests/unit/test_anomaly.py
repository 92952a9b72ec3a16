"""The hint: what a series seldom did, and the benchmark that it is scored with."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from math import pi, sin
from types import SimpleNamespace

import pytest
from bench.nab.__main__ import main
from bench.nab.corpus import Series, read_corpus
from bench.nab.scoring import PROFILES, points, rows

from stagelight.alerts._anomaly import NOTABLE, Detector
from stagelight.alerts._hints import EVERY, Hints

DAY = 86_400
STEP = 300


def scores(values):
    """What a detector says of values five minutes apart."""
    detector = Detector()
    return [detector.update(n * STEP, value) for n, value in enumerate(values)]


def daily(count, *, noise=1.0, seed=1):
    """Days with a wave, and noise on it."""
    rng = random.Random(seed)
    return [
        50 + 20 * sin(2 * pi * n * STEP / DAY) + rng.gauss(0, noise)
        for n in range(count)
    ]


def test_what_never_was_stands_out():
    """A level that no such hour had is notable within half an hour, and only once."""
    values = daily(2000)
    values[1500:] = [value + 15 for value in values[1500:]]
    found = scores(values)
    told = [n for n, score in enumerate(found) if score > NOTABLE]
    assert told
    assert all(1500 <= n < 1506 for n in told if n >= 600)
    assert sum(score > NOTABLE for score in found[1650:]) == 0


def test_the_wave_of_the_day_and_a_constant_are_usual():
    """Neither the rise of each morning nor a value that never moves is notable."""
    assert max(scores([7.0] * 1500)) < NOTABLE
    waves = scores(daily(3000, seed=5))
    assert sum(score > NOTABLE for score in waves[600:]) <= 2


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_the_unit_does_not_matter(scale):
    """Seconds or nanoseconds: the same scores, but for rounding."""
    values = daily(800)
    expected = [n for n, score in enumerate(scores(values)) if score > 0.3]
    found = scores([value * scale for value in values])
    assert [n for n, score in enumerate(found) if score > 0.3] == expected


def series(windows, count=1000):
    """A file with such windows."""
    return Series("a/b.csv", [0.0] * count, [0.0] * count, windows)


def total(file, flagged, profile=PROFILES[0]):
    """The points of a detector that flags these rows."""
    found = [1.0 if n in flagged else 0.0 for n in range(len(file.values))]
    return points(rows(file, found), profile, len(file.windows))[0]


def test_the_benchmark_counts_the_earliest_in_a_window():
    """100 at the left edge, less later, 0 for nothing, and what is false costs."""
    file = series([(400, 499)])
    assert total(file, {400}) == pytest.approx(100.0)
    assert total(file, {400, 450}) == pytest.approx(100.0)
    # (1 + what half a window is worth) of 2
    assert total(file, {450}) == pytest.approx(92.99, abs=0.1)
    assert total(file, set()) == 0.0
    assert total(file, {400, 200}) == pytest.approx(100 * (2 - 0.11) / 2)
    assert total(file, {400, 200}, PROFILES[1]) == pytest.approx(100 * (2 - 0.22) / 2)
    # Close behind a window costs less; the first rows are free.
    assert total(file, {400, 505}) > total(file, {400, 700})
    assert total(file, {400, 100}) == pytest.approx(100.0)


def test_a_copy_of_the_benchmark_is_read_and_scored(tmp_path, monkeypatch, capsys):
    """Its layout on disk, windows by their time stamps; it says that files lack."""
    (tmp_path / "labels").mkdir()
    folder = tmp_path / "data" / "real"
    folder.mkdir(parents=True)
    values = daily(700)
    values[600:] = [value + 40 for value in values[600:]]
    begin = datetime(2014, 4, 1)  # noqa: DTZ001 - the benchmark's have no zone
    stamps = [str(begin + timedelta(seconds=n * STEP)) for n in range(700)]
    text = "".join(f"{at},{v}\n" for at, v in zip(stamps, values, strict=True))
    (folder / "cpu.csv").write_text(f"timestamp,value\n{text}")
    windows = {"real/cpu.csv": [[f"{stamps[595]}.000000", f"{stamps[650]}.000000"]]}
    labels = tmp_path / "labels" / "combined_windows.json"
    labels.write_text(json.dumps(windows))
    assert read_corpus(tmp_path)[0].windows == [(595, 650)]
    monkeypatch.setattr("sys.argv", ["nab", str(tmp_path / "data")])
    assert main() == 0
    out, err = capsys.readouterr()
    assert "1 files, 700 rows, 1 windows" in out
    assert float(out.split("standard")[1].split()[0]) > 80
    assert "not the whole corpus, which has 58 files" in err


def test_without_the_benchmark_it_says_where_to_get_it(tmp_path, monkeypatch, capsys):
    """A folder that is no checkout is an error with the address."""
    monkeypatch.setattr("sys.argv", ["nab", str(tmp_path)])
    assert main() == 2
    assert "https://github.com/numenta/NAB" in capsys.readouterr().err


def test_a_stage_that_does_what_it_seldom_did_is_a_hint():
    """Two calm days, then calls of three times the length: one hint, with its value."""
    hints = Hints()
    rng = random.Random(2)
    count = spent = 0
    for step in range(2 * 288 + 12):
        slow = step >= 2 * 288
        count += 300
        spent += int(300 * rng.gauss(0.1, 0.002) * 1e9 * (3 if slow else 1))
        totals = SimpleNamespace(count=count, sum=spent, failures={})
        stage = SimpleNamespace(pipeline=SimpleNamespace(name="shop"), name="pay")
        look = SimpleNamespace(stages=[(stage, SimpleNamespace(totals=totals))])
        hints.update(1e9 + step * EVERY, look)
        if step == 2 * 288 - 1:
            assert hints.documents() == []
    found = hints.documents()[-1]
    assert (found["stage"], found["what"]) == ("pay", "service time")
    assert found["value"] == pytest.approx(0.3, rel=0.1)
    assert found["time"] >= 1e9 + 2 * 288 * EVERY
    hints.update(4e9, SimpleNamespace(stages=[]))
    assert hints.documents() == []
