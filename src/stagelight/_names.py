"""Every name that leaves this process: metrics, attributes, units and buckets.

The table is the source for the instruments, the README, and a conformance test.
Naming follows the OpenTelemetry semantic conventions: seconds as ``s``, ``{event}``
in the singular, one metric for success and failure, ``error.type`` only on failure.
"""

from __future__ import annotations

from typing import Final

from stagelight import _own_names
from stagelight._metric import COUNTER as COUNTER
from stagelight._metric import GAUGE as GAUGE
from stagelight._metric import HISTOGRAM as HISTOGRAM
from stagelight._metric import UP_DOWN as UP_DOWN
from stagelight._metric import Metric as Metric
from stagelight._process_metrics import ALERT as ALERT
from stagelight._process_metrics import ALERT_STATUS as ALERT_STATUS
from stagelight._process_metrics import GC_PAUSE as GC_PAUSE
from stagelight._process_metrics import MEMORY as MEMORY
from stagelight._process_metrics import MEMORY_LIMIT as MEMORY_LIMIT
from stagelight._process_metrics import PLACE as PLACE
from stagelight._process_metrics import SEVERITY as SEVERITY
from stagelight._process_metrics import SIGNAL as SIGNAL
from stagelight._process_metrics import TELEMETRY_DROPPED as TELEMETRY_DROPPED
from stagelight._process_metrics import TELEMETRY_ERRORS as TELEMETRY_ERRORS
from stagelight._process_metrics import UPTIME as UPTIME

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
ALERT_EVENT: Final = "stagelight.alert"

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
DUPLICATE: Final = "duplicate"
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
#: Events; powers of two are bounds that the slots can tell exactly.
BATCH_BUCKETS: Final = tuple(float(1 << power) for power in range(13))

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
WORKER_CPU: Final = Metric(
    "stagelight.worker.cpu.time",
    COUNTER,
    "s",
    _S,
    "Processor time of the stage's calls, nested stages excluded; at detail detailed",
)
BATCHES: Final = Metric(
    "stagelight.batch.size",
    HISTOGRAM,
    "{event}",
    _S,
    "Events in one call that took a list or set of them; at detail detailed",
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
INFLIGHT_AGE: Final = Metric(
    "stagelight.stage.inflight.age",
    GAUGE,
    "s",
    _S,
    "Age of the oldest call inside the stage; 0 where there is none",
)
WAITING: Final = Metric(
    "stagelight.stage.waiting",
    UP_DOWN,
    "{event}",
    _S,
    "Events in the queues that the stage takes from",
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
# fmt: off
#: The whole table, in the order of docs/metrics.md.
METRICS: Final = (
    PROCESS_DURATION, CONSUMED, PRODUCED, DROPPED_EVENTS, RETRIES, ACTIVE, INFLIGHT_AGE,
    WAITING, QUEUE_SIZE, QUEUE_CAPACITY, WAIT_DURATION, OLDEST_AGE, HIGH_WATERMARK,
    ENQUEUED, PUT_BLOCKED, WORKER_TIME, WORKER_COUNT, WORKER_LIMIT, BLOCKED_MAX,
    PIPELINE_DURATION, FLOW_LINK, STAGE_STATUS, MEMORY, MEMORY_LIMIT, UPTIME, GC_PAUSE,
    ALERT_STATUS, TELEMETRY_DROPPED, TELEMETRY_ERRORS,
    WORKER_CPU, BATCHES, *_own_names.METRICS,
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
