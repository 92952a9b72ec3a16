"""Runs on all cores, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.decay.families import CONTROLS, FAULTS, TUNED
from bench.decay.lab import Alarm, Outcome, run_control, run_fault
from bench.decay.unseen import LOOKED_AT, UNSEEN, UNSEEN_CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
SIMULATED = "simulated"
KINDS = ("threads", "tasks")
_FAULTS = {**FAULTS, **TUNED, **LOOKED_AT, **UNSEEN}
_CONTROLS = {**CONTROLS, **UNSEEN_CONTROLS}


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        kind: ``simulated``, or a real pipeline's ``threads`` or ``tasks``.
        family: Of faults or controls.
        seed: Its seed.
        hours: How long a control runs.
    """

    kind: str
    family: str
    seed: str
    hours: float = 24.0


def run(job: Job) -> Outcome:
    """Run one.

    Args:
        job: Which.
    """
    if job.kind == SIMULATED:
        if job.family in _FAULTS:
            return run_fault(_FAULTS[job.family], job.seed)
        return run_control(_CONTROLS[job.family], job.seed, job.hours / 24)
    done = subprocess.run(
        [sys.executable, "-m", "bench.decay.live.run", *_arguments(job)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    for name, alarms in found["alarms"].items():
        found["alarms"][name] = [Alarm(**one) for one in alarms]
    return Outcome(**found)


def _arguments(job: Job) -> list[str]:
    return [job.kind, job.family, job.seed, str(job.hours)]


def run_all(jobs: Iterable[Job]) -> dict[Job, Outcome]:
    """Run many.

    Args:
        jobs: Which.
    """
    jobs = list(jobs)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(jobs, pool.map(run, jobs), strict=True))
