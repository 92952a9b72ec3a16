"""The bounds that the rules have to keep, and whether they do."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.decay.lab import Outcome

    Runs = dict[str, list[Outcome]]

FOUND, SHARE, FAMILY_SHARE, LEAD = 0.98, 0.5, 0.35, 30.0
QUIET, REPEAT, STAGE, CAUSE = 0.05, 600.0, 0.9, 0.8
_DAYS = 3.0


def repeated(outcomes: list[Outcome]) -> int:
    """Alarms that fired again within ten minutes.

    Args:
        outcomes: Runs of any kind.
    """
    found = 0
    for one in outcomes:
        last: dict[tuple[str, str, str], float] = {}
        for alarm in one.alarms["ours"]:
            key = (alarm.name, alarm.severity, alarm.stage)
            found += alarm.time - last.get(key, -REPEAT) < REPEAT
            last[key] = alarm.time
    return found


def _line(name: str, value: str, bound: str, *, holds: bool) -> bool:
    print(
        f"  {name:<46} {value:>10}   {bound:<9} {'holds' if holds else 'DOES NOT HOLD'}"
    )
    return not holds


def _early(kind: str, faults: Runs) -> bool:
    from bench.decay.report import collapsed, leads, right, tenth

    done = {family: collapsed(outcomes) for family, outcomes in faults.items()}
    every = [one for outcomes in done.values() for one in outcomes]
    found = sum(one.lead("ours") is not None for one in every) / len(every)
    share = median(one.share("ours") for one in every)
    shares = {f: median(o.share("ours") for o in d) for f, d in done.items() if d}
    usual = {f: median(o.share("R0") for o in d) for f, d in done.items() if d}
    least = min(shares, key=lambda family: shares[family])
    better = sum(shares[family] > usual[family] for family in shares)
    lead = tenth(leads(every, "ours"))
    rights = [(right(d, family), len(d)) for family, d in done.items() if d]
    stage = sum(one[0] * size for one, size in rights) / len(every)
    cause = sum(one[1] * size for one, size in rights) / len(every)
    print(f"\nBounds, {kind} ({len(every)} decays)")
    return any(
        [
            _line(
                "found before collapse", f"{found:.1%}", ">= 98 %", holds=found >= FOUND
            ),
            _line("share left, median", f"{share:.2f}", ">= 0.5", holds=share >= SHARE),
            _line(
                f"share left, median of {least}",
                f"{shares[least]:.2f}",
                ">= 0.35",
                holds=shares[least] >= FAMILY_SHARE,
            ),
            _line("lead, first decile", f"{lead:.0f} min", ">= 30", holds=lead >= LEAD),
            _line(
                "families better than the usual thresholds",
                f"{better} of {len(shares)}",
                "all",
                holds=better == len(shares),
            ),
            _line("right stage first", f"{stage:.1%}", ">= 90 %", holds=stage >= STAGE),
            _line("right cause first", f"{cause:.1%}", ">= 80 %", holds=cause >= CAUSE),
        ]
    )


def verdicts(faults: dict[str, Runs], controls: Runs) -> bool:
    """Print them all.

    Args:
        faults: The six families, by kind of run.
        controls: The controls.

    Returns:
        Whether any does not hold.
    """
    bad = [_early(kind, runs) for kind, runs in faults.items()]
    calm = [one for outcomes in controls.values() for one in outcomes]
    alarms = [alarm for one in calm for alarm in one.alarms["ours"]]
    days = len(calm) * _DAYS
    warnings = sum(one.severity == "warning" for one in alarms) / days
    criticals = sum(one.severity == "critical" for one in alarms)
    every = [o for runs in faults.values() for one in runs.values() for o in one]
    again = repeated([*calm, *every])
    print(f"\nBounds, controls ({days:.0f} stage-days)")
    bad += [
        _line(
            "warnings a stage-day",
            f"{warnings:.3f}",
            "<= 0.05",
            holds=warnings <= QUIET,
        ),
        _line("criticals", str(criticals), "0", holds=not criticals),
        _line("fired again within 10 minutes", str(again), "0", holds=not again),
    ]
    return any(bad)
