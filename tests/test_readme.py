from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness import run_program
from stagelight import _config, _names

if TYPE_CHECKING:
    import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """Bodies of the fenced blocks of one language, in order."""
    return [body for kind, body in BLOCKS if kind == language]


def first_success() -> int:
    """Line number of the first command that shows something."""
    return TEXT[: TEXT.index("$ stagelight run app.py")].count("\n") + 1


def test_it_is_short() -> None:
    """The page has at most 300 lines, and its first success stands before line 30."""
    lines = TEXT.splitlines()
    assert len(lines) <= 300
    assert "$ stagelight run examples/index_sources.py" in lines[:12]
    assert any(line.startswith("stagelight  index_sources") for line in lines[:30])


def test_the_first_example_prints_what_the_page_shows() -> None:
    """The first command's output has the page's lines, columns, stages and queues."""
    root = README.parent
    result = run_program(
        root / "examples" / "index_sources.py",
        prefix=("-m", "stagelight", "run"),
        cwd=root,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    shown = next(body for body in blocks("console") if "make setup" in body)
    output = shown.split("index_sources.py\n", 1)[1]
    lines = [line for line in output.splitlines() if "watch it at" not in line]
    wanted = [line.split()[0] for line in lines if line.split()]
    # What is wrapped is indented, and begins with any word.
    printed = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if not line.startswith(" ")
    ]
    found = [line.split()[0] for line in printed if line.split()]
    fixed = {"stagelight", "stage", "queue", "loaded", "tokenized", "enriched"}
    fixed |= {"enricher", "Reader", "Tokenizer", "Enricher", "Writer", "bottleneck"}
    fixed |= {"telemetry"}
    assert fixed <= set(wanted)
    assert [word for word in found if word in fixed] == [
        word for word in wanted if word in fixed
    ]
    header = next(line for line in output.splitlines() if line.startswith("stage "))
    assert (
        header.split()
        == next(line for line in printed if line.startswith("stage ")).split()
    )


def test_the_example_in_code_prints_what_the_page_shows() -> None:
    """The second example runs as printed, with no collector listening."""
    program = next(body for body in blocks("python") if "Pipeline(" in body)
    result = run_program(program, env={"OTEL_SDK_DISABLED": "true"})
    assert result.returncode == 0, result.stderr
    assert result.stdout == blocks("text")[0]


def test_the_configuration_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings on the page load, and mean what they say."""
    (tmp_path / "pyproject.toml").write_text(blocks("toml")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = _config.load()
    assert settings.pipeline == "orders"
    assert [str(one) for one in settings.stages] == [
        "app.steps:*.transform",
        "app:load_rows=load",
    ]


def test_the_metric_table_is_the_one_we_emit() -> None:
    """The table in docs has a row for each metric of ``_names``, in its order."""
    rows = re.findall(
        r"^\| `(.+?)` \| (.+?) \| `(.+?)` \| (.*?) \|$",
        (README.parent / "docs" / "metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [row_of(metric) for metric in _names.METRICS]


def row_of(metric: _names.Metric) -> tuple[str, str, str, str]:
    """A metric as the page shows it."""
    keys = [key.removeprefix("stagelight.") for key in metric.attributes]
    return (
        metric.name.removeprefix("stagelight."),
        metric.kind,
        metric.unit,
        ", ".join(f"`{key}`" for key in keys),
    )
