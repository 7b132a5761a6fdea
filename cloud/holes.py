"""Which numbers of a journal have come, and which are missing. Pure.

A journal counts 1, 2, 3 …; `highest` is the last number that was seen, a hole is a run (first, last) below it that was
not. The watermark, up to which everything has come, follows from the two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from sys import maxsize

Run = tuple[int, int]


def runs(numbers: Iterable[int]) -> list[Run]:
    """Numbers in any order -> runs.

    >>> runs([3, 1, 2, 7])
    [(1, 3), (7, 7)]
    """
    out: list[Run] = []
    for number in sorted(set(numbers)):
        if out and out[-1][1] == number - 1:
            out[-1] = (out[-1][0], number)
        else:
            out.append((number, number))
    return out


def fill(highest: int, holes: list[Run], came: Run) -> int:
    """The numbers of `came` are here -> highest after that. `holes` is sorted, stays so, and is changed in its place;
    those that `came` does not touch may be left out.

    >>> holes = [(2, 3)]
    >>> fill(5, holes, (3, 3)), holes
    (5, [(2, 2)])
    >>> fill(5, holes, (9, 9)), holes
    (9, [(2, 2), (6, 8)])
    """
    first, last = came
    if first > highest + 1:
        holes.append((highest + 1, first - 1))
        return last
    end = bisect_right(holes, (last, maxsize))
    start = bisect_right(holes, (first, maxsize), hi=end)
    if start and holes[start - 1][1] >= first:
        start -= 1
    if start < end:
        low, high = holes[start][0], holes[end - 1][1]
        left = [(low, first - 1)] if low < first else []
        holes[start:end] = [*left, (last + 1, high)] if last < high else left
    return max(highest, last)


def watermark(highest: int, holes: list[Run]) -> int:
    """Up to here everything has come."""
    return holes[0][0] - 1 if holes else highest
