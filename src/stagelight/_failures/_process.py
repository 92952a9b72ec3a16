"""What is said of a process: what it runs and where, and which version of it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stagelight._failures._texts import TEXTS
from stagelight._secrets import redact
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_DEEP: Final = 32
_COMMIT: Final = 40


def describer() -> Callable[[], dict[str, Any]]:
    """What describes this process once it is needed: by then its main module is there.

    The folder is taken now, since a program may change it.
    """
    here = os.getcwd()  # noqa: PTH109 - as the program sees it
    return lambda: _describe(here)


def _describe(here: str) -> dict[str, Any]:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    program = None if file is None else os.path.normpath(os.path.join(here, file))  # noqa: PTH118
    return {
        "pid": os.getpid(),
        "program": program,
        "module": None if spec is None else spec.name,
        "arguments": [TEXTS.text(redact(one), 200) for one in sys.argv],
        "folder": here,
        "python": platform.python_version(),
        "stagelight": __version__,
        "version": _version_of(program or here),
        "service": os.environ.get("OTEL_SERVICE_NAME"),
        "settings": {
            key: TEXTS.text(redact(value), 200)
            for key, value in sorted(os.environ.items())
            if key.startswith("STAGELIGHT_")
        },
    }


def _version_of(path: str) -> str | None:
    """The version of a program: ``service.version``, else the commit of its folder.

    Args:
        path: Its main file or folder.
    """
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.version" and value.strip():
            return value.strip()
    try:
        return _commit(Path(path).resolve())
    except (OSError, ValueError):
        return None


def _commit(path: Path) -> str | None:
    """Read from git's own files, for no other program is to be started."""
    for folder in [path, *path.parents][:_DEEP]:
        git = folder / ".git"
        if git.is_file():  # a worktree's
            git = (folder / git.read_text("utf-8").partition("gitdir:")[2].strip()) / ""
        if not (git / "HEAD").is_file():
            continue
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        common = git / "commondir"
        homes = [git]
        if common.is_file():
            homes.append(git / common.read_text("utf-8").strip())
        for home in homes:
            if (home / name).is_file():
                return (home / name).read_text("utf-8").strip()
            packed = home / "packed-refs"
            lines = packed.read_text("utf-8").splitlines() if packed.is_file() else []
            for line in lines:
                if line.endswith(f" {name}"):
                    return line[:_COMMIT]
        return None
    return None
