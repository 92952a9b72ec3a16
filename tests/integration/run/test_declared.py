from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import OtlpReceiver, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOML = """
[tool.stagelight]
pipeline = "main"

[[tool.stagelight.stages]]
target = "steps:load"
name = "loading"
span_kind = "client"
event_id = "meta.key"

[[tool.stagelight.stages]]
target = "steps:Store.*"
pipeline = "storage"
min_duration = "20ms"

[[tool.stagelight.stages]]
target = "steps:len_"
"""
STEPS = """
import time
len_ = len

def load(event):
    if event["meta"]["key"] == "k2":
        raise LookupError("two")
    return event

class Store:
    def quick(self, event):
        return event
    def slow(self, event):
        time.sleep(0.03)
        return event
    def wrong(self, event):
        raise ValueError("wrong")
"""
PROGRAM = """
import steps
store = steps.Store()
for n in range(3):
    event = {"meta": {"key": f"k{n}"}}
    for step in (steps.load, store.quick, store.slow, store.wrong):
        try:
            step(event)
        except (LookupError, ValueError) as error:
            print(error)
print(steps.len_("abc"))
"""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A real OTLP receiver."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.mark.parametrize("sampler", ["", "always_on"])
def test_declared(sampler: str, receiver: OtlpReceiver, tmp_path: Path):
    """Kinds, identifiers, pipelines and minimum durations are as declared."""
    (tmp_path / "pyproject.toml").write_text(TOML)
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "program.py").write_text(PROGRAM)
    document = tmp_path / "out.json"
    ended = run_program(
        tmp_path / "program.py",
        prefix=("-m", "stagelight", "run", "--explain", "--json", str(document)),
        env={
            **receiver.environment("http/protobuf"),
            "STAGELIGHT_JOURNEYS_PER_SECOND": "all",
            **({"OTEL_TRACES_SAMPLER": sampler} if sampler else {}),
        },
        cwd=tmp_path,
    )
    assert ended.stdout == "wrong\nwrong\ntwo\nwrong\n3\n"
    pipelines = json.loads(document.read_text())["pipelines"]
    counts = {
        name: {stage: found["count"] for stage, found in one["stages"].items()}
        for name, one in pipelines.items()
    }
    assert counts == {
        "main": {"loading": 3},
        "storage": {"Store.quick": 3, "Store.slow": 3, "Store.wrong": 3},
    }
    spans = receiver.spans()
    loads = [span for span in spans if span.name == "process loading"]
    assert {span.kind for span in loads} == {"CLIENT"}
    assert [span.attributes["stagelight.event.id"] for span in loads] == [
        "k0",
        "k1",
        "k2",
    ]
    names = [span.name for span in spans if span.name.startswith("process Store")]
    assert sorted(names) == ["process Store.slow"] * 3 + ["process Store.wrong"] * 3
    assert "steps:len_: declared as steps:len_, but no Python function" in ended.stderr
    assert "declared as steps:load=loading" in ended.stderr
