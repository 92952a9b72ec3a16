"""Capture under `stagelight run`, `configure()` and the launcher, children included."""

from __future__ import annotations

import json

import pytest

from harness import OtlpReceiver, run_program
from harness.command import run_command
from stagelight._failures._reading import Reader

PROGRAM = """
import multiprocessing, sys

class Parse:
    def process(self, event):
        if event["n"] % 2:
            raise ValueError(event["n"])
        return event

def work(first):
    stage = Parse()
    for n in range(first, first + 10):
        try:
            stage.process({"id": n, "n": n})
        except ValueError:
            pass

if __name__ == "__main__":
    work(0)
    for method in sys.argv[1:]:
        child = multiprocessing.get_context(method).Process(target=work, args=(100,))
        child.start()
        child.join()
"""
CONFIGURED = """
import stagelight
stagelight.configure(service_name="orders", capture="kept")
pipeline = stagelight.Pipeline("orders")

@pipeline.stage
def load(event):
    return event

@pipeline.stage
def parse(event):
    raise ValueError("no")

if __name__ == "__main__":
    try:
        parse(load({"id": "a"}))
    except ValueError:
        pass
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_keep_theirs(tmp_path, method):
    """Whatever starts them; their events are replayed as the parent's."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    prefix = ("-m", "stagelight", "run", "--no-table", "--capture", str(tmp_path / "k"))
    done = run_program(script, method, prefix=prefix)
    assert (done.returncode, done.stderr) == (0, "")
    with Reader(tmp_path / "k") as reader:
        found = reader.failures()
        (group,) = reader.groups()
        pids = {reader.failure(one["id"])["process"]["pid"] for one in found}
    wanted = {str(n) for n in (*range(1, 10, 2), *range(101, 110, 2))}
    assert {one["event_id"] for one in found} == wanted
    assert (len(pids), group["count"]) == (2, 10)
    replayed = run_command(
        "replay", "--group", group["id"], "--folder", str(tmp_path / "k")
    )
    assert replayed.stdout.splitlines()[-1] == "10 same failure", replayed


def test_a_replay_is_exported_with_a_link_to_the_original(tmp_path):
    """The original and the replay are in the backend, the one linked to the other."""
    script = tmp_path / "program.py"
    script.write_text(CONFIGURED)
    with OtlpReceiver() as receiver:
        env = receiver.environment("http/protobuf")
        done = run_program(script, env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        again = run_command(
            *("replay", "1", "--folder", str(tmp_path / "kept"), "--json"), env=env
        )
        assert again.returncode == 1, again
        (made,) = json.loads(again.stdout)
        spans = receiver.spans()
    (replay,) = [span for span in spans if span.name == "replay parse"]
    original = None
    for span in spans:
        if span.name == "process parse" and span.trace_id != replay.trace_id:
            original = span
    assert original is not None
    assert [(one.trace_id, one.span_id) for one in replay.links] == [
        (original.trace_id, original.span_id)
    ]
    assert made["trace_id"] == replay.trace_id
    with Reader(tmp_path / "kept") as reader:
        found = reader.failure(1)
        assert len(reader.failures()) == 1
    assert (found["trace_id"], found["span_id"]) == (
        original.trace_id,
        original.span_id,
    )
    assert [one["stage"] for one in found["journey"]["stages"]] == ["load"]
