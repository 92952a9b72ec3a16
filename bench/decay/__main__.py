"""The decay laboratory.

python -m bench.decay report [--seeds 20] [--days 100] [--prefix report]
python -m bench.decay watch [FAMILY] [--seed 1] [--minutes 1]
python -m bench.decay score FILE [--json] [--scale 1]
python -m bench.decay record FAMILY [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.decay import report, watch
from bench.decay.families import CONTROLS, FAULTS, TUNED
from bench.decay.model import HOUR, STEP
from bench.decay.recording import COLUMNS, read
from bench.decay.scoring import score
from bench.decay.unseen import LOOKED_AT, UNSEEN, UNSEEN_CONTROLS

from stagelight._errors import ConfigurationError
from stagelight.alerts._defaults import default_rules

_PROCESS = ("process.",)


def _score(options: argparse.Namespace) -> int:
    ignored: set[str] = set()
    rules = [rule.scaled(options.scale) for rule in default_rules()]
    try:
        with Path(options.file).open(
            encoding="utf-8-sig", errors="replace", newline=""
        ) as lines:
            found, quiet = score(read(lines, ignored), rules)
    except (OSError, ConfigurationError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    for name, missing in quiet.items():
        print(
            f"{name} stays quiet: the recording has no {', '.join(missing)}",
            file=sys.stderr,
        )
    if ignored:
        print(f"ignored: {', '.join(sorted(ignored))}", file=sys.stderr)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for one in found:
            print(
                f"{one['time']:>12.0f}  {one['severity']:<8}  {one['alert']:<26}"
                f"{one['stage']}"
            )
    return 0


def _record(options: argparse.Namespace) -> int:
    controls = {**CONTROLS, **UNSEEN_CONTROLS}
    make = {**FAULTS, **TUNED, **LOOKED_AT, **UNSEEN}.get(options.family)
    if make is not None:
        fault = make(options.seed)
        world, end = fault.world, fault.onset + fault.length
    elif options.family in controls:
        world, end = controls[options.family](options.seed), 24 * HOUR
    else:
        known = ", ".join((*FAULTS, *TUNED, *LOOKED_AT, *UNSEEN, *controls))
        print(f"no family {options.family!r}; known are {known}", file=sys.stderr)
        return 2
    print(",".join(COLUMNS))
    now = 0.0
    while now < end:
        now += STEP
        world.step(now)
        for at, pipeline, stage, source, value in world.rows(now):
            prefix = "" if source.startswith(_PROCESS) else "stagelight."
            print(f"{at:.0f},{pipeline},{stage},{prefix}{source},{value:.10g}")
    return 0


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m bench.decay")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("report", help="faults and controls, as a table")
    one.add_argument("--seeds", type=int, default=20)
    one.add_argument("--days", type=float, default=100, help="control stage-days")
    one.add_argument("--real", type=int, default=2, help="seeds of real pipelines")
    one.add_argument("--prefix", default="report", help="of the seeds; tune tuned")
    one.add_argument("--only", metavar="FAMILY", help="of simulated faults or controls")
    one.set_defaults(run=report.run)
    one = commands.add_parser("score", help="a recording, as CSV")
    one.add_argument("file")
    one.add_argument("--json", action="store_true")
    one.add_argument("--scale", type=float, default=1.0, help="of all durations")
    one.set_defaults(run=_score)
    one = commands.add_parser("record", help="a simulated run, as such a CSV")
    one.add_argument("family")
    one.add_argument("--seed", default="1")
    one.set_defaults(run=_record)
    one = commands.add_parser("watch", help="a decay and its alerts, live")
    one.add_argument(
        "family", nargs="?", default="slow_consumer", choices=watch.FAMILIES
    )
    one.add_argument("--seed", default="1")
    one.add_argument("--minutes", type=float, default=1.0, help="that it takes")
    one.set_defaults(run=watch.run)
    options = parser.parse_args()
    result: int = options.run(options)
    return result


if __name__ == "__main__":
    sys.exit(main())
