"""The default rules, as readable lines with parameters.

Trends are taken on the floor and gated by a level, ratios have a minimum volume, and
nothing that a restart or another capacity explains is a trend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stagelight._errors import ConfigurationError
from stagelight.alerts._parse import parse
from stagelight.alerts._rule import RUNBOOK, Rule
from stagelight.alerts._tokens import tokens

_PLACEHOLDER: Final = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Template:
    """A default rule whose numbers can be changed.

    Attributes:
        name: Its name.
        line: The rule, with ``$name`` for each parameter.
        parameters: Their values.
        summary: As of ``Rule``.
        description: As of ``Rule``; may name parameters as ``$name``.
        unit: As of ``Rule``.
        cause: As of ``Rule``.
    """

    name: str
    line: str
    summary: str
    description: str
    cause: str
    unit: str = "number"
    parameters: dict[str, str] = field(default_factory=dict)

    def rule(
        self, changes: dict[str, Any] | None = None, on: tuple[str, ...] = ()
    ) -> Rule:
        """The rule.

        Args:
            changes: Other values of its parameters.
            on: What it is for; none for all.

        Raises:
            ConfigurationError: A parameter is unknown or its value no number.
        """
        values = dict(self.parameters)
        for name, value in (changes or {}).items():
            if name not in values:
                known = ", ".join([*values, "enabled"])
                raise ConfigurationError(
                    f"{self.name} has no parameter {name!r}; it has {known}"
                )
            values[name] = _number(f"{self.name}.{name}", value)
        text = _PLACEHOLDER.sub(lambda match: values[match[1]], self.line)
        line = parse(text)
        rule = Rule(
            name=self.name,
            severity=line.severity,
            condition=line.condition,
            hold=line.hold,
            summary=self.summary,
            description=_PLACEHOLDER.sub(
                lambda match: values[match[1]], self.description
            ),
            unit=self.unit,
            cause=self.cause,
            runbook=f"{RUNBOOK}#{self.name.lower()}",
            line=text,
        )
        rule = replace(rule, on=on)
        return rule if line.keep is None else replace(rule, keep=line.keep)


def _number(place: str, value: object) -> str:
    text = str(value).strip()
    if not isinstance(value, bool):
        try:
            found = tokens(text)
        except ConfigurationError:
            found = []
        if [one.kind for one in found] in (["number", "end"], ["duration", "end"]):
            return text
    raise ConfigurationError(
        f"{place}: {value!r} is not accepted; it takes a number, a share such as 30%, "
        "or a duration such as 5m"
    )


_RESTARTED: Final = "unless process.uptime < "
_RESIZED: Final = "unless changes(queue.capacity, 30m) > 0 "

TEMPLATES: Final = (
    Template(
        "StageQueueFullSoon",
        "critical queue.size > $level * queue.capacity "
        "and ahead(floor(queue.size, 5m), 15m, $horizon) > queue.capacity "
        f"{_RESIZED}{_RESTARTED}15m for 2m",
        "Queue {at} is full soon",
        "It holds {value} (limit: $level of its capacity, and full within about "
        "{15m} at this pace). Look at the stage that takes from it.",
        "backlog",
        parameters={"level": "50%", "horizon": "20m"},
    ),
    Template(
        "StageStalled",
        "critical increase(stage.process.duration.count, 5m) == 0 "
        "and floor(stage.waiting, 5m) > 0 unless service(6h) > $slow "
        f"{_RESTARTED}10m for 3m",
        "Stage {at} has stopped",
        "It finished {value} events in {5m} (limit: more than 0) while events "
        "wait for it. Look at its workers' stacks and at what they call.",
        "stalled",
        parameters={"slow": "15s"},
    ),
    Template(
        "StageErrorBudgetBurn",
        "critical failure_ratio(1h) > $fast and failure_ratio(5m) > $fast "
        "and increase(stage.process.duration.count, 1h) > $volume "
        "or failure_ratio(6h) > $slow and failure_ratio(30m) > $slow "
        "and increase(stage.process.duration.count, 6h) > $volume for 2m",
        "Stage {at} fails too often",
        "The share of failed calls is {value} (limit: $fast over {1h}, $slow over "
        "{6h}). Look at the failed events' logs, by error.type.",
        "failures",
        "share",
        {"fast": "14.4%", "slow": "6%", "volume": "100"},
    ),
    Template(
        "StageErrorBudgetBurn",
        "warning failure_ratio(1d) > $day and failure_ratio(2h) > $day "
        "and increase(stage.process.duration.count, 1d) > $volume "
        "or failure_ratio(3d) > $days and failure_ratio(6h) > $days "
        "and increase(stage.process.duration.count, 3d) > $volume for 1h",
        "Stage {at} uses its error budget up",
        "The share of failed calls is {value} (limit: $day over {1d}, $days over "
        "{3d}). Look at the failed events' logs, by error.type.",
        "failures",
        "share",
        {"day": "3%", "days": "1%", "volume": "1000"},
    ),
    Template(
        "PipelineTelemetryMissing",
        "critical absent(stage.active) for 5m",
        "No pipeline sends telemetry",
        "There has been no metric of a stage for {10m} ({value}; should be "
        "present): no pipeline runs, or none reaches the collector.",
        "telemetry",
    ),
    Template(
        "StageWorkerStuck",
        "stage.inflight.age > most(20 * service(1d), $age) "
        "and stage.inflight.age > $age for 3m",
        "A worker of stage {at} is stuck",
        "Its oldest call has run for {value} (limit: {$age}, and 20 times its usual "
        "time). Look at the stack in the log event and at what it waits for.",
        "stuck worker",
        "seconds",
        {"age": "120s"},
    ),
    Template(
        "StagePoison",
        "floor(increase(stage.failures, 5m), 15m) > 0 "
        "and failure_ratio(15m) > $factor * "
        "floor(mean(usual_failure_ratio(1h), 6h), 1d) "
        "and increase(stage.failures, 15m) > $volume "
        f"{_RESTARTED}15m for 5m",
        "Events keep failing in stage {at}",
        "{value} failures in {5m} at the least, without a pause (limit: 0, and "
        "$factor times the usual share). Look for an event that "
        "comes back again and again: the logs have its id and attempt.",
        "poison event",
        parameters={"factor": "3", "volume": "20"},
    ),
    Template(
        "StageRetryBurn",
        "retry_ratio(15m) > $share and retry_ratio(5m) > $share "
        "and floor(retry_ratio(5m), 15m) > $factor * "
        "floor(mean(usual_retry_ratio(1h), 6h), 1d) "
        "and increase(stage.process.duration.count, 15m) > $volume for 5m",
        "Stage {at} retries too much",
        "Retries are {value} of its calls (limit: $share over {15m} and over {5m}, "
        "$factor times the usual share). Look at what it calls: it is failing already, "
        "and retries add to its load.",
        "retries",
        "share",
        {"share": "3%", "factor": "2", "volume": "50"},
    ),
    Template(
        "StageServiceTimeDrift",
        "floor(service(5m), 15m) > $factor * floor(usual_service(1h), 1d) "
        "and increase(stage.process.duration.count, 15m) > $volume "
        f"{_RESTARTED}45m for 5m",
        "Stage {at} becomes slower",
        "A call takes {value} (limit: $factor times its best {1h} of the last {1d}), "
        "waits excluded. Look at its traces and at what it calls.",
        "slow stage",
        "seconds",
        {"factor": "1.25", "volume": "100"},
    ),
    Template(
        "StageSaturated",
        f"busy(30m) > $share and busy(10m) > $share {_RESTARTED}30m "
        "or floor(busy(10m), 20m) > $level "
        "and increase(stage.process.duration.count, 1h) > $volume "
        "and ahead(busy(10m), 1h, $horizon) > 100% "
        "and slope(busy(10m), 30m) > 0.5 * slope(busy(10m), 1h) "
        f"{_RESTARTED}75m "
        "or busy(10m) > $fewer and busy(10m) > 1.2 * mean(busy(30m), 6h) "
        "and worker.limit < 80% * peak(worker.limit, 6h) "
        "and increase(stage.process.duration.count, 15m) > 100 "
        f"{_RESTARTED}75m for 15m",
        "Stage {at} is at its limit",
        "Its workers are busy {value} of the time (limit: $share; $level and all of it "
        "within $horizon at this pace; $fewer with a fifth of its workers gone): its "
        "queue will grow without end. Add workers, or make it faster.",
        "saturated",
        "share",
        {
            "share": "90%",
            "level": "75%",
            "horizon": "2h",
            "volume": "5000",
            "fewer": "60%",
        },
    ),
    Template(
        "StageQueueFillingUp",
        "floor(queue.size, 5m) > $level * queue.capacity "
        "and ahead(floor(queue.size, 5m), 30m, $horizon) > queue.capacity "
        "and slope(floor(queue.size, 5m), 10m) > 0 "
        f"{_RESIZED}{_RESTARTED}30m for 5m",
        "Queue {at} is filling up",
        "It never holds less than {value} (limit: $level of its capacity), and is "
        "full within {$horizon} at this pace. Look at the stage that takes from it.",
        "backlog",
        parameters={"level": "2%", "horizon": "1h"},
    ),
    Template(
        "StageBacklogNotDraining",
        "floor(queue.size, 30m) > $level * queue.capacity "
        "and queue.size < 0.98 * queue.capacity "
        "and slope(floor(queue.size, 5m), 30m) >= 0 "
        f"{_RESIZED}{_RESTARTED}30m "
        "or floor(queue.oldest.age, 30m) > $age "
        "and slope(floor(queue.oldest.age, 5m), 30m) >= 0 "
        f"{_RESTARTED}30m for 10m",
        "Queue {at} does not drain",
        "It never held less than {value} in {30m} (limit: $level of its capacity, "
        "or events older than {$age}) and grows. Look at the stage that takes from it.",
        "backlog",
        parameters={"level": "1%", "age": "60s"},
    ),
    Template(
        "ProcessMemoryFloorRising",
        "floor(process.memory.usage, 12m) > $level * process.memory.limit "
        "and ahead(floor(process.memory.usage, 12m), 1h, $horizon) "
        "> process.memory.limit "
        "and slope(floor(process.memory.usage, 12m), 30m) > "
        "0.8 * slope(floor(process.memory.usage, 12m), 1h) "
        "unless changes(process.memory.limit, 1h) > 0 "
        f"{_RESTARTED}75m for 15m",
        "Memory of the process keeps growing",
        "It never uses less than {value} (limit: $level of what it may, and all of it "
        "within {$horizon} at this pace). Look for what is kept: caches, lists, tasks.",
        "memory leak",
        "bytes",
        {"level": "40%", "horizon": "8h"},
    ),
    Template(
        "ProcessRestartsOften",
        "floor(process.uptime, 30m) < $young for 70m",
        "The process starts again and again",
        "In each half hour of the last it was once only {value} old (limit: $young). "
        "Look at its last words before each end, and at its exit code.",
        "crash loop",
        "seconds",
        {"young": "5m"},
    ),
    Template(
        "ProcessGcPauseShare",
        f"rate(process.gc.pause.time, 15m) > $share {_RESTARTED}15m for 10m",
        "The garbage collector holds the process up",
        "It takes {value} of the time (limit: $share). Look at what is kept alive; "
        "gc.freeze() after the start helps where much of it is for good.",
        "garbage collector",
        "share",
        {"share": "5%"},
    ),
)


def default_rules() -> list[Rule]:
    """The rules that hold where nothing else is said, the gravest first."""
    return [template.rule() for template in TEMPLATES]
