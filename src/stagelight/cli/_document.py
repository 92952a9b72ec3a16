"""The final state as a JSON document."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from stagelight._model import Snapshot
    from stagelight.alerts import Notice
    from stagelight.cli._failures import Group


def write(
    path: Path, state: Snapshot, failures: list[Group], alerts: list[Notice]
) -> None:
    """Write it whole or not at all.

    Args:
        path: Where to.
        state: State of the process.
        failures: Failed events by stage and error type.
        alerts: What was told of the rules.
    """
    document = {
        **asdict(state),
        "failures": [asdict(group) for group in failures],
        "alerts": [one.document() for one in alerts],
    }
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        os.chmod(scratch, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp's is private
        os.replace(scratch, path)  # noqa: PTH105 - as the line above
    except BaseException:
        os.unlink(scratch)  # noqa: PTH108 - as the line above
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
