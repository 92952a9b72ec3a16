"""The decay laboratory: its time, its threads, its counting."""

from __future__ import annotations

import pytest
from bench.decay.bounds import repeated, verdicts
from bench.decay.families import CONTROLS, FAULTS
from bench.decay.lab import Alarm, Outcome, run_fault
from bench.decay.live import plan
from bench.decay.live.clock import Clock
from bench.decay.live.threads import Threads
from bench.decay.unseen import UNSEEN, UNSEEN_CONTROLS


def outcome(first, usual=None, *, stage="parse", cause="slow stage"):
    """A decay from 1000 s to 11,000 s, told at these times."""
    alarms = {"ours": [Alarm("A", "warning", stage, cause, first)], "R0": []}
    if usual is not None:
        alarms["R0"] = [Alarm("B", "warning", "parse", "", usual)]
    return Outcome(1000.0, 11_000.0, alarms, "parse")


def test_lead_and_share_count_from_the_first_alarm_after_the_onset():
    """What fired before the decay or after the collapse is no detection."""
    assert outcome(3000.0).lead("ours") == 8000.0
    assert outcome(3000.0).share("ours") == 0.8
    assert outcome(500.0).lead("ours") is None
    assert outcome(12_000.0).share("ours") == 0.0
    assert outcome(3000.0).share("R0") == 0.0


def test_the_bounds_are_judged(capsys):
    """All hold on good runs; a late, wrong or noisy one is said not to."""
    calm = {"idle": [Outcome(0.0, None, {"ours": [], "R0": []})]}
    good = {"slow_consumer": [outcome(3000.0, 9000.0)]}
    assert not verdicts({"simulated": good}, calm)
    assert "DOES NOT HOLD" not in capsys.readouterr().out
    late = {"slow_consumer": [outcome(9000.0, 8000.0, stage="load")]}
    loud = {"idle": [Outcome(0.0, None, outcome(5.0).alarms)]}
    assert verdicts({"simulated": late}, loud)
    out = capsys.readouterr().out
    assert out.count("DOES NOT HOLD") == 5


def test_what_fires_again_too_soon_is_counted():
    """Ten minutes are enough, nine are not; another stage is another alarm."""
    one = Outcome(0.0, None, {"ours": [Alarm("A", "warning", "s", "", 100.0)]})
    one.alarms["ours"] += [
        Alarm("A", "warning", "other", "", 100.0),
        Alarm("A", "warning", "s", "", 700.0),
        Alarm("A", "warning", "s", "", 1240.0),
    ]
    assert repeated([one]) == 1


def test_threads_take_turns_in_virtual_time():
    """Hours pass at once, in the order of the clock, through a queue's waits too."""
    clock = Clock()
    threads = Threads(clock)
    queue = threads.queue(1)
    seen = []

    def produce():
        for number in range(3):
            threads.sleep(3600)
            queue.put(number)

    def consume():
        while True:
            number = queue.get()
            seen.append((number, clock.now()))
            threads.sleep(5000)

    threads.spawn(produce)
    threads.spawn(consume)
    threads.sleep(40_000)
    # The second is waited for with the worker busy, and so is the third.
    assert seen == [(0, 3600.0), (1, 8600.0), (2, 13_600.0)]
    assert clock.now() == 40_000


def test_a_wait_that_cannot_end_is_told():
    """Where nobody could ever wake another it is an error, and nothing hangs."""
    empty = Threads(Clock()).queue(1)
    with pytest.raises(RuntimeError, match="every thread waits for another"):
        empty.get()


def test_families_do_what_they_say():
    """Each makes its pipeline from its seed alone; every decay has its stage."""
    for family, make in {**FAULTS, **UNSEEN}.items():
        one, other = make("t"), make("t")
        assert one.onset == other.onset, family
        names = {"", *(stage.name for stage in one.world.stages)}
        assert one.stage in names
        for world in (one.world, other.world):
            for now in range(15, 900, 15):
                world.step(float(now))
        assert list(one.world.rows(900.0)) == list(other.world.rows(900.0)), family
    for make in {**CONTROLS, **UNSEEN_CONTROLS}.values():
        make("t").step(15.0)
    for make in {**plan.FAULTS, **plan.CONTROLS}.values():
        assert make("t").length > 0


def test_a_decay_is_found_and_named_early():
    """One simulated run from its beginning to its collapse."""
    found = run_fault(FAULTS["stuck_worker"], "unit-2")
    first = found.first("ours")
    assert (first.name, first.stage) == ("StageWorkerStuck", found.stage)
    assert found.share("ours") > 0.8 > found.share("R0")
