from __future__ import annotations

import json
import time

import pytest

from harness import OtlpReceiver, run_program, start_program
from harness.timing import least

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


RECOVERING = """
    import sys
    import time
    from pathlib import Path

    import stagelight

    stagelight.configure(service_name="late")
    work = stagelight.Pipeline("late").stage(lambda event: event, name="work")
    for number in range(1000):
        work(number)
    print("working", flush=True)
    while not Path(sys.argv[1]).exists():
        time.sleep(0.02)
    work("last")
"""


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_recovered_before_the_end(protocol, tmp_path):
    """An endpoint that is back just before the end gets everything, in no time.

    The exporter's own pause between two tries is several seconds by then.
    """
    recovered = tmp_path / "recovered"

    def run() -> float:
        env = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}
        recovered.unlink(missing_ok=True)
        with OtlpReceiver() as receiver:
            receiver.refuse()
            env |= receiver.environment(protocol)
            with start_program(RECOVERING, str(recovered), env=env) as program:
                program.wait_for_line("working")
                time.sleep(3.5)  # tries after about 0, 1, 3 seconds, the next after 7
                receiver.recover()
                began = time.monotonic()
                recovered.touch()
                done = program.finish()
                took = time.monotonic() - began
            [consumed] = receiver.last("stagelight.stage.consumed.events")
        assert done.returncode == 0, done.stderr
        assert consumed.value == 1001
        return took

    assert least(run, 3) < 3
