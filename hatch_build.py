"""Build the extension module, where that is possible; the package works without it.

It needs setuptools, a C compiler and the headers of CPython. Whatever is missing or
fails leaves a package of pure Python, and says so.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "stagelight._native"


class NativeHook(BuildHookInterface[Any]):
    """Adds the extension module to wheels and to editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile in place, and let the wheel be one for this platform."""
        if self.target_name != "wheel":
            return
        made = Path(self.root, "src", *NAME.split("."))
        made = made.with_name(made.name + str(sysconfig.get_config_var("EXT_SUFFIX")))
        why = reason_against()
        if not why:
            try:
                compile_to(Path(self.root), made)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - never fail
                why = f"{type(error).__name__}: {error}"
        if why:
            made.unlink(missing_ok=True)  # of an earlier build
            self.app.display_warning(f"{NAME} is not built, pure Python is: {why}")
        elif version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"].append(f"/src/stagelight/{made.name}")


def reason_against() -> str:
    """Why the module is not to be built; empty where it is."""
    if os.environ.get("STAGELIGHT_NATIVE", "").strip() == "0":
        return "STAGELIGHT_NATIVE is 0"
    if sys.implementation.name != "cpython":
        return f"it is not for {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it needs the interpreter lock"
    return ""


def compile_to(root: Path, made: Path) -> None:
    """Compile the module.

    Args:
        root: The project.
        made: The file to make.

    Raises:
        Exception: Whatever setuptools or the compiler has against it.
    """
    from setuptools import Distribution, Extension

    sources = sorted(str(path) for path in (root / "src" / "native").glob("*.c"))
    flags = [] if os.name == "nt" else ["-O3", "-fvisibility=hidden"]
    extension = Extension(NAME, sources, extra_compile_args=flags)
    with TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        command: Any = Distribution(
            {"name": "stagelight", "ext_modules": [extension]}
        ).get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()
        built = Path(command.get_ext_fullpath(NAME))
        # At once: a program may be running with the one that was there.
        fresh = made.with_name(f"{made.name}.tmp")
        fresh.write_bytes(built.read_bytes())
        fresh.chmod(0o755)
        fresh.replace(made)
