"""50,000 events a second into the real stack: nothing refused, nothing dropped."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from realstack import ROOT


@pytest.fixture(scope="module")
def figures(stack, tmp_path_factory):
    """What bench/load.py measures, shorter than by hand."""
    path = tmp_path_factory.mktemp("load") / "figures.json"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "bench" / "load.py"),
            *("--seconds", "8", "--json", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(path.read_text())


@pytest.mark.parametrize("mode", ["metrics only", "default"])
def test_load(figures, mode):
    """Prometheus's numbers are the program's, at full rate, and all else arrived."""
    seen = figures[mode]
    assert seen["rate"] > 0.8 * 50_000  # others may have a share of this machine
    assert seen["in prometheus format"] == seen["events"]
    assert sum(seen["counted"].values()) == seen["events"]
    assert seen["counted"]["failure"] == seen["events"] // 5000
    assert seen["lost by the program"] == 0
    assert seen["lost by the collector"] == 0
    assert seen["warnings"] == ""
    if mode == "default":
        assert seen["logs"] == seen["events"] // 5000
        # Each failure has its trace, sampled at its head or rescued.
        assert seen["spans"] == seen["spans sent"] > seen["logs"]
    else:
        assert seen["spans"] == seen["logs"] == 0
