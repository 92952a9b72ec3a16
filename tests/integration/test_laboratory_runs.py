"""Real pipelines of the laboratory: virtual time, our own instruments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def real(*arguments):
    """The outcome of a real pipeline's run, as its process prints it."""
    return subprocess.run(
        [sys.executable, "-m", "bench.decay.live.run", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_a_real_pipeline_takes_the_same_course_each_time():
    """Half an hour of threads through the instruments, twice: equal, and quiet."""
    found = [real("threads", "cron_bursts", "u", "0.5") for _ in range(2)]
    assert json.loads(found[0])["alarms"]["ours"] == []
    assert found[0] == found[1]


def test_a_real_pipeline_of_tasks_tells_its_stuck_worker():
    """The task that hangs is told within minutes, by its stage's name."""
    found = json.loads(real("tasks", "stuck_worker", "u", "3.3"))
    first = found["alarms"]["ours"][0]
    assert (first["name"], first["stage"]) == ("StageWorkerStuck", found["stage"])
    assert 0 < first["time"] - found["onset"] < 1200
