"""However a process ends, what it recorded is sent: exit, signals, forks, os._exit."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from harness import OtlpReceiver, run_program, start_program

CONSUMED = "stagelight.stage.consumed.events"
#: Intervals so long that nothing is exported before the end.
SLOW = {
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_BLRP_SCHEDULE_DELAY": "600000",
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
}
WORK = """
    import multiprocessing, os, signal, sys, threading, time
    import stagelight
    stagelight.configure(service_name="ends")
    pipeline = stagelight.Pipeline("ends")

    @pipeline.stage
    def work(event):
        if event == 2:
            raise ValueError("bad")
        return event

    def run(events):
        for event in events:
            try:
                work(event)
            except ValueError:
                pass
"""


#: A forked child may take two seconds to send. What arrives is what is looked at here.
FORKING = f"""{WORK}
    from stagelight import _lifecycle
    _lifecycle._CHILD_PATIENCE = 60.0
"""


def environment(receiver: OtlpReceiver, protocol: str = "http/protobuf"):
    """Exports at the very end only."""
    return {**receiver.environment(protocol), **SLOW}


def processes(receiver: OtlpReceiver) -> list[int]:
    """How many events each process exported, fewest first."""
    counts: Counter[str] = Counter()
    for point in receiver.last(CONSUMED):
        counts[point.resource["service.instance.id"]] += int(point.value or 0)
    return sorted(counts.values())


def whole(receiver: OtlpReceiver, events: int, failed: int = 1) -> None:
    """Check that all three signals of a process arrived, once."""
    assert processes(receiver) == [events]
    names = Counter(span.name for span in receiver.spans())
    assert names == {"process work": events, "ingest ends": events}
    assert len(receiver.logs()) == failed


EXITS = {
    "end of script": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise RuntimeError('the end')", 1),
    "KeyboardInterrupt": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -2),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -15),
    "daemon thread": (
        "threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        0,
    ),
    "exit handler": ("import atexit; atexit.register(run, [7])", 0),
}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("how", EXITS)
def test_an_end(receiver, how, protocol):
    """Everything is sent, and the process ends with the status that it would have."""
    statement, code = EXITS[how]
    program = f"{WORK}\n    run(range(4))\n    {statement}\n"
    result = run_program(program, env=environment(receiver, protocol))
    assert result.returncode == code
    # What runs in a handler of the program's own, registered later, comes before us.
    whole(receiver, 5 if how == "exit handler" else 4)


def test_os_exit_is_what_it_was(receiver):
    """A program that ends by os._exit wants no handler to run, and none does."""
    result = run_program(
        f"{WORK}\n    run(range(4))\n    os._exit(7)\n", env=environment(receiver)
    )
    assert (result.returncode, result.stderr) == (7, "")
    assert not receiver.requests


def test_sigterm_from_outside(receiver):
    """A supervisor's SIGTERM ends a busy program in the usual way, after a flush."""
    program = f"""{WORK}
    run(range(4))
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
    """
    with start_program(program, env=environment(receiver)) as running:
        running.wait_for_line("ready")
        running.signal(signal.SIGTERM)
        result = running.finish(20)
    assert (result.returncode, result.stderr) == (-signal.SIGTERM, "")
    whole(receiver, 4)


HANDLER = """
    import signal, sys
    def stop(number, frame):
        print("stopping")
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
"""


@pytest.mark.parametrize("first", [True, False])
def test_a_handler_of_the_program_stays(receiver, first):
    """A program that handles SIGTERM itself goes on doing so; its end is flushed."""
    parts = [HANDLER, WORK] if first else [WORK, HANDLER]
    program = (
        "".join(parts)
        + """
    run(range(4))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(9)
    """
    )
    result = run_program(program, env=environment(receiver))
    assert (result.returncode, result.stdout) == (0, "stopping\n")
    whole(receiver, 4)


def test_sigterm_while_a_lock_is_held(receiver):
    """A signal that interrupts the main thread in a call of ours does not hang it."""
    program = f"""{WORK}
    run(range(4))
    from stagelight._registry import REGISTRY
    with REGISTRY.lock:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(9)
    """
    result = run_program(program, env=environment(receiver), timeout=25)
    assert result.returncode == -signal.SIGTERM


CHILDREN = {
    "returns": "run(range(3))",
    "fails": "run(range(3)); raise RuntimeError('child')",
    "sys.exit": "run(range(3)); sys.exit(0)",
    "os._exit": "run(range(3)); os._exit(0)",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_a_forked_child(receiver, how):
    """A child of multiprocessing sends what it did itself, under its own identity."""
    program = f"""{FORKING}
    run(range(10))
    def child():
        {CHILDREN[how]}
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    run([10])
    """
    run_program(program, env=environment(receiver))
    assert processes(receiver) == [3, 11]
    assert len(receiver.logs()) == 2
    pids = {span.resource["service.instance.id"] for span in receiver.spans()}
    assert len(pids) == 2


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_a_plain_fork(receiver, end):
    """A child of os.fork sends its own, however it ends."""
    program = f"""{FORKING}
    run(range(10))
    pid = os.fork()
    if pid == 0:
        run(range(3))
        {end}
    os.waitpid(pid, 0)
    """
    result = run_program(
        program, env={**environment(receiver), "PYTHONWARNINGS": "ignore"}
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert processes(receiver) == [3, 10]


def test_a_child_that_is_terminated(receiver):
    """SIGTERM ends a forked child after its flush, with the status of the signal."""
    program = f"""{FORKING}
    def child(flag):
        run(range(3))
        flag.set()
        time.sleep(60)
    context = multiprocessing.get_context("fork")
    flag = context.Event()
    process = context.Process(target=child, args=(flag,))
    process.start()
    flag.wait()
    process.terminate()
    process.join()
    print(process.exitcode)
    run(range(5))
    """
    result = run_program(program, env=environment(receiver))
    assert (result.stdout, result.stderr) == ("-15\n", "")
    assert processes(receiver) == [3, 5]


def test_collecting_imports_no_codec():
    """A fork in the moment of such an import would leave the child without it."""
    program = """
        import sys
        before = set(sys.modules)
        from stagelight._process import memory_limit
        memory_limit()
        print([name for name in sorted(set(sys.modules) - before)
               if name.startswith("encodings.")])
    """
    result = run_program(program, env={"LC_ALL": "C.UTF-8"})
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_a_fork_while_others_record_and_export(receiver):
    """Children that are forked in full swing neither hang nor lose nor send twice."""
    program = f"""{FORKING}
    stop = threading.Event()
    done = []
    def busy():
        number = 0
        while not stop.is_set():
            work(5)
            number += 1
        done.append(number)
    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    pids = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            run([5] * 100)
            os._exit(0)
        pids.append(pid)
        time.sleep(0.05)
    for pid in pids:
        os.waitpid(pid, 0)
    stop.set()
    for thread in threads:
        thread.join()
    print(sum(done))
    """
    env = {
        **receiver.environment("http/protobuf"),
        "OTEL_METRIC_EXPORT_INTERVAL": "20",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        "PYTHONWARNINGS": "ignore",
    }
    result = run_program(program, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert processes(receiver) == [100] * 8 + [int(result.stdout)]


def test_a_spawned_child(receiver):
    """A child that imports everything anew exports as well where it is set up."""
    program = """
    import multiprocessing
    import stagelight
    pipeline = stagelight.Pipeline("ends")

    @pipeline.stage
    def work(event):
        return event

    def child():
        stagelight.configure(service_name="ends")
        for event in range(3):
            work(event)

    if __name__ == "__main__":
        stagelight.configure(service_name="ends")
        for event in range(10):
            work(event)
        process = multiprocessing.get_context("spawn").Process(target=child)
        process.start()
        process.join()
    """
    result = run_program(program, env=environment(receiver))
    assert (result.returncode, result.stderr) == (0, "")
    assert processes(receiver) == [3, 10]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_pool(receiver, method):
    """Stages that run in an observed executor's processes arrive, and none twice."""
    program = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import stagelight
    pipeline = stagelight.Pipeline("ends")

    @pipeline.stage
    def work(event):
        return event

    def task(event):
        return work(event)

    if __name__ == "__main__":
        stagelight.configure(service_name="ends")
        context = multiprocessing.get_context(sys.argv[1])
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            pipeline.pool(executor, "pool")
            print(sum(executor.map(task, range(20))))
    """
    env = {**environment(receiver), "PYTHONWARNINGS": "ignore"}
    result = run_program(program, method, env=env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "190\n", "")
    counts: Counter[str] = Counter()
    for point in receiver.last(CONSUMED):
        counts[point.attributes["stagelight.stage.name"]] += int(point.value or 0)
    assert counts == {"work": 20, "pool": 20}


def test_connections_are_closed_at_the_end():
    """Not even a program that makes warnings errors hears of our sockets."""
    with OtlpReceiver() as receiver:
        run = run_program(
            WORK + "    run(range(5))",
            env=environment(receiver),
            prefix=("-W", "error"),
        )
        whole(receiver, 5)
    assert (run.returncode, run.stderr) == (0, "")
