from __future__ import annotations

import json
import random
import sqlite3

import pytest

from harness import run_program
from stagelight._failures._reading import Reader

#: Captures failures, large and small, and writes a line for each that is acknowledged.
WORK = """
import os
import stagelight
from stagelight import _failures
from stagelight._capture import Capture
from stagelight._failures import _share

# A slow machine would count some and keep none of them, which is not looked at here.
_share._SAVED = 10**15

def work(folder, out, seed):
    _failures.install(Capture(folder, max_events=10**7, max_bytes=10**12))
    pipeline = stagelight.Pipeline("killed")

    @pipeline.stage
    def fails(event):
        raise ValueError(event["id"])

    number = 0
    while True:
        for _ in range(20):
            number += 1
            data = "x" * (100_000 if number % 10 == 0 else 10)
            try:
                fails({"id": f"{seed}-{number}", "data": data})
            except ValueError:
                pass
        if _failures.flush(30):
            os.write(out, b"%d %d\\n" % (seed, number))
"""
KILLER = (
    WORK
    + """
import random, signal, sys, time

folder, times = sys.argv[1], int(sys.argv[2])
random.seed(int(sys.argv[3]))
out = os.open(folder + ".acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
longest = 0.2
for seed in range(times):
    before = os.fstat(out).st_size
    pid = os.fork()
    if not pid:
        try:
            work(folder, out, seed)
        finally:
            os._exit(1)
    time.sleep(random.uniform(0.005, longest))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # On a busy machine a child needs longer until something is acknowledged.
    longest = 0.2 if os.fstat(out).st_size > before else min(longest * 1.5, 2)
print("done")
"""
)


@pytest.mark.parametrize(
    "times", [pytest.param(20), pytest.param(200, marks=pytest.mark.slow)]
)
def test_kill_at_any_point(tmp_path, times):
    """What was acknowledged is there, whole, and the store is never corrupt."""
    folder = tmp_path / "failures"
    seed = random.randrange(10**6)
    done = run_program(KILLER, str(folder), str(times), str(seed), timeout=300)
    assert done.stdout == "done\n", (seed, done)
    acknowledged: dict[int, int] = {}
    for line in (tmp_path / "failures.acknowledged").read_text().splitlines():
        child, number = map(int, line.split())
        acknowledged[child] = number
    assert len(acknowledged) > times / 10, seed
    database = sqlite3.connect(folder / "failures.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    with Reader(folder) as reader:
        found = {one["event_id"]: one["id"] for one in reader.failures()}
        document = reader.groups_document()
        for child, last in acknowledged.items():
            missing = [
                number
                for number in range(1, last + 1)
                if f"{child}-{number}" not in found
            ]
            assert missing == [], (seed, child)
        for event_id, number in found.items():
            payload = reader.payload(number)
            assert json.loads(payload.data)["id"] == event_id, seed
    assert document["kept"] == len(found) == document["groups"][0]["count"]
    assert document["dropped"] == {}


FORKS = (
    WORK
    + """
import multiprocessing, sys

def child(folder, seed):
    pipeline = stagelight.Pipeline("forked")

    @pipeline.stage
    def fails(event):
        raise ValueError

    for number in range(50):
        try:
            fails({"id": f"{seed}-{number}"})
        except ValueError:
            pass

if __name__ == "__main__":
    _failures.install(Capture(sys.argv[1]))
    child(sys.argv[1], "parent")
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(sys.argv[1], n)) for n in range(4)]
    for one in children:
        one.start()
    child(sys.argv[1], "again")
    for one in children:
        one.join()
"""
)


def test_forked_children_share_the_store(tmp_path):
    """Each writes its own, at once with the others, and none writes another's again."""
    done = run_program(FORKS, str(tmp_path / "failures"))
    assert (done.returncode, done.stderr) == (0, "")
    with Reader(tmp_path / "failures") as reader:
        found = [one["event_id"] for one in reader.failures()]
    names = ("parent", "again", *"0123")
    wanted = {f"{name}-{number}" for name in names for number in range(50)}
    assert len(found) == len(wanted)
    assert set(found) == wanted
