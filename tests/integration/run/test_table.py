"""What the table at the end shows of odd names."""

from __future__ import annotations

from harness import run_program

RUN = ("-m", "stagelight", "run")


def test_event_ids_cannot_draw_on_the_terminal() -> None:
    """Line ends and escape sequences in an event's id are spelled out."""
    program = r"""
        class Stage:
            def process(self, event):
                raise ValueError
        for name in ("a\nb", "\x1b[31mred", "gr\u00fcn", "\udcff"):
            try:
                Stage().process({"id": name})
            except ValueError:
                pass
    """
    done = run_program(program, prefix=RUN)
    (line,) = (one for one in done.stderr.splitlines() if "ValueError" in one)
    assert line.split("4  ")[1].rstrip() == r"a\nb, \x1b[31mred, grün, \udcff"
