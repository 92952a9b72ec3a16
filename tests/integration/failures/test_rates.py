"""A thousand failures a second: throughput, memory and exact counts."""

from __future__ import annotations

import json

import pytest

from harness import run_program
from stagelight._failures._reading import Reader

#: Slices with capture off and on take turns. What counts is the processor time that
#: each takes, all that is written included, and the best slice of each kind: on a busy
#: machine the clock tells little.
#: One thread is busy with 10,000 events a second of its time, of which 1,000 fail.
PROGRAM = """
import json, os, random, sys, time
from itertools import repeat
import stagelight
from stagelight import _failures
from stagelight._capture import Capture
from stagelight._failures import _sink

folder, seconds = sys.argv[1], float(sys.argv[2])
pipeline = stagelight.Pipeline("rates")
clock = time.process_time

@pipeline.stage
def work(event):
    for _ in repeat(None, ROUNDS):  # without objects, whose place would matter
        pass
    if event["id"] % 10 == 0:
        raise ValueError(event["id"])
    return event

def once(number):
    try:
        work({"id": number, "customer": "c", "lines": [1, 2, 3], "note": "x" * 200})
    except ValueError:
        pass

ROUNDS = 1000
began = clock()
for number in range(1, 3000, 2):
    work({"id": number})
ROUNDS = int(ROUNDS * 100e-6 / ((clock() - began) / 1500))

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

_failures.install(Capture(folder, max_events=20_000))
rates = {True: [], False: []}
number = failed = 0
end = time.perf_counter() + seconds
first = peak = 0
while time.perf_counter() < end or len(rates[True]) < 4:
    for on in random.sample((True, False), 2):
        _sink.REPLAYING.on = not on  # nothing is taken then
        began, start = clock(), number
        for _ in range(5_000):
            number += 1
            once(number)
        failed += on and 500
        assert _failures.flush(30)
        rates[on].append((number - start) / (clock() - began))
    peak = max(peak, rss())
    first = first or peak
print(json.dumps({
    "on": max(rates[True]),
    "off": max(rates[False]),
    "ratio": max(rates[True]) / max(rates[False]),
    "failed": failed,
    "grown": peak - first,
}))
"""


@pytest.mark.parametrize(
    ("seconds", "least"), [(5, 0.8), pytest.param(20, 0.88, marks=pytest.mark.slow)]
)
def test_a_thousand_failures_a_second(tmp_path, seconds, least):
    """Throughput, bounded memory, and a count of what was not kept that is exact.

    The goal is 0.95, which ``bench/overhead.py`` shows where the machine is quiet; few
    slices scatter by a tenth.
    """
    done = run_program(PROGRAM, str(tmp_path / "kept"), str(seconds), timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    with Reader(tmp_path / "kept") as reader:
        document = reader.groups_document()
    dropped = sum(document["dropped"].values())
    assert document["kept"] + dropped == figures["failed"], (figures, document)
    assert document["groups"][0]["count"] == figures["failed"]
    assert figures["ratio"] >= least, figures
    assert figures["grown"] < 40 * 1024 * 1024, figures
