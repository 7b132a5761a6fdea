"""Figures: whatever comes in whatever order, the sums are what an independent count over the receipts says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud import corrections, figures
from cloud.facts import Shop, moment
from cloud.store.database import Store
from cloud.store.figures import facts, shop_boxes, shops, sums
from receipt.model import Item, Kind, Pay, Receipt, Tender
from tests.cloud.shop_of_receipts import NOON, add_job, add_shop, new_store, read_as
from wire.messages import uuid7

M = "m"
ITEMS = ("Soup", "soup ", "Tea", "Bread", "Cake")
receipts = st.builds(
    Receipt,
    kind=st.sampled_from([Kind.SALE] * 4 + [Kind.REFUND, Kind.VOID, Kind.COPY, Kind.KITCHEN]),
    number=st.sampled_from([None, "1", "2", "3"]),
    date=st.sampled_from([None, "2026-09-21", "2026-09-22", "2015-01-01"]),
    time=st.sampled_from([None, "00:30", "13:15:20", "23:59"]),
    currency=st.sampled_from([None, "EUR", "JPY"]),
    total=st.one_of(st.none(), st.integers(-5000, 20000)),
    tip=st.sampled_from([None, 100]),
    discount=st.sampled_from([None, -250, 0]),
    covers=st.sampled_from([None, 2]),
    table=st.sampled_from([None, "7"]),
    items=st.lists(st.builds(Item, name=st.sampled_from(ITEMS), amount=st.integers(-500, 900)), max_size=3).map(tuple),
    tenders=st.sampled_from([(), (Tender(Pay.CASH, 500),), (Tender(Pay.CARD, 900, last_four="4242"),)]),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["new", "new", "new", "again", "same", "fix", "day"]),
        st.integers(0, 30),
        st.lists(receipts, max_size=2),
        st.sampled_from(["all", "all", "none"]),
    ),
    min_size=1,
    max_size=12,
)


def counted_by_hand(jobs: list[dict[str, Any]], zone: str, day_starts: int) -> dict[Any, dict[str, int]]:
    """The same from nothing but the receipts: written apart from cloud/figures.py on purpose."""
    out: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    seen = set()
    for job in sorted(jobs, key=lambda j: str(j["id"])):
        printed = datetime.fromtimestamp(job["ms"] / 1000, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        printed = printed.replace(microsecond=0)
        for n, r in enumerate(job["read"] or [Receipt()]):  # a person may say what is on unreadable paper
            r = corrections.corrected(r, job["fixes"].get(n, {}))
            if r.kind not in ("sale", "refund", "void") or r.total is None or job["delivered"] == "none":
                continue
            at = printed
            if r.date:
                clock = r.time or (f"{printed:%H:%M:%S}" if r.date == f"{printed:%Y-%m-%d}" else "12:00")
                said = datetime.fromisoformat(f"{r.date}T{clock}")
                at = said if abs((said - printed).total_seconds()) <= 36 * 3600 else printed
            total = r.total if r.kind == "sale" else -abs(r.total)
            if r.number and (r.number, at, r.kind, total) in seen:
                continue
            seen.add((r.number, at, r.kind, total))
            day = (at - timedelta(minutes=day_starts)).date().isoformat()
            money = r.currency or "USD"
            pay = r.tenders[0].method.value if r.tenders else ""
            for key in (("all", day, ""), ("hour", day, f"{at.hour:02d}"), ("payment", day, pay)):
                mine = out[money, *key]
                mine["amount"] += total
                mine["receipts"] += r.kind == "sale"
                mine["refunds"] += r.kind == "refund"
                mine["voided"] += abs(r.total) if r.kind == "void" else 0
                if r.kind == "sale":
                    mine["tips"] += r.tip or 0
                    mine["discounts"] += abs(r.discount or 0)
            names = set()
            for item in r.items:
                name = item.name.strip().lower()
                names.add(name)
                out[money, "item", day, name]["amount"] += (item.amount or 0) if r.kind == "sale" else 0
                if r.kind != "sale":
                    out[money, "item", day, name]["amount"] -= abs(item.amount or 0)
            if r.kind == "sale":
                for name in names:
                    out[money, "item", day, name]["receipts"] += 1
                for a, b in combinations(sorted(names), 2):
                    out[money, "pair", day[:8] + "01", f"{a}\x1f{b}"]["receipts"] += 1
    return out


def as_kept(connection: sa.Connection) -> dict[Any, dict[str, int]]:
    return {
        (row.currency, row.dim, row.day, row.value): dict(row._mapping)
        for row in connection.execute(sa.select(sums).where(sums.c.merchant_id == M))
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = new_store(tmp_path_factory.mktemp("figures"), M)
    yield one
    one.close()


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(story=steps)
def test_sums_are_what_the_receipts_say_whatever_happened(store: Store, story: list[Any]) -> None:
    zone, day_starts = "Asia/Shanghai", 0
    jobs: list[dict[str, Any]] = []

    class Over(Exception):
        pass

    with pytest.raises(Over), store.write() as connection:
        add_shop(connection, M, zone=zone, currency="USD")
        for what, n, read, delivered in story:
            if what == "new" or not jobs:
                ms = NOON + n * 3_600_000
                job = {"id": uuid7(), "read": read, "ms": ms, "delivered": delivered, "fixes": {}}
                jobs.append(job)
                add_job(connection, M, *read, started_ms=ms, delivered=delivered, job=job["id"], seq=len(jobs))
                continue
            job = jobs[n % len(jobs)]
            if what == "again":
                job["read"] = read
                read_as(connection, M, job["id"], *read)
            elif what == "same":
                figures.apply(connection, [(M, job["id"])] * 2)
            elif what == "fix" and job["read"]:
                fix = {"total": n * 10, "kind": "sale"}
                job["fixes"].setdefault(0, {}).update(fix)
                corrections.keep(connection, M, job["id"], 0, fix, {}, "user anna")
                figures.apply(connection, [(M, job["id"])])
            elif what == "day":
                day_starts = n * 10
                connection.execute(sa.update(shops).values(day_starts=day_starts))
                figures.apply(connection, [(M, str(one["id"])) for one in jobs])
        want, have = counted_by_hand(jobs, zone, day_starts), as_kept(connection)
        measures = ("amount", "receipts", "refunds", "voided", "tips", "discounts")
        for key in want.keys() | {k for k in have if k[1] in ("all", "hour", "payment", "item", "pair")}:
            a, b = want.get(key, {}), have.get(key, {})
            for name in measures:
                assert a.get(name, 0) == b.get(name, 0), (key, name)
        raise Over  # the next story begins with an empty shop


def test_the_hour_and_day_are_the_shops(tmp_path: Path) -> None:
    bar = Shop(zone="Europe/Vienna", day_starts=5 * 60)
    ms = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp() * 1000)  # the clocks go back this night
    job = type("Job", (), {"started_ms": ms, "received_at": ms, "trust": "ntp"})
    at = moment(job, Receipt(), bar)
    assert at == datetime(2026, 10, 25, 2, 30)
    assert bar.day(at).isoformat() == "2026-10-24"
    assert moment(job, Receipt(date="2026-10-25", time="01:10"), bar) == datetime(2026, 10, 25, 1, 10)
    assert moment(job, Receipt(date="2062-10-25", time="01:10"), bar) == at
    assert moment(job, Receipt(date="nonsense"), Shop(zone="Not/AZone")).hour == 0


def test_a_receipt_that_says_nonsense_counts_nothing_and_stops_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path, M)
    wild = Receipt(
        kind=Kind.SALE,
        total=1 << 60,
        number="\x00" * 99,
        covers=-4,
        items=(Item(name="\x00"), Item("x", amount=1 << 62)),
    )
    with store.write() as connection:
        add_job(connection, M, wild, replace(wild, total=None), Receipt(), started_ms=-5)
        assert not connection.execute(sa.select(facts.c.counted).where(facts.c.counted)).all()
        assert as_kept(connection) == {}
    store.close()


def test_what_was_counted_before_a_change_is_counted_again_in_pieces(tmp_path: Path) -> None:
    store = new_store(tmp_path, M)
    with store.write() as connection:
        for n in range(5):
            sale = Receipt(kind=Kind.SALE, total=100, currency="EUR")
            add_job(connection, M, sale, seq=n, started_ms=NOON + n * 1000, count=False)
        add_shop(connection, M, "harbour", zone="Pacific/Kiritimati")
        connection.execute(sa.insert(shop_boxes).values(merchant_id=M, box="m-box-1", shop="harbour"))
        figures.begin_again(connection, M)
    while figures.some_again(store):
        pass
    with store.read() as connection:
        rows = connection.execute(sa.select(sums).where(sums.c.dim == "all")).all()
        assert [(r.shop, r.day, r.receipts, r.amount) for r in rows] == [("harbour", "2026-09-22", 5, 500)]
    store.close()


SLIP = "CORNER CAFE\nSoup   4.00\nTOTAL  4.00"
SOUP = Receipt(kind=Kind.SALE, total=400, currency="EUR")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_was_half_printed_and_printed_again_is_one_sale(tmp_path: Path, order: tuple[int, ...]) -> None:
    """In whatever order they are read; and another sale between them counts."""
    store = new_store(tmp_path, M)
    tea = replace(SOUP, total=250)
    jobs = [(SOUP, "part", SLIP[:-2]), (tea, "all", "Tea 2.50"), (SOUP, "all", SLIP)]
    ids = [uuid7() for _ in jobs]
    with store.write() as connection:
        for n in order:
            read, delivered, lines = jobs[n]
            at = NOON + n * 20_000
            add_job(connection, M, read, seq=n, started_ms=at, delivered=delivered, lines=lines, job=ids[n])
        rows = {row.job_id: row for row in connection.execute(sa.select(facts))}
        assert [(rows[one].counted, rows[one].same_as) for one in ids] == [(False, ids[2]), (True, ""), (True, "")]
        (day,) = connection.execute(sa.select(sums).where(sums.c.dim == "all")).all()
        assert (day.receipts, day.amount) == (2, 650)
    store.close()


@pytest.mark.parametrize(
    ("later", "changes"),
    [
        (SLIP.replace("Soup", "Rice"), {}),
        (SLIP, {"delivered": "none"}),
        (SLIP, {"seq": 9}),
        (SLIP, {"box": "m-box-2"}),
    ],
    ids=["another sale", "not printed either", "much later", "at another till"],
)
def test_a_half_printed_slip_without_a_repeat_is_a_sale(tmp_path: Path, later: str, changes: dict[str, Any]) -> None:
    store = new_store(tmp_path, M)
    with store.write() as connection:
        first = add_job(connection, M, SOUP, seq=1, delivered="part", lines=SLIP)
        add_job(connection, M, SOUP, started_ms=NOON + 9000, lines=later, **{"seq": 2} | changes)
        counted = connection.execute(sa.select(facts.c.counted).where(facts.c.job_id == first)).scalar_one()
        assert counted
    store.close()
