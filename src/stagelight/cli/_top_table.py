"""What ``stagelight top`` shows: one document as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stagelight.cli._hanging import Hanging
from stagelight.cli._top_parts import NOTHING, bar, percent, rate, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

_STATES: Final = {
    "healthy": "green",
    "degraded": "yellow",
    "overloaded": "dark_orange",
    "stalled": "bold red",
    "starting": "blue",
    "stopping": "blue",
}
_HIGH, _HALF = 0.8, 0.5

#: Column -> its heading, and what the rows are sorted by.
SORTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "name": lambda row: row["name"],
    "rate": lambda row: -row["rate"],
    "errors": lambda row: -row["errors"],
    "p95": lambda row: -(row["p95"] or 0),
    "wait": lambda row: -(row["wait"] or 0),
    "age": lambda row: -(row["age"] or 0),
    "busy": lambda row: -row["busy"],
}


def rows(
    pipeline: dict[str, Any], health: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """One row for each stage, its input queues' waits beside it.

    Args:
        pipeline: One pipeline of a document.
        health: Its health.
    """
    queues = pipeline["insight"]["queues"]
    buffers = {
        **pipeline["queues"],
        **{name: pool["backlog"] for name, pool in pipeline["pools"].items()},
    }
    worst = (pipeline["bottleneck"] or {}).get("stage")
    found = []
    for name, stage in pipeline["stages"].items():
        insight = pipeline["insight"]["stages"][name]
        inputs = [one for one in stage["inputs"] if one in queues]
        waits = [queues[one]["wait"]["p95"] for one in inputs]
        ages = [buffers[one]["oldest_age"] for one in inputs]
        found.append(
            {
                "name": name,
                "state": ((health or {}).get("stages", {}).get(name) or {}).get(
                    "state"
                ),
                "worst": name == worst,
                "rate": insight["rate"],
                "count": stage["count"],
                "produced": stage["produced"],
                "errors": insight["errors"] / insight["rate"] if insight["rate"] else 0,
                "p50": insight["duration"]["p50"],
                "p95": insight["duration"]["p95"],
                "wait": max((one for one in waits if one is not None), default=None),
                "age": max(ages, default=None),
                "busy": insight["busy"],
                "blocked": insight["blocked"],
                "idle": insight["idle"],
                "workers": insight["workers"],
                "active": stage["active"],
                "retries": stage["retries"],
            }
        )
    return found


def screen(
    document: dict[str, Any],
    sort: str,
    *,
    reverse: bool = False,
    top: int | None = None,
) -> Group:
    """A whole document.

    Args:
        document: The document.
        sort: One of ``SORTS``, or "" for the program's own order.
        reverse: Whether the order is turned round.
        top: Rows of a table at most.
    """
    parts: list[Any] = [_head(document), *alerts(document)]
    for name, pipeline in document["pipelines"].items():
        health = document["health"]["pipelines"].get(name)
        items = rows(pipeline, health)
        if sort:
            items.sort(key=SORTS[sort])
        if reverse:
            items.reverse()
        parts += [Text(), _verdict(name, pipeline), _stages(items[:top], sort)]
        if pipeline["queues"] or pipeline["pools"]:
            parts.append(_queues(pipeline, top))
    return Group(*parts)


def _head(document: dict[str, Any]) -> Text:
    health, process = document["health"], document["process"]
    text = Text.assemble(
        (f"{document['service']}", "bold"),
        "  ",
        (health["state"], _STATES.get(health["state"], "")),
        (
            "" if health["state"] == "healthy" else f"  {health['reason']}",
            "bright_black",
        ),
    )
    memory = process["memory_rss"]
    facts = [f"up {seconds(process['uptime'])}"]
    if memory:
        facts.append(f"{memory / 1e6:,.0f} MB")
    if document.get("instances"):
        facts.insert(0, f"{len(document['instances'])} processes")
    else:
        facts.insert(0, f"{document['host']} pid {process['pid']}")
    cost = process["telemetry_cost"]
    if cost:
        facts.append(f"own cost {cost['worst_share']:.1%}")
    text.append("  " + "  ".join(facts), "bright_black")
    if cost and cost["detail"] != "normal":
        text.append(f"  detail {cost['detail']}", "yellow")
    return text


def alerts(document: dict[str, Any]) -> list[Text]:
    """One line for each alert that fires and is not explained by another one.

    Args:
        document: The document.
    """
    found = []
    for one in document.get("alerts", ()):
        if one.get("explained_by"):
            continue
        style = "bold red" if one["severity"] == "critical" else "yellow"
        text = Text.assemble((one["severity"], style), "  ", (one["name"], "bold"))
        began = one.get("began")
        if began:
            text.append(
                f" {seconds(max(document['time'] - began, 0.0))}", "bright_black"
            )
        found.append(text.append(f"  {_printable(one['summary'])}"))
    return found


def _printable(text: str) -> str:
    """A text that moves no cursor: names in it are the program's."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _verdict(name: str, pipeline: dict[str, Any]) -> Hanging:
    worst = pipeline["bottleneck"]
    label = Text.assemble((name, "bold"), "  ")
    if worst is None:
        return Hanging(label, Text("no stage limits it", "bright_black"))
    text = Text.assemble((f"bottleneck {worst['stage']}", "bold yellow"))
    gain = worst["gain"]
    if gain is not None:
        then = f", then {worst['limit']} limits it" if worst["limit"] else ""
        text.append(f"  one more worker {gain:+.0%}{then}")
    return Hanging(label, text.append(f"  {worst['evidence']}", "bright_black"))


def _new(*columns: tuple[str, str], sort: str = "") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, (key, label) in enumerate(columns):
        mark = "▾" if key == sort and key else ""
        justify: Any = "right" if place else "left"
        table.add_column(f"{label}{mark}", justify=justify, no_wrap=True)
    return table


def _stages(items: list[dict[str, Any]], sort: str) -> Table:
    table = _new(
        ("name", "stage"),
        ("rate", "per s"),
        ("", "in"),
        ("", "out"),
        ("errors", "errors"),
        ("", "p50"),
        ("p95", "p95"),
        ("wait", "wait p95"),
        ("age", "oldest"),
        ("busy", "busy  blocked  idle"),
        ("", "workers"),
        ("", "open"),
        ("", "retries"),
        sort=sort,
    )
    for one in items:
        mark = Text(
            "▶ " if one["worst"] else "● ",
            _STATES.get(one["state"] or "", "bright_black"),
        )
        mark.append(one["name"], "bold yellow" if one["worst"] else "")
        shares = Text(
            f"{one['busy']:>4.0%} {one['blocked']:>4.0%} {one['idle']:>4.0%} "
        )
        shares.append(bar([(one["busy"], "blue"), (one["blocked"], "dark_orange")]))
        table.add_row(
            mark,
            rate(one["rate"]),
            f"{one['count']:,}",
            f"{one['produced']:,}",
            Text(percent(one["errors"]), "red" if one["errors"] else ""),
            seconds(one["p50"]),
            seconds(one["p95"]),
            seconds(one["wait"]),
            seconds(one["age"]),
            shares,
            f"{one['workers']:.0f}",
            f"{one['active']:,}",
            f"{one['retries']:,}",
        )
    return table


def _queues(pipeline: dict[str, Any], top: int | None) -> Table:
    table = _new(
        ("", "queue"),
        ("", "fill"),
        ("", "size"),
        ("", "in per s"),
        ("", "out per s"),
        ("", "wait p95"),
        ("", "oldest"),
        ("", "blocked"),
        ("", "full or empty in"),
    )
    buffers = {
        **pipeline["queues"],
        **{name: pool["backlog"] for name, pool in pipeline["pools"].items()},
    }
    for name, queue in list(buffers.items())[:top]:
        insight = pipeline["insight"]["queues"][name]
        fill = insight["fill"]
        colour = (
            "red"
            if (fill or 0) > _HIGH
            else "yellow"
            if (fill or 0) > _HALF
            else "blue"
        )
        size = NOTHING if queue["size"] is None else f"{queue['size']:,}"
        until = seconds(insight["seconds_to_full"] or insight["seconds_to_drain"])
        table.add_row(
            name,
            bar([(fill, colour)]) if fill is not None else NOTHING,
            f"{size}/{queue['capacity']:,}" if queue["capacity"] else size,
            rate(insight["arrivals"]),
            rate(insight["departures"]),
            seconds(insight["wait"]["p95"]),
            seconds(queue["oldest_age"]),
            f"{insight['blocked']:.1f}",
            f"full {until}" if insight["seconds_to_full"] is not None else until,
        )
    return table
