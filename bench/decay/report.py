"""The table: how early, how quiet, how right."""

from __future__ import annotations

import statistics
from collections import Counter
from typing import TYPE_CHECKING

from bench.decay.families import CONTROLS, FAULTS, UNSEEN
from bench.decay.lab import CAUSES, Outcome, run_control, run_fault

if TYPE_CHECKING:
    import argparse


def _minutes(outcomes: list[Outcome], which: str) -> list[float]:
    return sorted((one.lead(which) or 0.0) / 60 for one in outcomes)


def _row(family: str, outcomes: list[Outcome]) -> list[float]:
    """Print one family; returns our shares."""
    done = [one for one in outcomes if one.collapse is not None]
    if not done:
        print(f"{family:<14} none of {len(outcomes)} collapsed")
        return []
    cells = []
    for which in ("R0", "ours"):
        leads = _minutes(done, which)
        share = statistics.median(one.share(which) for one in done)
        cells.append(
            f"{statistics.median(leads):5.0f} ({leads[len(leads) // 10]:3.0f}) "
            f"{share:4.2f}"
        )
    found = sum(one.lead("ours") is not None for one in done)
    firsts = [(one, one.first("ours")) for one in done]
    right = sum(bool(first) and first.stage == one.stage for one, first in firsts)
    causes = sum(bool(first) and first.cause in CAUSES[family] for _, first in firsts)
    early = sum(a.time < one.onset for one in outcomes for a in one.alarms["ours"])
    print(
        f"{family:<14} {found:>3}/{len(done):<3} {cells[0]}   {cells[1]}   "
        f"{right / len(done):5.0%} {causes / len(done):6.0%} {early:6}"
    )
    return [one.share("ours") for one in done]


def run(options: argparse.Namespace) -> int:
    """Print the report."""
    print(f"seeds {options.prefix}-FAMILY-0 to {options.seeds - 1}\n")
    print(
        "fault          found   R0 lead(p10) share  ours lead(p10) share   stage  "
        "cause  false"
    )
    shares: list[float] = []
    for families in (FAULTS, UNSEEN):
        for family, make in families.items():
            found = [
                run_fault(make, f"{options.prefix}-{family}-{number}")
                for number in range(options.seeds)
            ]
            row = _row(family, found)
            if families is FAULTS:
                shares += row
        if families is FAULTS:
            print(f"median share over all of these: {statistics.median(shares):.2f}")
    stages, runs = 3, max(round(options.days / len(CONTROLS) / 3), 1)
    print("\ncontrol        stage-days  R0  warnings  criticals")
    total: Counter[str] = Counter()
    for family, control in CONTROLS.items():
        count: Counter[str] = Counter()
        for number in range(runs):
            outcome = run_control(control, f"{options.prefix}-{family}-{number}", 1.0)
            count["R0"] += len(outcome.alarms["R0"])
            count.update(one.severity for one in outcome.alarms["ours"])
        print(
            f"{family:<14} {runs * stages:>10} {count['R0']:>3} {count['warning']:>9} "
            f"{count['critical']:>10}"
        )
        total.update(count)
    days = runs * stages * len(CONTROLS)
    print(
        f"all            {days:>10} {total['R0']:>3} {total['warning']:>9} "
        f"{total['critical']:>10}   {total['warning'] / days:.3f} warnings a stage-day"
    )
    return 0
