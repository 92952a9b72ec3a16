"""Prometheus and the process agree on when each rule fires, to one interval."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from stagelight.cli._group import group

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool"),
]
ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "rules" / "stagelight.yml"


def promtool(*arguments):
    """Run promtool, and return its whole output."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_rules():
    """Every rule of the generated file is right, for the oldest supported version."""
    assert "SUCCESS: 27 rules found" in promtool("check", "rules", RULES)


def test_rules_of_ones_own_and_overrides_are_accepted_too(tmp_path, monkeypatch):
    """Globs, exceptions and odd functions become PromQL that promtool accepts."""
    (tmp_path / "stagelight.toml").write_text(
        """
[alerts]
rules = [
  "queue.size > 50 for 1m on parsed, raw-*",
  "least(peak(queue.oldest.age, 5m), 60s) + 1 > 30",
  "critical Mixed: busy(5m) > 80% and process.uptime > 1h",
]
[alerts."StageSaturated on render*, a.b"]
share = "99%"
""".replace("", ""),
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["rules", "-o", "rules.yml"])
    assert done.exit_code == 0, done.output
    assert "SUCCESS: 31 rules found" in promtool(
        # Its lint dislikes one name for two sets of stages; Prometheus does not.
        "check",
        "rules",
        "--lint=none",
        "rules.yml",
    )
    text = (tmp_path / "rules.yml").read_text(encoding="utf-8")
    assert 'stagelight_queue_name=~"parsed|raw\\\\-.*"' in text
    assert 'stagelight_stage_name!~"render.*|a\\\\.b"' in text


def test_prometheus_agrees_on_every_rule(tmp_path):
    """Each rule fires and stays quiet at the same time there, with equal labels."""
    tests = tmp_path / "tests.yml"
    done = CliRunner().invoke(group, ["rules", "--tests", str(RULES), "-o", str(tests)])
    assert done.exit_code == 0, done.output
    text = tests.read_text(encoding="utf-8")
    names = {
        line.split('alertname="')[1].split('"')[0]
        for line in text.splitlines()
        if "labels: 'ALERTS" in line and "alertname" in line
    }
    assert len(names) == 14
    assert "SUCCESS" in promtool("test", "rules", tests)


def test_the_tests_can_fail(tmp_path):
    """Rules that fire later than ours are found out."""
    text = RULES.read_text(encoding="utf-8")
    rules = tmp_path / "late.yml"
    rules.write_text(text.replace("for: '5m'", "for: '6m'"), encoding="utf-8")
    tests = tmp_path / "tests.yml"
    CliRunner().invoke(group, ["rules", "--tests", str(rules), "-o", str(tests)])
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", tests)
