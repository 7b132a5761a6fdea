"""The tables of the cloud. One schema for SQLite and PostgreSQL.

Times are ms since 1970 (UTC) unless the name says otherwise. JSON is text. The tenant (`merchant_id`) is in every key
of what belongs to a merchant, so that PostgreSQL can be sharded by it. Ids are UUIDv7 text: they sort by time.

A change here needs a migration in migrations/versions; tests/cloud/test_migrations.py compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from wire.topics import shard_of

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Counter = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only INTEGER PRIMARY KEY


def _text(name: str, **more: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **more)


def _maybe_text(name: str, **more: Any) -> Column[str | None]:
    return Column(name, Text, nullable=True, **more)


def _ms(name: str, **more: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **more)


def _maybe_ms(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


# ---- who

merchants = Table(
    "merchants",
    metadata,
    _text("id", primary_key=True),
    _text("name"),
    _ms("created_at"),
    Column("order_count", BigInteger, nullable=False, server_default="0"),  # gives orders their short numbers
)

users = Table(
    "users",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("name", unique=True),  # what is typed at log-in, folded to lower case
    _text("password_hash"),  # argon2id
    _text("role"),  # owner | staff | readonly
    _ms("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # sha256 of the cookie's value
    _text("merchant_id"),
    _text("user_id"),
    _text("csrf"),
    _ms("created_at"),
    _ms("expires_at"),
    Index(None, "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # sha256 of the key
    _text("label"),
    _text("scopes"),  # space separated
    _ms("created_at"),
    _maybe_ms("revoked_at"),
)

channels = Table(  # a merchant's rules for where orders come from
    "channels",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("channel", primary_key=True),
    Column("auto_accept", Boolean, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    _maybe_text("merchant_id"),
    _ms("at"),
    _text("who"),
    _text("what"),
    _text("object"),
    _text("detail"),
    Column("hash", LargeBinary, nullable=False),  # sha256 over the entry before and this one
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

# ---- boxes and what they send

boxes = Table(
    "boxes",
    metadata,
    _text("id", primary_key=True),
    _text("merchant_id"),
    _text("password_hash"),  # bcrypt, the form that NATS reads; "-": none
    _text("file_hash", server_default=""),  # PBKDF2, the form that mosquitto reads; empty: none
    _ms("created_at"),
    _maybe_ms("revoked_at"),
    Column("online", Boolean, nullable=True),  # None: never heard of
    _maybe_text("status"),  # the last Status, JSON
    _maybe_ms("status_at"),  # by our clock
    Column("regress", Integer, nullable=False, server_default="0"),  # statuses in a row that count below what we hold
    _text("boots", server_default=""),  # kernel boot ids it was seen with, the newest last, space separated
    _text("shard", default=lambda context: shard_of(context.get_current_parameters()["id"])),
    Index(None, "merchant_id"),
)

claims = Table(  # codes with which a box comes to a merchant
    "claims",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    _text("merchant_id"),
    _ms("created_at"),
    _ms("expires_at"),
    _maybe_ms("used_at"),
    _text("answer"),  # the id that the box got
    _text("box", server_default=""),  # good for this box alone: a new password for it; empty: for a new one
    Index(None, "merchant_id"),
)

epochs = Table(  # how far a journal of a box has come; what is missing below `highest` is in `holes`
    "epochs",
    metadata,
    _text("box", primary_key=True),
    _text("epoch", primary_key=True),
    _text("merchant_id"),
    Column("highest", BigInteger, nullable=False),
    _ms("first_at"),
    _ms("last_at"),
    _maybe_ms("renewed_at"),  # when we commanded new_epoch
)

holes = Table(
    "holes",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("box", primary_key=True),
    _text("epoch", primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    _ms("since"),
    _maybe_ms("asked_at"),
    Column("asked", Integer, nullable=False, server_default="0"),
    Index(None, "since"),
)

jobs = Table(
    "jobs",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("box"),
    _text("epoch"),
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    _text("boundary"),
    Column("continues", BigInteger, nullable=True),
    _text("delivered"),
    _text("pos"),
    _text("printer"),
    _ms("started_ms"),  # by the box's wall clock, as far as `trust` goes
    _ms("ended_ms"),
    _text("trust"),
    _text("boot"),
    _ms("mono_ms"),  # start, since `boot`
    _maybe_text("was"),  # EPOCH/SEQ before new_epoch
    _ms("received_at"),
    _text("state"),  # stored | read | again (read by the box, to be read here too) | failed
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("raster_only", Boolean, nullable=False, server_default=text("false")),
    Column("unknown", BigInteger, nullable=False, server_default="0"),
    _maybe_text("rules_version"),
    _maybe_text("lines"),  # what is on the paper, as text
    UniqueConstraint("merchant_id", "box", "epoch", "seq"),
    Index(
        "ix_jobs_unread",
        "merchant_id",
        "id",
        sqlite_where=text("state = 'stored'"),
        postgresql_where=text("state = 'stored'"),
    ),
    Index(
        "ix_jobs_again",
        "merchant_id",
        "id",
        sqlite_where=text("state = 'again'"),
        postgresql_where=text("state = 'again'"),
    ),
)

papers = Table(  # the heavy half of a job: written once, read seldom
    "papers",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("job_id", primary_key=True),
    Column("raw", LargeBinary, nullable=True),  # the masked bytes; None where the box keeps them
    Column("reading", LargeBinary, nullable=True),  # what the box read, MessagePack
)

receipts = Table(  # what a job means; one row for each receipt in it
    "receipts",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("job_id", primary_key=True),
    Column("n", Integer, primary_key=True),
    _text("kind"),
    _maybe_text("number"),
    _maybe_text("issued_at"),  # local time of the shop, ISO 8601
    _maybe_text("currency"),
    Column("total", BigInteger, nullable=True),  # minor units
    _maybe_text("shop"),
    _text("items"),  # JSON
    _text("fields"),  # everything that was read, with findings, JSON
    Index(None, "merchant_id", "number"),
    Index(None, "merchant_id", "issued_at"),
)

parts = Table(  # pieces of jobs that did not fit into one message; part 0 holds the whole first message
    "parts",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("box", primary_key=True),
    _text("epoch", primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("parts", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    _ms("received_at"),
    Index(None, "received_at"),
)

tombstones = Table(
    "tombstones",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("box", primary_key=True),
    _text("epoch", primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, primary_key=True),
    _text("reason"),
    _ms("received_at"),
)

conflicts = Table(  # the same key came with another hash: kept apart, never acknowledged
    "conflicts",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("box", primary_key=True),
    _text("epoch", primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    _ms("received_at"),
)

set_aside = Table(  # messages that cannot be used, the last few thousand
    "set_aside",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    _ms("at"),
    _text("topic"),
    _maybe_text("merchant_id"),
    _text("problem"),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

# ---- orders

orders = Table(
    "orders",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("channel"),
    _maybe_text("external_id"),
    _maybe_text("idempotency_key"),
    Column("body_hash", LargeBinary, nullable=False),
    _text("number"),
    _text("kind"),  # dine_in | takeaway | delivery
    _text("content"),  # wire OrderContent, JSON
    _text("box"),
    _text("printer"),
    _text("state"),
    _text("proof"),
    _text("reason"),
    _ms("created_at"),
    _ms("changed_at"),
    _maybe_ms("accepted_at"),
    _maybe_ms("expires_at"),  # while it waits for a person or for a box
    _text("shop_id", server_default=""),  # whose rules hold; empty: the merchant's only shop
    _text("reason_code", server_default=""),  # why it was rejected (cloud/review.py)
    Column("prep_min", Integer, nullable=True),  # promised when it was accepted
    _maybe_ms("ready_at"),
    UniqueConstraint("merchant_id", "channel", "external_id"),
    UniqueConstraint("merchant_id", "idempotency_key"),
    Index(None, "state", "expires_at"),
    Index(None, "merchant_id", "changed_at"),
)

slips = Table(
    "slips",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("order_id", primary_key=True),
    _text("part", primary_key=True),
    Column("copy_number", Integer, primary_key=True),
    _text("box"),
    _text("printer"),
    Column("attempt", Integer, nullable=False),
    _text("state"),
    _text("proof"),
    _text("reason"),
    Column("copy", Integer, nullable=False),
    _ms("changed_at"),
    Column("copies", Integer, nullable=False, server_default="1"),
    Column("tries", Integer, nullable=False, server_default="0"),  # the box's, of the newest report
    Column("proven", Integer, nullable=False, server_default="0"),  # the newest attempt that was printed
    _text("content", server_default=""),  # what of the order it says, wire OrderContent, JSON; empty: all
    _text("label", server_default=""),
    _text("places", server_default="[]"),  # [[box, printer], ...] that may take it, JSON
    _text("moving", server_default=""),  # box/printer that takes it once `box` has given it back
    _maybe_ms("moving_at"),
    _text("was_box", server_default=""),  # it was moved from there without an answer
)

history = Table(
    "order_history",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("order_id", primary_key=True),
    Column("n", Integer, primary_key=True),
    _ms("at"),
    _text("state"),
    _text("who"),
    _text("why"),
    _text("proof"),
    _text("part"),
)

outbox = Table(  # what a box is to be told, until it says that it knows
    "outbox",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),  # the message's id
    _text("box"),
    _text("leaf"),
    _text("what"),  # print | cancel | go | command
    _maybe_text("order_id"),
    _maybe_text("part"),
    Column("payload", LargeBinary, nullable=False),
    _ms("created_at"),
    _ms("next_at"),
    _maybe_ms("expires_at"),
    Column("tries", Integer, nullable=False, server_default="0"),
    _maybe_ms("done_at"),
    Index(
        "ix_outbox_due",
        "next_at",
        sqlite_where=text("done_at IS NULL"),
        postgresql_where=text("done_at IS NULL"),
    ),
    Index(None, "merchant_id", "order_id"),
)

# ---- who works for which boxes (cloud/leases.py)

workers = Table(
    "workers",
    metadata,
    _text("id", primary_key=True),
    _ms("until"),  # alive until then, by the database's clock
)

shards = Table(
    "shards",
    metadata,
    _text("shard", primary_key=True),  # 00 to ff
    _text("owner"),  # a worker's id; of one that is not alive, or empty: nobody's
    Column("term", BigInteger, nullable=False),  # how often it was taken
)

# ---- telling others

events = Table(
    "events",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    _text("merchant_id"),
    _ms("at", index=True),
    _text("kind"),  # receipt.read | order.changed | box.changed | alarm.raised | alarm.cleared
    _text("object"),
    _text("data"),  # JSON
    Index(None, "merchant_id", "n"),
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

alarms = Table(
    "alarms",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("kind", primary_key=True),  # conflict | clone | order_waiting | order_lost | …
    _text("object", primary_key=True),  # box or order id
    _text("text"),
    _ms("first_at"),
    _ms("last_at"),
    Column("count", BigInteger, nullable=False),
    _maybe_ms("cleared_at"),
)

webhooks = Table(
    "webhooks",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("url"),
    _text("secret"),  # whsec_…: signing needs it in the clear
    _text("kinds"),  # space separated event kinds; empty: all
    Column("after", BigInteger, nullable=False),  # events up to this one have their row in `deliveries`
    _ms("created_at"),
    _maybe_ms("failing_since"),
    _text("problem"),
    _maybe_ms("disabled_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("webhook_id", primary_key=True),
    Column("event_n", BigInteger, primary_key=True),
    _text("state"),  # due | done | dead
    Column("tries", Integer, nullable=False, server_default="0"),
    _ms("created_at"),
    _ms("next_at"),
    Column("status", Integer, nullable=True),  # of the last answer
    _text("problem"),
    Index("ix_deliveries_due", "next_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
    Index(None, "created_at"),
)

from cloud.store import access as access  # noqa: E402  # tables of other areas, in the same metadata
from cloud.store import counter as counter  # noqa: E402
from cloud.store import keeping as keeping  # noqa: E402
from cloud.store import rules as rules  # noqa: E402
