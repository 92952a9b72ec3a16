"""``stagelight replay --trace --pdb`` in a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

from harness import run_program

PROGRAM = """
import sys
import queue, threading
import stagelight

pipeline = stagelight.Pipeline("shop")
jobs = pipeline.queue(queue.Queue(), "jobs")

@pipeline.stage
def price(event):
    divisor = event["divisor"]
    return 100 / divisor

if __name__ == "__main__":
    stagelight.configure(capture=sys.argv[1])
    jobs.put({"id": "a1", "divisor": 0})
    try:
        price(jobs.get())
    except ZeroDivisionError:
        pass
"""


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *command):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text, seconds=60):
        """Read until a text is there."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.ours], [], [], max(left, 0))
            assert ready, self.shown
            try:
                self.shown += os.read(self.ours, 65_536).decode()
            except OSError:  # it has ended
                break
        assert text in self.shown, self.shown

    def say(self, line):
        """Type a line."""
        self.shown = ""
        os.write(self.ours, line.encode() + b"\n")

    def end(self):
        """Wait for it; its exit code."""
        code = self.process.wait(60)
        os.close(self.ours)
        return code


def test_the_debugger_stands_where_it_fails(tmp_path):
    """The original journey is shown, then variables can be looked at in the stage."""
    program = tmp_path / "shop.py"
    program.write_text(PROGRAM)
    folder = str(tmp_path / "kept")
    done = run_program(program, folder)
    assert done.returncode == 0, done.stderr
    command = (sys.executable, "-m", "stagelight", "replay", "1", "--folder", folder)
    terminal = Terminal(*command, "--trace", "--pdb")
    try:
        terminal.until("(Pdb)")
        assert re.search(r"  jobs: waited \d+\.\d", terminal.shown)
        assert "ZeroDivisionError: division by zero" in terminal.shown
        assert "1 a1: same failure" in terminal.shown
        assert "return 100 / divisor" in terminal.shown
        terminal.say("p event, divisor")
        terminal.until("({'id': 'a1', 'divisor': 0}, 0)")
        terminal.until("(Pdb)")
        terminal.say("q")
        assert terminal.end() == 1
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
