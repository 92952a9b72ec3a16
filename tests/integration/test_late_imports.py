"""A fork while another thread imports a module of ours for the first time."""

from __future__ import annotations

from harness import run_program


def test_a_child_can_use_what_was_being_imported() -> None:
    """The child asks for its own stats, whose module the parent had half imported."""
    program = """
        import os, sys, threading, time
        import stagelight

        begun = threading.Event()

        class Slow:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "stagelight._limiting":
                    begun.set()
                    time.sleep(0.3)

        sys.modules.pop("stagelight._limiting", None)
        sys.modules.pop("stagelight._snapshot", None)
        sys.meta_path.insert(0, Slow)
        pipeline = stagelight.Pipeline("p")
        thread = threading.Thread(target=pipeline.stats)
        thread.start()
        begun.wait()
        pid = os.fork()
        if not pid:
            pipeline.stats()
            os._exit(7)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                print(os.waitstatus_to_exitcode(status))
                break
            time.sleep(0.01)
        else:
            os.kill(pid, 9)
            print("hangs")
        thread.join()
    """
    done = run_program(program, prefix=("-W", "ignore"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")
