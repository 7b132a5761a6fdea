"""Lessons: a mark on a sample changes how all receipts are read and counted; a correction only what is doubtful."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import figures, teaching
from cloud.store.figures import facts, sums
from receipt.model import Finding, Kind, Receipt
from tests.cloud.shop_of_receipts import NOON, add_job, add_shop, new_store

M = "m"
PAPER = "CORNER CAFE\nTisch 12   Kellner Anna\nBALANCE DUE        14.00\nDEPOSIT            20.00"
LINES = PAPER.split("\n")


def read(total: int, confidence: float) -> Receipt:
    found = {"total": Finding(str(total), 3, confidence), "date": Finding("2026-09-21", 0, 0.9)}
    return Receipt(kind=Kind.SALE, total=total, currency="EUR", first_line=0, last_line=3, findings=found)


@pytest.mark.parametrize(
    ("name", "line", "spots"),
    [
        ("table", "Tisch 12   Kellner Anna", [("12", "tisch"), ("Anna", "kellner"), ("Anna", "tisch 12 kellner")]),
        ("table", "Tisch:          12", [("12", "tisch")]),
        ("covers", "桌号:8   人数:3", [(8, "桌号"), (3, "人数"), (3, "桌号 8 人数")]),
        ("total", "GESAMT   2 x 3,00    6,00", [(600, "gesamt x")]),
        ("total", "TOTAL 1 234,50", [(123450, "total")]),
        ("number", "Bon-Nr. #4711", [("4711", "bon nr")]),
        ("total", "thank you", []),
    ],
)
def test_where_a_field_may_stand(name: str, line: str, spots: list[tuple[Any, str]]) -> None:
    found = list(teaching.spots(name, line, "EUR"))
    assert [(spot.value, spot.label) for spot in found] == spots
    for spot in found:
        assert str(spot.value) in line[spot.start : spot.end] or name == "total"


@settings(max_examples=60, deadline=None)
@given(line=st.text(max_size=60), name=st.sampled_from(teaching.TAUGHT), label=st.text(max_size=8))
def test_whatever_stands_on_a_line_nothing_raises_and_spots_lie_on_it(line: str, name: str, label: str) -> None:
    for spot in teaching.spots(name, line, "EUR"):
        assert 0 <= spot.start < spot.end <= len(line)
    teaching.by_lesson(Receipt(), {name: {label: 1}}, [line], 0.6)


def test_a_correction_helps_where_the_reading_is_doubtful_and_nowhere_else() -> None:
    taught = {"total": {"balance due": 3}}
    assert teaching.by_lesson(read(2000, 0.4), taught, LINES, 0.6).total == 1400
    assert teaching.by_lesson(read(2000, 0.9), taught, LINES, 0.6).total == 2000
    assert teaching.by_lesson(replace(read(2000, 0.9), total=None), taught, LINES, 0.6).total == 1400
    assert teaching.by_lesson(read(2000, 0.9), {"table": {"tisch": 1}}, LINES, 0.6).table == "12"


def test_a_mark_is_believed_over_a_sure_reading_and_over_older_marks() -> None:
    taught = teaching.with_lesson({"total": {"balance due": 3}}, "total", "balance due", teaching.MARK)
    assert teaching.by_lesson(read(2000, 0.95), taught, LINES, 0.6).total == 1400
    other = teaching.with_lesson(taught, "total", "deposit", teaching.MARK)
    assert teaching.by_lesson(read(1, 0.95), other, LINES, 0.6).total == 2000
    for n in range(40):
        other = teaching.with_lesson(other, "total", f"slip {n}", 1)
    assert len(other["total"]) == teaching.MOST
    assert "deposit" in other["total"]


def test_what_is_marked_counts_in_old_receipts_and_new_ones_until_it_is_forgotten(tmp_path: Path) -> None:
    store = new_store(tmp_path, M)

    def amounts() -> list[int]:
        while figures.some_again(store):
            pass
        with store.read() as connection:
            return list(connection.execute(sa.select(sums.c.amount).where(sums.c.dim == "all")).scalars())

    with store.write() as connection:
        add_shop(connection, M, currency="EUR")
        add_job(connection, M, read(2000, 0.95), seq=1, started_ms=NOON, lines=PAPER)
    assert amounts() == [2000]
    with store.write() as connection:
        teaching.mark(connection, M, "", "total", "balance due", "user anna")
        figures.begin_again(connection, M)
        add_job(connection, M, read(2000, 0.95), seq=2, started_ms=NOON + 1000, lines=PAPER)
    assert amounts() == [2800]
    with store.write() as connection:
        assert teaching.load(connection, M, "") == {"total": {"balance due": teaching.MARK}}
        teaching.forget(connection, M, "", "total", "balance due", "user anna")
        figures.begin_again(connection, M)
    assert amounts() == [4000]
    with store.read() as connection:
        assert {row.to_check for row in connection.execute(sa.select(facts))} == {False}
    store.close()
