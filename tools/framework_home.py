"""Where programs and suites of frameworks run: a virtual environment in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
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
    ready, wanted = home / ".ready", "\n".join(packages)
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        ready.write_text(wanted, encoding="utf-8")
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


#: Distributions whose released sources have their examples -> what builds them, where
#: a build would compile for minutes.
RELEASED = {"luigi": "", "scikit-learn": "mesonpy"}
#: Stands for what builds a distribution: pip asks it for name and version before it
#: hands over an archive, which the archive's own PKG-INFO knows.
_BACKEND = """
import email, pathlib

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    known = email.message_from_string(text)
    name = known["Name"].replace("-", "_") + "-" + known["Version"] + ".dist-info"
    made = pathlib.Path(folder, name)
    made.mkdir()
    (made / "METADATA").write_text(text, encoding="utf-8")
    return name
"""
#: Folder of sources that cannot be had -> why.
MISSING: dict[Path, str] = {}


def examples(python: Path, distribution: str, repository: str, tag: str) -> Path:
    """A framework's own repository at the installed version, kept in the cache.

    Where it cannot be cloned, what the released source distribution has of it; where
    that is not to be had either, a folder that does not exist, noted in `MISSING`.

    Args:
        python: Whose version counts.
        distribution: The framework's package.
        repository: Its address.
        tag: Name of a version's tag, with ``{}`` for the version.
    """
    known = version(python, distribution)
    folder = CACHE / "examples" / f"{repository.rpartition('/')[2]}-{known}"
    if folder.exists() or folder in MISSING:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch, "made")
        reasons = [clone(repository, tag, known, made)]
        if reasons[0] and distribution in RELEASED:
            reasons.append(unpack(distribution, known, made))
        if reasons[-1]:
            MISSING[folder] = "; ".join(reasons)
        else:
            made.rename(folder)
    return folder


def clone(repository: str, tag: str, known: str, made: Path) -> str:
    """Clone a repository at a version, or the newest one before; returns why not.

    Args:
        repository: Its address.
        tag: Name of a version's tag, with ``{}`` for the version.
        known: The version.
        made: Where to.
    """
    found, why = _said("git", "ls-remote", "--tags", "--refs", repository)
    if why:
        return why
    form = re.compile(re.escape(tag).replace(r"\{\}", r"(\d+(?:\.\d+)*)"))
    ends = (form.fullmatch(line.rpartition("/")[2]) for line in found.splitlines())
    numbers = {tuple(map(int, end[1].split("."))): end[0] for end in ends if end}
    wanted = tuple(int(part) for part in known.split(".") if part.isdigit())
    before = [number for number in numbers if number <= wanted]
    if not before:
        return f"{repository} has no tag like {tag.format(known)}"
    best = numbers[max(before)]
    if max(before) != wanted:
        print(f"{repository}: no {tag.format(known)}, taking {best}", flush=True)
    return _said("git", "clone", "-q", "--depth", "1", "-b", best, repository, made)[1]


def unpack(distribution: str, known: str, made: Path) -> str:
    """Unpack the source distribution of a version; returns why not.

    Args:
        distribution: The package.
        known: The version.
        made: Where to.
    """
    with tempfile.TemporaryDirectory() as scratch:
        backend = RELEASED[distribution]
        if backend:
            Path(scratch, f"{backend}.py").write_text(_BACKEND, encoding="utf-8")
        # Not by their interpreter: a build would find the frameworks' backends.
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        why = _said(
            *command,
            *(["--no-build-isolation"] if backend else []),
            *("--no-binary", distribution, "-d", scratch, f"{distribution}=={known}"),
            PYTHONPATH=scratch,
        )[1]
        archives = list(Path(scratch).glob("*.tar.gz"))
        if not archives:
            return why or f"{distribution} {known} has no source distribution"
        with tarfile.open(archives[0]) as content:
            if not any("/examples/" in name for name in content.getnames()):
                return f"{archives[0].name} has no examples"
            content.extractall(Path(scratch, "content"), filter="data")
        (top,) = Path(scratch, "content").iterdir()
        shutil.move(top, made)
    return ""


def _said(*command: str | Path, **env: str) -> tuple[str, str]:
    """What a command wrote, and its complaint where it failed."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **env}
    )
    if not done.returncode:
        return done.stdout, ""
    lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
    wrong = (one for one in lines if one.lower().startswith(("fatal", "error")))
    return done.stdout, next(wrong, lines[-1])
