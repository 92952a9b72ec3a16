"""What the dashboard shows, row by row."""

from __future__ import annotations

from typing import Final

from stagelight import _names
from stagelight._grafana import _queries as q
from stagelight._grafana._own import detailed, own
from stagelight._grafana._panels import Panel, gauges, heatmap, lines, stat
from stagelight._grafana._process_row import process

_AT_STAGE: Final = f"{q.PIPELINE}, {q.STAGE}"
_AT_QUEUE: Final = f"{q.PIPELINE}, {q.QUEUE}"
_STAGE: Final = "{{" + q.STAGE + "}}"
_QUEUE: Final = "{{" + q.QUEUE + "}}"


def rows() -> list[tuple[str, list[Panel]]]:
    """Title and panels of each row, from the whole to its parts."""
    return [
        ("Overview", _overview()),
        ("Stages: rate, errors, duration", _stages()),
        ("Queues", _queues()),
        ("Workers", _workers()),
        ("Retries and drops", _retries()),
        ("Process", process()),
        ("At detail detailed", detailed()),
        ("stagelight itself", own()),
    ]


def _overview() -> list[Panel]:
    busiest = f"topk(1, {q.worker_share(_names.BUSY, _AT_STAGE)})"
    return [
        stat(
            "Events per second",
            "Events that left the pipelines, whatever became of them.",
            "ops",
            (q.rate_of_count(_names.PIPELINE_DURATION, ""), ""),
        ),
        stat(
            "Errors",
            "Share of stage calls that failed, were refused or timed out.",
            "percentunit",
            (q.error_ratio(""), ""),
            warning=0.01,
            critical=0.05,
        ),
        stat(
            "Time through the pipeline, p95",
            "From an event's entry to the end of its last stage.",
            "s",
            (q.quantile(0.95, _names.PIPELINE_DURATION, ""), ""),
        ),
        stat(
            "Oldest event in a queue",
            "What waits longest now: it grows before anything fails.",
            "s",
            (q.total(_names.OLDEST_AGE, "", "max"), ""),
            warning=10,
            critical=60,
        ),
        stat(
            "Fullest queue",
            "Size against capacity, of bounded queues.",
            "percentunit",
            (f"max({q.fullness(_AT_QUEUE)})", ""),
            warning=0.5,
            critical=0.8,
        ),
        stat(
            "Bottleneck",
            "The stage whose workers are busy for the largest share of their time: "
            "only there does another worker help.",
            "percentunit",
            (busiest, _STAGE),
            warning=0.7,
            critical=0.9,
            named=True,
        ),
    ]


def _stages() -> list[Panel]:
    duration = _names.PROCESS_DURATION
    return [
        lines(
            "Rate",
            "Events that each stage finished, by outcome.",
            "ops",
            (
                q.rate(_names.CONSUMED, f"{_AT_STAGE}, {q.OUTCOME}"),
                f"{_STAGE} {{{{{q.OUTCOME}}}}}",
            ),
        ),
        lines(
            "Errors",
            "Share of each stage's calls that failed.",
            "percentunit",
            (q.error_ratio(_AT_STAGE), _STAGE),
        ),
        lines(
            "Errors by type",
            "What was raised, where.",
            "ops",
            (
                q.rate_of_count(
                    duration, f"{_AT_STAGE}, {q.ERROR_TYPE}", f'{q.ERROR_TYPE}!=""'
                ),
                f"{_STAGE} {{{{{q.ERROR_TYPE}}}}}",
            ),
        ),
        lines(
            "Duration, p50 and p95",
            "Of one call, without the time blocked in a put. A dot is one call: click "
            "it for its trace.",
            "s",
            (q.quantile(0.5, duration, _AT_STAGE), f"{_STAGE} p50"),
            (q.quantile(0.95, duration, _AT_STAGE), f"{_STAGE} p95"),
            exemplars=True,
        ),
        heatmap(
            "Durations",
            "All chosen stages. A dot is one call: click it for its trace.",
            q.buckets(duration),
        ),
        lines(
            "Time through the pipeline",
            "From an event's entry to the end of its last stage.",
            "s",
            *(
                (
                    q.quantile(share, _names.PIPELINE_DURATION, q.PIPELINE),
                    f"{{{{{q.PIPELINE}}}}} p{share * 100:.0f}",
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        lines(
            "In flight",
            "Events inside each stage now.",
            "short",
            (q.total(_names.ACTIVE, _AT_STAGE), _STAGE),
        ),
        lines(
            "Produced",
            "Events that each stage returned or yielded.",
            "ops",
            (q.rate(_names.PRODUCED, _AT_STAGE), _STAGE),
        ),
    ]


def _queues() -> list[Panel]:
    return [
        lines(
            "Size against capacity",
            "An unbounded queue has no capacity to show.",
            "short",
            (q.total(_names.QUEUE_SIZE, _AT_QUEUE), _QUEUE),
            (q.total(_names.QUEUE_CAPACITY, _AT_QUEUE), f"{_QUEUE} capacity"),
        ),
        gauges(
            "Fullness",
            "Size against capacity now.",
            "percentunit",
            (q.fullness(_AT_QUEUE), _QUEUE),
            0.5,
            0.8,
        ),
        lines(
            "Largest size",
            "Since the last collection: a burst between two scrapes shows.",
            "short",
            (q.total(_names.HIGH_WATERMARK, _AT_QUEUE, "max"), _QUEUE),
        ),
        lines(
            "Wait, p50 and p95",
            "Time that events spent in the queue.",
            "s",
            (q.quantile(0.5, _names.WAIT_DURATION, _AT_QUEUE), f"{_QUEUE} p50"),
            (q.quantile(0.95, _names.WAIT_DURATION, _AT_QUEUE), f"{_QUEUE} p95"),
        ),
        lines(
            "Oldest age",
            "Age of the oldest event in the queue.",
            "s",
            (q.total(_names.OLDEST_AGE, _AT_QUEUE, "max"), _QUEUE),
        ),
        lines(
            "In and refused",
            "Events put into the queue, and those that it refused.",
            "ops",
            (q.rate(_names.ENQUEUED, _AT_QUEUE, f'{q.ERROR_TYPE}=""'), _QUEUE),
            (
                q.rate(
                    _names.ENQUEUED,
                    f"{_AT_QUEUE}, {q.ERROR_TYPE}",
                    f'{q.ERROR_TYPE}!=""',
                ),
                f"{_QUEUE} {{{{{q.ERROR_TYPE}}}}}",
            ),
        ),
        lines(
            "Put blocked",
            "Producers that wait for room, on average: the next stage is too slow.",
            "short",
            (q.rate(_names.PUT_BLOCKED, _AT_QUEUE), _QUEUE),
        ),
        lines(
            "Waiting for each stage",
            "Events in all queues that it takes from.",
            "short",
            (q.total(_names.WAITING, _AT_STAGE), _STAGE),
        ),
    ]


def _workers() -> list[Panel]:
    return [
        lines(
            "Workers by state",
            "Busy in the stage, idle for want of input, blocked for want of room.",
            "short",
            (
                q.rate(_names.WORKER_TIME, f"{_AT_STAGE}, {q.STATE}"),
                f"{_STAGE} {{{{{q.STATE}}}}}",
            ),
            stacked=True,
        ),
        lines(
            "Busy",
            "Share of the workers' time: from about 90 % on queues grow without end.",
            "percentunit",
            (q.worker_share(_names.BUSY, _AT_STAGE), _STAGE),
            top=1,
        ),
        lines(
            "Blocked",
            "Share of the workers' time: not this stage is slow, but one behind it.",
            "percentunit",
            (q.worker_share(_names.BLOCKED_STATE, _AT_STAGE), _STAGE),
            top=1,
        ),
        lines(
            "Workers",
            "Now, by state, and the limit of a pool.",
            "short",
            (
                q.total(_names.WORKER_COUNT, f"{_AT_STAGE}, {q.STATE}"),
                f"{_STAGE} {{{{{q.STATE}}}}}",
            ),
            (q.total(_names.WORKER_LIMIT, _AT_STAGE), f"{_STAGE} limit"),
        ),
        lines(
            "Longest wait for room",
            "One single block since the last collection.",
            "s",
            (q.total(_names.BLOCKED_MAX, _AT_STAGE, "max"), _STAGE),
        ),
        lines(
            "Oldest open call",
            "A straight line upward is a worker that hangs.",
            "s",
            (q.total(_names.INFLIGHT_AGE, _AT_STAGE, "max"), _STAGE),
        ),
    ]


def _retries() -> list[Panel]:
    attempts = q.rate(_names.CONSUMED, _AT_STAGE)
    return [
        lines(
            "Retries",
            "Attempts that were repeated.",
            "ops",
            (q.rate(_names.RETRIES, _AT_STAGE), _STAGE),
        ),
        lines(
            "Retries per event",
            "It rises before errors do, for a retry may still succeed.",
            "short",
            (q.ratio(q.rate(_names.RETRIES, _AT_STAGE), attempts), _STAGE),
        ),
        lines(
            "Drops",
            "Events that were discarded, by reason.",
            "ops",
            (
                q.rate(
                    _names.DROPPED_EVENTS, f"{_AT_STAGE}, {q.REASON}, {q.INTENTIONAL}"
                ),
                f"{_STAGE} {{{{{q.REASON}}}}}",
            ),
        ),
    ]
