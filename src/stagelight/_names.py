"""Every name that leaves this process: metrics, attributes, units and buckets.

The table is the source for the instruments, the README, and a conformance test.
Naming follows the OpenTelemetry semantic conventions: seconds as ``s``, ``{event}``
in the singular, one metric for success and failure, ``error.type`` only on failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SCOPE: Final = "stagelight"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

PIPELINE: Final = "stagelight.pipeline.name"
STAGE: Final = "stagelight.stage.name"
QUEUE: Final = "stagelight.queue.name"
#: On the size of a queue that several processes tell: take the maximum, not the sum.
SHARED: Final = "stagelight.queue.shared"
OUTCOME: Final = "stagelight.outcome"
WORKER_STATE: Final = "stagelight.worker.state"
LINK_FROM: Final = "stagelight.link.from"
LINK_TO: Final = "stagelight.link.to"
STATE: Final = "stagelight.state"
STATE_BEFORE: Final = "stagelight.state.previous"
STATE_REASON: Final = "stagelight.state.reason"
STATE_VALUE: Final = "stagelight.state.value"
STATE_LIMIT: Final = "stagelight.state.limit"
STATE_SINCE: Final = "stagelight.state.since"
DROP_REASON: Final = "stagelight.drop.reason"
DROP_INTENTIONAL: Final = "stagelight.drop.intentional"
SIGNAL: Final = "stagelight.signal"
PLACE: Final = "stagelight.telemetry.place"
ERROR_TYPE: Final = "error.type"

# Span and log attributes only: too many values for a metric.
EVENT_ID: Final = "stagelight.event.id"
ATTEMPT: Final = "stagelight.attempt"
QUEUE_WAIT: Final = "stagelight.queue.wait.duration"
BLOCKED: Final = "stagelight.blocked.duration"
BATCH_SIZE: Final = "stagelight.batch.size"
RETRY_COUNT: Final = "stagelight.retry.count"
RETRY_WAIT: Final = "stagelight.retry.wait.duration"
RETRY_GIVEN_UP: Final = "stagelight.retry.given_up"
RETRY_BY: Final = "stagelight.retry.library"
RESCUED: Final = "stagelight.rescued"
FUNCTION: Final = "code.function.name"
THREAD_NAME: Final = "thread.name"

EXCEPTION_EVENT: Final = "stagelight.stage.process.exception"
DROPPED_EVENT: Final = "stagelight.event.dropped"
RETRY_EVENT: Final = "stagelight.stage.retry"
GIVEN_UP_EVENT: Final = "stagelight.stage.retry.given_up"
QUEUE_FULL_EVENT: Final = "stagelight.queue.full"
QUEUE_RECOVERED_EVENT: Final = "stagelight.queue.recovered"
STATE_EVENT: Final = "stagelight.stage.state_changed"

SUCCESS: Final = "success"
FAILURE: Final = "failure"
REFUSED: Final = "refused"
DROPPED: Final = "dropped"
TIMEOUT: Final = "timeout"
CANCELLED: Final = "cancelled"
OUTCOMES: Final = (SUCCESS, FAILURE, REFUSED, DROPPED, TIMEOUT, CANCELLED)
#: Outcomes that count as errors in ``stats()`` and produce a log record.
ERRORS: Final = frozenset({FAILURE, REFUSED, TIMEOUT})

BUSY: Final = "busy"
IDLE: Final = "idle"
BLOCKED_STATE: Final = "blocked"
WORKER_STATES: Final = (BUSY, IDLE, BLOCKED_STATE)

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
DEGRADED: Final = "degraded"
OVERLOADED: Final = "overloaded"
STALLED: Final = "stalled"
STOPPING: Final = "stopping"
#: From the best to the worst, as far as they can be compared.
STATES: Final = (HEALTHY, STARTING, STOPPING, DEGRADED, OVERLOADED, STALLED)

QUEUE_FULL: Final = "queue_full"
QUEUE_CLOSED: Final = "queue_closed"
OTHER: Final = "_OTHER"

MAX_NAME: Final = 64
MAX_STAGES: Final = 256
MAX_ERROR_TYPES: Final = 32

#: Upper bounds in seconds. In-process stages are often far below a millisecond.
# fmt: off
DURATION_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)
# fmt: on
PIPELINE_BUCKETS: Final = (*DURATION_BUCKETS, 30.0, 60.0, 300.0)

COUNTER: Final = "counter"
UP_DOWN: Final = "updowncounter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True)
class Metric:
    """One row of the metric table.

    Attributes:
        name: Full metric name.
        kind: ``counter``, ``updowncounter``, ``gauge`` or ``histogram``.
        unit: UCUM unit.
        attributes: Keys of its data points, in order.
        description: One sentence without a full stop.
    """

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]
    description: str


_S = (PIPELINE, STAGE)
_Q = (PIPELINE, QUEUE)

PROCESS_DURATION: Final = Metric(
    "stagelight.stage.process.duration",
    HISTOGRAM,
    "s",
    (*_S, OUTCOME, ERROR_TYPE),
    "Duration of one stage call, less the time blocked in a downstream put",
)
WAIT_DURATION: Final = Metric(
    "stagelight.queue.wait.duration",
    HISTOGRAM,
    "s",
    _Q,
    "Time an event spent in the queue",
)
PIPELINE_DURATION: Final = Metric(
    "stagelight.pipeline.duration",
    HISTOGRAM,
    "s",
    (PIPELINE, OUTCOME),
    "Time from an event's entry into the pipeline to its last stage's end",
)
CONSUMED: Final = Metric(
    "stagelight.stage.consumed.events",
    COUNTER,
    "{event}",
    (*_S, OUTCOME),
    "Events that a stage took in and finished",
)
PRODUCED: Final = Metric(
    "stagelight.stage.produced.events",
    COUNTER,
    "{event}",
    _S,
    "Events that a stage returned or yielded",
)
DROPPED_EVENTS: Final = Metric(
    "stagelight.stage.dropped.events",
    COUNTER,
    "{event}",
    (*_S, DROP_REASON, DROP_INTENTIONAL),
    "Events that a stage discarded",
)
RETRIES: Final = Metric(
    "stagelight.stage.retries",
    COUNTER,
    "{retry}",
    _S,
    "Attempts that a stage repeated",
)
ACTIVE: Final = Metric(
    "stagelight.stage.active",
    UP_DOWN,
    "{event}",
    _S,
    "Events inside the stage now",
)
QUEUE_SIZE: Final = Metric(
    "stagelight.queue.size",
    UP_DOWN,
    "{event}",
    (*_Q, SHARED),
    "Events in the queue now",
)
QUEUE_CAPACITY: Final = Metric(
    "stagelight.queue.capacity",
    UP_DOWN,
    "{event}",
    (*_Q, SHARED),
    "Events the queue can hold; absent where it has no bound",
)
OLDEST_AGE: Final = Metric(
    "stagelight.queue.oldest.age",
    GAUGE,
    "s",
    _Q,
    "Age of the oldest event in the queue; 0 where it is empty",
)
HIGH_WATERMARK: Final = Metric(
    "stagelight.queue.high_watermark",
    GAUGE,
    "{event}",
    (*_Q, SHARED),
    "Largest size since this reader's last collection",
)
ENQUEUED: Final = Metric(
    "stagelight.queue.enqueued.events",
    COUNTER,
    "{event}",
    (*_Q, ERROR_TYPE),
    "Events put into the queue, and with error.type those it refused",
)
PUT_BLOCKED: Final = Metric(
    "stagelight.queue.put.blocked.time",
    COUNTER,
    "s",
    _Q,
    "Time that producers waited for room in the queue",
)
WORKER_TIME: Final = Metric(
    "stagelight.worker.time",
    COUNTER,
    "s",
    (*_S, WORKER_STATE),
    "Time of the stage's workers by state, open intervals included",
)
BLOCKED_MAX: Final = Metric(
    "stagelight.worker.blocked.max",
    GAUGE,
    "s",
    _S,
    "Longest single wait for room since this reader's last collection",
)
WORKER_COUNT: Final = Metric(
    "stagelight.worker.count",
    UP_DOWN,
    "{worker}",
    (*_S, WORKER_STATE),
    "Workers of the stage now, by state",
)
WORKER_LIMIT: Final = Metric(
    "stagelight.worker.limit",
    UP_DOWN,
    "{worker}",
    _S,
    "Workers that the pool may run at once",
)
FLOW_LINK: Final = Metric(
    "stagelight.flow.link",
    UP_DOWN,
    "1",
    (PIPELINE, LINK_FROM, LINK_TO),
    "Ways that events were seen to go between stages, queues and pools",
)
STAGE_STATUS: Final = Metric(
    "stagelight.stage.status",
    UP_DOWN,
    "1",
    (*_S, STATE),
    "Health of the stage: 1 for its state, 0 for every other; while it is watched",
)
MEMORY: Final = Metric(
    "process.memory.usage",  # the semantic conventions' own
    UP_DOWN,
    "By",
    (),
    "Resident memory of the process",
)
TELEMETRY_DROPPED: Final = Metric(
    "stagelight.telemetry.dropped",
    COUNTER,
    "{item}",
    (SIGNAL,),
    "Telemetry items that were lost on their way out",
)
TELEMETRY_ERRORS: Final = Metric(
    "stagelight.telemetry.errors",
    COUNTER,
    "{error}",
    (PLACE,),
    "Errors inside stagelight itself, which the pipeline never sees",
)

# fmt: off
#: The whole table, in the order of the README.
METRICS: Final = (
    PROCESS_DURATION, CONSUMED, PRODUCED, DROPPED_EVENTS, RETRIES, ACTIVE, QUEUE_SIZE,
    QUEUE_CAPACITY, WAIT_DURATION, OLDEST_AGE, HIGH_WATERMARK, ENQUEUED, PUT_BLOCKED,
    WORKER_TIME, WORKER_COUNT, WORKER_LIMIT, BLOCKED_MAX, PIPELINE_DURATION,
    FLOW_LINK, STAGE_STATUS, MEMORY, TELEMETRY_DROPPED, TELEMETRY_ERRORS,
)
# fmt: on


def encodable(text: str) -> str:
    """A text as it can leave: one lone surrogate would cost a whole batch.

    File names that are no UTF-8 have such characters; they are spelled out.

    Args:
        text: Any text of the program's.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
