"""Programs of frameworks with workers behind redis: rq, dramatiq."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework_home import examples

from .model import GITHUB, OWN, Program, done

if TYPE_CHECKING:
    from pathlib import Path


def rq(python: Path) -> list[Program]:
    """The fourteen jobs of rq's example.

    Args:
        python: The interpreter with the frameworks.
    """
    sources = examples(python, "rq", GITHUB + "rq/rq", "v{}")
    example = sources / "examples"

    def last_table(text: str) -> str:
        return (
            text[text.rindex("Asynchronously") :] if "Asynchronously" in text else text
        )

    jobs = (
        "math.sqrt :16",
        "math.hypot :3 :4",
        "time.sleep :0.1",
    )
    workers = {"forking worker": "", "SimpleWorker": " -w rq.worker.SimpleWorker"}
    return [
        *(
            Program(
                f"rq run_example.py, {name}",
                [
                    f"&{example}/run_example.py",
                    "?redis rq:queue:default 14",
                    f"-m rq.cli worker --burst{option}",
                ],
                done("slow_fib", 14),
                14,
                env={"PYTHONPATH": str(example), "TERM": "dumb"},
                redis=True,
                tidy=last_table,
                sources=sources,
            )
            for name, option in workers.items()
        ),
        Program(
            "rq enqueue, forking worker",
            [
                *(f"-m rq.cli enqueue --quiet {job}" for job in jobs),
                "-m rq.cli worker --burst",
            ],
            done("sqrt hypot sleep"),
            3,
            redis=True,
            instead_of=sources,
        ),
    ]


def dramatiq(python: Path) -> list[Program]:
    """A hundred messages to two processes.

    Args:
        python: The interpreter with the frameworks.
    """
    sources = examples(python, "dramatiq", GITHUB + "Bogdanp/dramatiq", "v{}")

    def basic(module: str) -> list[str]:
        return [
            f"&!-m dramatiq {module} --processes 2 --threads 4",
            f"-m {module} 100",
            "?redis dramatiq:default 0",
        ]

    both = (
        ("basic on redis", "basic.example", sources / "examples", sources, None),
        ("actor on redis", "dramatiq_add", OWN, None, sources),
    )
    return [
        Program(
            f"dramatiq {name}",
            basic(module),
            done("add", 100),
            100,
            env={"PYTHONPATH": str(path), "REDIS": "1"},
            redis=True,
            sources=needed,
            instead_of=missed,
        )
        for name, module, path, needed, missed in both
    ]
