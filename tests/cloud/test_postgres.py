"""The same cloud on PostgreSQL: the same answers, and patience while the database is away."""

from __future__ import annotations

import random
import re
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cloud import audit, events, journals, staff
from cloud.batch import Intake
from cloud.checks import MAX_NAME
from cloud.store import columns, counter, schema
from cloud.store.database import Store
from cloud.store.fleet import printer_since
from cloud.store.rows import insert
from config.cloud import CloudConfig
from tests.cloud.conftest import Cloud, until
from tests.cloud.postgres import Postgres
from tests.cloud.test_batch import BOX, OTHER, packet, rows
from tests.cloud.test_path import ORDER
from tests.cloud.test_store import many_rows, rows_of
from tests.simulators.box import in_parts, job
from wire.messages import PrinterState, Proof, Status, Tombstone, new, now_ms


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def store(postgres: Postgres) -> Iterator[Store]:
    one = Store(postgres.database(f"t{uuid.uuid4().hex}"))
    with one.write() as connection:
        for box, merchant in ((BOX, "cafe"), (OTHER, "other")):
            connection.execute(
                sa.insert(schema.boxes).values(id=box, merchant_id=merchant, password_hash="-", created_at=1)
            )
    yield one
    one.close()


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("pg"), store=postgres.database("running"))
    cloud.start()
    yield cloud
    cloud.close()


def test_many_rows_at_once(store: Store) -> None:
    many_rows(store)
    with pytest.raises(sa.exc.DataError), store.write() as connection:
        row = {"merchant_id": "m\0", "job_id": "9", "raw": b"", "reading": None}
        insert(connection, schema.papers, [row])
    with pytest.raises(sa.exc.OperationalError), store.write() as connection:  # PostgreSQL is killed in between
        connection.execute(sa.text("SELECT 1"))
        with store.read() as other:
            pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        insert(connection, schema.papers, [{"merchant_id": "m", "job_id": "9", "raw": b"", "reading": None}])
    assert len(rows_of(store, schema.papers)) == 5


def test_the_migrations_make_the_schema(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), columns.metadata) == []


def test_ingest_is_exact_there_too(store: Store) -> None:
    epoch = str(uuid.uuid4())
    batch = [packet(job(epoch, seq)) for seq in range(1, 30)] + [
        packet(m) for m in in_parts(job(epoch, 32, "x" * 150_000))
    ]
    batch.append(packet(new(Tombstone, epoch=epoch, first=30, last=30, reason="disk_full")))
    batch.append(packet(job(epoch, 33, pos="bad\0")))
    first, second = Intake(store, CloudConfig()), Intake(store, CloudConfig())
    assert {a.result for a in first.take(batch).answers[BOX].acks} == {"stored"}
    assert {a.result for a in second.take(batch[::-1]).answers[BOX].acks} == {"duplicate"}
    assert not first.take([packet(job(epoch, 5, "forged"))]).answers[BOX].acks
    assert len(rows(store, schema.jobs, "seq")) == 30
    assert rows(store, schema.holes, "first", "last") == [(31, 31)]
    assert rows(store, schema.conflicts, "seq") == [(5,)]
    assert len(rows(store, schema.set_aside, "n")) == 2


def test_what_is_too_much_for_an_index_is_set_aside_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL says it as it says that it is away (SQLSTATE 54000); trying again would hold up every box."""
    monkeypatch.setattr("cloud.batch.check", lambda message, topic: None)
    name = random.Random(1).randbytes(4000).hex()  # does not get smaller than 2.7 KB, the most that an index takes
    bad = packet(new(Status, online=True, printers=[PrinterState(name=name)]), leaf="status")
    epoch = str(uuid.uuid4())
    outcome = Intake(store, CloudConfig()).take([packet(job(epoch, 1)), bad, packet(job(epoch, 2))])
    assert (outcome.stored, outcome.aside) == (2, 1)
    ((problem, payload),) = rows(store, schema.set_aside, "problem", "payload")
    assert "the database does not take it: index row" in problem
    assert payload == bad.payload


def test_a_printers_name_as_long_as_may_be_is_kept_there_too(store: Store) -> None:
    name = "".join(chr(random.Random(n).randrange(0x10000, 0x30000)) for n in range(MAX_NAME))
    kept = packet(new(Status, online=True, printers=[PrinterState(name=name)]), leaf="status")
    assert Intake(store, CloudConfig()).take([kept]).others == 1
    assert rows(store, printer_since, "printer") == [(name,)]


def test_while_the_database_is_away_a_batch_is_not_taken_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> None:
        args[0].execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))  # type: ignore[attr-defined]

    monkeypatch.setattr("cloud.batch.status_of", away)
    batch = [packet(new(Status, online=True), leaf="status"), packet(job(str(uuid.uuid4()), 1))]
    with pytest.raises(sa.exc.OperationalError):
        Intake(store, CloudConfig()).take(batch)
    assert rows(store, schema.set_aside) == rows(store, schema.jobs) == []


def test_what_is_due_is_found_there_too(store: Store) -> None:
    """Milliseconds beside small numbers: PostgreSQL takes both for small ones where it is not told."""
    old = now_ms() - 3_600_000
    hole = {"merchant_id": "cafe", "box": BOX, "epoch": str(uuid.uuid4()), "first": 5, "last": 9, "since": old}
    with store.write() as connection:
        insert(connection, schema.holes, [hole | {"asked": 1, "asked_at": old}])
        staff.save(connection, "cafe", "+4930123456", "", "", "en", 60)
        events.raise_alarm(connection, "cafe", "box_alert", BOX, "paper out")
        connection.execute(sa.update(counter.staff).values(changed_at=old))
        connection.execute(sa.update(schema.alarms).values(first_at=old))
    with store.read() as connection:
        assert [found.first for found in journals.due(connection, 1000, None)] == [5]
        assert journals.due(connection, 7_200_000, None) == []
        assert staff.due(connection) == ["cafe"]


def test_the_audit_log_holds(store: Store) -> None:
    with store.write() as connection:
        for n in range(3):
            audit.add(connection, None, "operator", "box.add", f"box {n}")
    with store.read() as connection:
        assert audit.first_broken(connection) is None


def test_two_that_tell_events_never_wait_for_each_other(store: Store) -> None:
    """One has a row and tells an event, the other tells one and wants that row: neither is the victim of a deadlock."""
    both, errors = threading.Barrier(2), []

    def work(event_first: bool) -> None:
        row = sa.update(schema.boxes).where(schema.boxes.c.id == BOX).values(regress=schema.boxes.c.regress + 1)
        try:
            for _ in range(5):
                with store.write() as connection:
                    if event_first:
                        events.add(connection, "cafe", "box.changed", BOX, {})
                        both.wait(10)
                        connection.execute(row)
                    else:
                        connection.execute(row)
                        both.wait(10)
                        events.add(connection, "cafe", "box.changed", BOX, {})
                both.wait(10)  # else the next round of one has the row before this round of the other asks for it
        except Exception as error:
            errors.append(error)
            both.abort()

    threads = [threading.Thread(target=work, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rows(store, schema.boxes, "regress", "id")[-1] == (10, BOX)
    assert len(rows(store, schema.events, "n")) == 10


def test_a_nul_is_refused_wherever_it_comes_from(running: Cloud) -> None:
    with running.merchant("Quay Bar", "otto") as bar, closing(running.log_in("otto")) as otto:
        paths = [re.sub("{[^}]*}", "%00", path) for path in bar.get("/v1/openapi.json").json()["paths"]]
        for path in [path for path in paths if "%00" in path]:
            for method in ("GET", "POST", "PUT", "DELETE"):
                assert bar.request(method, path).status_code in (400, 404, 405), (method, path)
        for path in ("/s/%00", "/t/%00", "/boxes/%00", "/customers/%00"):
            assert otto.get(path).status_code == 404, path
        for path in ("/v1/receipts", "/v1/orders", "/receipts", "/customers"):
            client = bar if path.startswith("/v1/") else otto
            assert client.get(path, params={"q": "a\0b"}).status_code == 422, path
        assert httpx.post(f"{running.url}/login", data={"name": "a\0", "password": "b\0"}).status_code == 422


def test_both_flows_run(running: Cloud) -> None:
    with running.merchant("Corner Cafe", "anna") as cafe:
        box = running.box("Corner Cafe", "cafe-front-1")  # the running service sees the new row by itself
        box.capture()
        box.acked([1])
        found = until(lambda: [r for r in cafe.get("/v1/receipts").json()["receipts"] if r["state"] == "read"])
        assert found[0]["receipts"][0]["total"] == 1230
        assert cafe.get("/v1/receipts", params={"q": "corner cafe"}).json()["receipts"]
        order = cafe.post("/v1/orders", json=ORDER).json()["id"]
        assert cafe.post("/v1/orders", json=ORDER).json()["id"] == order
        box.order(order)
        box.print_order(order, Proof.L1)
        until(lambda: cafe.get(f"/v1/orders/{order}").json()["state"] == "printed")
        assert cafe.get("/v1/events").json()["events"]
        page = running.log_in("anna")
        assert "CORNER CAFE" in page.get("/").text
        page.close()
    assert [line for line in running.log.read_text().splitlines() if " ERROR " in line] == []


@pytest.mark.covers("F39")
def test_while_the_database_is_away_nothing_is_acknowledged_and_then_everything_is(
    postgres: Postgres, tmp_path: Path
) -> None:
    cloud = Cloud(tmp_path, store=postgres.database("away"))
    try:
        with cloud.merchant("Corner Cafe", "anna") as cafe:
            secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            cloud.start()
            box = cloud.connect("cafe-front-1", secret)
            box.capture()
            box.acked([1])
            postgres.stop(signal.SIGQUIT)
            for _ in range(20):
                box.capture()
            answer = cafe.post("/v1/orders", json=ORDER)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["type"] == "urn:tillwire:problem:store-away"
            assert len(box.acks) == 1
            postgres.start()
            box.acked(range(1, 22), within=30)
            assert len(cafe.get("/v1/receipts").json()["receipts"]) == 21
            assert cloud.stop() == 0
    finally:
        if postgres.process is None or postgres.process.poll() is not None:
            postgres.start()
        cloud.close()


def test_web_and_ingest_may_be_two_processes(postgres: Postgres, tmp_path: Path) -> None:
    """The page is told within a second of what another process stored."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    url = postgres.database("two")
    ingest, web = Cloud(tmp_path / "a", store=url, role="ingest"), Cloud(tmp_path / "b", store=url, role="web")
    ingest.start()
    web.start()
    try:
        with web.merchant("Corner Cafe", "anna") as cafe:
            box = ingest.connect("cafe-front-1", web.command("box", "add", "Corner Cafe", "cafe-front-1"))
            box.capture()
            box.acked([1])
            until(lambda: cafe.get("/v1/receipts").json()["receipts"])
            order = cafe.post("/v1/orders", json=ORDER).json()["id"]
            box.order(order)
            assert httpx.get(f"{web.url}/healthz").json()["ok"]
    finally:
        ingest.close()
        web.close()
