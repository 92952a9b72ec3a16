"""Panels as Grafana's dashboard JSON has them."""

from __future__ import annotations

from typing import Any, Final

Panel = dict[str, Any]
#: Query and legend.
Target = tuple[str, str]

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_GREEN: Final = "green"


def _targets(queries: tuple[Target, ...], *, exemplars: bool) -> list[dict[str, Any]]:
    return [
        {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "expr": query,
            "legendFormat": legend,
            "range": True,
            # Once for a panel, or each dot is drawn twice.
            "exemplar": exemplars and number == len(queries) - 1,
        }
        for number, (query, legend) in enumerate(queries)
    ]


def _panel(kind: str, title: str, description: str, unit: str) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": {},
    }


def _thresholds(warning: float | None, critical: float | None) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": _GREEN, "value": None}]
    if warning is not None:
        steps.append({"color": "orange", "value": warning})
    if critical is not None:
        steps.append({"color": "red", "value": critical})
    return {"mode": "absolute", "steps": steps}


def lines(  # noqa: PLR0913 - what a panel says of itself
    title: str,
    description: str,
    unit: str,
    *queries: Target,
    exemplars: bool = False,
    stacked: bool = False,
    top: float | None = None,
) -> Panel:
    """Values over time.

    Args:
        title: What it shows.
        description: How to read it.
        unit: Grafana's name of the unit.
        queries: What it shows.
        exemplars: Whether dots lead to single traces.
        stacked: Whether the values add up.
        top: Where the axis ends.
    """
    panel = _panel("timeseries", title, description, unit)
    panel["targets"] = _targets(queries, exemplars=exemplars)
    panel["fieldConfig"]["defaults"]["min"] = 0
    if top is not None:
        panel["fieldConfig"]["defaults"]["max"] = top
    panel["fieldConfig"]["defaults"]["custom"] = {
        "fillOpacity": 30 if stacked else 5,
        "lineWidth": 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    # A bound is a dashed line of the colour's own.
    panel["fieldConfig"]["overrides"] = [
        {
            "matcher": {"id": "byRegexp", "options": "/ (capacity|limit)$/"},
            "properties": [
                {
                    "id": "custom.lineStyle",
                    "value": {"fill": "dash", "dash": [8, 8]},
                }
            ],
        }
    ]
    panel["options"] = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def stat(  # noqa: PLR0913 - as above
    title: str,
    description: str,
    unit: str,
    query: Target,
    *,
    warning: float | None = None,
    critical: float | None = None,
    named: bool = False,
) -> Panel:
    """One number, with the colour of its worth.

    Args:
        title: What it shows.
        description: How to read it.
        unit: Grafana's name of the unit.
        query: What it shows.
        warning: From where on it is orange.
        critical: From where on it is red.
        named: Whether the name is told as well as the number.
    """
    panel = _panel("stat", title, description, unit)
    panel["targets"] = _targets((query,), exemplars=False)
    panel["fieldConfig"]["defaults"]["thresholds"] = _thresholds(warning, critical)
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name" if named else "value",
        "colorMode": "background",
        "graphMode": "area",
    }
    return panel


def gauges(
    title: str, description: str, unit: str, query: Target, *limits: float
) -> Panel:
    """A bar for each value, between 0 and 1.

    Args:
        title: What it shows.
        description: How to read it.
        unit: Grafana's name of the unit.
        query: What it shows.
        limits: From where on a bar is orange, and red.
    """
    panel = _panel("bargauge", title, description, unit)
    panel["targets"] = _targets((query,), exemplars=False)
    panel["targets"][0] |= {"instant": True, "range": False}
    warning, critical = limits
    panel["fieldConfig"]["defaults"] |= {
        "min": 0,
        "max": 1,
        "thresholds": _thresholds(warning, critical),
    }
    panel["options"] = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel


def heatmap(title: str, description: str, query: str) -> Panel:
    """A histogram's buckets over time.

    Args:
        title: What it shows.
        description: How to read it.
        query: The buckets, by ``le``.
    """
    panel = _panel("heatmap", title, description, "short")
    panel["targets"] = _targets(((query, "{{le}}"),), exemplars=True)
    panel["targets"][0]["format"] = "heatmap"
    panel["options"] = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"unit": "s"},
        "exemplars": {"color": "rgba(31, 120, 193, 0.8)"},
        "tooltip": {"mode": "single", "yHistogram": True},
    }
    return panel
