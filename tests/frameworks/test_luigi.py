from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

#: As the project's own example foo.py, without its sleeps.
FOO = """
import os
import luigi

class Foo(luigi.WrapperTask):
    task_namespace = "examples"
    def run(self):
        print("Running Foo")
    def requires(self):
        for i in range(10):
            yield Bar(i)

class Bar(luigi.Task):
    task_namespace = "examples"
    num = luigi.IntParameter()
    def run(self):
        self.output().open("w").close()
    def output(self):
        return luigi.LocalTarget(os.path.join("bars", str(self.num)))

class Sum(luigi.Task):
    def run(self):
        bars = [Bar(20), Bar(21)]
        yield bars
        yield Bar(22)
        with self.output().open("w") as file:
            file.write("done")
    def output(self):
        return luigi.LocalTarget("sum")

class Flaky(luigi.Task):
    retry_count = 2
    def run(self):
        first = not os.path.exists("tried")
        open("tried", "w").close()
        if first:
            raise ValueError("the first time")
        self.output().open("w").close()
    def output(self):
        return luigi.LocalTarget("flaky")

class Lost(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("lost")

class Gone(luigi.Task):
    def run(self):
        raise LookupError("gone")
    def output(self):
        return luigi.LocalTarget("gone")

if __name__ == "__main__":
    luigi.run()
"""


def run(receiver: OtlpReceiver, folder: Path, task: str, workers: int, *more: str):
    """Run a task twice, bare and observed."""
    args = ("--local-scheduler", "--workers", str(workers), *more, task)
    path = folder / "foo.py"
    path.write_text(FOO)
    return observe(receiver, path, *args, cwd=folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_run(workers: int, receiver: OtlpReceiver, tmp_path: Path):
    """A run is one trace with all its tasks, in processes of their own as well."""
    observed = run(receiver, tmp_path, "examples.Foo", workers)
    assert "11 ran successfully" in observed.run.stderr
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "luigi run success": 1,
        "examples.Bar success": 10,
        "examples.Foo success": 1,
    }
    (counts,) = traces(receiver.spans()).values()
    assert counts == {
        "ingest foo": 1,
        "process luigi run": 1,
        "process examples.Bar": 10,
        "process examples.Foo": 1,
    }
    assert {above for name, above in observed.tree() if "examples" in name} == {
        "process luigi run"
    }
    queue = observed.pipeline["queues"]["pending"]
    assert (queue["enqueued"], queue["dequeued"], queue["size"]) == (11, 11, 0)
    assert queue["wait"]["count"] == 11


@pytest.mark.parametrize("workers", [1, 2])
def test_dynamic_dependencies(workers: int, receiver: OtlpReceiver, tmp_path: Path):
    """A task that waits for what it yields is done once; its other runs are left."""
    run(receiver, tmp_path, "Sum", workers)
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "luigi run success": 1,
        "examples.Bar success": 3,
        "Sum success": 1,
        "Sum cancelled": 2,
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_and_retries(workers: int, receiver: OtlpReceiver, tmp_path: Path):
    """A task that is tried again counts both attempts, and one retry."""
    more = (
        "--scheduler-retry-delay",
        "0",
        "--worker-keep-alive",
        "--worker-wait-interval",
        "0.1",
    )
    observed = run(receiver, tmp_path, "Flaky", workers, *more)
    assert observed.run.returncode == 0
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "luigi run success": 1,
        "Flaky failure": 1,
        "Flaky success": 1,
    }
    assert finished(receiver, "stagelight.stage.retries")["Flaky"] == 1
    (log,) = [log for log in receiver.logs() if log.event_name]
    assert log.attributes["stagelight.event.id"].startswith("Flaky__")


def test_failing_task(receiver: OtlpReceiver, tmp_path: Path):
    """A task that fails is a failure of its stage; Luigi's own output is as before."""
    observed = run(receiver, tmp_path, "Gone", 1)
    stages = observed.pipeline["stages"]
    assert stages["Gone"]["errors"] == {"LookupError": 1}
    assert "foo.py" in observed.run.stderr
    # One frame of ours stays where stages nest: by it the error is reported once.
    trace = observed.run.stderr.split("Traceback")[1].split("===")[0]
    assert trace.count("stagelight") == 1
