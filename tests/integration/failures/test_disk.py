from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

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
pipeline.stats()
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


SMALL = (
    PROGRAM
    + """
import contextlib
from pathlib import Path
from stagelight._failures._reading import Reader

_writer._RETRY = 0.05
here = Path(sys.argv[1])
_failures.install(Capture(here / "kept"))
run(0, 100)
assert _failures.flush()
with contextlib.suppress(OSError), open(here / "filler", "wb", 0) as filler:
    while True:
        filler.write(bytes(4096))
for first in range(100, 1000, 100):
    run(first, first + 100)
    _failures.flush(1)
assert not _failures.flush(1)
(here / "filler").unlink()
time.sleep(1.5)
run(1000, 1100)
assert _failures.flush(10)
tell()
with Reader(here / "kept") as reader:
    print(json.dumps(reader.groups_document()))
"""
)


def test_a_full_file_system(tmp_path):
    """A real one, of a megabyte: as with a limit on files."""
    (tmp_path / "program.py").write_text(SMALL)
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path / 'disk'} && exec"
    (tmp_path / "disk").mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare of util-linux")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    program = f"{sys.executable} {tmp_path / 'program.py'} {tmp_path / 'disk'}"
    if subprocess.run([*command, f"{mount} true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own")
    done = subprocess.run(
        [*command, f"{mount} {program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (outcomes, lost, errors), document = map(json.loads, done.stdout.splitlines())
    assert outcomes == {"success": 550, "failure": 550}
    assert errors == {}
    assert lost > 100
    assert done.stderr.count("stagelight keeps no failed events for now") == 1
    assert document["dropped"] == {"disk": lost}
    assert document["kept"] + lost == 550 == document["groups"][0]["count"]


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
