"""Who is who: numbers however they are written, zeros that a spreadsheet hides, and those who were erased."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from cloud import crm, figures, imports, search, segments, spreadsheets
from cloud.crm import BadCustomer, Customer
from cloud.facts import as_kept, key_of
from cloud.search import Wanted
from cloud.store.database import Store
from cloud.store.figures import customer_keys, customers, facts, figuring
from receipt.model import Kind, Receipt
from tests.cloud.shop_of_receipts import NOON, add_job, add_shop, new_store

M = "m"
WAYS = ("M4003", "m4003", "M-4003", "m 4003", "#M4003", "Ｍ４００３", "M.4003", " m4003 ")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path, M)) as one:
        with one.write() as connection:
            add_shop(connection, M, zone="Europe/Vienna", currency="EUR")
        yield one


def sale(member: str = "", phone: str = "", codes: tuple[str, ...] = (), total: int = 400) -> Receipt:
    return Receipt(Kind.SALE, total=total, member=member or None, customer_phone=phone or None, codes=codes)


def owners(connection: sa.Connection) -> list[str]:
    rows = connection.execute(sa.select(facts.c.customer_id).order_by(facts.c["at"], facts.c.job_id))
    return [str(row.customer_id) for row in rows]


@pytest.mark.parametrize("known_as", WAYS)
def test_a_member_is_known_however_the_number_is_written(store: Store, known_as: str) -> None:
    """Receipts from before the import, and after it."""
    with store.write() as connection:
        for n, way in enumerate(WAYS):
            add_job(connection, M, sale(way), seq=n, started_ms=NOON + n * 60_000)
        lin, new = crm.keep(connection, M, crm.checked(Customer(name="Lin", member=known_as)), "file")
        assert new
        add_job(connection, M, sale("M4003"), seq=90, started_ms=NOON + 5_400_000)
        add_job(connection, M, sale("M40030"), seq=91, started_ms=NOON + 5_500_000)
        assert owners(connection) == [lin] * (len(WAYS) + 1) + [""]
        for way in WAYS:
            assert len(search.find(connection, M, Wanted(q=way)).rows) == len(WAYS) + 1, way
            assert len(search.find(connection, M, Wanted(member=way)).rows) == len(WAYS) + 1, way
        again, new = crm.keep(connection, M, crm.checked(Customer(name="Lin Li", member="m.4003")), "file")
        assert (again, new) == (lin, False)


@pytest.mark.parametrize("written", ["0660 123 45 67", "+43 660 1234567", "0043 660/1234567", "+43 (0)660 123-45-67"])
def test_a_phone_is_known_however_it_is_written_in_the_shops_country(store: Store, written: str) -> None:
    with store.write() as connection:
        add_job(connection, M, sale(phone=written))
        country = crm.country_of(connection, M)
        who, _ = crm.keep(connection, M, crm.checked(Customer(name="Lin", phone="0660 1234567"), country), "file")
        assert owners(connection) == [who]


def test_a_card_is_known_by_its_code_in_groups_too(store: Store) -> None:
    with store.write() as connection:
        add_job(connection, M, sale(codes=("6006491200345",)))
        who, _ = crm.keep(connection, M, crm.checked(Customer(name="Lin", card="600649 1200-345")), "file")
        assert owners(connection) == [who]


@given(text=st.text(max_size=80))
def test_a_key_is_the_same_when_it_is_made_again(text: str) -> None:
    assert key_of(key_of(text)) == key_of(text)
    assert key_of(as_kept(text)) == key_of(text)
    assert key_of(f" {text.upper()}") == key_of(text) or not text.isascii()


def test_a_number_of_which_something_is_hidden_is_nobodys(store: Store) -> None:
    with pytest.raises(BadCustomer, match=r"customers\.wrong"):
        crm.checked(Customer(name="Lin", member="M***03"))
    assert crm.checked(Customer(name="Lin", member="-")).known_by() == []
    with store.write() as connection:
        add_job(connection, M, sale("M***03"))
        row = connection.execute(sa.select(facts.c.member, facts.c.customer_id)).one()
        assert tuple(row) == ("M***03", "")


def test_zeros_that_a_spreadsheet_only_shows_are_part_of_the_number() -> None:
    book, out = Workbook(), io.BytesIO()
    sheet = book.worksheets[0]
    sheet.append(["Name", "Member"])
    sheet.append(["Lin", 42])
    sheet.append(["Wei", "0043"])
    sheet.append(["Mei", 44])
    sheet["B2"].number_format = "00000"
    book.save(out)
    assert [row[1] for row in spreadsheets.read(out.getvalue()).rows] == ["00042", "0043", "44"]


def test_rows_that_name_one_customer_twice_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever pieces they are taken."""
    monkeypatch.setattr(imports, "AT_ONCE", 2)
    rows = [["Lin", "M1"], ["Wei", "m2"], ["Lin Li", "m-1"], ["Bad", "M*1"]]
    sheet = spreadsheets.Sheet(["name", "member"], rows)
    with store.write() as connection:
        done = imports.Outcome()
        for begin in range(0, len(rows), 2):
            imports.take(connection, M, sheet, ["name", "member"], done, begin)
        assert (done.new, done.known, done.twice, len(done.wrong)) == (2, 0, 1, 1)
        names = connection.execute(sa.select(customers.c.name).order_by(customers.c.name)).scalars().all()
        assert names == ["Lin Li", "Wei"]
        monkeypatch.setattr(imports, "AT_ONCE", 500)
        again = imports.Outcome()
        imports.take(connection, M, sheet, ["name", "member"], again)
        assert (again.new, again.known, again.twice) == (0, 2, 1)
        assert [line for line, _, _ in done.wrong] == [5]


@pytest.mark.parametrize(
    ("today", "born", "near"),
    [
        ("2026-11-22", "1990-11-22", True),
        ("2026-11-22", "11-22", True),
        ("2026-11-22", "1990-12-05", True),
        ("2026-11-22", "1990-12-06", False),
        ("2026-11-22", "1990-11-21", False),
        ("2026-11-22", "", False),
        ("2026-12-30", "1990-01-03", True),  # over the end of the year
        ("2027-02-20", "2000-02-29", True),  # on the 28th, where there is no 29th
        ("2028-02-29", "2000-02-29", True),
        ("2028-03-01", "2000-02-29", False),
    ],
)
def test_birthdays_of_the_next_two_weeks_are_found(store: Store, today: str, born: str, near: bool) -> None:
    with store.write() as connection:
        who, _ = crm.keep(connection, M, crm.checked(Customer(name="Lin", birthday=born)), "file")
        assert segments.birthdays(connection, M, date.fromisoformat(today)) == ({who} if near else set())


def test_who_was_erased_stays_forgotten_when_receipts_are_counted_again(store: Store) -> None:
    with store.write() as connection:
        add_job(connection, M, sale("M1", "+43 660 1234567", ("CARD-0001",)))
        add_job(connection, M, sale("M2"), seq=2, started_ms=NOON + 60_000)
        who = Customer(name="Lin", member="m1", phone="436601234567", card="card0001")
        lin, _ = crm.keep(connection, M, who, "file")
        assert owners(connection) == [lin, ""]
        assert crm.erase(connection, M, lin, "user anna")
        figures.begin_again(connection, M)
    while figures.some_again(store):
        pass
    with store.write() as connection:
        assert connection.execute(sa.select(figuring)).first() is None
        row = connection.execute(sa.select(facts).order_by(facts.c["at"])).first()
        assert row is not None
        assert (row.member, row.phone, row.card, row.customer_id) == ("", "", "", "")
        add_job(connection, M, sale("m-1"), seq=3, started_ms=NOON + 120_000)
        assert search.find(connection, M, Wanted(q="M1")).rows == []
        assert len(search.find(connection, M, Wanted(q="M2")).rows) == 1
        back, new = crm.keep(connection, M, Customer(name="Lin", member="M1"), "file")  # they came back
        add_job(connection, M, sale("M1"), seq=4, started_ms=NOON + 180_000)
        assert new
        assert owners(connection)[-1] == back


def test_numbers_that_were_kept_as_written_are_kept_as_compared_from_now_on(tmp_path: Path) -> None:
    """What a database from before migration 0015 holds."""
    with closing(new_store(tmp_path, M)) as store, store.write() as connection:
        add_shop(connection, M)
        for n, member in enumerate(("M-1", "m1", "M2", "M***3")):
            job = add_job(connection, M, sale(member), seq=n, started_ms=NOON + n * 60_000)
            connection.execute(sa.update(facts).where(facts.c.job_id == job).values(member=member))
        rows = [("member", "m-1", "a"), ("member", "m1", "b"), ("member", "m 4", "c"), ("phone", "43660", "d")]
        names = ("kind", "value", "customer_id")
        values = [{"merchant_id": M, **dict(zip(names, row, strict=True))} for row in rows]
        connection.execute(sa.insert(customer_keys), values)
        connection.execute(sa.text("DROP TABLE forgotten"))
        with Operations.context(MigrationContext.configure(connection)):
            importlib.import_module("cloud.store.migrations.versions.0015_keys").upgrade()
        members = connection.execute(sa.select(facts.c.member).order_by(facts.c["at"])).scalars().all()
        assert members == ["M1", "M1", "M2", "M***3"]
        kept = {(row.value, row.customer_id) for row in connection.execute(sa.select(customer_keys))}
        assert kept == {("m1", "b"), ("m4", "c"), ("43660", "d")}
