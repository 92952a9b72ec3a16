from __future__ import annotations

import gc
import threading
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._peak import Peak
from stagelight._records import SlotRecord, StageRecord
from stagelight._registry import PipelineRecord
from stagelight._slots import Slot, Worker
from stagelight._totals import HISTORY, Totals

FAILURES = [
    (_names.FAILURE, "ValueError"),
    (_names.FAILURE, "KeyError"),
    (_names.TIMEOUT, "TimeoutError"),
    (_names.CANCELLED, ""),
]
PLAIN = (
    *("cells", "sum", "min", "max", "produced", "apart", "idle", "blocked"),
    *("retries", "drops", "ends", "finished", "errors", "busy"),
)


@dataclass
class Call:
    """One call as a worker writes it down."""

    took: int
    failure: tuple[str, str] | None
    second: int
    numbers: tuple[int, ...]
    drop: tuple[str, bool] | None
    end: str | None

    def write(self, totals):
        """Count it, as the record path does."""
        if isinstance(totals, Slot) and self.second != totals.second:
            totals.turn_over(self.second * NANOSECONDS)
        part = totals if self.failure is None else totals.failure(*self.failure)
        part.record(self.took)
        produced, apart, idle, blocked, retries = self.numbers
        totals.produced += produced
        totals.apart += apart
        totals.idle += idle
        totals.blocked += blocked
        totals.retries += retries
        if self.drop is not None:
            totals.drops[self.drop] = totals.drops.get(self.drop, 0) + 1
        if self.end is not None:
            totals.ends[self.end] = totals.ends.get(self.end, 0) + 1


CALLS = st.builds(
    Call,
    took=st.integers(0, 20 * NANOSECONDS),
    failure=st.none() | st.sampled_from(FAILURES),
    second=st.integers(1, 200),
    numbers=st.tuples(*[st.integers(0, 1000)] * 5),
    drop=st.none() | st.tuples(st.sampled_from(["filtered", "poison"]), st.booleans()),
    end=st.none() | st.sampled_from(_names.OUTCOMES),
)
#: One worker's calls, in the order of time.
WORK = st.lists(CALLS, max_size=30).map(
    lambda calls: sorted(calls, key=lambda one: one.second)
)
TEAM = st.lists(WORK, min_size=1, max_size=5)


def state(totals):
    """Everything counted, as plain data."""
    return {name: getattr(totals, name) for name in PLAIN} | {
        "failures": {
            key: (part.cells, part.sum, part.min, part.max)
            for key, part in totals.failures.items()
        },
        "outcomes": totals.outcomes(),
    }


def one_stream(team):
    """The calls of all workers, as one worker would have counted them."""
    totals = Totals()
    for work in team:
        for call in work:
            call.write(totals)
    return totals


def history(team):
    """Finished calls and errors by second, of each worker's last minute only."""
    seconds: dict[int, tuple[int, int]] = {}
    recent = [
        call
        for work in team
        for call in work
        if call.second > work[-1].second - HISTORY
    ]
    for call in recent:
        finished, errors = seconds.get(call.second, (0, 0))
        error = call.failure is not None and call.failure[0] in _names.ERRORS
        seconds[call.second] = (finished + 1, errors + error)
    return {second: seconds[second] for second in sorted(seconds)[-HISTORY:]}


def stage_record():
    """A stage that nobody called."""
    return StageRecord(PipelineRecord("p"), "s", "call", "s")


def observed(team):
    """A stage, and the slot in which each worker counted its calls."""
    record = stage_record()
    for work in team:
        slot = Slot(record, Worker())
        record.slots.append(slot)
        for call in work:
            call.write(slot)
    return record


@settings(max_examples=50)
@given(TEAM, st.randoms(use_true_random=False))
def test_slots_in_any_order_equal_one_stream(team, shuffle):
    """Workers' slots add up to what one worker would have counted, in any order."""
    slots = list(observed(team).slots)
    shuffle.shuffle(slots)
    merged = Totals()
    for slot in slots:
        merged.absorb(slot)
    assert state(merged) == state(one_stream(team))
    assert merged.history == history(team)


@settings(max_examples=50)
@given(TEAM, st.data())
def test_folding_a_worker_changes_no_total(team, data):
    """A worker that ends moves its counts: no total changes, whoever ends first."""
    record = observed(team)
    before, seconds = state(record.totals()), record.totals().history
    ended = data.draw(st.permutations(record.slots))
    for slot in ended[: data.draw(st.integers(0, len(ended)))]:
        record.fold(slot)
        record.fold(slot)  # once is enough
        assert slot not in record.slots
        assert state(record.totals()) == before == state(one_stream(team))
        assert record.totals().history == seconds == history(team)


@settings(max_examples=50)
@given(TEAM)
def test_reading_changes_nothing(team):
    """A slot may be read as often as one likes."""
    record = observed(team)
    first = state(record.totals())
    record.totals().produced += 5  # a copy of the reader's own
    record.totals().failure(*FAILURES[0]).record(1)
    assert state(record.totals()) == first


@given(WORK)
def test_history_is_bounded(work):
    """A slot keeps about a minute of seconds, however long it lives."""
    (slot,) = observed([work]).slots
    assert len(slot.history) <= HISTORY
    assert slot.seconds() == history([work])


def test_what_a_worker_never_needed_is_not_there():
    """Tables and rings are made when something is to be put there, not before."""
    record = observed([[Call(5, None, 7, (0, 0, 0, 0, 0), None, None)]])
    (slot,) = record.slots
    record.read()
    record.totals()
    assert [slot._open, slot._drops, slot._ends, slot._failures] == [None] * 4
    assert [slot._exemplars, slot._history, slot.ring, slot.wrongs] == [None] * 4
    slot.turn_over(8 * NANOSECONDS)
    assert slot.ring is not None
    assert slot.wrongs is None
    slot.failure(*FAILURES[0]).record(5)
    slot.turn_over(9 * NANOSECONDS)
    assert slot.seconds() == {7: (1, 0), 8: (1, 1), 9: (0, 0)}


@settings(max_examples=10)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_threads_that_end_leave_their_counts(sizes):
    """Real threads fold as they end: no slot stays, and no call is lost."""
    record = stage_record()

    def work(size):
        slot = record.slot()
        for _ in range(size):
            slot.record(10)

    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert record.slots == []
    assert (record.totals().count, record.totals().sum) == (sum(sizes), 10 * sum(sizes))


def test_short_lived_threads_cost_no_memory(pipeline):
    """A thousand threads that called a stage once leave one total and no slots."""

    @pipeline.stage
    def parse(event):
        return event

    record = pipeline._record.stages["parse"]
    for number in range(1000):
        thread = threading.Thread(target=parse, args=(number,))
        thread.start()
        thread.join()
    assert record.slots == []
    assert pipeline.stats()["stages"]["parse"]["outcomes"] == {"success": 1000}


def test_a_record_without_a_stage_counts_as_well():
    """Journeys are counted in slots of their own, which stages do not share."""
    journeys, stage = SlotRecord(), stage_record()
    journeys.slot().record(5)
    stage.slot().record(7)
    assert (journeys.totals().sum, stage.totals().sum) == (5, 7)


class Reader:
    """Stands for a reader of a peak."""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), st.integers(0, 100)),
        st.tuples(st.integers(0, 2), st.integers(0, 100)),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_peak_is_each_readers_own(steps):
    """Each reader gets the largest value since it read last; a new one, since ever."""
    readers = [Reader() for _ in range(3)]
    peak = Peak()
    seen = [0]
    since = dict.fromkeys(range(3), 0)
    for who, value in steps:
        if who == "note":
            peak.note(value)
            seen.append(value)
            continue
        seen.append(value)
        assert peak.read(readers[who], value) == max(seen[since[who] :])
        since[who] = len(seen) - 1  # the value at this look starts its next period
    assert peak.read(Reader()) == peak.ever == max(seen)


def test_a_peak_forgets_readers_that_are_gone():
    """Readers are held weakly."""
    peak = Peak()
    for _ in range(100):
        peak.read(Reader(), 1)
    gc.collect()
    assert len(peak._seen) == 0
