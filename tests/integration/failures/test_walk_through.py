"""The README's walk-through: the standard library's own tests, in odd encodings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from harness.program import clean_environment

ROOT = Path(__file__).parents[3]
STDLIB_TESTS = Path(sysconfig.get_paths()["stdlib"]) / "test"
DECODE = 'document.data.decode("utf-8")'
FIXED = 'document.data.decode("utf-8", "replace")'


def run(folder, *args, code=0):
    """Run `stagelight *args` in a folder, with the store that the page names."""
    done = subprocess.run(
        [sys.executable, "-m", "stagelight", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=folder,
        env=clean_environment({"STAGELIGHT_CAPTURE": "failures"}),
    )
    assert done.returncode == code, done
    return done.stdout


def test_the_walk_through(tmp_path):
    """List, replay one, fix the decoder, replay the group: all pass."""
    program = tmp_path / "index_sources.py"
    shutil.copy(ROOT / "examples" / "index_sources.py", program)
    said = run(tmp_path, "run", "--no-table", str(program), str(STDLIB_TESTS))
    failures = int(said.split(" failures")[0].split()[-1])
    assert failures > 0

    document = json.loads(run(tmp_path, "failures", "groups", "--json"))
    assert document["kept"] == failures == sum(g["count"] for g in document["groups"])
    group = next(
        one
        for one in document["groups"]
        if (one["stage"], one["error_type"]) == ("Tokenizer", "UnicodeDecodeError")
    )
    assert group["frame"]["function"] == "process"
    lines = run(tmp_path, "failures", "groups").splitlines()
    assert any(
        line.startswith(f"{group['id']}  {group['count']} x UnicodeDecodeError in ")
        for line in lines
    )

    listed = run(tmp_path, "failures", "list", "--group", group["id"]).splitlines()
    assert listed[0].split() == [
        *("id", "time", "stage", "error", "event", "group", "replayed")
    ]
    assert len(listed) == group["count"] + 1
    number = group["example"]["id"]
    shown = run(tmp_path, "failures", "show", str(number))
    assert f"event      {group['example']['event_id']}" in shown
    assert "UnicodeDecodeError: 'utf-8' codec can't decode byte" in shown

    one = run(tmp_path, "replay", str(number), code=1)
    assert one.startswith(f"{number} {group['example']['event_id']}: same failure\n")

    test = tmp_path / "test_decoding.py"
    run(tmp_path, "failures", "export", group["id"], "--output", str(test))
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"]
    command += ["-pno:logfire", "--rootdir", str(tmp_path), str(test)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{group['count']} failed" in failed.stdout, failed

    source = program.read_text(encoding="utf-8")
    assert source.count(DECODE) == 1
    program.write_text(source.replace(DECODE, FIXED), encoding="utf-8")
    whole = run(tmp_path, "replay", "--group", group["id"])
    assert whole.splitlines()[-1] == f"{group['count']} success"
    passed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{group['count']} passed" in passed.stdout, passed

    after = json.loads(run(tmp_path, "failures", "groups", "--json"))
    again = next(one for one in after["groups"] if one["id"] == group["id"])
    assert again["replays"] == {"success": group["count"]}
