"""The dashboard's PromQL, made from the table of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._promql import label, series

if TYPE_CHECKING:
    from stagelight._names import Metric

PIPELINE: Final = label(_names.PIPELINE)
STAGE: Final = label(_names.STAGE)
QUEUE: Final = label(_names.QUEUE)
OUTCOME: Final = label(_names.OUTCOME)
STATE: Final = label(_names.WORKER_STATE)
ERROR_TYPE: Final = label(_names.ERROR_TYPE)
REASON: Final = label(_names.DROP_REASON)
INTENTIONAL: Final = label(_names.DROP_INTENTIONAL)
SIGNAL: Final = label(_names.SIGNAL)
PLACE: Final = label(_names.PLACE)
ALERT: Final = label(_names.ALERT)

#: Labels of each metric that a variable of the dashboard chooses.
_CHOSEN: Final = {_names.PIPELINE: "pipeline", _names.STAGE: "stage"}
#: Outcomes that are errors.
_ERRORS: Final = "|".join(sorted(_names.ERRORS))


def chosen(metric: Metric, more: str = "") -> str:
    """The labels that the dashboard's variables choose, in braces.

    Args:
        metric: A row of the metric table.
        more: Further matchers.
    """
    matchers = ['job=~"$service"', 'instance=~"$instance"']
    for attribute, variable in _CHOSEN.items():
        if attribute in metric.attributes:
            matchers.append(f'{label(attribute)}=~"${variable}"')
    if more:
        matchers.append(more)
    return "{" + ", ".join(matchers) + "}"


def rate(metric: Metric, by: str, more: str = "") -> str:
    """How much a counter grows in a second, by labels.

    Args:
        metric: A counter.
        by: Labels, with commas; "" for one sum.
        more: Further matchers.
    """
    grouped = f" by ({by})" if by else ""
    return (
        f"sum{grouped} (rate({series(metric)}{chosen(metric, more)}[$__rate_interval]))"
    )


def rate_of_count(metric: Metric, by: str, more: str = "") -> str:
    """How many samples a histogram takes in a second.

    Args:
        metric: A histogram.
        by: Labels, with commas; "" for one sum.
        more: Further matchers.
    """
    grouped = f" by ({by})" if by else ""
    return (
        f"sum{grouped} (rate({series(metric)}_count{chosen(metric, more)}"
        "[$__rate_interval]))"
    )


def total(metric: Metric, by: str, how: str = "sum") -> str:
    """The present value of what goes up and down.

    Args:
        metric: An up-down counter or gauge.
        by: Labels, with commas; "" for one value.
        how: The aggregation.
    """
    grouped = f" by ({by})" if by else ""
    name = series(metric)
    if how != "sum" or _names.SHARED not in metric.attributes:
        return f"{how}{grouped} ({name}{chosen(metric)})"
    # Processes that share a queue all tell its whole size.
    shared = label(_names.SHARED)
    own = f"""sum{grouped} ({name}{chosen(metric, f'{shared}=""')})"""
    one = f"""max{grouped} ({name}{chosen(metric, f'{shared}="true"')})"""
    return f"({own} or {one})"


def quantile(share: float, metric: Metric, by: str) -> str:
    """A quantile of a histogram.

    Args:
        share: Between 0 and 1.
        metric: A histogram.
        by: Labels, with commas.
    """
    grouped = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, sum by ({grouped}) (rate("
        f"{series(metric)}_bucket{chosen(metric)}[$__rate_interval])))"
    )


def buckets(metric: Metric) -> str:
    """A histogram's buckets over time, for a heatmap.

    Args:
        metric: A histogram.
    """
    return (
        f"sum by (le) (increase({series(metric)}_bucket{chosen(metric)}"
        "[$__rate_interval]))"
    )


def ratio(part: str, whole: str) -> str:
    """One query over another, without the gaps of 0 / 0.

    Args:
        part: A query.
        whole: A query of the same labels.
    """
    return f"({part}) / ({whole} > 0)"


def error_ratio(by: str) -> str:
    """The share of events that failed.

    Args:
        by: Labels, with commas; "" for one share.
    """
    errors = rate(_names.CONSUMED, by, f'{OUTCOME}=~"{_ERRORS}"')
    all_ = rate(_names.CONSUMED, by)
    # A stage that never failed has no series of failures, and a share of 0.
    return ratio(f"({errors}) or 0 * ({all_})", all_)


def worker_share(state: str, by: str) -> str:
    """The share of the workers' time in one state.

    Args:
        state: ``busy``, ``idle`` or ``blocked``.
        by: Labels, with commas.
    """
    inside = rate(_names.WORKER_TIME, by, f'{STATE}="{state}"')
    return ratio(inside, rate(_names.WORKER_TIME, by))


def fullness(by: str) -> str:
    """A queue's size against its capacity, of bounded queues only.

    Args:
        by: Labels, with commas.
    """
    size = total(_names.QUEUE_SIZE, by)
    return ratio(size, total(_names.QUEUE_CAPACITY, by))
