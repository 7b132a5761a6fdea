"""Reading after the ack: in a child that a receipt may kill, with the box's reading where that is as good."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud import reader_door, views
from cloud.batch import Intake
from cloud.events import Bell
from cloud.mqtt import Publish
from cloud.reader_door import Reader, ReaderDied, Shared
from cloud.reading import Readings, newer
from cloud.store import figures, schema
from cloud.store.database import Store
from config.cloud import CloudConfig, Ingest
from tests.cloud.test_batch import BOX, fresh_store
from tests.simulators.box import job
from wire import topics
from wire.messages import NO_READING, Reading, encode, pack_reading


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = fresh_store(tmp_path)
    yield one
    one.close()


def put(store: Store, *jobs: Any) -> None:
    batch = [Publish(topics.up(BOX, "receipts"), encode(one), 1, False, 1) for one in jobs]
    assert Intake(store, CloudConfig()).take(batch).stored == len(jobs)


def read_all(store: Store, config: CloudConfig | None = None) -> list[Any]:
    worker = Readings(store, config or CloudConfig(), Bell(), threading.Event())
    try:
        while worker.some():
            pass
    finally:
        worker._reader.stop()
    with store.read() as connection:
        return views.receipt_page(connection, "cafe", 50, with_text=True)[0]


def test_the_cloud_reads_what_the_box_did_not(store: Store) -> None:
    put(store, job(str(uuid.uuid4()), 7, reading=NO_READING))
    (found,) = read_all(store)
    assert found.state == "read"
    assert "CORNER CAFE" in found.text
    assert found.rules_version


@pytest.mark.covers("A20")
def test_what_a_box_says_it_read_stops_no_others(store: Store) -> None:
    """A count that no database takes: the paper is read here; without paper the job is failed; the others are read."""
    epoch, lie = str(uuid.uuid4()), pack_reading(Reading(rules_version="99\x00", unknown=2**64 - 1))
    put(store, job(epoch, 1), job(epoch, 2, reading=lie), job(epoch, 3, reading=lie, raw=None), job(epoch, 4))
    found = read_all(store, CloudConfig(ingest=Ingest(reread=False)))
    assert [(one.seq, one.state) for one in reversed(found)] == [(1, "read"), (2, "read"), (3, "failed"), (4, "read")]
    assert "CORNER CAFE" in found[2].text


def test_the_boxs_reading_is_taken_where_the_paper_stayed_there_or_rereading_is_off(store: Store) -> None:
    epoch = str(uuid.uuid4())
    put(store, job(epoch, 1, raw=None), job(epoch, 2))
    second, first = read_all(store, CloudConfig(ingest=Ingest(reread=False)))
    for found in (first, second):
        assert (found.state, found.rules_version, found.receipts[0].total) == ("read", "simulated", 1230)


def test_the_boxs_reading_is_shown_at_once_and_read_again_with_newer_rules(store: Store) -> None:
    put(store, job(str(uuid.uuid4()), 1))
    worker = Readings(store, CloudConfig(), Bell(), threading.Event())
    versions = []
    while worker.some():
        with store.read() as connection:
            versions.append(views.receipt_page(connection, "cafe", 1)[0][0].rules_version)
    assert versions == ["simulated", worker._reader.rules_version]
    worker._reader.stop()


def test_newer_rules_win_and_older_ones_do_not() -> None:
    assert newer("2", "1")
    assert newer("1.10", "1.9")
    assert not newer("1", "1")
    assert not newer("1", "2")
    assert not newer(None, "2")


def test_the_cloud_reads_with_what_the_box_knows_of_its_printer() -> None:
    """03/04 is a day in March or in April: other receipts of the same printer, or the day it was printed, tell."""
    paper = "CORNER CAFE\nTea 2.50\nTOTAL 2.50\n{}/2026 10:00\n"
    raw = {date: paper.format(date).encode() for date in ("03/04", "04/25", "04/26", "04/27", "04/28")}

    def date(reader: Reader, which: str, **known: str) -> str | None:
        return reader.read(raw[which], {"printer": "a", **known}).receipts[0].date

    reader = Reader()
    try:
        assert date(reader, "03/04", printer="c", day="2026-03-04") == "2026-03-04"
        assert date(reader, "03/04", printer="c", day="2026-04-03") == "2026-04-03"
        for which in ("04/25", "04/26", "04/27", "04/28"):
            assert date(reader, which) == f"2026-04-{which[3:]}"
        assert date(reader, "03/04") == "2026-03-04", "learned"
        assert date(reader, "03/04", printer="b") != "2026-03-04", "of another printer nothing is known"
    finally:
        reader.stop()


KILLER = """
import os, threading
from cloud import reader
honest = reader.read
def read(raw, *known):
    if b"KILL" in raw: os._exit(9)
    if b"HANG" in raw: threading.Event().wait()
    return honest(raw, *known)
reader.read = read
reader.main()
"""


@pytest.mark.covers("F42")
def test_a_receipt_that_kills_or_hangs_the_reader_is_marked_and_the_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = tmp_path / "killer.py"
    child.write_text(KILLER)
    monkeypatch.setattr(reader_door, "CHILD", [str(child)])
    monkeypatch.setattr(reader_door, "READ_S", 1.5)
    epoch = str(uuid.uuid4())
    texts = ["fine one", "KILL me", "fine two", "HANG on", "fine three"]
    put(store, *(job(epoch, n, text, reading=NO_READING) for n, text in enumerate(texts, 1)))
    states = {found.seq: found.state for found in read_all(store)}
    assert states == {1: "read", 2: "failed", 3: "read", 4: "failed", 5: "read"}
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.papers)).scalar() == 5


def test_a_reader_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child = tmp_path / "broken.py"
    child.write_text("raise SystemExit(3)")
    monkeypatch.setattr(reader_door, "CHILD", [str(child)])
    with pytest.raises(ReaderDied, match="code 3"):
        Reader().start()


def test_pictures_are_drawn_in_a_child_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shared = Shared()
    raw = job(str(uuid.uuid4()), 1).raw or b""
    png, page = shared.png(raw), shared.html(raw)
    assert png is not None and png.startswith(b"\x89PNG")
    assert page is not None and "CORNER CAFE" in page
    shared.stop()
    child = tmp_path / "broken.py"
    child.write_text("raise SystemExit(3)")
    monkeypatch.setattr(reader_door, "CHILD", [str(child)])
    assert shared.png(raw) is None


@pytest.mark.parametrize(
    ("shop", "means"),
    [
        ({"zone": "Australia/Sydney", "currency": "AUD"}, ("AUD", 1200, "2026-06-05")),
        ({"zone": "America/New_York", "currency": "USD"}, ("USD", 1200, "2026-05-06")),
    ],
)
def test_the_shop_says_which_money_and_which_dates_are_meant(
    store: Store, shop: dict[str, str], means: tuple[str, int, str]
) -> None:
    with store.write() as connection:
        connection.execute(sa.insert(figures.shops).values(merchant_id="cafe", id="", name="Cafe", **shop))
    put(store, job(str(uuid.uuid4()), 1, "CAFE\nSoup 4.00\nTOTAL $ 12.00\n05/06/2026 12:00\n", reading=NO_READING))
    (found,) = read_all(store)
    (read,) = found.receipts
    assert (read.currency, read.total, read.issued_at[:10]) == means
