"""Receipts are forgotten when their time is over: the deployment's time, or a merchant's shorter one; bytes first."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud import admin, keeping, views
from cloud import figures as counting
from cloud.admin_door import Refused
from cloud.batch import Intake
from cloud.keeping import DAY_MS, Spans, TooLong
from cloud.store import figures, schema
from cloud.store.database import Store
from cloud.store.keeping import keeping as table
from config.cloud import CloudConfig, Ingest, Keep, load_cloud
from config.load import ConfigError
from receipt.model import Kind, Receipt
from tests.cloud.conftest import Cloud
from tests.cloud.test_batch import BOX, fresh_store, packet, rows
from tests.cloud.test_reading import put, read_all
from tests.simulators.box import job
from wire.messages import Reading, now_ms, pack_reading

LATER = now_ms() + 100 * DAY_MS  # all that is stored in these tests is a hundred days old then


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(fresh_store(tmp_path)) as one:
        with one.write() as connection:
            for merchant in ("cafe", "other"):
                connection.execute(sa.insert(schema.merchants).values(id=merchant, name=merchant, created_at=1))
        yield one


def forget(store: Store, at: int = LATER, **most: int) -> int:
    with store.write() as connection:
        return keeping.forget(connection, Keep(**most), at)  # type: ignore[arg-type]


def shorten(store: Store, receipts: int | None = None, raw: int | None = None, **most: int) -> Spans:
    with store.write() as connection:
        return keeping.shorten(connection, "cafe", "user anna", Keep(**most), receipts, raw)  # type: ignore[arg-type]


def test_receipts_are_forgotten_in_time_and_never_stored_again(store: Store) -> None:
    epoch, intake = str(uuid.uuid4()), Intake(store, CloudConfig())
    put(store, job(epoch, 1), job(epoch, 2))
    read_all(store)
    assert forget(store, now_ms(), receipts_days=30) == forget(store) == 0
    assert forget(store, receipts_days=30) == 2
    assert forget(store, receipts_days=30) == 0
    assert rows(store, schema.papers) == rows(store, schema.receipts) == []
    assert rows(store, schema.jobs, "state", "lines") == [("erased", None)] * 2
    again = intake.take([packet(job(epoch, 3)), packet(job(epoch, 2))]).answers[BOX].acks
    assert [a.result for a in again] == ["stored", "duplicate"]
    shown = read_all(store)
    assert [r.state for r in shown] == ["read", "erased", "erased"]
    with store.read() as connection:
        assert views.raw(connection, "cafe", shown[1].id) is None
    assert admin.reread(store)["count"] == 1


def test_the_bytes_go_first_and_what_was_read_stays(store: Store) -> None:
    epoch, intake = str(uuid.uuid4()), Intake(store, CloudConfig())
    put(store, job(epoch, 1), job(epoch, 2))
    before = read_all(store)
    assert admin.reread(store)["count"] == 2  # waits to be read again, and then cannot be
    assert forget(store, raw_days=90, receipts_days=365) == 2
    assert forget(store, raw_days=90, receipts_days=365) == 0
    assert rows(store, schema.papers) == []
    assert rows(store, schema.jobs, "state") == [("read",)] * 2
    after = read_all(store)
    assert [r.receipts for r in after] == [r.receipts for r in before]
    assert intake.take([packet(job(epoch, 1))]).duplicates == 1
    assert rows(store, schema.papers) == [], "what a box sends again does not bring the bytes back"
    assert forget(store, LATER + 300 * DAY_MS, raw_days=90, receipts_days=365) == 2
    assert rows(store, schema.receipts) == []


def test_who_it_was_is_forgotten_and_what_was_sold_is_not(store: Store) -> None:
    read = Receipt(Kind.SALE, total=400, currency="EUR", customer_phone="0170 1234567")
    put(store, job(str(uuid.uuid4()), 1, reading=pack_reading(Reading("9", ["Tel"], [read]))))
    read_all(store, CloudConfig(ingest=Ingest(reread=False)))
    assert rows(store, figures.facts, "phone", "total") == [("1701234567", 400)]
    forget(store, receipts_days=30)
    assert rows(store, figures.facts, "phone", "total", "counted") == [("", 400, True)]
    with store.write() as connection:
        counting.begin_again(connection, "cafe")
    while counting.some_again(store):
        pass
    (day,) = [row for row in rows(store, figures.sums, "dim", "receipts", "amount") if row[0] == "all"]
    assert day == ("all", 1, 400)


def test_a_merchant_may_keep_them_shorter_and_not_longer(store: Store) -> None:
    put(store, job(str(uuid.uuid4()), 1))
    assert shorten(store, 60, 7, receipts_days=365) == Spans(60, 7)
    assert shorten(store, 0, None, receipts_days=365, raw_days=90) == Spans(365, 90)
    for receipts, raw in ((366, None), (29, None), (-1, None), (None, 91), (None, -5)):
        with pytest.raises(TooLong, match="are kept"):
            shorten(store, receipts, raw, receipts_days=365, raw_days=90)
    assert forget(store) == 0
    shorten(store, 60)
    with store.read() as connection:
        assert keeping.of(connection, "other", Keep()) == Spans(0, 0)
        assert keeping.of(connection, "cafe", Keep(receipts_days=45)) == Spans(45, 0)  # the deployment became stricter
    assert forget(store) == 1
    assert rows(store, schema.jobs, "state") == [("erased",)]
    assert [row[0] for row in rows(store, schema.audit, "what")] == ["keep.change"] * 3


def test_each_piece_is_bounded_and_goes_on_where_the_last_one_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "AT_ONCE", 2)
    put(store, *(job(str(uuid.uuid4()), 1) for _ in range(5)))
    assert [forget(store, receipts_days=30) for _ in range(4)] == [2, 2, 1, 0]
    newest = max(row[0] for row in rows(store, schema.jobs, "id"))
    assert rows(store, table, "merchant_id", "receipts_to", "raw_to") == [("cafe", newest, "")]


def test_a_time_too_short_for_boxes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text("[keep]\nreceipts_days = 7\n")
    with pytest.raises(ConfigError, match="at least 30"):
        load_cloud(file)


def test_it_is_a_command(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, extra="[keep]\nreceipts_days = 365\n")
    cloud.merchant("Corner Cafe", "anna").close()
    tell = ("merchant", "keep", "Corner Cafe")
    assert cloud.command(*tell) == "receipts 365 days, papers 365 days"
    assert cloud.command(*tell, "--receipts-days", "90", "--raw-days", "7") == "receipts 90 days, papers 7 days"
    assert cloud.command(*tell) == "receipts 90 days, papers 7 days"
    assert "30 to 365" in cloud.command(*tell, "--receipts-days", "400", fails=True)
    with pytest.raises(Refused, match="no merchant"), closing(fresh_store(tmp_path)) as store:
        admin.merchant_keep(store, "nobody", [0, 0])
