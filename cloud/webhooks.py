"""Webhooks: each event to each address that a merchant's platform gave, signed after Standard Webhooks.

Source: https://www.standardwebhooks.com (webhook-id, webhook-timestamp, webhook-signature: v1, HMAC-SHA256, base64).
An event is tried again after RETRY_S, for about 24 h, then it is `dead`: it can still be pulled from /v1/events. An
address at which everything failed for 24 h is switched off and shown.

Addresses come from outside, so they are not trusted (A49): https only; the name is resolved once, and every address it
has must be public; the connection goes to exactly that address; redirects are not followed; the answer has
`timeout_s` in all, and no more than 64 KiB of it are read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import logging
import secrets
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from cloud import audit, metrics
from cloud import events as event_log
from cloud.events import Bell
from cloud.store.database import Store
from cloud.store.schema import deliveries, events, webhooks
from config.cloud import CloudConfig
from wire.messages import now_ms, uuid7

log = logging.getLogger("cloud.webhooks")
RETRY_S = (5, 30, 300, 1800, 7200, 14_400, 21_600, 42_000)  # together a little over 24 h
GIVE_UP_MS = 86_400_000
MAX_ANSWER = 65_536
LEASE_MS = 60_000  # who takes a delivery has this long before another worker may
AT_ONCE = 8
KINDS = ("order.changed", "receipt.read", "box.changed", "alarm.raised", "alarm.cleared", "command.done")


class Unsafe(Exception):
    """An address that we do not call, and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address: connect to `ip`, speak to `host`."""

    ip: str
    host: str
    port: int
    path: str
    tls: bool


def check_url(url: str, allow_private: bool = False) -> None:
    """What can be said without asking the name service. Raises Unsafe."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Unsafe(f"this is no URL: {error}") from None
    if parts.scheme not in (("https", "http") if allow_private else ("https",)):
        raise Unsafe("only https:// is called")
    if not host or len(url) > 500 or not url.isascii() or any(c.isspace() or ord(c) < 32 for c in url):
        raise Unsafe("a URL has a host, at most 500 characters, and no spaces")
    if parts.username is not None or parts.password is not None:
        raise Unsafe("a URL with a user name or password is not called")
    if port == 0:
        raise Unsafe("port 0 is none")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if not allow_private and not is_public(address):
        raise Unsafe(f"{host} is not a public address")


def resolve(url: str, allow_private: bool = False) -> Target:
    """Ask the name service, once. Raises Unsafe when any address it names is not public; OSError when it knows none."""
    check_url(url, allow_private)
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    for text in found:
        if not allow_private and not is_public(ipaddress.ip_address(text.split("%")[0])):
            raise Unsafe(f"{host} is {text}, which is not a public address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(sorted(found, key=lambda text: ":" in text)[0], host, port, path, tls)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Reached over the internet, and nothing hidden inside it (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None:
            return False
        if address in ipaddress.ip_network("64:ff9b::/96") or address in ipaddress.ip_network("64:ff9b:1::/48"):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """-> the header webhook-signature.

    >>> sign("whsec_c2VjcmV0", "evt_1", 1700000000, b"{}")
    'v1,gcuLUJYfD9JQ2UlZMDEyUnqjiYF/KVJjsn3HLULsCj4='
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(target: Target, body: bytes, headers: dict[str, str], timeout_s: float, context: ssl.SSLContext) -> int:
    """-> the status. Raises as ask() does."""
    return ask("POST", target, body, headers, timeout_s, context)[0]


def ask(
    method: str,
    target: Target,
    body: bytes,
    headers: dict[str, str],
    timeout_s: float,
    context: ssl.SSLContext,
    most: int = MAX_ANSWER,
) -> tuple[int, bytes]:
    """-> (status, the first `most` bytes). Raises OSError or http.client.HTTPException; never takes longer than
    `timeout_s`, or a bit."""
    plain = socket.create_connection((target.ip, target.port), timeout_s)
    late = threading.Event()
    watch = threading.Timer(timeout_s, _cut, (plain, late))  # a peer that sends a byte now and then is cut off too
    watch.daemon = True
    watch.start()
    try:
        line = context.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
        connection.sock = line
        connection.request(method, target.path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read(most)
        connection.close()
        if late.is_set():  # cut in the middle of the headers, which http.client takes for their end
            raise TimeoutError(f"it had not answered after {timeout_s:g} s")
        return answer.status, data
    finally:
        watch.cancel()
        plain.close()


def _cut(line: socket.socket, late: threading.Event) -> None:
    late.set()
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def add(connection: sa.Connection, merchant: str, url: str, kinds: list[str]) -> tuple[str, str]:
    """-> (id, the secret, shown once). From now on: what happened before can be pulled from /v1/events."""
    webhook_id, secret = uuid7(), new_secret()
    newest = connection.execute(sa.select(sa.func.max(events.c.n)).where(events.c.merchant_id == merchant)).scalar()
    connection.execute(
        sa.insert(webhooks).values(
            merchant_id=merchant,
            id=webhook_id,
            url=url,
            secret=secret,
            kinds=" ".join(kinds),
            after=newest or 0,
            created_at=now_ms(),
            problem="",
        )
    )
    return webhook_id, secret


def remove(connection: sa.Connection, merchant: str, webhook_id: str, who: str) -> bool:
    """With its deliveries. False: there is no such webhook of theirs."""
    mine = (webhooks.c.merchant_id == merchant, webhooks.c.id == webhook_id)
    if not connection.execute(sa.delete(webhooks).where(*mine)).rowcount:
        return False
    told = (deliveries.c.merchant_id == merchant, deliveries.c.webhook_id == webhook_id)
    connection.execute(sa.delete(deliveries).where(*told))
    event_log.clear_alarm(connection, merchant, "webhook", webhook_id)
    audit.add(connection, merchant, who, "webhook.delete", webhook_id)
    return True


class Webhooks:
    """`run()` is a thread's work, until `stopping` is set."""

    def __init__(self, store: Store, config: CloudConfig, bell: Bell, stopping: threading.Event) -> None:
        self._store, self._config, self._bell, self._stopping = store, config, bell, stopping
        self._tls = ssl.create_default_context()

    def run(self) -> None:
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        try:
            with self._bell.thread_ear() as ear:
                while not self._stopping.is_set():
                    ear.clear()
                    try:
                        self.spread()
                        while not self._stopping.is_set() and (due := self.due()):
                            list(pool.map(self.deliver, due))
                            self.spread()
                    except sa.exc.SQLAlchemyError as error:
                        log.error("webhooks wait for the store: %s", str(error).splitlines()[0])
                    self._stopping.wait(0.1)
                    ear.wait(1)
        finally:
            pool.shutdown(cancel_futures=True)

    def spread(self) -> int:
        """New events -> a delivery for each webhook that wants them. -> how many."""
        with self._store.read() as connection:
            newest = sa.select(sa.func.max(events.c.n)).where(events.c.merchant_id == webhooks.c.merchant_id)
            behind = connection.execute(
                sa.select(webhooks.c.merchant_id, webhooks.c.id).where(
                    webhooks.c.disabled_at.is_(None), webhooks.c.after < newest.scalar_subquery()
                )
            ).all()
        made = 0
        for hook in behind:
            with self._store.write() as connection:
                made += self._spread_one(connection, hook.merchant_id, hook.id)
        return made

    def _spread_one(self, connection: sa.Connection, merchant: str, webhook_id: str) -> int:
        mine = (webhooks.c.merchant_id == merchant, webhooks.c.id == webhook_id)
        hook = connection.execute(sa.select(webhooks).where(*mine).with_for_update()).first()
        if hook is None:
            return 0
        new = connection.execute(
            sa.select(events.c.n, events.c.kind)
            .where(events.c.merchant_id == merchant, events.c.n > hook.after)
            .order_by(events.c.n)
            .limit(1000)
        ).all()
        if not new:
            return 0
        kinds, at = set(hook.kinds.split()), now_ms()
        rows = [
            {
                "merchant_id": merchant,
                "webhook_id": webhook_id,
                "event_n": event.n,
                "state": "due",
                "created_at": at,
                "next_at": at,
                "problem": "",
            }
            for event in new
            if not kinds or event.kind in kinds
        ]
        if rows:
            connection.execute(sa.insert(deliveries), rows)
        connection.execute(sa.update(webhooks).where(*mine).values(after=new[-1].n))
        return len(rows)

    def due(self) -> list[Any]:
        """Deliveries to make now, taken for LEASE_MS so that no other worker makes them too."""
        at = now_ms()
        query = (
            sa.select(
                deliveries,
                webhooks.c.url,
                webhooks.c.secret,
                events.c.kind,
                events.c.at,
                events.c.data,
                events.c.object,
            )
            .join(
                webhooks,
                sa.and_(webhooks.c.merchant_id == deliveries.c.merchant_id, webhooks.c.id == deliveries.c.webhook_id),
            )
            .join(events, events.c.n == deliveries.c.event_n)
            .where(sa.text("deliveries.state = 'due'"), deliveries.c.next_at <= at, webhooks.c.disabled_at.is_(None))
            .order_by(deliveries.c.next_at, deliveries.c.event_n)
            .limit(AT_ONCE * 4)
        )
        with self._store.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._store.write() as connection:
            found = list(connection.execute(query.with_for_update(skip_locked=True, of=deliveries)).all())
            for row in found:
                connection.execute(sa.update(deliveries).where(*_key(row)).values(next_at=at + LEASE_MS))
        return found

    def deliver(self, row: Any) -> None:
        message_id, at = f"evt_{row.event_n}", int(time.time())
        body = event_log.to_json(
            {
                "type": row.kind,
                "timestamp": row.at,
                "object": row.object,
                "data": msgspec.json.decode(row.data),
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Tillwire",
            "Connection": "close",
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(row.secret, message_id, at, body),
        }
        settings, status, problem = self._config.webhooks, None, ""
        try:
            target = resolve(row.url, settings.allow_private)
            status = post(target, body, headers, settings.timeout_s, self._tls)
            if not 200 <= status < 300:
                problem = f"it answered {status}"
        except (Unsafe, OSError, http.client.HTTPException, UnicodeError) as error:
            problem = str(error)[:300] or type(error).__name__
        try:
            with self._store.write() as connection:
                self._written(connection, row, status, problem)
        except sa.exc.SQLAlchemyError as error:  # after the lease it is delivered again: receivers know ids
            log.error("delivery not written: %s", str(error).splitlines()[0])

    def _written(self, connection: sa.Connection, row: Any, status: int | None, problem: str) -> None:
        at, hook = now_ms(), (webhooks.c.merchant_id == row.merchant_id, webhooks.c.id == row.webhook_id)
        metrics.WEBHOOKS.labels("failed" if problem else "done").inc()
        if not problem:
            values: dict[str, Any] = {"state": "done", "status": status, "problem": "", "tries": row.tries + 1}
            connection.execute(sa.update(deliveries).where(*_key(row)).values(**values))
            connection.execute(sa.update(webhooks).where(*hook).values(failing_since=None, problem=""))
            event_log.clear_alarm(connection, row.merchant_id, "webhook", row.webhook_id)
            return
        log.warning("webhook=%s event=%d try=%d failed: %s", row.webhook_id, row.event_n, row.tries + 1, problem)
        dead = row.tries >= len(RETRY_S)
        values = {"status": status, "problem": problem, "tries": row.tries + 1, "state": "dead" if dead else "due"}
        if not dead:
            values["next_at"] = at + RETRY_S[row.tries] * 1000
        connection.execute(sa.update(deliveries).where(*_key(row)).values(**values))
        failing = sa.func.coalesce(webhooks.c.failing_since, at)
        since = connection.execute(
            sa.update(webhooks)
            .where(*hook)
            .values(failing_since=failing, problem=problem)
            .returning(webhooks.c.failing_since)
        ).scalar()
        if since is not None and at - since > GIVE_UP_MS:
            connection.execute(sa.update(webhooks).where(*hook).values(disabled_at=at))
            text = f"The webhook {row.url} failed for 24 h and was switched off: {problem}"
            event_log.raise_alarm(connection, row.merchant_id, "webhook", row.webhook_id, text)


def _key(row: Any) -> list[sa.ColumnElement[bool]]:
    return [
        deliveries.c.merchant_id == row.merchant_id,
        deliveries.c.webhook_id == row.webhook_id,
        deliveries.c.event_n == row.event_n,
    ]
