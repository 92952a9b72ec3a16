"""No event is lost from any count, however many threads, processes or tasks count.

Each program keeps its own tally of what happened, where the event is; the counts must
be that tally exactly.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from harness import OtlpReceiver, run_program

pytestmark = pytest.mark.slow


def outcome_of(program: str, *args: str, env: dict[str, str] | None = None) -> Any:
    """What a program printed: one JSON document; it has nothing else to say."""
    result = run_program(program, *args, env=env, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


THREADS = """
    import json, queue, sys, threading
    from collections import Counter
    import stagelight

    THREADS, EVENTS = 64, int(sys.argv[2])
    if "traced" in sys.argv:
        from opentelemetry.sdk.trace import TracerProvider
        stagelight.configure(
            tracer_provider=TracerProvider(), journeys_per_second=1000
        )
    pipeline = stagelight.Pipeline("lost")
    jobs = pipeline.queue(queue.Queue(100), "jobs")
    small = pipeline.queue(queue.Queue(3), "small")

    @pipeline.stage
    def check(event):
        if event % 97 == 0:
            raise ValueError(event)
        return event

    @pipeline.stage
    def work(event):
        check(event)                # nested, and it may fail
        if event % 89 == 0:
            stagelight.drop("odd")
        if event % 83 == 0:
            stagelight.retry()
        if event % 79 == 0:
            raise KeyboardInterrupt # cancelled
        return event

    tallies = [Counter() for _ in range(THREADS)]

    def run(tally):
        for event in range(EVENTS):
            try:
                work(event)
                tally["dropped" if event % 89 == 0 else "success"] += 1
            except ValueError:
                tally["failure"] += 1
            except KeyboardInterrupt:
                tally["cancelled"] += 1
            if event % 10 == 0:
                jobs.put(event)
                jobs.get()
                tally["queued"] += 1
            if event % 100 == 0:
                try:
                    small.put_nowait(event)
                    tally["small"] += 1
                except queue.Full:
                    tally["refused"] += 1

    threads = [threading.Thread(target=run, args=(tally,)) for tally in tallies]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            pipeline.stats()        # somebody reads all the time
            thread.join(0.2)
    tally = sum(tallies, Counter())
    print(json.dumps({"tally": tally, "stats": pipeline.stats()}))
"""


@pytest.mark.parametrize(("mode", "events"), [("plain", 10_000), ("traced", 1_000)])
def test_threads(mode, events):
    """64 threads with 10,000 events each: failures, drops, retries, interrupts."""
    env = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("METRICS", "LOGS")}
    found = outcome_of(THREADS, mode, str(events), env=env)
    total = 64 * events
    tally, stats = Counter(found["tally"]), found["stats"]
    work, check = stats["stages"]["work"], stats["stages"]["check"]
    outcomes = {
        key: tally[key] for key in ("success", "failure", "dropped", "cancelled")
    }
    assert sum(outcomes.values()) == total
    assert work["outcomes"] == outcomes
    assert work["duration"]["count"] == work["count"] == total
    assert check["outcomes"] == {
        "success": total - tally["failure"],
        "failure": tally["failure"],
    }
    assert work["dropped"] == {"odd": tally["dropped"]}
    good = [n for n in range(events) if n % 97]
    assert work["retries"] == 64 * sum(not n % 83 for n in good)
    assert (work["active"], check["active"]) == (0, 0)
    jobs, small = stats["queues"]["jobs"], stats["queues"]["small"]
    assert jobs["enqueued"] == jobs["dequeued"] == jobs["wait"]["count"] == total // 10
    assert (small["enqueued"], small["size"]) == (tally["small"], 3)
    assert small["refused"] == {"queue_full": tally["refused"]}
    assert stats["process"]["telemetry_errors"] == {}


TASKS = """
    import asyncio, json, random
    from collections import Counter
    import stagelight

    TASKS, EVENTS = 1_000, 20
    pipeline = stagelight.Pipeline("lost")
    jobs = pipeline.queue(asyncio.Queue(50), "jobs")
    tally, choose = Counter(), random.Random(1)

    @pipeline.stage
    async def work(event):
        await asyncio.sleep(0)
        if event % 17 == 0:
            raise ValueError(event)
        if event % 13 == 0:
            stagelight.drop("odd")
        await asyncio.sleep(choose.random() / 100)
        return event

    @pipeline.stage
    async def spread(event):
        for number in range(3):
            await asyncio.sleep(0)
            yield number
        if event % 11 == 0:
            raise KeyError(event)

    async def run(first):
        for event in range(first, first + EVENTS):
            try:
                await work(event)
                tally["dropped" if event % 13 == 0 else "success"] += 1
            except ValueError:
                tally["failure"] += 1
            except asyncio.CancelledError:
                tally["cancelled"] += 1
                raise
            try:
                await jobs.put(event)
                tally["put"] += 1
                await jobs.get()
                tally["got"] += 1
            except asyncio.CancelledError:
                tally["between"] += 1
                raise
            try:
                async for _ in spread(event):
                    tally["item"] += 1
            except KeyError:
                tally["bad end"] += 1
            except asyncio.CancelledError:
                tally["cancelled run"] += 1
                raise

    async def main():
        tasks = [asyncio.create_task(run(n)) for n in range(TASKS)]
        for task in tasks[::3]:     # each third one is cancelled, somewhere
            asyncio.get_running_loop().call_later(choose.random(), task.cancel)
        await asyncio.wait(tasks, timeout=60)
        tally["ended"] = sum(task.done() for task in tasks)
        tally["stopped"] = sum(task.cancelled() for task in tasks)
        tally["left"] = jobs.qsize()

    asyncio.run(main())
    stats = pipeline.stats()
    print(json.dumps({"tally": tally, "stats": stats}))
"""


def test_tasks():
    """1,000 tasks, a third of them cancelled wherever they are."""
    found = outcome_of(TASKS)
    tally, stats = Counter(found["tally"]), found["stats"]
    assert tally["ended"] == 1_000
    assert tally["stopped"] > 200
    assert tally["cancelled"] > 50
    work, spread = stats["stages"]["work"], stats["stages"]["spread"]
    assert work["outcomes"] == {
        key: tally[key] for key in ("success", "failure", "dropped", "cancelled")
    }
    assert work["dropped"] == {"odd": tally["dropped"]}
    # A generator counts items, and the raise that ended one.
    assert spread["outcomes"]["success"] == spread["produced"] == tally["item"]
    assert spread["outcomes"]["failure"] == tally["bad end"]
    jobs = stats["queues"]["jobs"]
    assert (jobs["enqueued"], jobs["size"]) == (tally["put"], tally["left"])
    assert jobs["dequeued"] == jobs["wait"]["count"] == tally["put"] - tally["left"]
    assert (work["active"], spread["active"]) == (0, 0)
    assert stats["process"]["telemetry_errors"] == {}


PROCESSES = """
    import json, multiprocessing, os, sys
    from collections import Counter
    import stagelight
    from stagelight import _flushing, _lifecycle

    # Eight children send at once to one receiver: on a busy machine it takes a while.
    _flushing._PATIENCE = _lifecycle._CHILD_PATIENCE = 60.0
    METHOD, PROCESSES, EVENTS = sys.argv[1], 8, 10_000
    pipeline = stagelight.Pipeline("lost")

    @pipeline.stage
    def work(event):
        if event % 97 == 0:
            raise ValueError(event)
        if event % 89 == 0:
            stagelight.drop("odd")
        return event

    def tally_of(events):
        tally = Counter()
        for event in events:
            try:
                work(event)
                tally["dropped" if event % 89 == 0 else "success"] += 1
            except ValueError:
                tally["failure"] += 1
        return tally

    def child(inbox, outbox, number):
        stagelight.configure(service_name="lost")
        observed = pipeline.queue(inbox, "inbox")
        while (event := observed.get()) is not None:
            outbox.put((os.getpid(), tally_of(range(event, event + EVENTS // 10))))

    if __name__ == "__main__":
        if METHOD != "late":
            stagelight.configure(service_name="lost")
        tally_of(range(100))        # the parent counts as well, and it is not shared
        context = multiprocessing.get_context("fork" if METHOD == "late" else METHOD)
        inbox, outbox = context.Queue(), context.Queue()
        pipeline.queue(inbox, "inbox")
        children = [
            context.Process(target=child, args=(inbox, outbox, number))
            for number in range(PROCESSES)
        ]
        for one in children:
            one.start()
        chunks = PROCESSES * 10
        for chunk in range(chunks):
            inbox.put(chunk)
        tallies = [outbox.get(timeout=120) for _ in range(chunks)]
        for _ in children:
            inbox.put(None)
        for one in children:
            one.join(120)
        stagelight.configure(service_name="lost")
        codes = [one.exitcode for one in children]
        # spawn imports this module anew: the parent and its 100 are not in there.
        total = sum((tally for _, tally in tallies), tally_of(range(100)))
        total += tally_of(())
        stagelight.shutdown(60)
        parent = pipeline.stats()
        own = parent["stages"]["work"]["outcomes"]
        print(json.dumps({
            "total": total, "codes": codes, "own": own,
            "inbox": parent["queues"]["inbox"],
            "working": len({pid for pid, _ in tallies}),
        }))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", "late"])
def test_processes(method):
    """8 processes with 10,000 events each export series of their own that add up.

    Forked, spawned, or forked before anybody exports and then set up for themselves.
    """
    with OtlpReceiver() as receiver:
        env = {
            **receiver.environment("http/protobuf"),
            "OTEL_BLRP_MAX_QUEUE_SIZE": "100000",
            "PYTHONWARNINGS": "ignore:::multiprocessing.popen_fork",
        }
        found = outcome_of(PROCESSES, method, env=env)
        points = receiver.last("stagelight.stage.consumed.events")
        drops = receiver.last("stagelight.stage.dropped.events")
        logs = [log for log in receiver.logs() if log.event_name.endswith("exception")]
        gets = receiver.last("stagelight.queue.wait.duration")
    assert found["codes"] == [0] * 8
    total = Counter(found["total"])
    # The parent ran its hundred twice, once for the tally.
    twice = Counter(found["own"])
    assert sum(twice.values()) == 200
    exported: Counter[str] = Counter()
    instances = set()
    for point in points:
        exported[point.attributes["stagelight.outcome"]] += int(point.value or 0)
        if point.value:
            instances.add(point.resource["service.instance.id"])
    once = Counter({key: number // 2 for key, number in twice.items()})
    assert exported == total + once
    assert sum(exported.values()) == 80_000 + 200
    assert len(instances) == found["working"] + 1
    assert sum(int(point.value or 0) for point in drops) == exported["dropped"]
    untold = 2 if method == "late" else 0  # before the parent was configured
    assert len(logs) == exported["failure"] - untold
    assert found["inbox"]["enqueued"] == 88
    assert sum(point.count or 0 for point in gets) == 88
