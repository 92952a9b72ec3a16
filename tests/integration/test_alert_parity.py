"""Prometheus and the process agree on when each rule fires, to one interval."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stagelight.alerts import _prometheus, _promtests, default_rules
from stagelight.cli._group import group

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool"),
]
ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "rules" / "stagelight.yml"


def run(*command):
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def promtool(*arguments):
    """Run promtool, and return its whole output."""
    done = run("promtool", *map(str, arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_rules():
    """Every rule of the generated file is right, for the oldest supported version."""
    assert "SUCCESS: 28 rules found" in promtool("check", "rules", RULES)


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
""",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["rules", "-o", "rules.yml"])
    assert done.exit_code == 0, done.output
    assert "SUCCESS: 32 rules found" in promtool(
        # Its lint dislikes one name for two sets of stages; Prometheus does not.
        "check",
        "rules",
        "--lint=none",
        "rules.yml",
    )
    text = (tmp_path / "rules.yml").read_text(encoding="utf-8")
    assert 'stagelight_queue_name=~"parsed|raw\\\\-.*"' in text
    assert 'stagelight_stage_name!~"render.*|a\\\\.b"' in text


def test_a_rule_file_is_checked(tmp_path, monkeypatch):
    """`rules --check` is 0 for what is right, 1 for a stale file or a wrong rule."""
    done = CliRunner().invoke(group, ["rules", "--check", str(RULES)])
    assert "15 alerts are right" in done.output
    (tmp_path / "old.yml").write_text(
        RULES.read_text(encoding="utf-8").replace("for: '3m'", "for: '4m'"),
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    call = [sys.executable, "-m", "stagelight", "rules", "--check"]
    done = run(*call, "old.yml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "changed: StageStalled",
        "changed: StageWorkerStuck",
        "-> stagelight rules -o old.yml",
    ]
    Path("stagelight.toml").write_text('[alerts]\nrules = ["queue.siz > 5"]\n')
    done = run(*call)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "  ^"


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
    """A rule that fires later than ours is found out, and one that never does."""
    mine = [rule for rule in default_rules() if rule.name == "StageStalled"]
    (tmp_path / "tests.yml").write_text(
        _prometheus.text(_promtests.tests(mine, "rules.yml")), encoding="utf-8"
    )
    text = _prometheus.text(_prometheus.groups(mine))
    for changed in (text, text.replace("'3m'", "'4m'"), text.replace("== 0", "== 9")):
        (tmp_path / "rules.yml").write_text(changed, encoding="utf-8")
        done = run("promtool", "test", "rules", str(tmp_path / "tests.yml"))
        assert ("FAILED" in done.stdout + done.stderr) == (changed != text)
