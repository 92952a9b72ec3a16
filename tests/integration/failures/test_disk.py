from __future__ import annotations

import json

from harness import run_program
from stagelight._failures._reading import Reader

PROGRAM = """
import json, os, sys, time
import stagelight
from stagelight import _failures, _guard
from stagelight._capture import Capture
from stagelight._failures import _writer

pipeline = stagelight.Pipeline("disk")

@pipeline.stage
def fails(event):
    if event["id"] % 2:
        raise ValueError(event["id"])
    return event

def run(first, last):
    for number in range(first, last):
        try:
            fails({"id": number, "data": "x" * 500})
        except ValueError:
            pass

def tell():
    counts = pipeline.stats()["stages"]["fails"]["outcomes"]
    print(json.dumps([counts, _guard.LOST.get("failures", 0), _guard.ERRORS]))
"""

FULL = (
    PROGRAM
    + """
import resource
_writer._RETRY = 0.05
_failures.install(Capture(sys.argv[1]))
run(0, 100)
assert _failures.flush()
held = os.path.getsize(sys.argv[1] + "/failures.db-wal") + 20_000
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (held, hard))
for first in range(100, 1000, 100):
    run(first, first + 100)
    _failures.flush(1)
assert not _failures.flush(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
time.sleep(1.5)
run(1000, 1100)
assert _failures.flush(10)
tell()
"""
)

READ_ONLY = (
    PROGRAM
    + """
# Root may write anywhere, and nobody may not even import: so all is loaded first.
_failures.install(Capture(sys.argv[1] + ".other"))
run(0, 2)
_failures.uninstall()
if os.geteuid() == 0:
    os.seteuid(65534)
_failures.install(Capture(sys.argv[1]))
run(2, 100)
assert not _failures.flush()
run(100, 200)
_failures.flush()
tell()
"""
)


def test_a_full_disk(tmp_path):
    """One warning, an exact count, the pipeline goes on, and later the store too."""
    done = run_program(FULL, str(tmp_path / "failures"), timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes, lost, errors = json.loads(done.stdout)
    assert outcomes == {"success": 550, "failure": 550}
    assert errors == {}
    assert lost > 100
    assert done.stderr.count("stagelight keeps no failed events for now") == 1
    assert done.stderr.count("\n") == 1
    with Reader(tmp_path / "failures") as reader:
        document = reader.groups_document()
    assert document["dropped"] == {"disk": lost}
    assert document["kept"] + lost == 550 == document["groups"][0]["count"]


def test_a_folder_that_cannot_be_written(tmp_path):
    """As above, from the beginning."""
    folder = tmp_path / "failures"
    folder.mkdir(mode=0o500)
    done = run_program(READ_ONLY, str(folder), timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"success": 100, "failure": 100}, 99, {}]
    assert done.stderr.count("stagelight keeps no failed events for now") == 1
    assert done.stderr.count("\n") == 1
