"""Which frameworks are known, and what is recorded of each; all of it is data."""

from __future__ import annotations

from typing import Final, NamedTuple


class Framework(NamedTuple):
    """One framework.

    Attributes:
        name: As people call it.
        distribution: Its package, whose version is checked.
        versions: Those it was tried with, as a version specifier.
        module: File in this folder that observes it.
        waits_for: Modules whose import brings the hooks in.
        stages: What becomes a stage, and under which name.
        trace: What one trace holds.
        queue: Whose size and wait are recorded.
        events: Retries, drops and the like that are counted.
        across: How the trace reaches other processes.
    """

    name: str
    distribution: str
    versions: str
    module: str
    waits_for: tuple[str, ...]
    stages: str
    trace: str = ""
    queue: str = ""
    events: str = ""
    across: str = ""


def _retries(name: str, versions: str, *waits_for: str) -> Framework:
    """A library that only repeats what the stages do."""
    return Framework(
        name,
        name,
        versions,
        name,
        waits_for,
        stages="those that call it",
        events="retries, waits, give-ups",
    )


#: In the order of the page's table.
FRAMEWORKS: Final[tuple[Framework, ...]] = (
    Framework(
        "Kedro",
        "kedro",
        ">=1,<2",
        "kedro",
        ("kedro.runner.runner", "kedro.runner.task", "kedro.io.data_catalog"),
        stages="each node by its name, the run as `kedro run`",
        trace="run",
        events="load and save time of a node's datasets",
        across="`ParallelRunner`: fork, spawn, forkserver",
    ),
    Framework(
        "Scrapy",
        "scrapy",
        ">=2.13,<3",
        "scrapy",
        (
            "scrapy.http.request",
            "scrapy.core.scheduler",
            "scrapy.core.downloader.middleware",
            "scrapy.downloadermiddlewares.retry",
            "scrapy.core.scraper",
            "scrapy.pipelines",
        ),
        stages="`download`, each callback as `spider.callback`, each item pipeline",
        trace="crawl; linked ones beyond `spans_per_trace`",
        queue="`requests`: the scheduler",
        events="retries; drops by exception",
    ),
    Framework(
        "rq",
        "rq",
        ">=2,<4",
        "rq",
        ("rq.queue", "rq.job", "rq.worker"),
        stages="each job by its function",
        trace="job, with the jobs that it enqueues",
        queue="each, by its name",
        events="retries; refused; time limits",
        across="`job.meta`; forking workers",
    ),
    Framework(
        "Luigi",
        "luigi",
        ">=3.5,<4",
        "luigi",
        ("luigi.interface", "luigi.worker"),
        stages="each task by its family, the run as `luigi run`",
        trace="run",
        queue="`pending`: the worker's scheduled tasks",
        events="retries; left for dynamic dependencies as `cancelled`",
        across="task processes",
    ),
    Framework(
        "scikit-learn",
        "scikit-learn",
        ">=1.4,<2",
        "sklearn",
        (
            "sklearn.base",
            "sklearn.pipeline",
            "sklearn.compose._column_transformer",
            "sklearn.ensemble._voting",
            "sklearn.ensemble._stacking",
            "sklearn.model_selection._search",
            "sklearn.model_selection._validation",
            "joblib.parallel",
        ),
        stages="each named step and method, as `scaler.fit_transform`",
        trace="outermost call of a composition, or cross-validation of one",
        events="rows of a call",
        across="joblib's loky processes",
    ),
    Framework(
        "streamz",
        "streamz",
        ">=0.6.3,<0.7",
        "streamz",
        ("streamz.core", "streamz.sinks"),
        stages="each node's function by its name, or the node's `stream_name`",
        trace="element that a source emits",
        queue="`buffer` and `delay` nodes",
    ),
    Framework(
        "huey",
        "huey",
        ">=2.5,<4",
        "huey",
        ("huey.api", "huey.serializer", "huey.consumer"),
        stages="each task by its name",
        trace="task, with its pipeline and the tasks it enqueues; chord",
        queue="each huey, by its name",
        events="retries; revoked, expired, cancelled as drops; locked as refused",
        across="behind the pickled message; worker processes",
    ),
    Framework(
        "spaCy",
        "spacy",
        ">=3.5,<4",
        "spacy",
        ("spacy.util", "spacy.language"),
        stages="each component by its name, `tokenizer`, `nlp` and `nlp.pipe`",
        trace="call of `nlp` or `nlp.pipe`",
        events="own time of each component for each document",
        across="`n_process`, forked",
    ),
    Framework(
        "Hamilton",
        "apache-hamilton",
        ">=1.80,<2",
        "hamilton",
        (
            "hamilton.driver",
            "hamilton.async_driver",
            "hamilton.execution.graph_functions",
            "hamilton.execution.grouping",
            "hamilton.execution.executors",
        ),
        stages="each node by its name, the run as `hamilton run`",
        trace="`execute`",
        across="tasks in threads and processes",
    ),
    Framework(
        "Dask distributed",
        "distributed",
        ">=2024.2",
        "dask",
        ("distributed.client", "distributed.worker"),
        stages="each task by its key's prefix; `dask transfer` apart",
        trace="graph that a client submits, with calls of its futures",
        queue="`dask ready`: tasks that a worker could run",
        across="task annotations; `StagelightPlugin` for workers elsewhere",
    ),
    Framework(
        "dramatiq",
        "dramatiq",
        ">=1.15,<3",
        "dramatiq",
        (
            "dramatiq.broker",
            "dramatiq.actor",
            "dramatiq.worker",
            "dramatiq.composition",
        ),
        stages="each actor by its name",
        trace="message or group, with those that it sends",
        queue="each, by its name",
        events="retries; skipped as drops; rate limits as refused; time limits",
        across="`message.options`; worker processes",
    ),
    Framework(
        "arq",
        "arq",
        ">=0.25,<1",
        "arq",
        ("arq.jobs", "arq.connections", "arq.worker"),
        stages="each function by its name",
        trace="job, with those that it enqueues",
        queue="each, by its name",
        events="retries; refused; time limits",
        across="one more key beside the job's own",
    ),
    Framework(
        "Haystack",
        "haystack-ai",
        ">=2.10,<4",
        "haystack",
        ("haystack.core.pipeline.pipeline",),
        stages="each component by its name, the run as `haystack run`",
        trace="run",
    ),
    Framework(
        "procrastinate",
        "procrastinate",
        ">=3.10,<4",
        "procrastinate",
        ("procrastinate.worker", "procrastinate.manager"),
        stages="each task by its name",
        trace="job, with those that it defers",
        queue="each, by its name",
        events="retries",
        across="a lock of the job's own, where it has none",
    ),
    Framework(
        "Celery",
        "celery",
        ">=5.2,<6",
        "celery",
        ("celery.signals",),
        stages="none: opentelemetry-instrumentation-celery has the spans",
        queue="each, by its name",
        across="a header; flush of prefork children",
    ),
    Framework(
        "pypeln",
        "pypeln",
        ">=0.4.9,<0.5",
        "pypeln",
        (
            "pypeln.thread.queue",
            "pypeln.thread.worker",
            "pypeln.task.queue",
            "pypeln.task.worker",
            "pypeln.process.queue",
            "pypeln.thread.stage",
            "pypeln.task.stage",
            "pypeln.process.stage",
            "pypeln.process.api.map",
            "pypeln.process.api.flat_map",
            "pypeln.process.api.filter",
            "pypeln.process.api.each",
        ),
        stages="each stage by its function: threads, tasks, processes, mixed",
        trace="element",
        queue="the input of each stage of threads and tasks",
        across="the pickled element",
    ),
    _retries("tenacity", ">=8.2,<10", "tenacity", "tenacity.asyncio"),
    _retries("stamina", ">=23.3", "stamina"),
    _retries("backoff", ">=2.1,<3", "backoff._sync", "backoff._async"),
    _retries("urllib3", ">=1.26,<3", "urllib3.util.retry"),
)

#: Top-level module -> why it gets no second span.
ASIDE: Final[dict[str, str]] = {
    "airflow": "Airflow traces its own tasks",
    "dagster": "opentelemetry-instrumentation-dagster traces its ops",
    "faust": "faust.sensors has OpenTelemetry of its own",
    "prefect": "Prefect traces its own flows and tasks",
    "ray": "Ray traces its own tasks",
    "taskiq": "taskiq has an OpenTelemetryMiddleware of its own",
}


def is_known(module: str) -> bool:
    """Whether a module belongs to a framework that has an instrumentor here.

    What such a framework makes for itself is not the application's, though it be run by
    ``python -m``.

    Args:
        module: Its name.
    """
    root = module.partition(".")[0]
    if not root:
        return False
    roots = {name.partition(".")[0] for one in FRAMEWORKS for name in one.waits_for}
    return root in roots or root in ASIDE
