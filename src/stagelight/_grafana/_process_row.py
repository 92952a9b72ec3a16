"""The dashboard's row about the processes."""

from __future__ import annotations

from typing import Final

from stagelight import _names
from stagelight._grafana import _queries as q
from stagelight._grafana._panels import Panel, lines

_AT_STAGE: Final = f"{q.PIPELINE}, {q.STAGE}"
_ALERT: Final = f"{{{{{q.ALERT}}}}} {{{{{q.STAGE}}}}}"


def process() -> list[Panel]:
    """Memory, collector, alerts, and telemetry that was lost."""
    lost = q.rate(_names.TELEMETRY_DROPPED, q.SIGNAL)
    errors = q.rate(_names.TELEMETRY_ERRORS, q.PLACE)
    return [
        lines(
            "Memory",
            "Resident memory of each process. Look at its floor: that is the leak.",
            "bytes",
            (q.total(_names.MEMORY, "job, instance"), "{{job}} {{instance}}"),
            (q.total(_names.MEMORY_LIMIT, "job, instance"), "{{instance}} limit"),
        ),
        lines(
            "Held up by the garbage collector",
            "Share of the time; with a leak it grows before anything fails.",
            "percentunit",
            (q.rate(_names.GC_PAUSE, "job, instance"), "{{job}} {{instance}}"),
        ),
        lines(
            "Uptime",
            "Where it falls to 0 the process has started anew.",
            "s",
            (q.total(_names.UPTIME, "job, instance", "max"), "{{job}} {{instance}}"),
        ),
        lines(
            "Alerts of the processes themselves",
            "1 while one fires.",
            "short",
            (q.total(_names.ALERT_STATUS, f"{q.ALERT}, {_AT_STAGE}", "max"), _ALERT),
        ),
        lines(
            "Telemetry that was lost",
            "Items that did not get out: the pictures above then lack something.",
            "ops",
            # No series means that nothing was ever lost.
            (f"({lost}) or vector(0)", f"{{{{{q.SIGNAL}}}}}"),
        ),
        lines(
            "Errors inside stagelight",
            "They never reach the pipeline.",
            "ops",
            (f"({errors}) or vector(0)", f"{{{{{q.PLACE}}}}}"),
        ),
    ]
