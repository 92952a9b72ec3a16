"""The table at the end of ``stagelight run``."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from stagelight._registry import REGISTRY
from stagelight._secrets import redact
from stagelight.cli._hanging import Hanging
from stagelight.instrumentation._ledger import LEDGER

if TYPE_CHECKING:
    from stagelight._insights import TelemetryCost
    from stagelight._model import (
        PipelineStats,
        PoolStats,
        QueueStats,
        Snapshot,
        StageStats,
    )
    from stagelight.alerts import Notice
    from stagelight.cli import _failures

_WIDTH: Final = 100
_NOTHING: Final = "-"
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
#: Seconds from which on three digits are too few.
_LONG: Final = 1000
_HOW: Final = (
    "Nothing was observed: the program made no queue or executor of its own, and no "
    "class with a process(event) method ran. Declare its stages, for example: "
    "stagelight run --stage 'module:function' --stage 'module:Class.method' PROGRAM"
)


def render(  # noqa: PLR0913 - all that is to be told
    state: Snapshot,
    failures: list[_failures.Group],
    told: list[Notice],
    *,
    terminal: bool,
    exporting: bool,
    children: int = 0,
) -> str:
    """The whole report as text.

    Args:
        state: State of the process.
        failures: Failed events by stage and error type.
        told: Alerts, the oldest first.
        terminal: Whether it is for a terminal, with its width and colours.
        exporting: Whether telemetry was exported.
        children: How many processes the program has started.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=None if terminal else _WIDTH,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    pipelines = [one for one in state.pipelines.values() if _has_anything(one)]
    if pipelines:
        for pipeline in pipelines:
            console.print(_pipeline(pipeline, failures, state.process.uptime))
    else:
        console.print(f"\nstagelight  {_HOW}")
    if told:
        console.print(_alerts(told, state))
    if children:
        console.print(_line("children", _apart(children, exporting=exporting)))
    cost = state.process.telemetry_cost
    if cost is not None and cost.calls:
        console.print(_line("cost", _cost(cost)))
    console.print(_line("telemetry", _where(state, exporting=exporting)))
    return out.getvalue()


def _has_anything(pipeline: PipelineStats) -> bool:
    return bool(pipeline.stages or pipeline.queues or pipeline.pools)


def _pipeline(
    pipeline: PipelineStats, failures: list[_failures.Group], uptime: float
) -> Group:
    parts: list[Any] = [Text(f"\nstagelight  {pipeline.name}  {uptime:.1f} s")]
    if pipeline.stages:
        parts.append(_stages(list(pipeline.stages.values()), uptime))
    if pipeline.queues or pipeline.pools:
        parts.append(_queues(pipeline))
    own = [group for group in failures if group.pipeline == pipeline.name]
    if own:
        parts.append(_failed(own))
    worst = pipeline.bottleneck
    if worst is not None:
        share = f"{worst.utilization:.0%} busy"
        parts.append(_line("bottleneck", f"{worst.stage} ({share}): {worst.evidence}"))
    return Group(*parts)


def _line(label: str, text: str) -> Hanging:
    return Hanging(Text(f"{label:<12}"), Text(text))


def _new(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(title, overflow="fold", min_width=10)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _stages(stages: list[StageStats], uptime: float) -> Table:
    table = _new(
        "stage", "count", "per s", "p50", "p95", "p99", "errors", "in flight", "busy"
    )
    for stage in stages:
        spent, busy = stage.duration, stage.utilization
        errors = sum(stage.errors.values())
        table.add_row(
            stage.name,
            f"{stage.count:,}",
            f"{stage.count / uptime:,.1f}" if uptime else _NOTHING,
            _seconds(spent.p50),
            _seconds(spent.p95),
            _seconds(spent.p99),
            Text(f"{errors:,}", style="red" if errors else ""),
            str(stage.active),
            _NOTHING if busy is None else f"{busy:.0%}",
        )
    return table


def _queues(pipeline: PipelineStats) -> Table:
    table = _new(
        "queue or pool",
        "size",
        "most",
        "wait p50",
        "wait p95",
        "put blocked",
        "refused",
        "workers",
    )
    for queue in pipeline.queues.values():
        table.add_row(*_queue(queue, pipeline.name), _NOTHING)
    for pool in pipeline.pools.values():
        table.add_row(*_queue(pool.backlog, pipeline.name), _workers(pool))
    return table


def _queue(queue: QueueStats, pipeline: str) -> list[str]:
    size = _NOTHING if queue.size is None else f"{queue.size:,}"
    bound = queue.capacity or _known_bound(queue.name)
    return [
        queue.name,
        size if bound is None else f"{size}/{bound:,}",
        f"{max(queue.high_watermark, _highest(pipeline, queue.name)):,}",
        _seconds(queue.wait.p50),
        _seconds(queue.wait.p95),
        _seconds(queue.put_blocked),
        f"{sum(queue.refused.values()):,}",
    ]


def _known_bound(name: str) -> int | None:
    """Capacity of a queue that is gone already."""
    entries = (one for one in LEDGER.entries if (one.kind, one.name) == ("queue", name))
    return next((one.capacity for one in entries), None)


def _highest(pipeline: str, name: str) -> int:
    """Largest size ever: the program may have read its own statistics meanwhile."""
    record = REGISTRY.pipeline(pipeline)
    queue, pool = record.queues.get(name), record.pools.get(name)
    found = queue or (pool.backlog if pool else None)
    return found.peak.ever if found else 0


def _workers(pool: PoolStats) -> str:
    return f"{pool.busy}/{pool.limit}" if pool.limit else str(pool.busy)


def _failed(groups: list[_failures.Group]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("failed in", overflow="fold")
    table.add_column("error", overflow="fold")
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("the first of them", overflow="fold")
    for group in groups:
        more = group.count - len(group.events)
        shown = ", ".join(map(_printable, group.events))
        if group.events and more:
            shown += f" and {more:,} more"
        table.add_row(
            group.stage, group.error_type, f"{group.count:,}", Text(shown or _NOTHING)
        )
    return table


def _alerts(told: list[Notice], state: Snapshot) -> Table:
    """Each alert: when it began in the program's time, and whether it has ended."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("alert", no_wrap=True)
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("until", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    begun = state.time - state.process.uptime
    for one in told:
        ended = "the end" if one.ended is None else _seconds(one.ended - begun)
        style = "red" if one.severity == "critical" else "yellow"
        what = _printable(f"{one.name}: {one.summary}")
        at = _seconds(max(one.began - begun, 0.0))
        table.add_row(Text(one.severity, style=style), at, ended, Text(what))
    return table


def _printable(text: str) -> str:
    """A text that cannot move a terminal's cursor: it may be a file name, or worse."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in text
    )


def _seconds(value: float | None) -> str:
    """A duration with three digits and a unit that fits."""
    if value is None:
        return _NOTHING
    if not value:
        return "0 s"
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
    unit, size = next((one for one in units if value >= one[1]), units[-1])
    if value >= _LONG:
        return f"{value:,.0f} s"
    return f"{value / size:#.3g}".rstrip(".") + f" {unit}"


def _apart(children: int, *, exporting: bool) -> str:
    """What is not in the table, and where it is."""
    were = "process was" if children == 1 else "processes were"
    where = (
        "it was exported from there"
        if exporting
        else "set OTEL_EXPORTER_OTLP_ENDPOINT to export it from there"
    )
    return f"{children:,} {were} started; what ran there is not in this table, {where}"


def _cost(cost: TelemetryCost) -> str:
    """What observing cost, and how much was recorded for that."""
    wanted = "" if cost.detail == cost.chosen else f" (of {cost.chosen}, by its budget)"
    return (
        f"{_seconds(cost.per_call)} a call, {cost.busy_share:.1%} of busy time; "
        f"{_seconds(cost.background)} in threads of its own; "
        f"detail {cost.detail}{wanted}"
    )


def _where(state: Snapshot, *, exporting: bool) -> str:
    if not exporting:
        return "stayed here; set OTEL_EXPORTER_OTLP_ENDPOINT to export it"
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "went nowhere, for OTEL_SDK_DISABLED is true"
    names = [
        "OTEL_CONFIG_FILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        *(f"OTEL_EXPORTER_OTLP_{one}_ENDPOINT" for one in _SIGNALS),
        *(f"OTEL_{one}_EXPORTER" for one in _SIGNALS),
    ]
    places = dict.fromkeys(_public(os.environ.get(name, "").strip()) for name in names)
    lost = sum(state.process.telemetry_dropped.values())
    text = "went to " + (
        ", ".join(place for place in places if place not in {"", "none"}) or "nowhere"
    )
    return f"{text}; {lost:,} items were lost on the way" if lost else text


def _public(place: str) -> str:
    """An address without the secrets that it may carry."""
    scheme, mark, rest = place.partition("://")
    return redact(f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else place)
