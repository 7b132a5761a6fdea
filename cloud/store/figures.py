"""The tables of figures and customers: what each receipt counts, sums of it by day, corrections, who the customers are.

`facts`, `sold` and `sums` are derived: cloud/figures.py makes them from jobs, receipts, corrections and the shops'
settings, and can make them again at any time. Amounts are minor units of `currency`; a day is the shop's business day,
ISO 8601 text.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, Table, Text, text

from cloud.store.columns import metadata


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=False)


def _words(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _maybe(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


shops = Table(  # the places of a merchant; id "" is the first, and the only one of most
    "shops",
    metadata,
    _text("merchant_id", key=True),
    _text("id", key=True),
    _text("name"),
    _text("zone"),  # IANA name
    Column("day_starts", Integer, nullable=False, server_default="0"),  # minutes after midnight: a bar's day ends late
    _words("currency"),  # of receipts that name none
    _words("country"),  # ISO 3166, whose phone numbers are written without its code; "": the zone's
)

shop_boxes = Table(  # where a box stands; one that is not here stands in shop ""
    "shop_boxes",
    metadata,
    _text("merchant_id", key=True),
    _text("box", key=True),
    _text("shop"),
)

facts = Table(  # one row for each receipt of a job, and one for a job in which none was found (n = 0)
    "facts",
    metadata,
    _text("merchant_id", key=True),
    _text("job_id", key=True),
    Column("n", Integer, primary_key=True),
    _text("shop"),
    _text("box"),
    _text("kind"),
    Column("countable", Boolean, nullable=False),  # moves money
    Column("counted", Boolean, nullable=False),  # and is the first of its twins: figures stand on these
    _text("day"),
    _text("at"),  # the shop's own clock, ISO 8601 without zone
    Column("hour", Integer, nullable=False),  # of `at`
    _text("currency"),
    Column("total", BigInteger, nullable=True),  # refunds and voids below zero
    _words("number"),
    _words("table_name"),
    _words("cashier"),
    _words("payment"),  # of the largest tender
    _words("last_four"),
    _words("member"),
    _words("phone"),  # digits
    _words("card"),  # what a barcode or QR code on it says: a loyalty card's token
    _maybe("covers"),
    _maybe("tip"),
    _maybe("discount"),
    Column("confidence", Float, nullable=False),  # of the least sure field that figures need; 0..1
    Column("to_check", Boolean, nullable=False),  # not sure enough, and no person looked at it
    _words("customer_id"),
    _words("same_as"),  # the job that says this again, where this one was not printed whole; "": none
    Index(None, "merchant_id", "at"),
    Index(None, "merchant_id", "day"),
    Index(None, "merchant_id", "total", "at"),
    Index(None, "merchant_id", "number", "at"),
    Index(
        "ix_facts_last_four",
        "merchant_id",
        "last_four",
        "at",
        postgresql_where=text("last_four <> ''"),
    ),
    Index(
        "ix_facts_table_name",
        "merchant_id",
        "table_name",
        "at",
        postgresql_where=text("table_name <> ''"),
    ),
    Index(
        "ix_facts_member",
        "merchant_id",
        "member",
        "at",
        postgresql_where=text("member <> ''"),
    ),
    # Few receipts name a card, a member …: PostgreSQL leaves the others out. SQLite would then not use the index:
    # it cannot prove that a bound value is not empty.
    Index(
        "ix_facts_card",
        "merchant_id",
        "card",
        "at",
        postgresql_where=text("card <> ''"),
    ),
    Index(
        "ix_facts_phone",
        "merchant_id",
        "phone",
        "at",
        postgresql_where=text("phone <> ''"),
    ),
    Index(  # all that segments and cohorts need: they read the index alone
        "ix_facts_visits",
        "merchant_id",
        "customer_id",
        "day",
        "counted",
        "currency",
        "kind",
        "total",
        postgresql_where=text("customer_id <> ''"),
    ),
    Index(
        "ix_facts_to_check",
        "merchant_id",
        "at",
        sqlite_where=text("to_check = 1"),
        postgresql_where=text("to_check"),
    ),
)

sold = Table(  # the items of counted receipts, by name: which receipts a figure of an item stands on
    "sold",
    metadata,
    _text("merchant_id", key=True),
    _text("item", key=True),  # folded name
    _text("day", key=True),
    _text("job_id", key=True),
    Column("n", Integer, primary_key=True),
    Column("quantity", Float, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Index(None, "merchant_id", "job_id"),
)

sums = Table(  # what counted receipts of a day sum up to, by one dimension at a time
    "sums",
    metadata,
    _text("merchant_id", key=True),
    _text("shop", key=True),
    _text("currency", key=True),
    _text("dim", key=True),  # all | hour | table | cashier | payment | item | pair (day is the month's first)
    _text("day", key=True),
    _text("value", key=True),  # of the dimension; "" for all
    _count("receipts"),  # sales alone
    _count("amount"),  # sales less refunds and voids
    Column("quantity", Float, nullable=False, server_default="0"),
    _count("covers"),
    _count("tips"),
    _count("discounts"),
    _count("discounted"),  # receipts with a discount
    _count("refunds"),
    _count("refunded"),  # above zero
    _count("voids"),
    _count("voided"),
    Index(None, "merchant_id", "dim", "day"),  # of all shops together
)

items = Table(  # folded name -> how it was last printed, and the category that the merchant gave it
    "item_names",
    metadata,
    _text("merchant_id", key=True),
    _text("item", key=True),
    _text("name"),
    _words("category"),
)

corrections = Table(  # what a person says a receipt's field is
    "corrections",
    metadata,
    _text("merchant_id", key=True),
    _text("job_id", key=True),
    Column("n", Integer, primary_key=True),
    _text("field", key=True),  # "" stands for: looked at, all is right
    _text("value"),  # as JSON
    _text("was"),
    _text("who"),
    Column("at", BigInteger, nullable=False),
)

profiles = Table(  # what a shop's receipts have been taught: field -> the words beside it, JSON
    "profiles",
    metadata,
    _text("merchant_id", key=True),
    _text("shop", key=True),
    _text("taught"),
    Column("changed_at", BigInteger, nullable=False),
)

figuring = Table(  # merchants whose facts are being made again, and how far
    "figuring",
    metadata,
    _text("merchant_id", key=True),
    _text("after_job"),
)

customers = Table(
    "customers",
    metadata,
    _text("merchant_id", key=True),
    _text("id", key=True),
    _words("external_id"),  # the merchant's own number, or the CRM's
    _words("source"),  # file | api | a connector's name
    _words("name"),
    _words("email"),
    _words("birthday"),  # YYYY-MM-DD or MM-DD
    _words("note"),
    Column("fields", Text, nullable=False, server_default="{}"),  # whatever else was in the file, JSON of texts
    Column("consent", Boolean, nullable=False, server_default=text("false")),  # to be written to
    Column("consent_at", BigInteger, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index(None, "merchant_id", "external_id"),
    Index(None, "merchant_id", "name"),
)

customer_keys = Table(  # what on a receipt or an order says who it was
    "customer_keys",
    metadata,
    _text("merchant_id", key=True),
    _text("kind", key=True),  # member | phone | card
    _text("value", key=True),  # folded; phone: digits
    _text("customer_id"),
    Index(None, "merchant_id", "customer_id"),
)

forgotten = Table(  # by what erased customers were known, hashed: receipts that are counted again do not name them
    "forgotten",
    metadata,
    _text("merchant_id", key=True),
    _text("digest", key=True),  # facts.digest
)

uploads = Table(  # a file between its preview and its import; gone after a day
    "uploads",
    metadata,
    _text("merchant_id", key=True),
    _text("id", key=True),
    _text("name"),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

connectors = Table(  # a merchant's CRM, from which customers come by themselves (cloud/crms/)
    "connectors",
    metadata,
    _text("merchant_id", key=True),
    _text("kind", key=True),  # a file of cloud/crms/
    _text("url"),
    _text("secret"),  # their API key: it must be sent, so it cannot be hashed
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON of crms.Settings
    _words("cursor"),  # up to which change it was read; "": from the beginning
    Column("next_at", BigInteger, nullable=False),
    Column("ran_at", BigInteger, nullable=True),
    _words("problem"),  # a key of the strings, of the last run; "": it went well
    Column("counts", Text, nullable=False, server_default="{}"),  # of the last run, JSON
)
