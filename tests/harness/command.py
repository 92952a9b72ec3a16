"""Runs the command `stagelight` in an environment that the test controls."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .program import Completed, clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping


def run_command(
    *args: str, env: Mapping[str, str] | None = None, timeout: float = 180
) -> Completed:
    """Run `stagelight *args` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "stagelight", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=clean_environment(env),
    )
    return Completed(done.returncode, done.stdout, done.stderr)


class Diagnosis:
    """What `stagelight doctor --json` said."""

    def __init__(self, completed: Completed) -> None:
        """Read its document."""
        assert completed.stdout.startswith("{"), completed
        document = json.loads(completed.stdout)
        self.code = completed.returncode
        self.text = completed.stdout + completed.stderr
        self.ok: bool = document["ok"]
        self.links: dict[str, str] = document["links"]
        self.findings: list[dict[str, Any]] = document["findings"]

    def of(self, hop: str) -> list[tuple[str, str]]:
        """Return status and text of each finding on a hop."""
        return [
            (one["status"], one["text"]) for one in self.findings if one["hop"] == hop
        ]

    def statuses(self) -> dict[str, str]:
        """Return the worst status of each hop."""
        order = ("skipped", "ok", "warning", "failed")
        worst: dict[str, str] = {}
        for one in self.findings:
            known = worst.get(one["hop"], "skipped")
            worst[one["hop"]] = max(known, one["status"], key=order.index)
        return worst

    def advice(self, hop: str) -> str:
        """Return what is to be changed because of a hop."""
        return "\n".join(one["change"] for one in self.findings if one["hop"] == hop)


def diagnose(
    *args: str, env: Mapping[str, str] | None = None, timeout: float = 180
) -> Diagnosis:
    """Run `stagelight doctor --json *args`."""
    return Diagnosis(run_command("doctor", "--json", *args, env=env, timeout=timeout))
