"""Where programs and suites of frameworks run: a virtual environment in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Interpreter with the frameworks, as `make frameworks` leaves it.
FRAMEWORKS = ROOT / ".venv-frameworks" / "bin" / "python"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagelight"


def interpreter(name: str, packages: tuple[str, ...]) -> Path:
    """An interpreter that sees the frameworks, stagelight and some packages more.

    Args:
        name: Its folder in the cache.
        packages: What it has beside the frameworks.
    """
    home = CACHE / name
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        (home / ".ready").touch()
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own, theirs = (
        subprocess.run([one, "-c", code], check=True, capture_output=True, text=True)
        for one in (python, FRAMEWORKS)
    )
    there = theirs.stdout.strip()
    link = Path(own.stdout.strip(), "frameworks.pth")
    link.write_text(f"import site; site.addsitedir({there!r})\n", encoding="utf-8")
    return python


def version(python: Path, distribution: str) -> str:
    """The installed version of a distribution.

    Args:
        python: Whose.
        distribution: Its name.
    """
    code = f"from importlib import metadata; print(metadata.version({distribution!r}))"
    done = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def examples(python: Path, distribution: str, repository: str, tag: str) -> Path:
    """A framework's own repository at the installed version, kept in the cache.

    Args:
        python: Whose version counts.
        distribution: The framework's package.
        repository: Its address.
        tag: Name of a version's tag, with ``{}`` for the version.
    """
    known = version(python, distribution)
    folder = CACHE / "examples" / f"{repository.rpartition('/')[2]}-{known}"
    if not folder.exists():
        branch = tag.format(known)
        subprocess.run(
            ["git", "clone", "-q", "--depth", "1", "-b", branch, repository, folder],
            check=True,
        )
    return folder
