"""Each small program runs under plain Python and under us: same output, same end."""

from __future__ import annotations

import signal
import sys
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from harness import run_program, start_program

if TYPE_CHECKING:
    from harness import Completed

RUN = ("-m", "stagelight", "run", "--no-table")

SCRIPTS = {
    "argv and path": """
        import sys
        print(sys.argv, sys.path[0], __file__, __name__)
    """,
    "namespace": """
        print(list(globals()), __spec__, __package__, __doc__, type(__loader__))
        print(type(__builtins__), globals().get("__annotations__"), __loader__.path)
    """,
    "docstring": '''
        """Mine."""
        print(__doc__)
    ''',
    "main module": """
        import sys
        print(sys.modules["__main__"].__dict__ is globals())
    """,
    "uncaught": """
        def inner():
            raise ValueError("no")
        print("before")
        inner()
    """,
    "uncaught in a stage": """
        class Stage:
            def process(self, event):
                return {}[event]
        try:
            Stage().process(1)
        except KeyError as error:
            raise RuntimeError("outer") from error
    """,
    "uncaught in a class body": """
        class Broken:
            x = 1 / 0
    """,
    "wrong call of a queue": """
        import queue
        queue.Queue(1, 2, 3)
    """,
    "uncaught in a thread": """
        import threading
        class Stage:
            def process(self, event):
                raise ValueError(event)
        thread = threading.Thread(target=Stage().process, args=(1,), name="worker")
        thread.start()
        thread.join()
    """,
    "chained in a stage": """
        import traceback
        class Stage:
            async def process(self, event):
                raise ValueError(event)
        import asyncio
        try:
            asyncio.run(Stage().process(3))
        except ValueError:
            traceback.print_exc()
    """,
    "syntax error": "def broken(:\n    pass\n",
    "indentation error": "if True:\nprint(1)\n",
    "null byte": "x = 1\0\n",
    "import error": "import no_such_module_at_all\n",
    "exit with a number": "import sys; sys.exit(7)",
    "exit with a text": "import sys; sys.exit('goodbye')",
    "exit with nothing": "import sys; sys.exit()",
    "exit with an object": "import sys; sys.exit([1, 2])",
    "exit in a thread": """
        import sys, threading
        threading.Thread(target=sys.exit, args=(3,)).start()
    """,
    "tracebacks of queues and pools": """
        import asyncio, multiprocessing, queue, time, traceback
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        def boom(x):
            raise KeyError(x)
        def show(work):
            try:
                work()
            except BaseException as error:
                traceback.print_exc()
                print(type(error), type(error.__cause__), type(error.__context__))
        async def full():
            q = asyncio.Queue(1)
            q.put_nowait(1)
            q.put_nowait(2)
        async def cancelled():
            q = asyncio.Queue(1)
            await q.put(1)
            try:
                await asyncio.wait_for(q.put(2), 0.01)
            except asyncio.TimeoutError:
                traceback.print_exc()
            await q.get()
            await asyncio.wait_for(q.get(), 0.01)
        if __name__ == "__main__":
            for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
                with kind(1) as pool:
                    future = pool.submit(boom, 1)
                    while not future.done():
                        time.sleep(0.01)
                    show(future.result)
                show(lambda: pool.submit(boom))
            show(lambda: asyncio.run(full()))
            show(lambda: asyncio.run(cancelled()))
            q = queue.Queue(1)
            q.put(1)
            show(lambda: q.put_nowait(2))
            show(lambda: q.put(2, timeout=0.01))
            show(lambda: q.put(2, timeout=-1))
            m = multiprocessing.Queue(1)
            m.put(1)
            show(lambda: m.put(2, timeout=0.01))
            m.get()
            m.close()
    """,
    "hard exit": "import os; print('x', flush=True); os._exit(5)",
    "excepthook": """
        import sys
        sys.excepthook = lambda kind, value, trace: print("mine", kind, value)
        raise ValueError("no")
    """,
    "broken excepthook": """
        import sys
        def hook(kind, value, trace):
            raise TypeError("hook")
        sys.excepthook = hook
        raise ValueError("no")
    """,
    "exit in excepthook": """
        import sys
        sys.excepthook = lambda *_: sys.exit(4)
        raise ValueError("no")
    """,
    "last exception": """
        import atexit, sys
        atexit.register(lambda: print(repr(sys.last_value)))
        raise ValueError("no")
    """,
    "atexit and threads": """
        import atexit, threading
        atexit.register(print, "first")
        atexit.register(print, "second")
        go = threading.Event()
        def work():
            go.wait(10)
            print("thread")
        threading.Thread(target=work).start()
        go.set()
    """,
    "file at exit": """
        import atexit
        atexit.register(lambda: print("__file__" in globals()))
    """,
    "objects at exit": """
        class Noisy:
            def __del__(self):
                print("deleted")
        kept = Noisy()
    """,
    "fork": """
        import os, sys
        pid = os.fork()
        if not pid:
            print("child", flush=True)
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
    "spawn": """
        import multiprocessing
        class Event:
            pass
        def work(queue):
            queue.put(Event())
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue(3)
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(type(queue.get(timeout=30)) is Event)
            child.join()
            print(child.exitcode)
    """,
    "forked process": """
        import multiprocessing
        def work(queue):
            queue.put("done")
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            queue = context.JoinableQueue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(queue.get(timeout=30))
            queue.task_done()
            queue.join()
            child.join()
            sleeper = context.Process(target=__import__("time").sleep, args=(60,))
            sleeper.start()
            sleeper.terminate()
            sleeper.join()
            print(child.exitcode, sleeper.exitcode)
    """,
    "process pool": """
        from concurrent.futures import ProcessPoolExecutor
        def square(x):
            return x * x
        if __name__ == "__main__":
            with ProcessPoolExecutor(2) as pool:
                print(list(pool.map(square, range(10))))
    """,
    "pickle": """
        import pickle
        class Event:
            def process(self, event):
                return event
        again = pickle.loads(pickle.dumps(Event()))
        print(type(again) is Event, pickle.loads(pickle.dumps(again.process))(3))
    """,
    "asyncio": """
        import asyncio
        async def main():
            queue = asyncio.Queue(2)
            async def produce():
                for number in range(5):
                    await queue.put(number)
                await queue.put(None)
            task = asyncio.create_task(produce())
            while (item := await queue.get()) is not None:
                print(item)
            await task
        asyncio.run(main())
    """,
    "warnings": """
        import warnings
        warnings.warn("mine")
        warnings.warn("old", DeprecationWarning)
        print(warnings.filters)
    """,
    "callers of a stage": """
        import logging, sys, warnings
        logging.basicConfig(format="%(filename)s %(lineno)d", stream=sys.stdout)
        class Stage:
            def process(self, event):
                warnings.warn("careful", stacklevel=2)
                warnings.warn("old", DeprecationWarning, stacklevel=2)
                logging.warning("here", stacklevel=2)
        class Generating:
            def process(self, event):
                warnings.warn("lazily", stacklevel=2)
                yield event
        def work():
            Stage().process(1)
            list(Generating().process(1))
        work()
        work()
        Stage().process(1)
    """,
    "flags": """
        import signal, sys
        print(sys.flags, sys.executable, sys.getrecursionlimit())
        print(signal.getsignal(signal.SIGINT), sys.excepthook, sys.stdout, sys.stderr)
    """,
    "threads": """
        import threading
        print(threading.active_count(), threading.current_thread().name)
    """,
    "unicode": "print('gr\\u00fc\\u00dfe', 'schön')\n",
    "stdin": "import sys; print(sys.stdin.read())\n",
    "no own modules": """
        import sys
        print({name.partition(".")[0] for name in sys.modules} & {
            "click", "rich", "multiprocessing", "psutil", "grpc"})
        print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
    """,
    "class tools": """
        import abc, dataclasses, enum, functools, inspect, typing, unittest.mock
        class Base(abc.ABC):
            @abc.abstractmethod
            def process(self, event): "Declared."
        class Stage(Base):
            def process(self, event, *, times: int = 1) -> int:
                "Doubles."
                return event * 2 * times
        @dataclasses.dataclass(slots=True)
        class Data:
            x: int = 1
            def process(self, event):
                return self.x
        class Shape(typing.Protocol):
            def process(self, event): ...
        class Kind(enum.Enum):
            ONE = 1
            def process(self, event):
                return self.value
        class Prop:
            @property
            def process(self):
                return 5
        class Generator:
            def process(self, event):
                got = yield event
                return got
        class Asynchronous:
            async def process(self, event):
                yield event
        for kind in (Stage, Data, Kind, Generator, Asynchronous):
            process = kind.process
            print(inspect.signature(process), process.__doc__, process.__qualname__,
                  process.__module__, inspect.isgeneratorfunction(process),
                  inspect.isasyncgenfunction(process), inspect.isfunction(process))
        print(Stage().process(4, times=2), Data().process(1), Kind.ONE.process(0))
        print(list(vars(Stage)), Prop().process, Stage.__abstractmethods__)
        with unittest.mock.patch.object(Stage, "process", return_value=9):
            print(Stage().process(1))
        print(Stage().process(1))
        try:
            Stage().process()
        except TypeError as error:
            print(error)
        print(list(Generator().process(3)), inspect.getsource(Stage.process))
    """,
}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A place for the program, the same for both runs."""
    return tmp_path / "program.py"


def both(script: Path, *args: str, **options: object) -> tuple[Completed, Completed]:
    """Run a program under plain Python and under us."""
    plain = run_program(script, *args, cwd=script.parent, **options)  # type: ignore[arg-type]
    ours = run_program(script, *args, cwd=script.parent, prefix=RUN, **options)  # type: ignore[arg-type]
    return plain, ours


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(script: Path, name: str) -> None:
    """A script prints and ends as it does without us."""
    script.write_text(dedent(SCRIPTS[name]), encoding="utf-8")
    plain, ours = both(script, "one", "--two", "-m", "--json")
    assert ours == plain


def test_relative_path(tmp_path: Path) -> None:
    """A relative path is spelled in argv, __file__ and tracebacks as Python does."""
    folder = tmp_path / "a"
    folder.mkdir()
    text = "import sys\nprint(sys.argv, __file__, sys.path[0])\nraise ValueError\n"
    (folder / "b.py").write_text(text)
    (tmp_path / "link.py").symlink_to(folder / "b.py")
    for path in ("a/../a/b.py", "link.py"):
        plain, ours = (
            run_program(Path(path), prefix=prefix, cwd=tmp_path) for prefix in ((), RUN)
        )
        assert plain.returncode == 1
        assert ours == plain


def test_missing_program(tmp_path: Path) -> None:
    """A program that is not there is Python's own message and exit code."""
    plain, ours = both(tmp_path / "nowhere.py")
    assert plain.returncode == 2
    assert ours == plain


@pytest.mark.parametrize("packed", [False, True])
def test_folder_and_zip(tmp_path: Path, packed: bool) -> None:
    """A folder and a zip file with __main__.py run as they do without us."""
    text = (
        "import sys, other\n"
        "print(sys.argv, sys.path[0], __file__, __spec__.name)\n1/0\n"
    )
    files = {"__main__.py": text, "other.py": "print('other')\n"}
    program = tmp_path / ("app.zip" if packed else "app")
    if packed:
        with zipfile.ZipFile(program, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        program.mkdir()
        for name, content in files.items():
            (program / name).write_text(content)
    plain, ours = both(program, "x")
    assert plain.returncode == 1
    assert ours == plain


MODULES = {
    "package": (
        ("app",),
        {
            "app/__init__.py": "print('init')",
            "app/__main__.py": (
                "from . import part\nimport sys\n"
                "print(sys.argv[1:], __package__, __spec__.name)\n1/0"
            ),
            "app/part.py": "print(__name__)",
        },
    ),
    "module": (
        ("app.part", "-m"),
        {
            "app/__init__.py": "",
            "app/part.py": "import sys\nprint(sys.argv, __file__, list(globals()))",
        },
    ),
    "missing": (("nothing_here",), {}),
    "without main": (("app",), {"app/__init__.py": ""}),
    "syntax error": (("app",), {"app.py": "def x(:\n"}),
}


@pytest.mark.parametrize("name", MODULES)
def test_module(tmp_path: Path, name: str) -> None:
    """A module or package run with -m prints and ends as it does without us."""
    arguments, files = MODULES[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    first, *rest = arguments
    plain = run_program("", prefix=("-m", first, *rest, "end"), cwd=tmp_path)
    ours = run_program("", prefix=(*RUN, "-m", first, *rest, "end"), cwd=tmp_path)
    # The harness appends its own script's path, which differs.
    trimmed = [
        (one.returncode, one.stdout.partition("program.py")[0], one.stderr)
        for one in (plain, ours)
    ]
    trimmed = [
        (code, out.rpartition("/")[0] if "stagelight-test-" in out else out, error)
        for code, out, error in trimmed
    ]
    assert trimmed[1][0] == trimmed[0][0]
    assert trimmed[1][2] == trimmed[0][2]


@pytest.mark.parametrize("module", ["click", "rich", "random", "logging", "cli"])
def test_own_module_wins(tmp_path: Path, module: str) -> None:
    """A module of the program's own wins over one of that name that we have loaded."""
    (tmp_path / f"{module}.py").write_text(
        "ANSWER = 42\nlog = Logger = getLogger = print\n"
    )
    script = tmp_path / "program.py"
    script.write_text(f"import {module}\nprint({module}.ANSWER, {module}.__file__)\n")
    plain = run_program(script, cwd=tmp_path)
    command = str(Path(sys.executable).with_name("stagelight"))
    ours = run_program(script, cwd=tmp_path, prefix=(command, *RUN[2:]))
    assert plain.returncode == 0
    assert ours == plain


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["sleep", "thread", "handled"])
def test_signal(tmp_path: Path, number: signal.Signals, where: str) -> None:
    """A signal ends the program with Python's traceback and Python's status."""
    waiting = {
        "sleep": "time.sleep(60)",
        "thread": "threading.Event().wait(60)",
        "handled": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); ready()\n"
        "time.sleep(60)",
    }[where]
    script = tmp_path / "program.py"
    script.write_text(
        "import signal, sys, threading, time\n"
        "def ready():\n    print('ready', flush=True)\n"
        f"{'' if where == 'handled' else 'ready()'}\n{waiting}\n"
    )
    command = str(Path(sys.executable).with_name("stagelight"))
    for target in ((script,), (Path("-m"), "program")):
        outcomes = []
        for prefix in ((), RUN, (command, *RUN[2:])):
            with start_program(*target, prefix=prefix, cwd=tmp_path) as program:
                program.wait_for_line("ready")
                program.signal(number)
                ended = program.finish(20)
            # The line in between is where the signal arrived.
            *_, last = (ended.stderr or "-").splitlines()
            outcomes.append((ended.returncode, ended.stdout, ended.stderr[:9], last))
        assert outcomes[0][0] in {-number, 9}
        assert outcomes[1:] == outcomes[:1] * 2


def test_interpreter_options(tmp_path: Path) -> None:
    """Options of the interpreter hold for the program too."""
    script = tmp_path / "program.py"
    script.write_text("import sys\nassert False\nprint(sys.flags, sys.path[:1])\n")
    for options in (("-O",), ("-X", "dev"), ("-W", "error"), ("-I",)):
        plain = run_program(script, prefix=options, cwd=tmp_path)
        ours = run_program(script, prefix=(*options, *RUN), cwd=tmp_path)
        assert ours == plain


def test_python_is_the_one_under_test() -> None:
    """Both runs use this interpreter."""
    plain = run_program("import sys; print(sys.executable)")
    assert plain.stdout.strip() == sys.executable
