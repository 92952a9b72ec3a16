from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from stagelight import _history
from stagelight._history import HISTORY, NOTHING, by_second, merged, with_second

SECONDS = st.dictionaries(
    st.integers(1, 300),
    st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)),
    max_size=20,
)


def known(seconds):
    """What one worker knows that did this in these seconds, one after the other."""
    found = NOTHING
    for second in sorted(seconds):
        found = merged(found, with_second((second, 0, 0), *seconds[second]))
    return found


def together(team):
    """What several did by second, of those that are not too old for the newest."""
    newest = max((second for one in team for second in one), default=0)
    found: dict[int, tuple[int, int]] = {}
    for one in team:
        for second, (finished, errors) in one.items():
            if second > newest - HISTORY:
                before = found.get(second, (0, 0))
                found[second] = (before[0] + finished, before[1] + errors)
    return found


@given(SECONDS)
def test_the_last_seconds_are_kept(seconds):
    """Each second has its own counts, and about a minute of them is there."""
    assert by_second(known(seconds)) == together([seconds])


@given(st.lists(SECONDS, max_size=4), st.randoms(use_true_random=False))
def test_what_several_did_adds_up_in_any_order(team, shuffle):
    """However workers are merged, every second of the last ones is whole."""
    order = [known(one) for one in team]
    shuffle.shuffle(order)
    cut = len(order) // 2
    halves = (reduce(merged, part, NOTHING) for part in (order[:cut], order[cut:]))
    assert by_second(reduce(merged, order, NOTHING)) == together(team)
    assert by_second(merged(*halves)) == together(team)


def test_a_second_is_never_less_than_nothing():
    """A look at counts that change may be off by a call, and spoils no other second."""
    before = known({5: (7, 1), 6: (1, 0)})
    assert by_second(with_second(before, -1, -1)) == by_second(before)


def test_a_ring_that_went_round_has_no_old_second():
    """The place of the running second still has the count of 64 seconds ago."""
    ring = bytearray(_history.FIELD.size * HISTORY)
    _history.FIELD.pack_into(ring, 5 * _history.FIELD.size, 99)
    found = with_second(_history.past(HISTORY + 5, ring, None), 1, 0)
    assert by_second(found) == {HISTORY + 5: (1, 0)}
