"""Programs as others write them: what fails in them is replayed as it was called."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness import run_program

#: Readers of the standard library, as tasks of a pool of threads.
POOL = """
import csv, io, json
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

def read_json(text):
    return json.loads(text)

def read_xml(text, *, key):
    return ET.fromstring(text).get(key)

class Table:
    def __init__(self, column):
        self._column = column
    def read(self, text):
        return [int(row[self._column]) for row in csv.DictReader(io.StringIO(text))]

if __name__ == "__main__":
    print("main part", flush=True)
    with ThreadPoolExecutor(2) as pool:
        tasks = [pool.submit(read_json, text) for text in ("1", "{bad", "[1,")]
        tasks.append(pool.submit(read_xml, "<a><b></a>", key="k"))
        tasks.append(pool.submit(Table("n").read, "n\\n1\\nx\\n"))
        assert [bool(task.exception()) for task in tasks] == [0, 1, 1, 1, 1]
"""
#: Coroutines on asyncio; objects that need arguments; no guard at all.
TASKS = """
import asyncio, dataclasses, json

@dataclasses.dataclass
class Message:
    number: int
    body: str

class Parser:
    def __init__(self, strict):
        self.strict = strict
    async def process(self, event):
        await asyncio.sleep(0)
        return json.loads(event.body)

@dataclasses.dataclass
class Scale:
    factor: int
    offset: int = 0
    def process(self, event):
        return (event - self.offset) // self.factor

async def main():
    print("main part", flush=True)
    queue = asyncio.Queue()
    for number, body in enumerate(("1", "{", "[]", "no")):
        queue.put_nowait(Message(number, body))
    parser = Parser(strict=True)
    while not queue.empty():
        try:
            await parser.process(await queue.get())
        except ValueError:
            pass
    try:
        Scale(0, offset=3).process(7)
    except ZeroDivisionError:
        pass

asyncio.run(main())
"""
#: A pool of spawned processes.
PROCESSES = """
import json, multiprocessing
from concurrent.futures import ProcessPoolExecutor

def read(text, base):
    return int(json.loads(text), base)

if __name__ == "__main__":
    print("main part", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for task in [pool.submit(read, text, 8) for text in ('"17"', "{", '"19"')]:
            task.exception()
"""
#: Every kind of callable that may be a stage.
CALLABLES = """
import functools
import stagelight

def traced(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

def make():
    def closure(event):
        return 1 // event["n"]
    return closure

closure = make()
unnamed = lambda event: 1 // event["n"]

@traced
def decorated(event):
    return 1 // event["n"]

class Methods:
    def __init__(self, factor):
        self.factor = factor
    def bound(self, event):
        return self.factor // event["n"]
    def __call__(self, event):
        return self.factor // event["n"]
    @classmethod
    def of_class(cls, event):
        return 1 // event["n"]
    @staticmethod
    def static(event):
        return 1 // event["n"]
    def items(self, event):
        yield self.factor // event["n"]
    async def later_items(self, event):
        yield self.factor // event["n"]

def two(event, factor, *rest, unit="s"):
    return factor // event["n"], rest, unit

def main():
    print("main part", flush=True)
    import asyncio
    stage = stagelight.Pipeline("callables").stage
    methods = Methods(3)
    alone = [
        stage(closure, name="closure"), stage(unnamed, name="unnamed"),
        stage(decorated), stage(methods.bound), stage(Methods(4), name="called"),
        stage(Methods.of_class), stage(Methods.static),
        stage(functools.partial(two, factor=5), name="partial"),
        lambda event: list(stage(methods.items)(event)),
    ]
    async def drive(event):
        return [one async for one in stage(methods.later_items)(event)]
    several = stage(two, name="several")
    calls = [functools.partial(one, {"n": 0}) for one in alone]
    calls.append(lambda: asyncio.run(drive({"n": 0})))
    calls.append(lambda: several({"n": 0}, 7, 8, unit="h"))
    calls.append(lambda: several(factor=9, event={"n": 0}))
    for call in calls:
        try:
            call()
        except ZeroDivisionError:
            continue
        raise AssertionError(call)

if __name__ == "__main__":
    main()
"""
#: No guard, and a command line that its top level reads.
ARGUMENTS = """
import sys

FACTOR = float(sys.argv[1])

class Scale:
    def process(self, event):
        return FACTOR / event["n"]

def main():
    print("main part", flush=True)
    for n in range(2):
        try:
            Scale().process({"id": n, "n": n})
        except ZeroDivisionError:
            pass

main()
"""
REPLAY = """
import json, sys
from pathlib import Path
from stagelight._failures._handle import replay_one
from stagelight._failures._reading import Reader

with Reader(Path(sys.argv[1])) as reader:
    found = []
    for one in reader.failures()[::-1]:
        made = replay_one(reader, one["id"])
        found.append([one["stage"], made.result, made.after])
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("program", "number"), [(POOL, 4), (TASKS, 3), (PROCESSES, 2), (CALLABLES, 12)]
)
def test_all_that_fails_is_replayed(tmp_path, program, number):
    """In a process of its own, without the program's main part, as it was called."""
    script = tmp_path / "app.py"
    script.write_text(program)
    folder = str(tmp_path / "kept")
    run = ("-m", "stagelight", "run", "--no-table", "--listen", "off")
    done = run_program(script, prefix=(*run, "--capture", folder), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "main part\n"), done
    again = run_program(REPLAY, folder, cwd=tmp_path)
    assert again.returncode == 0, again
    found = json.loads(again.stdout)
    assert [result for _, result, _ in found] == ["same failure"] * number, found


def test_a_test_of_them_calls_as_they_were_called(tmp_path):
    """The file makes the object as it was, and passes what came beside the event."""
    script = tmp_path / "app.py"
    script.write_text(CALLABLES)
    folder = str(tmp_path / "kept")
    run = ("-m", "stagelight", "run", "--no-table", "--listen", "off")
    run_program(script, prefix=(*run, "--capture", folder), cwd=tmp_path)
    ours = [sys.executable, "-m", "stagelight", "failures"]
    for stage in ("several", "Methods.bound"):
        listed = subprocess.run(
            [*ours, "list", "--stage", stage, "--folder", folder, "--json"],
            capture_output=True,
            check=True,
        )
        group = json.loads(listed.stdout)[0]["group"]
        output = tmp_path / f"test_{stage.replace('.', '_')}.py"
        command = [*ours, "export", group, "--output", str(output), "--folder", folder]
        subprocess.run(command, capture_output=True, check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"]
    command += ["-pno:logfire", "--rootdir", str(tmp_path), str(tmp_path)]
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "3 failed" in broken.stdout, broken
    assert broken.stdout.count("ZeroDivisionError: integer") >= 3
    script.write_text(CALLABLES.replace('// event["n"]', '// (event["n"] or 1)'))
    passed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "3 passed" in passed.stdout, passed


def test_a_script_is_imported_with_the_command_line_that_it_had(tmp_path):
    """Its top level may read it; what it does there is left out of a test as well."""
    script = tmp_path / "app.py"
    script.write_text(ARGUMENTS)
    folder = str(tmp_path / "kept")
    run = ("-m", "stagelight", "run", "--no-table", "--listen", "off")
    run = (*run, "--capture", folder)
    done = run_program(script, "3.5", prefix=run, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "main part\n"), done
    ours = [sys.executable, "-m", "stagelight"]
    again = subprocess.run(
        [*ours, "replay", "1", "--folder", folder], capture_output=True, check=False
    )
    assert b"same failure" in again.stdout, again
    listed = subprocess.run(
        [*ours, "failures", "list", "--folder", folder, "--json"],
        capture_output=True,
        check=True,
    )
    group = json.loads(listed.stdout)[0]["group"]
    output = str(tmp_path / "test_scale.py")
    export = [*ours, "failures", "export", group, "--output", output]
    subprocess.run([*export, "--folder", folder], capture_output=True, check=True)
    tests = [sys.executable, "-m", "pytest", "-sq", "-pno:cacheprovider"]
    tests += ["-pno:logfire", "--rootdir", str(tmp_path), output]
    broken = subprocess.run(tests, capture_output=True, text=True, check=False)
    assert "1 failed" in broken.stdout, broken
    assert "main part" not in broken.stdout
