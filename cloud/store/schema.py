"""The tables of the cloud. One schema for SQLite and PostgreSQL.

Times are ms since 1970 (UTC) unless the name says otherwise. JSON is text. The tenant (`merchant_id`) is in every key
of what belongs to a merchant, so that PostgreSQL can be sharded by it. Ids are UUIDv7 text: they sort by time.

A change here needs a migration in migrations/versions; tests/cloud/test_migrations.py compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    text,
)

from cloud.store.columns import Counter, a_ms, a_text, maybe_ms, maybe_text, metadata
from wire.topics import shard_of

# ---- who

merchants = Table(
    "merchants",
    metadata,
    a_text("id", primary_key=True),
    a_text("name"),
    a_ms("created_at"),
    Column("order_count", BigInteger, nullable=False, server_default="0"),  # gives orders their short numbers
)

users = Table(
    "users",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("name", unique=True),  # what is typed at log-in, folded to lower case
    a_text("password_hash"),  # argon2id
    a_text("role"),  # owner | staff | readonly
    a_ms("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # sha256 of the cookie's value
    a_text("merchant_id"),
    a_text("user_id"),
    a_text("csrf"),
    a_ms("created_at"),
    a_ms("expires_at"),
    Index(None, "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    Column("key_hash", LargeBinary, nullable=False, unique=True),  # sha256 of the key
    a_text("label"),
    a_text("scopes"),  # space separated
    a_ms("created_at"),
    maybe_ms("revoked_at"),
)

channels = Table(  # a merchant's rules for where orders come from
    "channels",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("channel", primary_key=True),
    Column("auto_accept", Boolean, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    maybe_text("merchant_id"),
    a_ms("at"),
    a_text("who"),
    a_text("what"),
    a_text("object"),
    a_text("detail"),
    Column("hash", LargeBinary, nullable=False),  # sha256 over the entry before and this one
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

# ---- boxes and what they send

boxes = Table(
    "boxes",
    metadata,
    a_text("id", primary_key=True),
    a_text("merchant_id"),
    a_text("password_hash"),  # bcrypt, the form that NATS reads; "-": none
    a_text("file_hash", server_default=""),  # PBKDF2, the form that mosquitto reads; empty: none
    a_ms("created_at"),
    maybe_ms("revoked_at"),
    Column("online", Boolean, nullable=True),  # None: never heard of
    maybe_text("status"),  # the last Status, JSON
    maybe_ms("status_at"),  # by our clock
    Column("regress", Integer, nullable=False, server_default="0"),  # statuses in a row that count below what we hold
    a_text("boots", server_default=""),  # kernel boot ids it was seen with, the newest last, space separated
    a_text("shard", default=lambda context: shard_of(context.get_current_parameters()["id"])),
    Index(None, "merchant_id"),
)

claims = Table(  # codes with which a box comes to a merchant
    "claims",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    a_text("merchant_id"),
    a_ms("created_at"),
    a_ms("expires_at"),
    maybe_ms("used_at"),
    a_text("answer"),  # the id that the box got
    a_text("box", server_default=""),  # good for this box alone: a new password for it; empty: for a new one
    Index(None, "merchant_id"),
)

epochs = Table(  # how far a journal of a box has come; what is missing below `highest` is in `holes`
    "epochs",
    metadata,
    a_text("box", primary_key=True),
    a_text("epoch", primary_key=True),
    a_text("merchant_id"),
    Column("highest", BigInteger, nullable=False),
    a_ms("first_at"),
    a_ms("last_at"),
    maybe_ms("renewed_at"),  # when we commanded new_epoch
)

holes = Table(
    "holes",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("box", primary_key=True),
    a_text("epoch", primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    a_ms("since"),
    maybe_ms("asked_at"),
    Column("asked", Integer, nullable=False, server_default="0"),
    Index(None, "since"),
)

jobs = Table(
    "jobs",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("box"),
    a_text("epoch"),
    Column("seq", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    a_text("boundary"),
    Column("continues", BigInteger, nullable=True),
    a_text("delivered"),
    a_text("pos"),
    a_text("printer"),
    a_ms("started_ms"),  # by the box's wall clock, as far as `trust` goes
    a_ms("ended_ms"),
    a_text("trust"),
    a_text("boot"),
    a_ms("mono_ms"),  # start, since `boot`
    maybe_text("was"),  # EPOCH/SEQ before new_epoch
    a_ms("received_at"),
    a_text("state"),  # stored | read | again (read by the box, to be read here too) | failed
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("raster_only", Boolean, nullable=False, server_default=text("false")),
    Column("unknown", BigInteger, nullable=False, server_default="0"),
    maybe_text("rules_version"),
    maybe_text("lines"),  # what is on the paper, as text
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
    a_text("merchant_id", primary_key=True),
    a_text("job_id", primary_key=True),
    Column("raw", LargeBinary, nullable=True),  # the masked bytes; None where the box keeps them
    Column("reading", LargeBinary, nullable=True),  # what the box read, MessagePack
)

receipts = Table(  # what a job means; one row for each receipt in it
    "receipts",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("job_id", primary_key=True),
    Column("n", Integer, primary_key=True),
    a_text("kind"),
    maybe_text("number"),
    maybe_text("issued_at"),  # local time of the shop, ISO 8601
    maybe_text("currency"),
    Column("total", BigInteger, nullable=True),  # minor units
    maybe_text("shop"),
    a_text("items"),  # JSON
    a_text("fields"),  # everything that was read, with findings, JSON
    Index(None, "merchant_id", "number"),
    Index(None, "merchant_id", "issued_at"),
)

parts = Table(  # pieces of jobs that did not fit into one message; part 0 holds the whole first message
    "parts",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("box", primary_key=True),
    a_text("epoch", primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("parts", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    a_ms("received_at"),
    Index(None, "received_at"),
)

tombstones = Table(
    "tombstones",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("box", primary_key=True),
    a_text("epoch", primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, primary_key=True),
    a_text("reason"),
    a_ms("received_at"),
)

conflicts = Table(  # the same key came with another hash: kept apart, never acknowledged
    "conflicts",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("box", primary_key=True),
    a_text("epoch", primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    a_ms("received_at"),
)

set_aside = Table(  # messages that cannot be used, the last few thousand
    "set_aside",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    a_ms("at"),
    a_text("topic"),
    maybe_text("merchant_id"),
    a_text("problem"),
    Column("payload", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

# ---- orders

orders = Table(
    "orders",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("channel"),
    maybe_text("external_id"),
    maybe_text("idempotency_key"),
    Column("body_hash", LargeBinary, nullable=False),
    a_text("number"),
    a_text("kind"),  # dine_in | takeaway | delivery
    a_text("content"),  # wire OrderContent, JSON
    a_text("box"),
    a_text("printer"),
    a_text("state"),
    a_text("proof"),
    a_text("reason"),
    a_ms("created_at"),
    a_ms("changed_at"),
    maybe_ms("accepted_at"),
    maybe_ms("expires_at"),  # while it waits for a person or for a box
    a_text("shop_id", server_default=""),  # whose rules hold; empty: the merchant's only shop
    a_text("reason_code", server_default=""),  # why it was rejected (cloud/review.py)
    Column("prep_min", Integer, nullable=True),  # promised when it was accepted
    maybe_ms("ready_at"),
    UniqueConstraint("merchant_id", "channel", "external_id"),
    UniqueConstraint("merchant_id", "idempotency_key"),
    Index(None, "state", "expires_at"),
    Index(None, "merchant_id", "changed_at"),
)

slips = Table(
    "slips",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("order_id", primary_key=True),
    a_text("part", primary_key=True),
    Column("copy_number", Integer, primary_key=True),
    a_text("box"),
    a_text("printer"),
    Column("attempt", Integer, nullable=False),
    a_text("state"),
    a_text("proof"),
    a_text("reason"),
    Column("copy", Integer, nullable=False),
    a_ms("changed_at"),
    Column("copies", Integer, nullable=False, server_default="1"),
    Column("tries", Integer, nullable=False, server_default="0"),  # the box's, of the newest report
    Column("proven", Integer, nullable=False, server_default="0"),  # the newest attempt that was printed
    a_text("content", server_default=""),  # what of the order it says, wire OrderContent, JSON; empty: all
    a_text("label", server_default=""),
    a_text("places", server_default="[]"),  # [[box, printer], ...] that may take it, JSON
    a_text("moving", server_default=""),  # box/printer that takes it once `box` has given it back
    maybe_ms("moving_at"),
    a_text("was_box", server_default=""),  # it was moved from there without an answer
)

history = Table(
    "order_history",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("order_id", primary_key=True),
    Column("n", Integer, primary_key=True),
    a_ms("at"),
    a_text("state"),
    a_text("who"),
    a_text("why"),
    a_text("proof"),
    a_text("part"),
)

outbox = Table(  # what a box is to be told, until it says that it knows
    "outbox",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),  # the message's id
    a_text("box"),
    a_text("leaf"),
    a_text("what"),  # print | cancel | go | command
    maybe_text("order_id"),
    maybe_text("part"),
    Column("payload", LargeBinary, nullable=False),
    a_ms("created_at"),
    a_ms("next_at"),
    maybe_ms("expires_at"),
    Column("tries", Integer, nullable=False, server_default="0"),
    maybe_ms("done_at"),
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
    a_text("id", primary_key=True),
    a_ms("until"),  # alive until then, by the database's clock
)

shards = Table(
    "shards",
    metadata,
    a_text("shard", primary_key=True),  # 00 to ff
    a_text("owner"),  # a worker's id; of one that is not alive, or empty: nobody's
    Column("term", BigInteger, nullable=False),  # how often it was taken
)

# ---- telling others

events = Table(
    "events",
    metadata,
    Column("n", Counter, primary_key=True, autoincrement=True),
    a_text("merchant_id"),
    a_ms("at", index=True),
    a_text("kind"),  # receipt.read | order.changed | box.changed | alarm.raised | alarm.cleared
    a_text("object"),
    a_text("data"),  # JSON
    Index(None, "merchant_id", "n"),
    sqlite_autoincrement=True,  # a number is never used again, even when all rows are gone
)

alarms = Table(
    "alarms",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("kind", primary_key=True),  # conflict | clone | order_waiting | order_lost | …
    a_text("object", primary_key=True),  # box or order id
    a_text("text"),
    a_ms("first_at"),
    a_ms("last_at"),
    Column("count", BigInteger, nullable=False),
    maybe_ms("cleared_at"),
    maybe_ms("told_at"),  # when staff were told (cloud/staff.py)
)

webhooks = Table(
    "webhooks",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("url"),
    a_text("secret"),  # whsec_…: signing needs it in the clear
    a_text("kinds"),  # space separated event kinds; empty: all
    Column("after", BigInteger, nullable=False),  # events up to this one have their row in `deliveries`
    a_ms("created_at"),
    maybe_ms("failing_since"),
    a_text("problem"),
    maybe_ms("disabled_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("webhook_id", primary_key=True),
    Column("event_n", BigInteger, primary_key=True),
    a_text("state"),  # due | done | dead
    Column("tries", Integer, nullable=False, server_default="0"),
    a_ms("created_at"),
    a_ms("next_at"),
    Column("status", Integer, nullable=True),  # of the last answer
    a_text("problem"),
    Index("ix_deliveries_due", "next_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
    Index(None, "created_at"),
)
