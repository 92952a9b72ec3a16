"""The command `tools/stack`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from .build import Unavailable, build, find
from .ports import Ports
from .stack import Stack

if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Run the stack until it is interrupted, or as long as a command runs."""
    parser = argparse.ArgumentParser(
        prog="tools/stack",
        description="Run collector, Jaeger, Prometheus and Alertmanager on loopback.",
    )
    parser.add_argument(
        "--free-ports", action="store_true", help="listen on ports that are free"
    )
    parser.add_argument("--data", type=Path, help="keep data and logs in this folder")
    parser.add_argument(
        "--build", action="store_true", help="build what must be built, and end"
    )
    parser.add_argument(
        "--stay", action="store_true", help="go on serving when the command has ended"
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="a command to run into it, with OTEL_EXPORTER_OTLP_ENDPOINT set",
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.build:
            for name in ("otelcol", "jaeger"):
                print(build(name))
            for name in ("prometheus", "promtool", "alertmanager"):
                print(find(name))
            return 0
        return _serve(options)
    except KeyboardInterrupt:
        return 130
    except (Unavailable, RuntimeError) as error:
        print(f"tools/stack: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    with ExitStack() as cleanup:
        folder = options.data
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="stagelight-stack-")
            folder = Path(cleanup.enter_context(scratch))
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        ports = Ports.free() if options.free_ports else Ports()
        taken = ports.taken()
        if taken:
            numbers = ", ".join(map(str, taken))
            raise Unavailable(f"ports {numbers} are taken: try --free-ports")
        stack = cleanup.enter_context(Stack(folder, ports=ports))
        _print(stack)
        status = _run(options.command, stack) if options.command else 0
        if options.stay or not options.command:
            print("Ctrl-C stops it.", flush=True)
            _wait(stack)
        return status


def _print(stack: Stack) -> None:
    rows = {
        "OTLP": f"{stack.otlp_url} (http/protobuf), {stack.grpc_url} (grpc)",
        "Jaeger": stack.jaeger_url,
        "Prometheus": stack.prometheus_url,
        "Alertmanager": stack.alertmanager_url,
        "data, logs": str(stack.folder),
    }
    for name, where in rows.items():
        print(f"{name:13}{where}")
    print(f"\nexport OTEL_EXPORTER_OTLP_ENDPOINT={stack.otlp_url}", flush=True)


def _run(command: list[str], stack: Stack) -> int:
    words = command[1:] if command[0] == "--" else command
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    with subprocess.Popen(words, env=env) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise


def _wait(stack: Stack) -> None:
    """Watch the servers until we are interrupted."""
    while True:
        for server in stack.servers:
            if not server.running:
                raise RuntimeError(f"{server.name} ended; its log is {server.log}")
        threading.Event().wait(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
