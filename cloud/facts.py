"""What one receipt is to the figures: its shop, business day and hour, sign, items; from the reading and corrections.

Pure but for Places, which reads the shops once. Nothing raises, whatever a reading says: what cannot be used is left
out.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import sqlalchemy as sa

from cloud import phones, teaching
from cloud.corrections import corrected
from cloud.store.figures import shop_boxes, shops
from cloud.store.schema import jobs
from cloud.teaching import Lessons
from receipt.model import Kind, Receipt, Tender

JOB = (
    jobs.c.merchant_id,
    jobs.c.id,
    jobs.c.box,
    jobs.c.delivered,
    jobs.c.started_ms,
    jobs.c.trust,
    jobs.c.received_at,
)
MONEY_KINDS = (Kind.SALE, Kind.REFUND, Kind.VOID)
MOST = 1 << 50  # minor units; more is a misreading
SURE = 0.6  # below: a person is asked to look
APART = timedelta(hours=36)  # further from when it was printed, the time on the paper is not believed
PLAUSIBLE_MS = (1_262_304_000_000, 4_102_444_800_000)  # 2010 to 2100
CODE = re.compile(r"^[\w-]{4,40}$")
HIDDEN = re.compile(r"[*•…●]")


@dataclass(frozen=True, slots=True)
class Shop:
    id: str = ""
    zone: str = "UTC"
    day_starts: int = 0  # minutes after midnight
    currency: str = ""
    name: str = ""
    country: str = ""

    @property
    def dials_from(self) -> str:
        """The country whose phone numbers are written here without its code."""
        return self.country or phones.country_of(self.zone)

    def local(self, ms: int) -> datetime:
        """Without zone."""
        try:
            zone: Any = ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            zone = UTC
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)

    def day(self, at: datetime) -> date:
        """The business day that a local time belongs to.

        >>> Shop(day_starts=240).day(datetime(2026, 11, 22, 3, 59))
        datetime.date(2026, 11, 21)
        """
        return (at - timedelta(minutes=self.day_starts)).date()


@dataclass(slots=True)
class Sold:
    item: str  # folded name
    quantity: float
    amount: int
    name: str = ""  # as printed


@dataclass(slots=True, eq=False)
class Fact:
    """A row of `facts`, with its rows of `sold`."""

    merchant_id: str
    job_id: str
    n: int
    shop: str
    box: str
    kind: str
    countable: bool
    counted: bool
    day: str
    at: str
    hour: int
    currency: str
    total: int | None
    number: str = ""
    table_name: str = ""
    cashier: str = ""
    payment: str = ""
    last_four: str = ""
    member: str = ""
    phone: str = ""
    card: str = ""
    covers: int | None = None
    tip: int | None = None
    discount: int | None = None
    confidence: float = 0.0
    to_check: bool = False
    customer_id: str = ""
    same_as: str = ""
    sold: list[Sold] = field(default_factory=list)

    def twin_key(self) -> tuple[Any, ...]:
        return self.merchant_id, self.number, self.at, self.box, self.kind, self.total

    def known_by(self) -> list[tuple[str, str]]:
        """(kind, value) by which a customer may be known, the surest first."""
        found = (("member", key_of(self.member)), ("card", key_of(self.card)), ("phone", self.phone))
        return [(kind, value) for kind, value in found if value]


COLUMNS = tuple(f.name for f in fields(Fact) if f.name != "sold")


def from_row(row: Any) -> Fact:
    return Fact(**{name: getattr(row, name) for name in COLUMNS})


def to_row(fact: Fact) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in COLUMNS}


class Places:
    """The shops of some merchants, and which box stands where."""

    def __init__(self, connection: sa.Connection, merchants: list[str]) -> None:
        self._shops = {
            (row.merchant_id, row.id): Shop(row.id, row.zone, row.day_starts, row.currency, row.name, row.country)
            for row in connection.execute(sa.select(shops).where(shops.c.merchant_id.in_(merchants)))
        }
        self._boxes = {
            (row.merchant_id, row.box): row.shop
            for row in connection.execute(sa.select(shop_boxes).where(shop_boxes.c.merchant_id.in_(merchants)))
        }

        self._taught = teaching.load_all(connection, merchants)

    def taught(self, merchant: str, shop: str) -> Lessons:
        return self._taught.get((merchant, shop), {})

    def shop(self, merchant: str, box: str) -> Shop:
        return self.by_id(merchant, self._boxes.get((merchant, box), ""))

    def by_id(self, merchant: str, shop: str) -> Shop:
        return self._shops.get((merchant, shop)) or self._shops.get((merchant, "")) or Shop()

    def all(self, merchant: str) -> list[Shop]:
        mine = [shop for (owner, _), shop in sorted(self._shops.items()) if owner == merchant]
        return mine if any(shop.id == "" for shop in mine) else [Shop(), *mine]


def make(
    job: Any,
    n: int,
    read: Receipt | None,
    shop: Shop,
    fixes: dict[str, Any],
    taught: Lessons | None = None,
    lines: str | None = None,
    same_as: str = "",
) -> Fact:
    """`job`: a row with JOB's columns. `read` is None where nothing was found in it. `fixes`: field -> value.
    What the shop's receipts were taught helps where the reading is not sure, and where a person marked a place.
    `same_as`: see cloud/repeats.py."""
    found, read = read is not None, read or Receipt()
    if taught and found:
        read = teaching.by_lesson(read, taught, (lines or "").split("\n"), SURE)
    receipt = corrected(read, fixes)
    at = moment(job, receipt, shop, sure="date" in fixes)
    total = amount(receipt.total)
    kind = receipt.kind
    if total is not None and kind in (Kind.REFUND, Kind.VOID):
        total = -abs(total)
    countable = kind in MONEY_KINDS and total is not None and job.delivered != "none" and not same_as
    sure = 1.0 if fixes else confidence(receipt)
    fact = Fact(
        job.merchant_id,
        job.id,
        n,
        shop.id,
        job.box,
        kind.value,
        countable,
        countable,
        shop.day(at).isoformat(),
        at.isoformat(timespec="seconds"),
        at.hour,
        (receipt.currency or shop.currency)[:8],
        total,
        confidence=sure,
        same_as=same_as,
        to_check=found and kind in (*MONEY_KINDS, Kind.OTHER) and sure < SURE and bool(read.items or total),
    )
    _describe(fact, receipt, shop)
    if countable:
        fact.sold = items_of(receipt, -1 if kind in (Kind.REFUND, Kind.VOID) else 1)
    return fact


def _describe(fact: Fact, receipt: Receipt, shop: Shop) -> None:
    fact.number = clean(receipt.number)
    fact.table_name = clean(receipt.table, 40)
    fact.cashier = clean(receipt.cashier, 60)
    fact.member = as_kept(receipt.member) or clean(receipt.member, 60)
    fact.phone = phones.folded(receipt.customer_phone, shop.dials_from)
    fact.card = next((as_kept(code) for code in receipt.codes if CODE.match(code) and code != receipt.number), "")
    tender = max(receipt.tenders, key=lambda t: t.amount or 0, default=Tender(method=None))  # type: ignore[arg-type]
    fact.payment = tender.method.value if tender.method else ""
    fact.last_four = clean(next((t.last_four for t in receipt.tenders if t.last_four), ""), 4)
    fact.covers = receipt.covers if receipt.covers is not None and 0 < receipt.covers < 1000 else None
    fact.tip, fact.discount = amount(receipt.tip), amount(receipt.discount)


def parse(text: str | None) -> Receipt:
    """Of receipts.fields."""
    if text is None:
        return Receipt()
    try:
        return msgspec.json.decode(text, type=Receipt, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Receipt()


def moment(job: Any, receipt: Receipt, shop: Shop, sure: bool = False) -> datetime:
    """When it was printed, by the shop's clock: as the paper says, where the box's clock does not contradict it."""
    low, high = PLAUSIBLE_MS
    stamp = job.started_ms if job.trust != "none" and low < job.started_ms < high else job.received_at
    printed = shop.local(min(max(stamp, low), high)).replace(microsecond=0)
    try:
        day = date.fromisoformat(receipt.date or "")
    except ValueError:
        return printed
    try:
        clock = time.fromisoformat(receipt.time or "").replace(tzinfo=None, microsecond=0)
    except ValueError:
        clock = printed.time() if day == printed.date() else time(12)
    said = datetime.combine(day, clock)
    if sure or job.trust == "none":
        return said if 1990 < said.year < 2100 else printed
    return said if abs(said - printed) <= APART else printed


def confidence(receipt: Receipt) -> float:
    """How sure the least sure of what figures need is: the total, and the date. 1.0 where nothing was weighed."""
    if receipt.kind not in (*MONEY_KINDS, Kind.OTHER):
        return 1.0
    if receipt.total is None:
        return 0.0
    found = receipt.findings
    if not found:
        return 1.0
    return min((found[name].confidence for name in ("total", "date") if name in found), default=0.5)


def items_of(receipt: Receipt, sign: int) -> list[Sold]:
    """By folded name, each once. Of a refund or void all go back, whichever sign the paper gives them."""
    out: dict[str, Sold] = {}
    for item in receipt.items:
        name = fold(item.name)
        count = quantity(item.quantity)
        worth = amount(item.amount)
        if worth is None and item.unit_price is not None:
            worth = amount(round(item.unit_price * Decimal(str(count))))
        if not name or worth is None:
            continue
        if sign < 0:
            count, worth = -abs(count), -abs(worth)
        mine = out.setdefault(name, Sold(name, 0.0, 0, clean(item.name, 80)))
        mine.quantity += count
        mine.amount += worth
    return list(out.values())


def quantity(value: Decimal | None) -> float:
    """1 where the paper does not say."""
    try:
        number = float(value) if value is not None else 1.0
    except (ValueError, OverflowError):
        return 1.0
    return round(number, 3) if abs(number) < 1e6 else 1.0


def amount(value: int | None) -> int | None:
    return value if value is not None and abs(value) < MOST else None


def fold(text: str | None) -> str:
    """
    >>> fold("  Flat   WHITE ")
    'flat white'
    """
    return " ".join(clean(text, 80).casefold().split())


def key_of(text: str | None) -> str:
    """A member number or card token as it is compared. Loyalty programs print one number in many ways: in either case,
    in groups, after a "#", in the wide letters of Chinese tills. Zeros in front are part of it. One of which something
    is hidden is nobody's: "".

    >>> key_of("M-4003"), key_of("＃ｍ４００３"), key_of("6006 4912 0034 56"), key_of("0042"), key_of("M***03")
    ('m4003', 'm4003', '60064912003456', '0042', '')
    """
    plain = clean(text, 80)
    return (
        ""
        if HIDDEN.search(plain)
        else "".join(c for c in unicodedata.normalize("NFKC", plain).casefold() if c.isalnum())[:60]
    )


def as_kept(text: str | None) -> str:
    """The same as `facts` has it, for people to read."""
    return key_of(text).upper()


def digest(merchant: str, kind: str, value: str) -> str:
    """By which `forgotten` knows a key of somebody who was erased."""
    return hashlib.sha256(f"{merchant}\n{kind}\n{value}".encode()).hexdigest()


def clean(text: str | None, most: int = 64) -> str:
    return "".join(c for c in (text or "") if c.isprintable()).strip()[:most]
