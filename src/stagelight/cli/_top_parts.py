"""Numbers and bars as ``stagelight top`` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING: Final = "-"
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_MINUTE, _LONG = 120.0, 1000.0


def seconds(value: float | None) -> str:
    """A duration with three digits and a unit that fits."""
    if value is None:
        return NOTHING
    if not value:
        return "0 s"
    if value >= _MINUTE:
        return f"{value / 60:,.0f} min"
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
    unit, size = next((one for one in units if value >= one[1]), units[-1])
    return f"{value / size:#.3g}".rstrip(".") + f" {unit}"


def rate(value: float | None) -> str:
    """Events per second."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= _LONG / 10 else f"{value:.1f}"


def percent(value: float | None) -> str:
    """A share."""
    return NOTHING if value is None else f"{value:.0%}"


def bar(shares: Iterable[tuple[float, str]], width: int = 10) -> Text:
    """A bar of coloured parts.

    Args:
        shares: Length from 0 to 1, and colour.
        width: Characters of the whole.
    """
    text = Text()
    left = width
    for share, colour in shares:
        cells = max(min(share, 1.0), 0.0) * width
        whole = min(int(cells), left)
        text.append("█" * whole, colour)
        left -= whole
        part = _BLOCKS[int((cells - int(cells)) * 8)]
        if left and part != " ":
            text.append(part, colour)
            left -= 1
    text.append("·" * left, "bright_black")
    return text
