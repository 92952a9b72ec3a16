"""What the start of a program under ``stagelight run`` loads."""

from __future__ import annotations

from harness import run_program

RUN = ("-m", "stagelight", "run", "--no-table", "--listen", "127.0.0.1:0")
#: Each takes a noticeable part of what a start takes as a whole.
LATER = (
    *("asyncio", "click", "importlib.metadata", "multiprocessing", "pickle", "psutil"),
    *("rich", "ssl", "subprocess", "wrapt", "concurrent.futures.process"),
    *("opentelemetry.exporter", "opentelemetry.propagate", "opentelemetry.sdk"),
    *("stagelight._flushing", "stagelight._model", "stagelight._setup"),
    *("stagelight._promql", "stagelight.alerts", "stagelight._snapshot"),
    *("stagelight.health._monitor", "stagelight.server._app"),
)


def test_a_start_loads_what_every_program_needs(tmp_path) -> None:
    """What only some need is loaded when they do, also what evaluates alert rules."""
    script = tmp_path / "program.py"
    script.write_text("import sys\nprint(*sys.modules)\n")
    done = run_program(script, prefix=RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert [one for one in loaded if one.startswith(LATER)] == []
