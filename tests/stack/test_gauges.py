"""What a program is doing right now, as Prometheus sees it."""

from __future__ import annotations

from harness import start_program
from harness.backends import eventually

PROGRAM = """
    import queue, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    import stagelight

    stagelight.configure(service_name="gauges")
    pipeline = stagelight.Pipeline("gauges")
    waiting = pipeline.queue(queue.Queue(10), "waiting")
    full = pipeline.queue(queue.Queue(3), "full")
    pool = pipeline.pool(ThreadPoolExecutor(2), "hands")
    release = threading.Event()

    @pipeline.stage
    def work(event):
        release.wait()
        return event

    for number in range(9):
        waiting.put(number)
    for _ in range(2):
        waiting.get()
    for number in range(5):
        pool.submit(work, number)
    blocked = threading.Thread(target=lambda: [full.put(n) for n in range(4)])
    blocked.start()
    print("ready")
    while not Path(sys.argv[1]).exists():
        time.sleep(0.05)
    release.set()
    full.get()
    blocked.join()
"""


def test_gauges(stack, prometheus, tmp_path):
    """Sizes, capacities, ages, workers and blocked puts are those of the program."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }

    def queues(name):
        query = (
            f'sum by (stagelight_queue_name) (stagelight_queue_{name}{{job="gauges"}})'
        )
        return prometheus.query(query)

    def workers():
        return prometheus.query(
            "sum by (stagelight_stage_name, stagelight_worker_state) "
            '(stagelight_worker_count{job="gauges"}) > 0'
        )

    release = tmp_path / "release"
    with start_program(PROGRAM, str(release), env=env) as program:
        program.wait_for_line("ready")
        sizes = {("waiting",): 7, ("full",): 3, ("hands",): 3}
        eventually(lambda: queues("size") == sizes)
        assert queues("size") == sizes
        capacities = {("waiting",): 10, ("full",): 3}
        eventually(lambda: queues("capacity") == capacities)
        assert queues("capacity") == capacities
        eventually(lambda: set(queues("oldest_age_seconds")) == set(sizes))
        first = queues("oldest_age_seconds")
        assert set(first) == set(sizes)
        assert eventually(
            lambda: all(
                queues("oldest_age_seconds")[name] > first[name] for name in first
            )
        )
        eventually(lambda: workers().get(("hands", "busy")) == 2)
        assert workers()["hands", "busy"] == 2
        limit = 'sum(stagelight_worker_limit{job="gauges"})'
        eventually(lambda: prometheus.number(limit) == 2)
        assert prometheus.number(limit) == 2
        active = (
            'sum(stagelight_stage_active{job="gauges", stagelight_stage_name="work"})'
        )
        eventually(lambda: prometheus.number(active) == 2)
        assert prometheus.number(active) == 2
        blocked = 'sum(stagelight_queue_put_blocked_time_seconds_total{job="gauges"})'
        before = eventually(lambda: prometheus.number(blocked))
        assert before
        assert eventually(lambda: prometheus.number(blocked) > before)
        release.touch()
        assert program.finish().returncode == 0
    chosen = '{job="gauges", stagelight_stage_name="work"}'
    done = f"stagelight_stage_consumed_events_total{chosen}"
    assert eventually(lambda: prometheus.number(f"sum({done})") == 5)
