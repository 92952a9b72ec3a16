"""What goes wrong with one framework stops neither the program nor another framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import run_program
from harness.frameworks import PYTHON, environment, finished, observe

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver
    from harness.program import Completed

#: Three frameworks at work; the fault is with tenacity.
PROGRAM = """
import sys
{fault}
import backoff
import huey
import tenacity

jobs = huey.MemoryHuey(immediate=True)
tries = []

@jobs.task()
def add(a, b):
    return a + b

@tenacity.retry(stop=tenacity.stop_after_attempt(3))
def unsure():
    tries.append(1)
    if len(tries) < 3:
        raise LookupError
    return len(tries)

@backoff.on_exception(backoff.constant, LookupError, max_tries=3, interval=0)
def patient():
    tries.append(1)
    if len(tries) < 5:
        raise LookupError
    return len(tries)

class Step:
    def process(self, event):
        return unsure(), patient()

print(add(1, 2)(), Step().process(7))
from stagelight.instrumentation.frameworks._register import STATUS
for one in STATUS.values():
    print(one.name, one.state, one.detail, sep=" | ", file=sys.stderr)
"""
RAISES = """
from stagelight.instrumentation.frameworks import tenacity as own
def broken(module, patches, known=own.HOOKS["tenacity"]):
    known(module, patches)
    raise RuntimeError("half way")
own.HOOKS["tenacity"] = broken
"""
#: A distribution that stands before the installed one.
STRANGE = """
import pathlib
made = pathlib.Path("strange", "tenacity-99.0.dist-info")
made.mkdir(parents=True)
made.joinpath("METADATA").write_text("Name: tenacity\\nVersion: 99.0\\n")
sys.path.insert(0, "strange")
"""
FAULTS = {
    "raises": (RAISES, "RuntimeError: half way"),
    "strange": (STRANGE, "version 99.0 is not >=8.2,<10"),
    "nonsense": (
        STRANGE.replace("99.0", "odd"),
        "version odd is not >=8.2,<10",
    ),
}
#: tenacity looks for tornado half way through its own import.
HALF = """
import pathlib
pathlib.Path("half").mkdir()
pathlib.Path("half/tornado.py").write_text('''
from stagelight.instrumentation import StagelightInstrumentor
StagelightInstrumentor().instrument()
raise ImportError
''')
sys.path.insert(0, "half")
import tenacity
"""


def _run(folder: Path, program: str, receiver: OtlpReceiver | None = None) -> Completed:
    """Run it bare, or by `stagelight run` into a receiver."""
    cwd = folder / ("bare" if receiver is None else "observed")
    cwd.mkdir()
    if receiver is None:
        env, prefix = {}, ()
    else:
        env = receiver.environment("http/protobuf")
        prefix = ("-m", "stagelight", "run", "--no-table")
    env = environment(**env)
    return run_program(program, env=env, prefix=prefix, cwd=cwd, python=str(PYTHON))


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_framework_that_cannot_be_observed(
    fault: str, receiver: OtlpReceiver, tmp_path: Path
):
    """It works as without us, we say why, and the others are observed."""
    text, reason = FAULTS[fault]
    program = PROGRAM.format(fault=text)
    # A fault of ours is told, so this is no run that `observe` takes for clean.
    bare, seen = _run(tmp_path, program), _run(tmp_path, program, receiver)
    assert (bare.returncode, bare.stdout) == (0, "3 (3, 5)\n")
    assert (seen.returncode, seen.stdout) == (0, "3 (3, 5)\n"), seen.stderr
    assert f"tenacity | not observed | {reason}" in seen.stderr
    assert "backoff | observed | " in seen.stderr
    done = finished(receiver, "stagelight.stage.process.duration")
    assert done == {"add success": 1, "Step success": 1}
    # Of the four attempts more, tenacity's two are not known.
    assert finished(receiver, "stagelight.stage.retries").total() == 1


def test_a_framework_that_was_half_imported(tmp_path: Path):
    """We come while tenacity is being imported: it is left alone, the others are not."""
    seen = _run(tmp_path, PROGRAM.format(fault=HALF))
    assert (seen.returncode, seen.stdout) == (0, "3 (3, 5)\n"), seen.stderr
    assert "tenacity | not observed | tenacity was only half imported" in seen.stderr
    assert "huey | observed | " in seen.stderr
    assert "backoff | observed | " in seen.stderr


def test_without_a_fault(receiver: OtlpReceiver, tmp_path: Path):
    """The same program, where nothing is wrong, is observed whole."""
    seen = observe(receiver, PROGRAM.format(fault=""), cwd=tmp_path)
    assert "tenacity | observed | " in seen.run.stderr
    assert finished(receiver, "stagelight.stage.retries").total() == 3
