from __future__ import annotations

import json

import pytest
from harness import OtlpReceiver, run_program

PROGRAM = """
    from queue import Queue

    class Parser:
        def process(self, event):
            return event

    parser, queue = Parser(), Queue()
    for number in range(20):
        queue.put(parser.process(number))
"""


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nothing_lost(protocol, tmp_path):
    """Where everything was taken, the closing document says that nothing was lost."""
    document = tmp_path / "stats.json"
    with OtlpReceiver() as receiver:
        done = run_program(
            PROGRAM,
            prefix=("-m", "stagelight", "run", "--json", str(document)),
            env=receiver.environment(protocol),
        )
        [consumed] = receiver.last("stagelight.stage.consumed.events")
    assert done.returncode == 0
    assert consumed.value == 20
    assert "lost" not in done.stderr
    assert json.loads(document.read_text())["process"]["telemetry_dropped"] == {}
