"""Which numbers of a journal have come, and which are missing. Pure.

A journal counts 1, 2, 3 …; `highest` is the last number that was seen, a hole is a run (first, last) below it that was
not. The watermark, up to which everything has come, follows from the two.
"""

from __future__ import annotations

from collections.abc import Iterable

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


def fill(highest: int, holes: list[Run], came: Run) -> tuple[int, list[Run]]:
    """The numbers of `came` are here -> (highest, holes) after that. `holes` is sorted and stays so.

    >>> fill(5, [(2, 3)], (3, 3))
    (5, [(2, 2)])
    >>> fill(5, [], (9, 9))
    (9, [(6, 8)])
    """
    first, last = came
    if first > highest + 1:
        return last, [*holes, (highest + 1, first - 1)]
    out: list[Run] = []
    for low, high in holes:
        if last < low or high < first:
            out.append((low, high))
            continue
        if low < first:
            out.append((low, first - 1))
        if last < high:
            out.append((last + 1, high))
    return max(highest, last), out


def watermark(highest: int, holes: list[Run]) -> int:
    """Up to here everything has come."""
    return holes[0][0] - 1 if holes else highest
