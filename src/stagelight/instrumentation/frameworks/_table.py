"""The tables of the documentation: what is recorded of each framework."""

from __future__ import annotations

from stagelight.instrumentation.frameworks._catalog import FRAMEWORKS


def table() -> str:
    """All that is known of each, as Markdown: docs/frameworks.md has it."""
    head = ("framework", "stages", "one trace per", "queue", "counted", "across")
    return _markdown(
        head,
        [
            (
                f"{one.name} `{one.versions}`",
                one.stages,
                one.trace or "-",
                one.queue or "-",
                one.events or "-",
                one.across or "-",
            )
            for one in FRAMEWORKS
        ],
    )


def summary() -> str:
    """Frameworks of which the same is recorded in one row: README.md has it."""
    head = ("framework", "spans", "queue, wait", "retries, drops, …", "processes")
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in FRAMEWORKS:
        known = (one.trace, one.queue, one.events, one.across)
        marks = tuple("yes" if text else "-" for text in known)
        alike.setdefault(marks, []).append(one.name)
    rows = [(", ".join(names), *marks) for marks, names in alike.items()]
    return _markdown(head, rows)


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
