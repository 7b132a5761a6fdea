"""Numbers that come in any order, any of them twice: what is missing is always known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud.holes import Run, fill, runs, watermark

spans = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda t: (t[0], t[0] + t[1]))


@given(came=st.lists(spans, max_size=30))
def test_the_holes_are_what_did_not_come(came: list[Run]) -> None:
    highest, holes, there = 0, list[Run](), set[int]()
    for span in came:
        highest = fill(highest, holes, span)
        there |= set(range(span[0], span[1] + 1))
    assert highest == max(there, default=0)
    missing = [n for n in range(1, highest + 1) if n not in there]
    assert holes == runs(missing)
    assert watermark(highest, holes) == (missing[0] - 1 if missing else highest)


@given(numbers=st.lists(st.integers(1, 50)))
def test_runs_hold_exactly_the_numbers(numbers: list[int]) -> None:
    assert {n for first, last in runs(numbers) for n in range(first, last + 1)} == set(numbers)
