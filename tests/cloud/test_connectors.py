"""Customers come from a CRM by themselves: all, then what changed; their consent; and what went wrong, in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloud import connectors, crm, crms
from cloud.connectors import Connectors
from cloud.crms import Settings
from cloud.events import Bell
from cloud.store.database import Store
from cloud.store.figures import connectors as table
from cloud.store.figures import customers, facts
from config.cloud import CloudConfig, Webhooks
from receipt.model import Kind, Receipt
from tests.cloud.conftest import Cloud, until
from tests.cloud.shop_of_receipts import add_job, add_shop, new_store
from tests.cloud.test_access_pages import Page
from tests.simulators.espocrm import EspoCrm
from wire.messages import now_ms

M = "m"
ANSWER = "connector.wrong.answer"
FIELDS = {"name": "name", "emailAddress": "email", "phoneNumber": "phone", "cNewsletter": "consent", "cSeat": ""}


@pytest.fixture
def espo() -> Iterator[EspoCrm]:
    with closing(EspoCrm()) as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(new_store(tmp_path, M)) as one:
        with one.write() as connection:
            add_shop(connection, M, zone="Europe/Vienna", currency="EUR")
        yield one


def contact(n: int, modified: str = "2026-01-02 10:00:00", **more: Any) -> dict[str, Any]:
    return {"id": f"c{n:04}", "name": f"Person {n}", "modifiedAt": modified, "accountId": "a1"} | more


class Merchant:
    """Their connector, run by hand."""

    def __init__(self, store: Store, espo: EspoCrm, private: bool = True) -> None:
        self.store, self.config = store, CloudConfig(webhooks=Webhooks(allow_private=private))
        self.work = Connectors(store, self.config, Bell(), threading.Event())
        self.settings = Settings(fields=dict(FIELDS))
        self.connect(espo.url, espo.key)

    def connect(self, url: str, key: str) -> None:
        with self.store.write() as connection:
            connectors.keep(connection, M, "espocrm", url, key, self.settings, "user anna")

    def run(self) -> Any:
        """-> the row after the next reading."""
        with self.store.write() as connection:
            connectors.now(connection, M, "espocrm", "user anna")
        row = self.work.due()
        assert self.work.due() is None  # nobody else reads it meanwhile
        self.work.read(row)
        with self.store.read() as connection:
            return connectors.of(connection, M, "espocrm")

    def people(self) -> dict[str, Any]:
        with self.store.read() as connection:
            return {row.external_id: row for row in connection.execute(sa.select(customers))}


def test_all_come_and_then_what_changed_though_a_whole_import_has_one_time(store: Store, espo: EspoCrm) -> None:
    espo.records["Contact"] = [contact(n) for n in range(450)] + [contact(900, "2026-03-01 00:00:00")]
    mine = Merchant(store, espo)
    done = connectors.outcome_of(mine.run())
    assert (done.new, done.known, done.left_out) == (451, 0, 0)
    assert len(mine.people()) == 451
    espo.records["Contact"][7] |= {"name": "Renamed", "modifiedAt": "2026-03-02 08:00:00"}
    espo.asked.clear()
    row = mine.run()
    assert mine.people()["c0007"].name == "Renamed"
    assert connectors.outcome_of(row).known == 2  # the one that changed, and the last one that was read before
    assert [query["where[0][value]"] for query in espo.asked] == ["2026-03-01 00:00:00"]
    assert row.next_at > now_ms() + 30 * 60_000


def test_what_changes_while_it_is_read_is_not_passed_over(store: Store, espo: EspoCrm) -> None:
    """A record of the first page moves to the end: with numbered pages, one of the second would be missed."""
    espo.records["Contact"] = [contact(n, f"2026-01-{1 + n // 20:02} 10:00:{n % 20:02}") for n in range(400)]
    call = espo.answer

    def answer(path: str, key: str) -> tuple[int, bytes]:
        found = call(path, key)
        if len(espo.asked) == 1:
            espo.records["Contact"][3]["modifiedAt"] = "2026-09-09 00:00:00"
        return found

    espo.answer = answer  # type: ignore[method-assign]
    mine = Merchant(store, espo)
    assert connectors.outcome_of(mine.run()).new == 400


def test_a_stop_in_the_middle_goes_on_where_it_was(store: Store, espo: EspoCrm) -> None:
    espo.records["Contact"] = [contact(n, f"2026-01-{1 + n // 20:02} 10:00:{n % 20:02}") for n in range(400)]
    mine = Merchant(store, espo)
    known = crms.crm("espocrm")
    assert known is not None
    with store.read() as connection:
        row = connectors.of(connection, M, "espocrm")
    pages = known.changed(connectors.caller(espo.url, espo.key, mine.config), mine.settings, "")
    records, cursor = next(pages)
    with store.write() as connection:
        assert connectors._moved(connection, row, cursor)
        connectors._take(connection, row, mine.settings, records, connectors.Outcome())
    assert len(mine.people()) == 200
    mine.run()
    assert len(mine.people()) == 400


def test_consent_is_theirs_where_they_say_it_and_ours_where_not(store: Store, espo: EspoCrm) -> None:
    espo.records["Contact"] = [
        contact(1, cNewsletter=True, cSeat="window"),
        contact(2, cNewsletter=True, emailAddressIsOptedOut=True),
        contact(3, cNewsletter=False),
        contact(4),
        contact(5, emailAddress="not an address"),
    ]
    mine = Merchant(store, espo)
    done = connectors.outcome_of(mine.run())
    assert [(who, key) for who, key, _ in done.wrong] == [("c0005", "customers.wrong.email")]
    assert {k: v.consent for k, v in mine.people().items()} == {
        "c0001": True,
        "c0002": False,
        "c0003": False,
        "c0004": False,
    }
    assert mine.people()["c0001"].fields == '{"cSeat":"window"}'
    assert "account" not in mine.people()["c0001"].fields
    with store.write() as connection:
        connection.execute(sa.update(customers).where(customers.c.external_id == "c0004").values(consent=True))
    mine.run()
    assert mine.people()["c0004"].consent  # of whom nothing is said there
    assert not mine.people()["c0002"].consent


def test_their_receipts_are_theirs_however_the_number_is_written(store: Store, espo: EspoCrm) -> None:
    espo.records["Contact"] = [contact(1, phoneNumber="+43 660 5551234")]
    with store.write() as connection:
        sale = Receipt(kind=Kind.SALE, total=400, customer_phone="0660/555 12 34")
        job = add_job(connection, M, sale)
    mine = Merchant(store, espo)
    mine.run()
    with store.write() as connection:
        later = add_job(connection, M, sale, seq=2)
        rows = connection.execute(sa.select(facts.c.job_id, facts.c.customer_id)).all()
        person = mine.people()["c0001"].id
        assert {row.job_id: row.customer_id for row in rows} == {job: person, later: person}
        found = crm.of(connection, M, person)
        assert found is not None
        assert found[1] == [("phone", "436605551234")]


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (lambda espo, mine: mine.connect(espo.url, "wrong"), "connector.wrong.key"),
        (lambda espo, mine: espo.forbidden.add("Contact"), "connector.wrong.right"),
        (lambda espo, mine: espo.records.pop("Contact"), "connector.wrong.entity"),
        (lambda espo, mine: setattr(espo, "broken", "<html>"), "connector.wrong.answer"),
        (lambda espo, mine: setattr(espo, "broken", '{"list": [{"name": "x"}]}'), "connector.wrong.answer"),
        (lambda espo, mine: setattr(espo, "broken", '{"list": 3}'), "connector.wrong.answer"),
        (lambda espo, mine: setattr(espo, "broken", '{"list": [{"id": ["x"]}]}'), "connector.wrong.answer"),
        (lambda espo, mine: setattr(espo, "broken", "[" * 100_000), "connector.wrong.answer"),
        (lambda espo, mine: setattr(espo, "broken", '{"list": [{"id": "x", "name": 1' + "0" * 9000 + "}]}"), ANSWER),
        (lambda espo, mine: setattr(espo, "broken", '{"list": [{"id": "x", "modifiedAt": "\\u0000"}]}'), ANSWER),
        (lambda espo, mine: espo.close(), "connector.wrong.away"),
        (lambda espo, mine: mine.connect("ftp://x", "k"), "connector.wrong.address"),
    ],
    ids=[
        "key",
        "right",
        "entity",
        "html",
        "no ids",
        "no list",
        "odd id",
        "deep",
        "long number",
        "odd time",
        "away",
        "address",
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_lost(store: Store, espo: EspoCrm, fault: Any, key: str) -> None:
    espo.records["Contact"] = [contact(1)]
    mine = Merchant(store, espo)
    assert mine.run().problem == ""
    fault(espo, mine)
    row = mine.run()
    assert row.problem == key
    assert row.next_at > now_ms()  # it is tried again
    assert list(mine.people()) == ["c0001"]


def test_many_fields_and_a_folder_in_the_address(store: Store, espo: EspoCrm) -> None:
    espo.records["Contact"] = [contact(1)]
    mine = Merchant(store, espo)
    mine.settings.fields.update({f"cFieldNumber{n}": "" for n in range(60)})
    mine.connect(espo.url, espo.key)
    assert mine.run().problem == ""
    assert len(espo.asked[-1]["select"]) > 700
    mine.connect(espo.url + "/crm/", espo.key)
    assert mine.run().problem == "connector.wrong.entity"  # /crm/api/v1/Contact, where this one has nothing


@pytest.mark.covers("A49")
def test_an_address_inside_is_not_called(store: Store, espo: EspoCrm) -> None:
    mine = Merchant(store, espo, private=False)
    assert mine.run().problem == "connector.wrong.address"
    assert espo.asked == []


def test_it_is_connected_in_the_console_and_read_by_the_service(tmp_path: Path, espo: EspoCrm) -> None:
    espo.records["Contact"] = [contact(n, cNewsletter=n == 1) for n in range(3)]
    cloud = Cloud(tmp_path, extra="[ingest]\nreread = false\n[webhooks]\nallow_private = true\n")
    cloud.start()
    try:
        cloud.merchant("Cafe", "carl").close()
        with closing(cloud.log_in("carl")) as client:
            carl = Page(client)
            home = "/customers/crm/espocrm"
            assert home in client.get("/customers").text
            form = {"url": espo.url, "entity": "Contact", "field": "name", "is-name": "name"}
            wrong = carl.post(home, do="look", secret="nonsense", **form)
            assert wrong.status_code == 422
            assert "does not know this API key" in wrong.text
            seen = carl.post(home, do="look", secret=espo.key, **form)
            assert "Person 2" in seen.text
            assert "cNewsletter" in seen.text
            fields = {"field": ["name", "cNewsletter"], "is-name": "name", "is-cNewsletter": "consent"}
            kept = carl.post(home, do="keep", secret=espo.key, url=espo.url, entity="Contact", **fields)  # type: ignore[arg-type]
            assert kept.status_code == 303
            until(lambda: "3 new customers" in client.get(home).text)
            assert espo.key not in client.get(home).text
            elsewhere = carl.post(home, do="look", url="http://127.0.0.1:9/other", entity="Contact")
            assert elsewhere.status_code == 422  # the kept key goes to no other address
            espo.records["Contact"].append(contact(9, "2026-05-05 00:00:00"))
            cloud.command("crm", "sync", "Cafe")
            until(lambda: "1 new customers" in client.get(home).text)
            assert "espocrm" in cloud.command("crm", "list")
            carl.post(home, do="remove")
            assert "no CRM" in cloud.command("crm", "sync", "Cafe", fails=True)
            assert "Person 9" in client.get("/customers?q=Person").text
    finally:
        cloud.close()


def test_two_workers_read_it_once(store: Store, espo: EspoCrm) -> None:
    mine = Merchant(store, espo)
    assert mine.work.due() is not None
    assert mine.work.due() is None
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 1
