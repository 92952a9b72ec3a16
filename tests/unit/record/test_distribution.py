from __future__ import annotations

import math
import threading
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import _distribution, _names
from stagelight._cells import (
    BOUNDS,
    NANOSECONDS,
    explicit_counts,
    exponential_counts,
    pack,
    subtract,
    unpack,
)
from stagelight._distribution import BATCH, Distribution, Exemplar
from stagelight._folding import packed_values_at, values_at

#: Durations around every edge, and anywhere from nothing to a week.
VALUES = st.one_of(
    st.integers(0, 7 * 24 * 3600 * NANOSECONDS),
    st.integers(0, NANOSECONDS),
    st.sampled_from(BOUNDS).flatmap(lambda edge: st.integers(edge - 1, edge + 1)),
)
SAMPLES = st.lists(VALUES, max_size=50)
#: A cell is a quarter of an octave wide.
PER_OCTAVE = 4
LOWEST, HIGHEST = -24 * PER_OCTAVE, 12 * PER_OCTAVE


def recorded(samples):
    """A distribution of these samples."""
    made = Distribution()
    for sample in samples:
        made.record(sample)
    return made


def state(one):
    """All that a distribution holds."""
    return one.cells, one.sum, one.min, one.max, one.exemplars


def exponential_index(value):
    """The bucket of a value by the definition: base**index < value <= base**(index+1).

    In whole numbers, so that it is exact: the base is the fourth root of two.
    """
    fourth = value**PER_OCTAVE
    unit = NANOSECONDS**PER_OCTAVE
    index = math.ceil(math.log2(value / NANOSECONDS) * PER_OCTAVE) - 2
    while fourth * 2 ** max(-index - 1, 0) > unit * 2 ** max(index + 1, 0):
        index += 1
    return index


@given(st.lists(SAMPLES, max_size=6), st.randoms(use_true_random=False))
def test_merging_in_any_order_equals_one_stream(parts, shuffle):
    """However samples are split and in whatever order merged, nothing differs."""
    order = list(parts)
    shuffle.shuffle(order)
    merged = Distribution()
    for part in order:
        merged.merge(recorded(part))
    assert state(merged) == state(recorded([one for part in parts for one in part]))


@given(st.lists(VALUES, min_size=1, max_size=5), st.lists(st.booleans(), max_size=12))
def test_when_the_buffer_is_folded_shows_nowhere(values, folds):
    """Samples that wait are counted as those that are in their cells already."""
    one, seen = Distribution(), []
    for fold in folds:
        for value in values * (BATCH // 3):
            one.record(value)
            seen.append(value)
        if fold:
            one.fold()
        assert (one.count, one.sum) == (len(seen), sum(seen))
        assert (one.min, one.max) == (min(seen), max(seen))
        assert state(one.settled()) == state(one) == state(recorded(seen))


def test_a_buffer_is_bounded():
    """Samples are folded many at a time, and never more wait than a batch."""
    one = Distribution()
    for number in range(10 * BATCH):
        one.record(number)
        assert len(one._buffer) < BATCH
    assert one.count == 10 * BATCH


def test_a_settled_copy_stays():
    """A look does not change with what is recorded later, and takes nothing itself."""
    one = recorded([5, 6])
    look = one.settled()
    one.record(7)
    one.fold()
    with pytest.raises(TypeError, match="settled"):
        look.record(100)
    assert state(look) == state(recorded([5, 6]))
    assert state(one) == state(recorded([5, 6, 7]))


@pytest.mark.parametrize("folds", [False, True])
def test_a_reader_sees_each_sample_exactly_once(folds):
    """Another thread that reads meanwhile never sees fewer or more than there are."""
    one, done, seen = Distribution(), threading.Event(), []

    def read():
        while not done.is_set():
            look = one.settled()
            seen.append((sum(look.cells.values()), look.sum))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20_000):
        one.record(1)
        if folds and number % 7 == 0:
            one.fold()
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert all(count == total for count, total in seen)
    assert one.count == one.sum == 20_000


@pytest.mark.parametrize("raising", [False, True])
def test_a_signal_while_folding_loses_nothing(monkeypatch, raising):
    """What interrupts a fold may record and may end it; every sample is still there."""
    one = recorded([1, 2, 3])
    folded = _distribution.folded

    def interrupted(state_, waiting):
        one.record(4)
        one.fold()  # already folding: left to the one that is interrupted
        if raising:
            raise KeyboardInterrupt
        return folded(state_, waiting)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(_distribution, "folded", interrupted)
        one.fold()
    one.record(5)
    assert state(one) == state(recorded([1, 2, 3, 4, 5]))


@given(SAMPLES, SAMPLES, SAMPLES)
def test_merging_is_associative(first, second, third):
    """Totals of totals are totals."""
    left = recorded(first)
    left.merge(recorded(second))
    left.merge(recorded(third))
    inner = recorded(second)
    inner.merge(recorded(third))
    right = recorded(first)
    right.merge(inner)
    assert state(left) == state(right)


@given(
    st.permutations([(cell, when) for cell in (3, 4) for when in (1, 2, 3)]),
    st.integers(0, 6),
)
def test_the_newest_exemplar_of_a_cell_survives_any_merge(order, cut):
    """Two distributions agree on the newest sampled span of each cell."""
    parts = []
    for pairs in (order[:cut], order[cut:]):
        part = Distribution()
        for cell, when in pairs:
            lone = Distribution()
            lone.exemplars[cell] = Exemplar(1, when, when, cell)
            part.merge(lone)
        parts.append(part)
    whole = Distribution()
    for part in parts:
        whole.merge(part)
    assert whole.exemplars == {cell: Exemplar(1, 3, 3, cell) for cell in (3, 4)}


@given(SAMPLES, SAMPLES)
def test_what_is_later_is_the_difference(before, after):
    """Subtracting an earlier state leaves exactly what came since."""
    earlier, whole = recorded(before), recorded(before + after)
    later = whole.minus(earlier)
    assert later.cells == recorded(after).cells
    assert (later.sum, later.count) == (sum(after), len(after))
    assert state(earlier) == state(recorded(before))
    assert whole.minus(None) is whole


CELLS = st.dictionaries(st.integers(0, len(BOUNDS)), st.integers(1, 2**46), max_size=20)


@given(CELLS, CELLS)
def test_cells_are_one_number(first, second):
    """Packing keeps every cell apart: adding and subtracting do so cell by cell."""
    assert unpack(pack(first)) == first
    both = {cell: first.get(cell, 0) + second.get(cell, 0) for cell in first | second}
    assert unpack(pack(first) + pack(second)) == both
    assert subtract(pack(both), pack(first))[0] == pack(second)


@given(SAMPLES, SAMPLES)
def test_less_than_nothing_is_nothing(first, second):
    """Where an earlier state had more, as before a restart, nothing is left."""
    found = recorded(first).minus(recorded(second))
    one, other = recorded(first).cells, recorded(second).cells
    left = {cell: number - other.get(cell, 0) for cell, number in one.items()}
    assert found.cells == {cell: number for cell, number in left.items() if number > 0}
    assert found.count == sum(found.cells.values())
    assert found.sum >= 0


@given(SAMPLES)
def test_explicit_buckets_are_exact(samples):
    """Each bucket holds the samples up to its bound, that bound included."""
    for bounds in (_names.DURATION_BUCKETS, _names.PIPELINE_BUCKETS):
        edges = [-1, *(round(one * NANOSECONDS) for one in bounds), math.inf]
        expected = [
            sum(lower < sample <= upper for sample in samples)
            for lower, upper in pairwise(edges)
        ]
        assert explicit_counts(recorded(samples).cells, bounds) == expected


@given(SAMPLES)
def test_exponential_buckets_are_exact(samples):
    """Each bucket holds what the OpenTelemetry data model puts there at scale 2."""
    zero, offset, counts = exponential_counts(recorded(samples).cells)
    smallest = BOUNDS[0]
    expected: dict[int, int] = {}
    for sample in samples:
        if sample > smallest:
            index = min(exponential_index(sample), HIGHEST - 1)
            expected[index] = expected.get(index, 0) + 1
    assert zero == sum(sample <= smallest for sample in samples)
    found = {offset + place: count for place, count in enumerate(counts) if count}
    assert found == expected
    assert not counts or (counts[0] and counts[-1])  # no empty ends are sent


def test_edges_and_outliers_have_a_cell():
    """Nothing is too short or too long to be counted."""
    for value in (0, 1, BOUNDS[0], BOUNDS[0] + 1, BOUNDS[-1], BOUNDS[-1] + 1, 1 << 61):
        one = recorded([value])
        assert one.count == 1
        assert sum(explicit_counts(one.cells)) == 1
        zero, _, counts = exponential_counts(one.cells)
        assert zero + sum(counts) == 1
    assert sorted(set(BOUNDS)) == BOUNDS
    assert exponential_counts(Distribution().cells) == (0, 0, [])


@given(st.lists(VALUES, min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_lies_in_its_samples_cell(samples, share):
    """A quantile is never further off than the cell of the sample of that rank."""
    value = recorded(samples).quantile(share)
    exact = sorted(samples)[max(math.ceil(share * len(samples)) - 1, 0)]
    cell = next(n for n, edge in enumerate([*BOUNDS, math.inf]) if exact <= edge)
    lower = BOUNDS[cell - 1] if cell else 0
    upper = BOUNDS[cell] if cell < len(BOUNDS) else max(samples)
    assert value is not None
    assert lower <= value * NANOSECONDS * (1 + 1e-12)
    assert value * NANOSECONDS * (1 - 1e-12) <= upper
    assert min(samples) / NANOSECONDS <= value <= max(samples) / NANOSECONDS


@given(st.lists(VALUES, min_size=1, max_size=50), st.lists(st.floats(0, 1)))
def test_quantiles_never_fall(samples, shares):
    """A larger share is never a smaller value."""
    one = recorded(samples)
    values = [one.quantile(share) for share in sorted(shares)]
    assert values == sorted(values)


@given(SAMPLES, st.sampled_from((1, 10**9)))
def test_quantiles_are_read_the_same_in_both_ways(samples, times):
    """Few samples are counted up by their lowest bytes, with the same result."""
    whole = recorded(samples).settled()
    packed, count, _, top, bottom, _ = whole._state
    packed, count = packed * times, count * times
    ranks = [share * count for share in (0.01, 0.5, 0.95, 0.99, 1)]
    if count:
        found = packed_values_at(ranks, packed, count, top, bottom)
        assert found == values_at(ranks, unpack(packed), top, bottom)


def test_quantiles_at_the_ends():
    """No samples have no quantile; the ends are the extremes; one sample is itself."""
    assert Distribution().quantile(0.5) is None
    one = recorded([123_456])
    assert [one.quantile(share) for share in (0, 0.5, 1)] == [0.000123456] * 3
    many = recorded(range(1_000_000, 2_000_000, 1000))
    assert (many.quantile(0), many.quantile(1)) == (0.001, 0.001999)
    assert many.quantile(0.5) == pytest.approx(0.0015, rel=0.02)
