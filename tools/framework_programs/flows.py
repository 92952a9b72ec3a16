"""Programs of frameworks that run a graph of tasks: Luigi, Kedro, Hamilton, Dask."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from framework_home import MISSING, ROOT, examples
from stagelight.instrumentation.frameworks._steps import tidy as label

from .model import GITHUB, OWN, Program, Run, done

#: Of the spaceflights tutorial.
NODES = 9
DASK = "127.0.0.1:18786"


def luigi(python: Path) -> list[Program]:
    """Luigi's tree of eleven tasks.

    Args:
        python: The interpreter with the frameworks.
    """
    sources = examples(python, "luigi", GITHUB + "spotify/luigi", "v{}")
    foo = "-m luigi --module examples.foo examples.Foo --local-scheduler --workers"
    return [
        Program(
            f"luigi foo.py, {workers} worker{'s' * (workers > 1)}",
            [f"{foo} {workers}"],
            {
                "luigi run success": 1,
                **done("examples.Bar", 10),
                **done("examples.Foo"),
            },
            env={"PYTHONPATH": str(sources)},
            clean=("/tmp/bar",),  # noqa: S108 - where the example writes
            sources=sources,
        )
        for workers in (1, 2)
    ]


def kedro(python: Path) -> list[Program]:
    """The nine nodes of the spaceflights tutorial.

    Args:
        python: The interpreter with the frameworks.
    """
    sources = examples(python, "kedro", GITHUB + "kedro-org/kedro-starters", "{}")

    def nodes(run: Run) -> dict[str, int]:
        # Each node that Kedro says it runs, once; one without a name of its own has
        # that of its function and a hash.
        expected = {"kedro run success": 1}
        for name, end in re.findall(r"Running node: ([^:(]+)([:(])", run.stdout):
            known = label(name)
            if end == "(":
                own = (one for one in run.counts if one.startswith(f"{name}__"))
                known = next(own, name).rpartition(" ")[0]
            expected[f"{known} success"] = 1
        return expected

    def spaceflights(run: Run) -> dict[str, int]:
        expected = nodes(run)
        return expected if len(expected) == 1 + NODES else {"nodes": NODES}

    def records(text: str) -> str:
        # Logs without times, in any order: threads and processes write them.
        lines = (
            re.sub(r"^\[[^]]*\] *", "", line).strip() for line in text.splitlines()
        )
        return "\n".join(sorted(filter(None, lines)))

    missing = sources in MISSING
    starter = ("--starter", sources / "spaceflights-pandas")
    made = None if missing else _project(python, "spaceflights", *starter)
    own = _squares(python) if missing else None
    runners = ("SequentialRunner", "ThreadRunner", "ParallelRunner")
    wide = {"COLUMNS": "400"}  # a line for each record
    commands = {one: [f"-m kedro run --runner={one}"] for one in runners}
    return [
        *(
            Program(
                f"kedro spaceflights, {one}",
                commands[one],
                spaceflights,
                cwd=made,
                env=wide,
                tidy=records,
                sources=sources,
            )
            for one in runners
        ),
        *(
            Program(
                f"kedro new and 5 nodes, {one}",
                commands[one],
                {
                    "kedro run success": 1,
                    **done("one four one_again four_again total"),
                },
                cwd=own,
                env=wide,
                tidy=records,
                instead_of=sources,
            )
            for one in runners
        ),
    ]


def _project(python: Path, name: str, *options: str | Path) -> Path:
    """A project by `kedro new`, made once."""
    folder = Path(tempfile.gettempdir(), "stagelight-acceptance-kedro")
    made = folder / name
    if not made.exists():
        folder.mkdir(exist_ok=True)
        command = [
            python,
            "-m",
            "kedro",
            "new",
            *options,
            "--name",
            name,
            "--telemetry",
            "no",
        ]
        quiet = {**os.environ, "DO_NOT_TRACK": "1"}
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=quiet)
    return made


def _squares(python: Path) -> Path:
    """A project of the released template, with one pipeline of ours."""
    made = _project(python, "squares", "--tools", "none", "--example", "no")
    into = made / "src" / "squares" / "pipelines" / "squares"
    shutil.copytree(OWN / "kedro_squares", into, dirs_exist_ok=True)
    return made


def hamilton(python: Path) -> list[Program]:
    """The six nodes of hello_world.

    Args:
        python: The interpreter with the frameworks.
    """
    sources = examples(
        python, "apache-hamilton", GITHUB + "apache/hamilton", "sf-hamilton-{}"
    )
    nodes = (
        "spend_mean spend_zero_mean spend_std_dev avg_3wk_spend spend_per_signup "
        "spend_zero_mean_unit_variance"
    )
    return [
        Program(
            "Hamilton hello_world my_script.py",
            ["my_script.py"],
            {"hamilton run success": 1, **done(nodes)},
            cwd=sources / "examples" / "hello_world",
            sources=sources,
        ),
        Program(
            "Hamilton flow of 4 nodes",
            [f"{OWN}/hamilton_flow.py"],
            {"hamilton run success": 1, **done("doubled total share largest")},
            instead_of=sources,
        ),
    ]


def dask() -> list[Program]:
    """Two processes; and our example on them and on an address."""
    index = f"{ROOT}/examples/distributed_index.py"
    files = 60
    bound = f"--host {DASK.replace(':', ' --port ')}"
    two = "--nworkers 2 --nthreads 1"

    def graph(run: Run) -> dict[str, int]:
        moved = {name: n for name, n in run.counts.items() if "dask transfer" in name}
        return {"square success": 50, "total success": 1, **moved}

    def indexed(run: Run) -> dict[str, int]:
        # Tasks by their functions, and in them the program's own classes.
        moved = {name: n for name, n in run.counts.items() if "dask transfer" in name}
        tasks, classes = "read tokenize enrich", "Reader Tokenizer Enricher Writer"
        known = f"{files} files" in run.stdout and "0 failures" in run.stdout
        return moved | done(f"{tasks} {classes}", files if known else -1)

    return [
        Program(
            "Dask LocalCluster of 2 processes",
            [f"{OWN}/dask_squares.py"],
            graph,
            1,  # a map, and what is submitted with its futures
        ),
        Program(
            "Dask distributed_index.py, processes",
            [f"{index} --limit {files}"],
            indexed,
            2 * files,  # what is submitted, and the writer here
        ),
        Program(
            "Dask distributed_index.py, address",
            [
                f"&!-m distributed.cli.dask_scheduler {bound} --no-dashboard",
                f"?port {DASK}",
                f"&!-m distributed.cli.dask_worker {DASK} {two} --no-dashboard",
                f"{index} --limit {files} {DASK}",
            ],
            indexed,
            2 * files,  # what is submitted, and the writer here
        ),
    ]
