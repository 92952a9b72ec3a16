"""Builds the Go programs once, and finds those that the system has."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS: Final = Path(__file__).parent.parent
COLLECTOR: Final = TOOLS / "collector"
BUILDER: Final = "go.opentelemetry.io/collector/cmd/builder@v0.155.0"
#: Jaeger v2.13.0: its module path never got a /v2.
JAEGER: Final = "github.com/jaegertracing/jaeger@v1.76.0"
#: What `docker compose config` loads a file with.
COMPOSE: Final = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
#: Debian's names first: elsewhere the project's own are used.
SYSTEM: Final = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
}


class Unavailable(RuntimeError):  # noqa: N818 - read as "except Unavailable"
    """A program can neither be found nor built here; the message says why."""


def find(name: str) -> Path:
    """Find a program that the system has.

    Args:
        name: ``prometheus``, ``promtool``, ``alertmanager`` or ``amtool``.

    Raises:
        Unavailable: It is not installed.
    """
    for candidate in SYSTEM[name]:
        found = shutil.which(candidate)
        if found:
            return Path(found)
    raise Unavailable(f"{name} is not installed: run tools/system-packages")


def build(name: str) -> Path:
    """Return a Go program, built first if this version of it never was.

    Two who ask at once get one build. The first build of Jaeger takes about ten
    minutes on two cores, the collector's four.

    Args:
        name: ``otelcol``, ``jaeger`` or ``compose``.

    Raises:
        Unavailable: There is no Go, or the build failed.
    """
    key, make = _RECIPES[name]
    folder = _cache() / f"{name}-{key()}"
    program = folder / name
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise Unavailable(f"{name} must be built, and there is no Go compiler")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            began = time.monotonic()
            _say(f"building {name} into {folder} (once; this takes minutes)")
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                built = Path(scratch, name)
                make(Path(scratch), built)
                built.rename(program)
            _say(f"built {name} in {time.monotonic() - began:.0f} s")
    return program


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stagelight"


def _collector_key() -> str:
    digest = hashlib.sha256(BUILDER.encode())
    for path in sorted(COLLECTOR.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _make_collector(scratch: Path, output: Path) -> None:
    """Let the builder write the sources, and compile them against the locked modules.

    The builder's own way ends in `go mod tidy`, which asks for newer modules and for
    those that only the modules' tests need.
    """
    source = scratch / "source"
    source.mkdir()
    _go("install", BUILDER, env={"GOBIN": str(scratch)})
    manifest = COLLECTOR / "manifest.yaml"
    text = manifest.read_text().replace("dist:\n", f"dist:\n  output_path: {source}\n")
    (scratch / "manifest.yaml").write_text(text)
    arguments = ["--skip-compilation", "--skip-get-modules"]
    config = str(scratch / "manifest.yaml")
    _run([str(scratch / "builder"), "--config", config, *arguments])
    for name in ("go.mod", "go.sum"):
        shutil.copy(COLLECTOR / name, source)
    flags = ["-mod=readonly", "-trimpath", "-ldflags=-s -w"]
    _go("build", "-C", str(source), *flags, "-o", str(output), ".")


def _make_jaeger(_: Path, output: Path) -> None:
    # `go install` refuses the module for its replace line.
    found = json.loads(_go("mod", "download", "-json", JAEGER))
    flags = ["-ldflags=-s -w"]
    _go("build", "-C", found["Dir"], *flags, "-o", str(output), "./cmd/jaeger")


def _make_compose(scratch: Path, output: Path) -> None:
    _go("install", COMPOSE, env={"GOBIN": str(scratch)})
    (scratch / "cmd").rename(output)


_RECIPES: Final[dict[str, tuple[Callable[[], str], Callable[[Path, Path], None]]]] = {
    "otelcol": (_collector_key, _make_collector),
    "jaeger": (lambda: JAEGER.rpartition("@")[2], _make_jaeger),
    "compose": (lambda: COMPOSE.rpartition("@")[2], _make_compose),
}


def _go(*arguments: str, env: dict[str, str] | None = None) -> str:
    return _run(["nice", "go", *arguments], env)


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        cwd=TOOLS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-20:])
        raise Unavailable(f"{' '.join(command)} failed:\n{tail}")
    return done.stdout


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
