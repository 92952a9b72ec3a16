"""The report: how early, how right, how quiet, and whether the bounds hold."""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.decay.bounds import verdicts
from bench.decay.families import CONTROLS, FAULTS, TUNED
from bench.decay.jobs import KINDS, SIMULATED, Job, run_all
from bench.decay.lab import CAUSES, Outcome
from bench.decay.live import plan
from bench.decay.unseen import LOOKED_AT, UNSEEN, UNSEEN_CONTROLS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

#: Families by name, and their outcomes.
Runs = dict[str, list[Outcome]]
STAGES = 3
_HEAD = (
    "  {:<17} found    usual: lead (p10) share   ours: lead (p10) share  stage  cause"
    "  before"
)


def collapsed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that came to an end.

    Args:
        outcomes: Runs with a fault.
    """
    return [one for one in outcomes if one.collapse is not None]


def leads(outcomes: list[Outcome], which: str) -> list[float]:
    """Minutes between the first alarm and the collapse, 0 where there was none.

    Args:
        outcomes: Runs that collapsed.
        which: ``R0`` or ``ours``.
    """
    return sorted((one.lead(which) or 0.0) / 60 for one in outcomes)


def tenth(values: list[float]) -> float:
    """The first decile.

    Args:
        values: In order.
    """
    return values[len(values) // 10]


def right(outcomes: list[Outcome], family: str) -> tuple[float, float]:
    """Shares whose first alarm names the stage, and the cause.

    Args:
        outcomes: Runs that collapsed.
        family: Their family.
    """
    firsts = [(one, one.first("ours")) for one in outcomes]
    stage = sum(first is not None and first.stage == one.stage for one, first in firsts)
    cause = sum(
        first is not None and first.cause in CAUSES[family] for _, first in firsts
    )
    return stage / len(firsts), cause / len(firsts)


def _faults(title: str, runs: Runs) -> None:
    print(f"\n{title}")
    print(_HEAD.format(""))
    for family, outcomes in runs.items():
        done = collapsed(outcomes)
        if not done:
            print(f"  {family:<17} none of {len(outcomes)} collapsed")
            continue
        cells = []
        for which in ("R0", "ours"):
            minutes = leads(done, which)
            share = median(one.share(which) for one in done)
            cells.append(
                f"{median(minutes):6.0f} min ({tenth(minutes):3.0f}) {share:5.2f}"
            )
        found = sum(one.lead("ours") is not None for one in done)
        stage, cause = right(done, family)
        before = sum(a.time < one.onset for one in outcomes for a in one.alarms["ours"])
        print(
            f"  {family:<17} {found:>2}/{len(done):<3} {cells[0]:>24} {cells[1]:>24}"
            f"  {stage:5.0%}  {cause:5.0%}  {before:6}"
        )
    done = [one for outcomes in runs.values() for one in collapsed(outcomes)]
    share = {w: median(one.share(w) for one in done) for w in ("R0", "ours")}
    print(f"  median share left: usual {share['R0']:.2f}, ours {share['ours']:.2f}")


def _quiet(title: str, runs: Runs, hours: float) -> None:
    print(f"\n{title}\n  {'':<17} stage-days  usual  warnings  criticals")
    total = [0.0, 0, 0, 0]
    for family, outcomes in runs.items():
        alarms = [a for one in outcomes for a in one.alarms["ours"]]
        row = [
            len(outcomes) * STAGES * hours / 24,
            sum(len(one.alarms["R0"]) for one in outcomes),
            sum(one.severity == "warning" for one in alarms),
            sum(one.severity == "critical" for one in alarms),
        ]
        total = [a + b for a, b in zip(total, row, strict=True)]
        _quiet_row(family, row)
        for one in alarms:
            print(f"    {one.name} of {one.stage or 'the process'} at {one.time:.0f} s")
    _quiet_row("all", total)
    print(
        f"  {total[2] / total[0]:.3f} warnings a stage-day, "
        f"the usual thresholds {total[1] / total[0]:.3f}"
    )


def _quiet_row(name: str, row: list[float]) -> None:
    print(f"  {name:<17} {row[0]:>10.1f} {row[1]:>6} {row[2]:>9} {row[3]:>10}")


def run(options: argparse.Namespace) -> int:
    """Print the report.

    Args:
        options: ``seeds``, ``days``, ``real`` and ``prefix``.

    Returns:
        1 where a bound does not hold.
    """
    if options.only:
        return _one(options)
    began = time.monotonic()
    fewer = (options.seeds + 1) // 2
    simulated = {
        "faults": _jobs(FAULTS, options.prefix, options.seeds),
        "looked at": _jobs({**TUNED, **LOOKED_AT}, options.prefix, fewer),
        "unseen": _jobs(UNSEEN, options.prefix, fewer),
    }
    calm = max(-(-int(options.days) // (STAGES * len(CONTROLS))), 1)
    simulated["controls"] = _jobs(CONTROLS, options.prefix, calm)
    simulated["unseen controls"] = _jobs(UNSEEN_CONTROLS, options.prefix, calm)
    real = {
        kind: {
            "faults": _jobs(plan.FAULTS, options.prefix, options.real, kind),
            "controls": _jobs(plan.CONTROLS, options.prefix, 1, kind, 12.0),
        }
        for kind in (KINDS if options.real else ())
    }
    groups = [
        *simulated.values(),
        *(g for kind in real.values() for g in kind.values()),
    ]
    # The long ones first, so that no core waits at the end.
    wanted = sorted(
        (job for group in groups for jobs in group.values() for job in jobs),
        key=lambda job: job.kind == SIMULATED,
    )
    done = run_all(wanted)

    def runs(group: dict[str, list[Job]]) -> Runs:
        return {name: [done[job] for job in jobs] for name, jobs in group.items()}

    print(f"seeds {options.prefix}-FAMILY-NUMBER; times from the first alarm on")
    faults, controls = runs(simulated["faults"]), runs(simulated["controls"])
    _faults("Faults, simulated", faults)
    for kind, found in real.items():
        _faults(f"Faults, real pipeline with {kind}", runs(found["faults"]))
    _faults("Families that were looked at besides", runs(simulated["looked at"]))
    _faults("Faults that nobody tuned for", runs(simulated["unseen"]))
    _quiet("Controls, simulated", controls, 24.0)
    for kind, found in real.items():
        title = f"Controls, real pipeline with {kind}"
        _quiet(title, runs(found["controls"]), 12.0)
    unseen = runs(simulated["unseen controls"])
    _quiet("Controls that nobody tuned for", unseen, 24.0)
    everything = {kind: runs(found["faults"]) for kind, found in real.items()}
    bad = verdicts({SIMULATED: faults, **everything}, controls)
    print(f"{time.monotonic() - began:.0f} s")
    return int(bad)


def _one(options: argparse.Namespace) -> int:
    """One family alone, without a verdict."""
    faults = {**FAULTS, **TUNED, **LOOKED_AT, **UNSEEN}
    jobs = _jobs([options.only], options.prefix, options.seeds)[options.only]
    if options.only in faults:
        done = run_all(jobs)
        _faults("Faults, simulated", {options.only: list(done.values())})
        return 0
    if options.only in {**CONTROLS, **UNSEEN_CONTROLS}:
        done = run_all(jobs)
        _quiet("Controls, simulated", {options.only: list(done.values())}, 24.0)
        return 0
    print(f"no family {options.only!r}", file=sys.stderr)
    return 2


def _jobs(
    families: Iterable[str],
    prefix: str,
    seeds: int,
    kind: str = SIMULATED,
    hours: float = 24.0,
) -> dict[str, list[Job]]:
    return {
        family: [
            Job(kind, family, f"{prefix}-{family}-{number}", hours)
            for number in range(seeds)
        ]
        for family in families
    }
