"""What ``stagelight run --explain`` says: what was observed, by which rule."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from stagelight.instrumentation import _matching
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks import _register

if TYPE_CHECKING:
    from stagelight.instrumentation._ledger import Entry

#: Names that are listed for one rule.
_MOST = 20


def render() -> str:
    """The whole text, with a line end."""
    lines = ["stagelight observed"]
    rules: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in LEDGER.entries:
        rules[entry.kind, entry.rule].append(entry)
    for (kind, rule), entries in sorted(rules.items()):
        many = f"{kind}s" if len(entries) > 1 else kind
        lines.append(f"  {len(entries)} {many}: {rule}")
        lines += [f"    {one.name}  ({one.where})" for one in entries[:_MOST]]
        if len(entries) > _MOST:
            lines.append(f"    and {len(entries) - _MOST} more")
    if not rules:
        lines.append("  nothing")
    statuses = list(_register.STATUS.values())
    observed = [one for one in statuses if one.state == _register.OBSERVED]
    if observed:
        names = ", ".join(f"{one.name} {one.detail}" for one in observed)
        lines.append(f"  hooks in {names}")
    left_out = [
        f"  {one.name}: {one.state}: {one.detail}"
        for one in statuses
        if one.state != _register.OBSERVED
    ]
    left_out += [
        f"  {kind} {what}: {why}" for (kind, what), why in LEDGER.declined.items()
    ]
    left_out += [
        f"  pattern {pattern}: matched nothing"
        for pattern in sorted(_matching.UNMATCHED)
    ]
    if left_out:
        lines += ["and not", *left_out]
    return "\n".join(lines) + "\n"
