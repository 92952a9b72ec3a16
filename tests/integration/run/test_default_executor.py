from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import OtlpReceiver, run_program

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import asyncio, time

class Load:
    def process(self, event):
        return event

class Parse:
    def process(self, event):
        time.sleep(0.01)
        return event

async def main():
    loop = asyncio.get_running_loop()
    load, parse = Load(), Parse()
    async def one(n):
        event = load.process({"id": n})
        return await loop.run_in_executor(None, parse.process, event)
    print(await asyncio.gather(*map(one, range(5))))
    print(await asyncio.to_thread(sum, [1, 2]))

asyncio.run(main())
"""


def test_default_executor(tmp_path: Path):
    """What run_in_executor and to_thread hand over goes on with its event's trace."""
    document = tmp_path / "out.json"
    with OtlpReceiver() as receiver:
        ended = run_program(
            PROGRAM,
            prefix=("-m", "stagelight", "run", "--json", str(document)),
            env={
                **receiver.environment("http/protobuf"),
                "STAGELIGHT_JOURNEYS_PER_SECOND": "all",
            },
        )
        spans = receiver.spans()
    assert ended.stdout.endswith("3\n")
    (pipeline,) = json.loads(document.read_text())["pipelines"].values()
    pool = pipeline["pools"]["asyncio"]
    assert (pool["submitted"], pool["completed"]) == (6, 6)
    assert pool["backlog"]["wait"]["count"] == 6
    traces: dict[str, set[str]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, set()).add(span.name)
    both = {"ingest program", "process Load", "process Parse"}
    assert sorted(map(sorted, traces.values())) == sorted(
        [sorted(both)] * 5 + [["ingest program", "process asyncio"]]
    )
