"""Customers from a merchant's CRM: what changed there since the last time is kept here, every `every_min` minutes.

A record is kept piece by piece with the cursor behind it, in one transaction: what was read is not read again, whatever
ends the process. Consent is the CRM's where a field of it is mapped; who opted out there has none; else ours stays.
Addresses come from outside: they are resolved and called as those of webhooks are (A49).
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa

from cloud import audit, crm, crms, imports
from cloud.crm import BadCustomer, Customer
from cloud.crms import ID, OPTED_OUT, Ask, Failed, Record, Settings
from cloud.events import Bell
from cloud.facts import clean
from cloud.store.database import Store
from cloud.store.figures import connectors
from cloud.webhooks import Unsafe, ask, resolve
from config.cloud import CloudConfig
from wire.messages import now_ms

log = logging.getLogger("cloud.connectors")
MINUTE_MS = 60_000
LEASE_MS = 30 * MINUTE_MS  # who reads a CRM has this long before another worker may
EVERY_MIN = (15, 1440)
MOST_ANSWER = 8_000_000
MOST_WRONG = 20  # records named in the outcome
SAYS = {401: "connector.wrong.key", 403: "connector.wrong.right", 404: "connector.wrong.entity"}


class Outcome(msgspec.Struct):
    """Of the last run."""

    new: int = 0
    known: int = 0
    wrong: list[tuple[str, str, str]] = []  # (the record's id, key of the string, value)
    left_out: int = 0
    says: str = ""  # what the CRM answered, where there was a problem


def caller(url: str, secret: str, config: CloudConfig) -> Ask:
    """-> ask(path, query), which raises Failed."""
    tls = ssl.create_default_context()
    headers = {"X-Api-Key": secret, "Accept": "application/json", "User-Agent": "Tillwire", "Connection": "close"}

    def call(path: str, query: dict[str, str]) -> Any:
        try:
            target = resolve(url, config.webhooks.allow_private)
            target = replace(target, path=f"{target.path.rstrip('/')}/{path}?{urlencode(query)}")
            status, body = ask("GET", target, b"", headers, config.webhooks.timeout_s, tls, MOST_ANSWER)
        except Unsafe as error:
            raise Failed("connector.wrong.address", str(error)) from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise Failed("connector.wrong.away", str(error)[:200]) from None
        if status != 200:
            raise Failed(SAYS.get(status, "connector.wrong.answer"), f"HTTP {status}")
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            raise Failed("connector.wrong.answer", "no JSON") from None

    return call


def customer_of(record: Record, settings: Settings, country: str) -> Customer:
    """Raises BadCustomer."""
    head = [name for name in settings.fields if record.get(name)]
    one = imports.customer(head, [settings.fields[name] for name in head], [record[name] for name in head], country)
    one.external_id = one.external_id or clean(record[ID], 80)
    if record.get(OPTED_OUT):
        one.consent = False
    return one


def keep(
    connection: sa.Connection, merchant: str, kind: str, url: str, secret: str, settings: Settings, who: str
) -> None:
    """Make or change one; it is read from the beginning, soon. An empty secret keeps the one that is there."""
    mine = (connectors.c.merchant_id == merchant, connectors.c.kind == kind)
    values = {"url": url, "settings": msgspec.json.encode(settings).decode(), "cursor": "", "next_at": now_ms()}
    values |= {"secret": secret} if secret else {}
    if not connection.execute(sa.update(connectors).where(*mine).values(**values)).rowcount:
        connection.execute(sa.insert(connectors).values(merchant_id=merchant, kind=kind, **{"secret": ""} | values))
    audit.add(connection, merchant, who, "connector.keep", kind, url)


def of(connection: sa.Connection, merchant: str, kind: str) -> Any:
    """The row, or None."""
    c = connectors.c
    return connection.execute(sa.select(connectors).where(c.merchant_id == merchant, c.kind == kind)).first()


def settings_of(row: Any) -> Settings:
    return msgspec.json.decode(row.settings, type=Settings)


def outcome_of(row: Any) -> Outcome:
    return msgspec.json.decode(row.counts, type=Outcome)


def now(connection: sa.Connection, merchant: str, kind: str, who: str) -> bool:
    """Read it at once. False: there is none."""
    mine = (connectors.c.merchant_id == merchant, connectors.c.kind == kind)
    found = connection.execute(sa.update(connectors).where(*mine).values(next_at=now_ms())).rowcount
    if found:
        audit.add(connection, merchant, who, "connector.now", kind)
    return bool(found)


def remove(connection: sa.Connection, merchant: str, kind: str, who: str) -> None:
    """Its customers stay."""
    mine = (connectors.c.merchant_id == merchant, connectors.c.kind == kind)
    if connection.execute(sa.delete(connectors).where(*mine)).rowcount:
        audit.add(connection, merchant, who, "connector.remove", kind)


class Connectors:
    """`run()` is a thread's work, until `stopping` is set."""

    def __init__(self, store: Store, config: CloudConfig, bell: Bell, stopping: threading.Event) -> None:
        self._store, self._config, self._bell, self._stopping = store, config, bell, stopping

    def run(self) -> None:
        with self._bell.thread_ear() as ear:
            while not self._stopping.is_set():
                ear.clear()
                try:
                    while not self._stopping.is_set() and (row := self.due()) is not None:
                        self.read(row)
                except sa.exc.SQLAlchemyError as error:
                    log.error("connectors wait for the store: %s", str(error).splitlines()[0])
                self._stopping.wait(0.1)
                ear.wait(1)

    def due(self) -> Any:
        """One that is to be read now, taken for LEASE_MS so that no other worker reads it too; None: there is none."""
        c, at = connectors.c, now_ms()
        query = sa.select(connectors).where(c.next_at <= at).order_by(c.next_at).limit(1)
        with self._store.read() as connection:
            if connection.execute(query).first() is None:
                return None
        with self._store.write() as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).first()
            if row is not None:
                connection.execute(sa.update(connectors).where(*_key(row)).values(next_at=at + LEASE_MS))
        return row

    def read(self, row: Any) -> None:
        settings, out, problem = settings_of(row), Outcome(), ""
        try:
            known = crms.crm(row.kind)
            if known is None:
                raise Failed("connector.wrong.kind", row.kind)
            pages = known.changed(caller(row.url, row.secret, self._config), settings, row.cursor)
            for records, cursor in pages:
                if self._stopping.is_set():
                    return
                with self._store.write() as connection:
                    if not _moved(connection, row, cursor):
                        break
                    _take(connection, row, settings, records, out)
        except Failed as error:
            problem, out.says = error.key, error.text
        except (TypeError, ValueError, RecursionError) as error:  # whatever a CRM answers, the service goes on
            problem, out.says = "connector.wrong.answer", str(error)[:200]
        with self._store.write() as connection:
            at = now_ms()
            values = {"problem": problem, "counts": msgspec.json.encode(out).decode(), "ran_at": at}
            later = sa.case((connectors.c.settings == row.settings, at + settings.every_min * MINUTE_MS), else_=at)
            connection.execute(sa.update(connectors).where(*_key(row)).values(**values, next_at=later))
        said = "%d new, %d known, %d left out" % (out.new, out.known, out.left_out)  # noqa: UP031
        log.info("crm=%s merchant=%s %s %s", row.kind, row.merchant_id, problem or "read:", said)


def _key(row: Any) -> tuple[Any, Any]:
    return connectors.c.merchant_id == row.merchant_id, connectors.c.kind == row.kind


def _moved(connection: sa.Connection, row: Any, cursor: str) -> bool:
    """The cursor stands behind these records. False: the settings changed meanwhile, or it was removed."""
    same = (*_key(row), connectors.c.settings == row.settings, connectors.c.url == row.url)
    return bool(connection.execute(sa.update(connectors).where(*same).values(cursor=cursor)).rowcount)


def _take(connection: sa.Connection, row: Any, settings: Settings, records: list[Record], out: Outcome) -> None:
    country = crm.country_of(connection, row.merchant_id)
    for record in records:
        try:
            _, new = crm.keep(connection, row.merchant_id, customer_of(record, settings, country), row.kind)
        except BadCustomer as error:
            out.left_out += 1
            if len(out.wrong) < MOST_WRONG:
                out.wrong.append((record[ID], error.key, error.value))
            continue
        out.new += new
        out.known += not new
