"""What is stored is read again, and a person's traces are erased; with a trail."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from cloud import admin
from cloud import figures as counting
from cloud.store import figures, schema
from cloud.store.database import Store
from config.cloud import CloudConfig, Ingest
from receipt.model import Kind, Receipt
from tests.cloud.conftest import Cloud, free_port, until
from tests.cloud.test_batch import fresh_store, rows
from tests.cloud.test_reading import put, read_all
from tests.simulators.box import job
from wire.messages import Reading, now_ms, pack_reading


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(fresh_store(tmp_path)) as one:
        with one.write() as connection:
            for merchant in ("cafe", "other"):
                connection.execute(sa.insert(schema.merchants).values(id=merchant, name=merchant, created_at=1))
        yield one


def again(store: Store, **how: object) -> int:
    return int(admin.reread(store, **how)["count"])  # type: ignore[arg-type]


def test_history_is_read_again_with_newer_rules_and_only_changes_are_news(store: Store) -> None:
    epoch = str(uuid.uuid4())
    put(store, *(job(epoch, seq) for seq in (1, 2)), job(epoch, 3, raw=None))
    read_all(store, CloudConfig(ingest=Ingest(reread=False)))
    assert len(rows(store, schema.events, "n")) == 3
    assert again(store, rules="simulated") == 0
    assert again(store, merchant="other") == 0
    assert again(store, since_ms=now_ms() + 1000) == 0
    assert again(store, rules="1") == 2  # of the third one there is nothing to read
    third, second, first = read_all(store)
    assert (third.rules_version, third.receipts[0].total) == ("simulated", 1230)
    for found in (first, second):
        assert found.rules_version != "simulated"
        assert (found.state, found.receipts[0].total) == ("read", 1230)
    assert len(rows(store, schema.events, "n")) == 5
    assert again(store) == 2
    read_all(store)
    assert len(rows(store, schema.events, "n")) == 5  # read the same as before


def test_a_persons_receipts_are_erased_and_the_figures_stay(store: Store) -> None:
    epoch = str(uuid.uuid4())
    mine, others = (
        pack_reading(Reading("9", [f"Tel {n}"], [Receipt(Kind.SALE, total=400, currency="EUR", customer_phone=n)]))
        for n in ("0170 1234567", "0170 7654321")
    )
    put(store, job(epoch, 1, reading=mine), job(epoch, 2, reading=others))
    read_all(store, CloudConfig(ingest=Ingest(reread=False)))
    assert admin.erase(store, "+49 170 1234567")["receipts"] == 1
    assert admin.erase(store, "+49 170 1234567")["receipts"] == 0
    assert rows(store, schema.jobs, "seq", "state", "lines") == [(1, "erased", None), (2, "read", "Tel 0170 7654321")]
    assert len(rows(store, schema.papers)) == len(rows(store, schema.receipts)) == 1
    assert rows(store, figures.facts, "phone", "total", "counted") == [("", 400, True), ("1707654321", 400, True)]
    with store.write() as connection:
        counting.begin_again(connection, "cafe")
    while counting.some_again(store):
        pass
    (day,) = [row for row in rows(store, figures.sums, "dim", "receipts", "amount") if row[0] == "all"]
    assert day == ("all", 2, 800), "what was erased still counts"


def test_a_persons_orders_are_erased_and_the_trail_does_not_name_them(cloud: Cloud, cafe: httpx.Client) -> None:
    cloud.box("Corner Cafe", "cafe-erase-1")
    soup = {"kind": "takeaway", "items": [{"name": "Soup", "note": "for Anna"}]}
    written = ("Anna 0170 1234-567", "+49 (170) 123 45 67", "+491701234567", "Otto 0170 1234568")
    ids = [cafe.post("/v1/orders", json=soup | {"customer": who}).json()["id"] for who in written]
    kept = cafe.post("/v1/orders", json=soup | {"note": "call 0170 1234567"}).json()["id"]  # still open
    for order in ids:
        assert cafe.post(f"/v1/orders/{order}/reject", json={"reason": "sold out"}).status_code == 200
    assert (
        cloud.command("erase", "--phone", "+49 170 1234567", "--merchant", "Corner Cafe")
        == "3 orders and 0 receipts erased"
    )
    contents = [cafe.get(f"/v1/orders/{order}").json()["content"] for order in [*ids, kept]]
    assert [c.get("customer", "") for c in contents] == ["", "", "", written[3], ""]
    assert [c["items"][0].get("note", "") for c in contents] == ["", "", "", "for Anna", "for Anna"]
    assert contents[4]["note"] == "call 0170 1234567"
    assert "6 to 15 digits" in cloud.command("erase", "--phone", "12", fails=True)
    with closing(_read(cloud)) as database:
        trail = database.execute(sa.select(schema.audit).where(schema.audit.c.what == "order.erase")).all()
    assert sorted(entry.object for entry in trail) == sorted(ids[:3])
    assert "1234567" not in str(trail).replace(" ", "")
    assert cloud.command("audit", "check") == "the audit log is whole"


def _read(cloud: Cloud) -> sa.Connection:
    return sa.create_engine(f"sqlite:///file:{cloud.database}?mode=ro&uri=true").connect()


def test_a_revoked_key_stops_working(cloud: Cloud, cafe: httpx.Client) -> None:
    key = cloud.command("key", "add", "Corner Cafe", "--label", "to go")
    head = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{cloud.url}/v1/boxes", headers=head).status_code == 200
    assert "to go" in cloud.command("key", "list", "Corner Cafe")
    key_id = cloud.command("key", "list", "Corner Cafe").split("  ")[0]
    cloud.command("key", "revoke", key_id)
    until(lambda: httpx.get(f"{cloud.url}/v1/boxes", headers=head).status_code == 401)
    assert cafe.get("/v1/boxes").status_code == 200
    assert "no such key" in cloud.command("key", "revoke", "nothing", fails=True)


def test_reread_is_a_command(cloud: Cloud, cafe: httpx.Client) -> None:
    cloud.box("Corner Cafe", "cafe-reread-1").capture("READ ME AGAIN\nTOTAL 4.20\n")
    until(lambda: [r for r in cafe.get("/v1/receipts").json()["receipts"] if r["box"] == "cafe-reread-1"])
    assert "receipts will be read again" in cloud.command(
        "reread", "--merchant", "Corner Cafe", "--since", "2020-01-01"
    )
    until(
        lambda: [
            r
            for r in cafe.get("/v1/receipts").json()["receipts"]
            if r["box"] == "cafe-reread-1" and r["rules_version"] not in (None, "simulated")
        ]
    )


def test_a_process_without_pages_shows_its_metrics(tmp_path: Path) -> None:
    port = free_port()
    cloud = Cloud(tmp_path, extra=f'[ingest]\nmetrics = "127.0.0.1:{port}"\n', role="ingest")
    cloud.merchant("Corner Cafe", "anna").close()
    cloud.start()
    try:
        box = cloud.box("Corner Cafe", "cafe-front-1")
        box.capture()
        box.acked([1])
        assert 'tillwire_cloud_messages_total{fate="stored"} 1.0' in httpx.get(f"http://127.0.0.1:{port}/metrics").text
        works = httpx.get(f"http://127.0.0.1:{port}/healthz").json()
        assert works == {"ok": True, "store": True, "broker": True, "ingest": True}
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
    finally:
        cloud.close()
