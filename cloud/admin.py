"""What a fresh installation needs without a browser: merchants, keys, boxes. The `tillwire-cloud` commands.

Each takes the store and plain values, and gives what is to be told; cloud/admin_door.py brings them to the process
that may write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cloud import admin_door, audit, auth, claims, connectors, crms, history, keeping, oauth, people
from cloud import boxes as box_table
from cloud.admin_door import Refused
from cloud.api.shapes import iso
from cloud.broker import new_password
from cloud.store.access import oauth_clients
from cloud.store.database import Store
from cloud.store.figures import connectors as connector_table
from cloud.store.schema import api_keys, boxes, channels, merchants, orders
from config.cloud import CloudConfig, Keep
from wire.messages import now_ms, uuid7
from wire.topics import is_box


def merchant_add(store: Store, name: str, user: str, password: str, role: str = "owner") -> dict[str, Any]:
    """A merchant and the first person who logs in. A name that exists gets another user."""
    name, user = name.strip(), user.strip().lower()
    if not name or len(name) > 200 or not name.isprintable():
        raise Refused("a merchant's name is 1 to 200 printable characters")
    try:
        people.check_password(password)
        hashed = auth.hash_password(password)
        with store.write() as connection:
            merchant = connection.execute(sa.select(merchants.c.id).where(merchants.c.name == name)).scalar()
            if merchant is None:
                merchant = uuid7()
                connection.execute(sa.insert(merchants).values(id=merchant, name=name, created_at=now_ms()))
                audit.add(connection, merchant, "operator", "merchant.add", merchant, name)
            people.add(connection, merchant, user, hashed, role, "operator")
    except people.Refused as error:
        raise Refused(str(error)) from None
    return {"merchant": merchant, "user": user}


def client_add(
    store: Store, name: str, redirect: list[str], public: bool = False, merchant: str | None = None
) -> dict[str, Any]:
    """A program that merchants may let in by OAuth; with `merchant`, only that one."""
    try:
        with store.write() as connection:
            whose = _merchant(connection, merchant) if merchant else None
            client_id, secret = oauth.add_client(
                connection, name, redirect, public=public, merchant=whose, who="operator"
            )
    except ValueError as error:
        raise Refused(str(error)) from None
    return {"rows": [{"client_id": client_id}]} | ({"secret": secret} if secret else {})


def client_list(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        columns = (oauth_clients.c.id, oauth_clients.c.name, oauth_clients.c.redirect_uris, oauth_clients.c.revoked_at)
        return {"rows": [dict(row._mapping) for row in connection.execute(sa.select(*columns))]}


def client_revoke(store: Store, client: str) -> dict[str, Any]:
    """It and every grant that it has end within a second."""
    with store.write() as connection:
        if not oauth.revoke_client(connection, client, None, "operator"):
            raise Refused(f"there is no program {client}: `client list` shows them")
    return {}


def key_add(store: Store, merchant: str, label: str = "", scopes: list[str] | None = None) -> dict[str, Any]:
    chosen = tuple(scopes or auth.SCOPES)
    if wrong := set(chosen) - set(auth.SCOPES):
        raise Refused(f"unknown scope {', '.join(sorted(wrong))}: one of {', '.join(auth.SCOPES)}")
    with store.write() as connection:
        merchant_id = _merchant(connection, merchant)
        key = auth.new_key(connection, merchant_id, label, chosen)
        audit.add(connection, merchant_id, "operator", "key.add", label or "-", " ".join(chosen))
    return {"secret": key}


def key_list(store: Store, merchant: str) -> dict[str, Any]:
    with store.read() as connection:
        rows = connection.execute(
            sa.select(api_keys.c.id, api_keys.c.label, api_keys.c.scopes, api_keys.c.created_at, api_keys.c.revoked_at)
            .where(api_keys.c.merchant_id == _merchant(connection, merchant))
            .order_by(api_keys.c.id)
        )
        return {"rows": [dict(row._mapping) for row in rows]}


def key_revoke(store: Store, key: str) -> dict[str, Any]:
    """By its id, or the key itself. It stops working within a second."""
    with store.write() as connection:
        row = auth.find_key(connection, key)
        if row is None:
            raise Refused("there is no such key: `key list MERCHANT` shows their ids")
        auth.revoke_key(connection, row.merchant_id, row.id)
        audit.add(connection, row.merchant_id, "operator", "key.revoke", row.id, row.label)
    return {}


def reread(
    store: Store, merchant: str | None = None, since_ms: int = 0, rules: str | None = None, after: str = ""
) -> dict[str, Any]:
    """A piece of it; `more` is what to call it with next, as `after`."""
    with store.write() as connection:
        chosen = _merchant(connection, merchant) if merchant else None
        count, more = history.read_again(connection, chosen, since_ms, rules, after)
    return {"count": count, "more": more}


def erase(store: Store, phone: str, merchant: str | None = None, after: str = "") -> dict[str, Any]:
    """A piece of it, as above."""
    if not re.fullmatch(r"\+?\d{6,15}", history.digits(phone)):
        raise Refused("a phone number has 6 to 15 digits, for example +49 170 1234567")
    with store.write() as connection:
        chosen = _merchant(connection, merchant) if merchant else None
        erased, still_open, more = history.erase_customer(connection, phone, chosen, after)
    return {"count": erased, "open": still_open, "receipts": _erase_receipts(store, phone, chosen), "more": more}


def _erase_receipts(store: Store, phone: str, merchant: str | None) -> int:
    """Searched without the writer, erased a few at a time."""
    with store.read() as connection:
        found = history.with_phone(connection, phone, merchant)
    for start in range(0, len(found), 200):
        with store.write() as connection:
            history.erase_receipts(connection, found[start : start + 200])
    return len(found)


def box_add(store: Store, merchant: str, box: str) -> dict[str, Any]:
    """A new box, or a new password for one that is this merchant's."""
    if not is_box(box):
        raise Refused(f"box id {box!r}: 8 to 36 small letters, digits and '-', a letter or digit first")
    secret, hashed = new_password()
    hashes = {"password_hash": hashed, "file_hash": claims.mosquitto_hash(secret)}
    with store.write() as connection:
        merchant_id = _merchant(connection, merchant)
        owner = _owner(connection, box)
        if owner is None:
            connection.execute(sa.insert(boxes).values(id=box, merchant_id=merchant_id, created_at=now_ms(), **hashes))
        elif owner == merchant_id:
            connection.execute(sa.update(boxes).where(boxes.c.id == box).values(revoked_at=None, **hashes))
        else:
            raise Refused(f"box {box} belongs to another merchant")
        audit.add(connection, merchant_id, "operator", "box.add" if owner is None else "box.rotate", box)
    return {"secret": secret}


def box_revoke(store: Store, box: str) -> dict[str, Any]:
    with store.write() as connection:
        owner = _owner(connection, box)
        if owner is None:
            raise Refused(f"there is no box {box}")
        box_table.revoke(connection, owner, box, "operator")
    return {}


def claim_new(store: Store, merchant: str, box: str | None = None) -> dict[str, Any]:
    """A code with which a box comes to this merchant; or with which one of theirs gets a new password."""
    with store.write() as connection:
        merchant_id = _merchant(connection, merchant)
        if box and _owner(connection, box) != merchant_id:
            raise Refused(f"there is no box {box} of this merchant")
        return {"secret": claims.new(connection, merchant_id, "operator", box or "")}


def box_rotate(store: Store, box: str) -> dict[str, Any]:
    """Have the box make another password; the old one ends when it has told the hash of the new one."""
    with store.write() as connection:
        owner = _owner(connection, box)
        if owner is None:
            raise Refused(f"there is no box {box}")
        box_table.command(connection, owner, box, "rotate")
        audit.add(connection, owner, "operator", "box.rotate", box, "asked")
    return {}


def box_update(store: Store, box: str, url: str, sha256: str, version: str) -> dict[str, Any]:
    """Have the box fetch and install a signed release, in its own quiet hours."""
    if not url.startswith("https://") or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise Refused("an update is an https:// address and the file's SHA-256, as systemd/board/sign prints them")
    with store.write() as connection:
        owner = _owner(connection, box)
        if owner is None:
            raise Refused(f"there is no box {box}")
        box_table.command(connection, owner, box, "update", {"url": url, "sha256": sha256, "version": version})
        audit.add(connection, owner, "operator", "box.update", box, version)
    return {}


def _owner(connection: sa.Connection, box: str) -> str | None:
    return connection.execute(sa.select(boxes.c.merchant_id).where(boxes.c.id == box)).scalar()


def box_hashes(store: Store) -> dict[str, Any]:
    """Box id -> its password's bcrypt and PBKDF2 hash, of all that may connect."""
    with store.read() as connection:
        columns = (boxes.c.id, boxes.c.password_hash, boxes.c.file_hash)
        rows = connection.execute(sa.select(*columns).where(boxes.c.revoked_at.is_(None)))
        return {"users": {row.id: [row.password_hash, row.file_hash] for row in rows}}


def box_list(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        rows = connection.execute(
            sa.select(boxes.c.id, merchants.c.name, boxes.c.online, boxes.c.status_at, boxes.c.revoked_at)
            .join(merchants, merchants.c.id == boxes.c.merchant_id)
            .order_by(boxes.c.id)
        )
        return {"rows": [dict(row._mapping) for row in rows]}


def order_list(store: Store, limit: int = 50) -> dict[str, Any]:
    with store.read() as connection:
        rows = connection.execute(
            sa.select(orders.c.id, orders.c.number, orders.c.channel, orders.c.state, orders.c.proof, orders.c.reason)
            .order_by(orders.c.created_at.desc())
            .limit(limit)
        )
        return {"rows": [dict(row._mapping) for row in rows]}


def channel_set(store: Store, merchant: str, channel: str, auto_accept: bool) -> dict[str, Any]:
    """Whether takeaway and delivery orders of a channel are accepted without a person."""
    with store.write() as connection:
        set_channel(connection, _merchant(connection, merchant), channel, auto_accept, "operator")
    return {}


def set_channel(connection: sa.Connection, merchant: str, channel: str, auto_accept: bool, who: str) -> None:
    mine = (channels.c.merchant_id == merchant, channels.c.channel == channel)
    done = connection.execute(sa.update(channels).where(*mine).values(auto_accept=auto_accept))
    if not done.rowcount:
        connection.execute(sa.insert(channels).values(merchant_id=merchant, channel=channel, auto_accept=auto_accept))
    audit.add(connection, merchant, who, "channel.set", channel, f"auto_accept={auto_accept}")


def merchant_keep(
    store: Store,
    merchant: str,
    most: list[int],
    receipts_days: int | None = None,
    raw_days: int | None = None,
) -> dict[str, Any]:
    """How long a merchant's receipts are kept. `most`: the deployment's days, of both; no days: only tell."""
    limits = Keep(receipts_days=most[0], raw_days=most[1])
    try:
        with store.write() as connection:
            merchant_id = _merchant(connection, merchant)
            if receipts_days is not None or raw_days is not None:
                keeping.shorten(connection, merchant_id, "operator", limits, receipts_days, raw_days)
            spans = keeping.of(connection, merchant_id, limits)
    except keeping.TooLong as error:
        raise Refused(str(error)) from None
    says = {0: "for ever"}
    raw = spans.raw or spans.receipts
    told = f"receipts {says.get(spans.receipts, f'{spans.receipts} days')}, papers {says.get(raw, f'{raw} days')}"
    return {"rows": [{"kept": told}]}


def crm_list(store: Store) -> dict[str, Any]:
    """Which merchants' customers come from a CRM, and how the last time went."""
    with store.read() as connection:
        found = connection.execute(sa.select(connector_table).order_by(connector_table.c.merchant_id)).all()
    rows = []
    for row in found:
        done = connectors.outcome_of(row)
        said = {"merchant": row.merchant_id, "kind": row.kind, "url": row.url, "read_at": iso(row.ran_at)}
        rows.append(said | {"new": done.new, "known": done.known, "problem": f"{row.problem} {done.says}".strip()})
    return {"rows": rows}


def crm_sync(store: Store, merchant: str) -> dict[str, Any]:
    """Read a merchant's CRMs now."""
    with store.write() as connection:
        who = _merchant(connection, merchant)
        found = [kind for kind in crms.names() if connectors.now(connection, who, kind, "operator")]
    if not found:
        raise Refused(f"{merchant} has no CRM connected: that is done in the console, under Customers")
    return {"rows": [{"kind": kind, "state": "is read now"} for kind in found]}


def audit_check(store: Store, anchors: str) -> dict[str, Any]:
    """Whether the audit log is as it was written, and has the hashes that were anchored in the file `anchors`."""
    try:
        known = audit.anchors_of(Path(anchors))
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from None
    with store.read() as connection:
        wrong = audit.problem(connection, known)
    if wrong:
        raise Refused(wrong)
    held = f"anchored {len(known)} times since {known[0].at}" if known else "not anchored yet"
    return {"rows": [{"anchors": held}, {"audit": "the audit log is whole"}]}


def audit_anchor(store: Store, anchors: str, restored: bool = False) -> dict[str, Any]:
    """Anchor its end now. `restored`: the database is a backup, and what was anchored later is not in it."""
    with store.read() as connection:
        end = audit.end_of(connection, audit.RESTORED if restored else "")
    if end is None:
        raise Refused("nothing was logged yet")
    try:
        audit.write_anchor(Path(anchors), end)
    except OSError as error:
        raise Refused(f"not anchored: {error}") from None
    return {"rows": [{"anchor": end.line().strip()}]}


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "merchant_add": merchant_add,
    "merchant_keep": merchant_keep,
    "client_add": client_add,
    "client_list": client_list,
    "client_revoke": client_revoke,
    "key_add": key_add,
    "key_list": key_list,
    "key_revoke": key_revoke,
    "reread": reread,
    "erase": erase,
    "box_add": box_add,
    "box_revoke": box_revoke,
    "box_rotate": box_rotate,
    "box_update": box_update,
    "box_list": box_list,
    "box_hashes": box_hashes,
    "claim_new": claim_new,
    "order_list": order_list,
    "channel_set": channel_set,
    "crm_list": crm_list,
    "crm_sync": crm_sync,
    "audit_check": audit_check,
    "audit_anchor": audit_anchor,
}


def _merchant(connection: sa.Connection, merchant: str) -> str:
    """By name or id."""
    row = connection.execute(
        sa.select(merchants.c.id).where(sa.or_(merchants.c.name == merchant, merchants.c.id == merchant))
    ).first()
    if row is None:
        raise Refused(f"there is no merchant {merchant!r}: make it with `merchant add`")
    return str(row.id)


def run(config: CloudConfig, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do it where it may be done. Raises Refused, Busy, StoreAway."""
    return admin_door.run(OPERATIONS, config, operation, arguments)
