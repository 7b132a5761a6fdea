"""A believable shop in the past: what `make demo` shows on the pages of receipts, figures and customers.

Two places, a bar-cafe and its kiosk, with regulars, seasons, a weekday and an hour of their own, a cashier who voids
too much, Z-reports, a day with receipts that were lost, and some paper that is hard to read. Put into the database as
ingest and reading leave it; counted by cloud/figures.py, like any receipt. The same seed gives the same shop.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from cloud import figures
from cloud.reading import receipt_row
from cloud.store.database import Store
from cloud.store.figures import customer_keys, customers, items, shop_boxes, shops
from cloud.store.schema import boxes, epochs, holes, jobs, merchants, papers, receipts, tombstones
from receipt.model import Finding, Item, Kind, Pay, Receipt, Tender
from wire.messages import now_ms

ZONE = "Europe/Vienna"
RULES = "0.demo"
MENU = (  # name, price, category, how liked, in which hours
    ("Espresso", 290, "Coffee", 9, (7, 24)),
    ("Flat white", 420, "Coffee", 14, (7, 20)),
    ("Cappuccino", 410, "Coffee", 12, (7, 20)),
    ("Filter coffee", 350, "Coffee", 5, (7, 18)),
    ("Hot chocolate", 430, "Coffee", 3, (7, 22)),
    ("Green tea", 380, "Tea", 4, (7, 22)),
    ("Iced tea", 450, "Tea", 4, (11, 22)),
    ("Croissant", 280, "Bakery", 9, (7, 13)),
    ("Carrot cake", 490, "Bakery", 6, (9, 20)),
    ("Apfelstrudel", 520, "Bakery", 7, (9, 22)),
    ("Granola bowl", 690, "Breakfast", 3, (7, 12)),
    ("Eggs benedict", 1190, "Breakfast", 4, (7, 13)),
    ("Toast with ham & cheese", 720, "Lunch", 6, (9, 22)),
    ("Soup of the day", 580, "Lunch", 5, (11, 16)),
    ("Beef noodles 牛肉面", 1290, "Lunch", 8, (11, 22)),
    ("Dumplings 饺子", 990, "Lunch", 7, (11, 22)),
    ("Caesar salad", 1090, "Lunch", 3, (11, 22)),
    ("Lobster roll", 2490, "Lunch", 1, (12, 21)),
    ("House wine 1/8", 390, "Bar", 7, (16, 25)),
    ("Spritzer", 450, "Bar", 8, (15, 25)),
    ("Draught beer 0.5", 540, "Bar", 11, (12, 25)),
    ("Gin tonic", 980, "Bar", 5, (18, 25)),
    ("Olives", 390, "Bar", 3, (16, 25)),
    ("Still water", 320, "Drinks", 6, (7, 25)),
)
LIKED_TOGETHER = {"Espresso": "Croissant", "Flat white": "Carrot cake", "Gin tonic": "Olives", "Spritzer": "Olives"}
HOURS = {7: 3, 8: 7, 9: 8, 10: 6, 11: 6, 12: 11, 13: 10, 14: 5, 15: 5, 16: 6, 17: 6, 18: 7, 19: 8, 20: 8, 21: 6, 22: 4}
LATE = {23: 4, 24: 3}  # Friday and Saturday
WEEKDAYS = (0.8, 0.85, 0.9, 1.0, 1.3, 1.45, 1.05)
FIRST = ("Lin", "Anna", "Wei", "Marta", "Jonas", "Mei", "Paul", "Sofia", "Chen", "Eva", "Luca", "Ida", "Omar", "Nora")
LAST = ("Huber", "Wang", "Gruber", "Li", "Novak", "Zhang", "Steiner", "Rossi", "Haddad", "Berg", "Zhao", "Moser")
PLACES = (("", "cafe-front-1", 1.0), ("kiosk", "cafe-kiosk-1", 0.35))  # shop, box, how busy


@dataclass
class Regular:
    member: str
    name: str
    phone: str
    often: float
    gone: date | None  # a regular who stopped coming


def fill(database: Path, merchant_name: str, box: str = "", months: int = 6, per_day: int = 55, seed: int = 7) -> int:
    """Into a merchant that exists and whose service does not run -> how many jobs."""
    store = Store("sqlite:///unused", database)
    try:
        with store.write() as connection:
            row = connection.execute(sa.select(merchants.c.id).where(merchants.c.name == merchant_name)).first()
            assert row is not None, f"no merchant {merchant_name!r}"
            places = [(shop, box if box and not shop else name, busy) for shop, name, busy in PLACES]
            return Shop(connection, row.id, places, random.Random(seed)).fill(months * 30, per_day)
    finally:
        store.close()


class Shop:
    def __init__(self, connection: sa.Connection, merchant: str, places: list[Any], rng: random.Random) -> None:
        self._db, self._merchant, self._places, self._rng = connection, merchant, places, rng
        self._jobs: list[dict[str, Any]] = []
        self._papers: list[dict[str, Any]] = []
        self._receipts: list[dict[str, Any]] = []
        self._regulars = [self._regular(n) for n in range(140)]
        self._zone = ZoneInfo(ZONE)

    def fill(self, days: int, per_day: int) -> int:
        now = datetime.now(self._zone)
        self._set_up(now)
        for shop, box, busy in self._places:
            self._journal(shop, box, busy, [now.date() - timedelta(days=n) for n in range(days, -1, -1)], per_day, now)
        for row in self._receipts:
            del row["of_day"]
        for table, rows in ((jobs, self._jobs), (papers, self._papers), (receipts, self._receipts)):
            for start in range(0, len(rows), 2000):
                self._db.execute(sa.insert(table), rows[start : start + 2000])
        figures.apply(self._db, [(self._merchant, row["id"]) for row in self._jobs])
        for name, _, category, *_ in MENU:
            mine = (items.c.merchant_id == self._merchant, items.c.item == name.casefold())
            self._db.execute(sa.update(items).where(*mine).values(category=category))
        return len(self._jobs)

    def _set_up(self, now: datetime) -> None:
        m, at = self._merchant, now_ms()
        self._db.execute(
            sa.insert(shops),
            [
                {"merchant_id": m, "id": shop, "name": name, "zone": ZONE, "day_starts": 240, "currency": "EUR"}
                for shop, name in (("", "Corner Cafe"), ("kiosk", "Corner Kiosk"))
            ],
        )
        for shop, box, _ in self._places:
            if self._db.execute(sa.select(boxes.c.id).where(boxes.c.id == box)).first() is None:
                self._db.execute(sa.insert(boxes).values(id=box, merchant_id=m, password_hash="-", created_at=at))
            if shop:
                self._db.execute(sa.insert(shop_boxes).values(merchant_id=m, box=box, shop=shop))
        rows, keys = [], []
        for n, who in enumerate(self._regulars):
            key = f"demo-{n:04d}"
            birthday = f"{1960 + n % 45}-{n % 12 + 1:02d}-{n % 28 + 1:02d}"
            rows.append(
                {
                    "merchant_id": m,
                    "id": key,
                    "external_id": who.member,
                    "source": "file",
                    "name": who.name,
                    "email": f"guest{n}@example.org",
                    "birthday": birthday if n % 3 else "",
                    "note": "window seat" if n % 17 == 0 else "",
                    "consent": n % 4 != 0,
                    "consent_at": at if n % 4 else None,
                    "created_at": at,
                    "changed_at": at,
                }
            )
            keys.append({"merchant_id": m, "kind": "member", "value": who.member.lower(), "customer_id": key})
            keys.append({"merchant_id": m, "kind": "phone", "value": who.phone, "customer_id": key})
        self._db.execute(sa.insert(customers), rows)
        self._db.execute(sa.insert(customer_keys), keys)

    def _regular(self, n: int) -> Regular:
        rng = self._rng
        today = date.today()
        gone = today - timedelta(days=rng.randint(60, 150)) if rng.random() < 0.2 else None
        often = 1 / (1 + n * 0.35)
        return Regular(f"M{4000 + n}", f"{rng.choice(FIRST)} {rng.choice(LAST)}", f"4366{n:08d}", often, gone)

    # ---- days

    def _journal(self, shop: str, box: str, busy: float, days: list[date], per_day: int, now: datetime) -> None:
        epoch = hashlib.sha256(f"{self._merchant}{box}".encode()).hexdigest()[:32]
        seq, number = 0, 10_000 + len(box)
        lost_day = days[-9] if len(days) > 9 else None
        missing: list[tuple[int, int, datetime]] = []
        for nth, day in enumerate(days):
            season = 1 + 0.18 * math.sin(nth / 182 * math.pi * 2) + 0.0008 * nth
            count = max(1, round(per_day * busy * season * WEEKDAYS[day.weekday()] * self._rng.uniform(0.85, 1.15)))
            taken = 0
            for at in self._times(day, count):
                if at > now:
                    break
                seq, number = seq + 1, number + 1
                if day == lost_day and 30 <= taken % 100 < 33 and not shop:
                    missing.append((seq, seq, at))
                    taken += 1
                    continue
                taken += 1
                self._sale(shop, box, epoch, seq, number, at)
            seq += 1
            close = datetime.combine(day, datetime.min.time(), self._zone) + timedelta(hours=25, minutes=40)
            if close < now and taken:
                self._report(box, epoch, seq, close, shop, day)
        self._db.execute(
            sa.insert(epochs).values(
                box=box, epoch=epoch, merchant_id=self._merchant, highest=seq, first_at=1, last_at=now_ms()
            )
        )
        for first, last, at in missing[:2]:
            since = int(at.timestamp() * 1000)
            row = {"merchant_id": self._merchant, "box": box, "epoch": epoch, "first": first, "last": last}
            self._db.execute(sa.insert(holes).values(**row, since=since, asked=3))
        for first, last, at in missing[2:]:
            row = {"merchant_id": self._merchant, "box": box, "epoch": epoch, "first": first, "last": last}
            since = int(at.timestamp() * 1000)
            self._db.execute(sa.insert(tombstones).values(**row, reason="corrupt", received_at=since))

    def _times(self, day: date, count: int) -> Iterator[datetime]:
        hours = HOURS | (LATE if day.weekday() in (4, 5) else {})
        chosen = self._rng.choices(list(hours), list(hours.values()), k=count)
        start = datetime.combine(day, datetime.min.time(), self._zone)
        yield from sorted(
            start + timedelta(hours=hour, minutes=self._rng.randint(0, 59), seconds=self._rng.randint(0, 59))
            for hour in chosen
        )

    # ---- paper

    def _sale(self, shop: str, box: str, epoch: str, seq: int, number: int, at: datetime) -> None:
        rng = self._rng
        hour = at.hour if at.hour >= 4 else at.hour + 24
        fits = [entry for entry in MENU if entry[4][0] <= hour < entry[4][1]]
        guests = rng.choices((1, 2, 3, 4, 6), (8, 9, 3, 3, 1))[0]
        chosen: dict[str, tuple[int, int]] = {}
        for _ in range(max(1, min(8, round(guests * rng.uniform(0.8, 1.9))))):
            name, price, *_ = rng.choices(fits, [entry[3] for entry in fits])[0]
            chosen[name] = (chosen.get(name, (0, 0))[0] + 1, price)
            friend = LIKED_TOGETHER.get(name)
            if friend and rng.random() < 0.45:
                chosen[friend] = (chosen.get(friend, (0, 0))[0] + 1, next(e[1] for e in MENU if e[0] == friend))
        cashier = rng.choices(("Maria", "Tom", "Xiu", "Petra"), (5, 4, 4, 2))[0]
        back = rng.random()
        wrong = 0.05 if cashier == "Petra" else 0.006
        kind = Kind.VOID if back < wrong else Kind.REFUND if back < wrong + 0.004 else Kind.SALE
        lines = ["CORNER KIOSK" if shop else "CORNER CAFE", "Hauptplatz 3, 1010 Wien", ""]
        if kind is not Kind.SALE:
            lines.append("*** STORNO ***" if kind is Kind.VOID else "*** REFUND ***")
        lines += [f"Receipt No. {number}", f"{at:%Y-%m-%d %H:%M}  {cashier}"]
        table = "" if shop or rng.random() < 0.25 else str(rng.randint(1, 14))
        if table:
            lines.append(f"Table {table}  Guests {guests}")
        member = self._member(at.date())
        if member:
            lines.append(f"Member {member.member}")
        lines.append("-" * 32)
        bought = []
        for name, (count, price) in chosen.items():
            bought.append(Item(name, Decimal(count), price, count * price, line=len(lines)))
            lines.append(row(f"{count} {name}", count * price))
        subtotal = sum(item.amount or 0 for item in bought)
        off = -round(subtotal * 0.1) if member and rng.random() < 0.3 else 0
        if off:
            lines.append(row("Discount 10%", off))
        total = subtotal + off
        tip = round(total * 0.08) if table and rng.random() < 0.35 else None
        pay = rng.choices((Pay.CARD, Pay.CASH, Pay.WALLET), (6, 3, 2))[0]
        sign = -1 if kind is not Kind.SALE else 1
        lines += ["-" * 32, row("TOTAL EUR", sign * total)]
        where = len(lines) - 1
        last_four = f"{rng.randint(1000, 9999)}" if pay is Pay.CARD else None
        lines.append(
            row({"card": f"VISA ****{last_four}", "cash": "Cash", "wallet": "Alipay"}[pay.value], sign * total)
        )
        if tip:
            lines.append(row("Tip", tip))
        lines += ["", "Thank you - vielen Dank - 谢谢"]
        sure = 0.42 if rng.random() < 0.004 else 0.97
        found = {
            "total": Finding(f"{total / 100:.2f}", where, sure, "total"),
            "date": Finding(f"{at:%Y-%m-%d}", 4 if kind is Kind.SALE else 5, 0.99, "dates"),
            "number": Finding(str(number), 3 if kind is Kind.SALE else 4, 0.98, "numbers"),
        }
        receipt = Receipt(
            kind=kind,
            last_line=len(lines) - 1,
            merchant=lines[0].title(),
            number=str(number),
            date=f"{at:%Y-%m-%d}",
            time=f"{at:%H:%M}",
            currency="EUR",
            items=tuple(bought),
            subtotal=subtotal,
            discount=off or None,
            tip=tip,
            total=sign * total,
            tenders=(Tender(pay, sign * total, last_four=last_four),),
            covers=guests if table else None,
            table=table or None,
            cashier=cashier,
            member=member.member if member else None,
            findings=found,
        )
        self._put(box, epoch, seq, at, lines, receipt)

    def _member(self, day: date) -> Regular | None:
        if self._rng.random() > 0.38:
            return None
        who = self._rng.choices(self._regulars, [r.often for r in self._regulars])[0]
        return None if who.gone and day > who.gone else who

    def _report(self, box: str, epoch: str, seq: int, at: datetime, shop: str, day: date) -> None:
        name = "Corner Kiosk" if shop else "Corner Cafe"
        mine = [r for r in self._receipts[-400:] if r["kind"] != "report" and r["of_day"] == (box, day)]
        total = sum(r["total"] for r in mine)
        if day.day == 13 and not shop:
            total += 1290  # a sale that never reached the printer
        lines = [name.upper(), "Z-REPORT", f"{at:%Y-%m-%d %H:%M}", row("Receipts", 0), row("TOTAL EUR", total)]
        lines[3] = f"Receipts {len(mine):>23}"
        found = {"total": Finding(f"{total / 100:.2f}", 4, 0.95, "total")}
        receipt = Receipt(
            kind=Kind.REPORT,
            last_line=4,
            merchant=name,
            date=f"{at:%Y-%m-%d}",
            time=f"{at:%H:%M}",
            currency="EUR",
            total=total,
            findings=found,
        )
        self._put(box, epoch, seq, at, lines, receipt)

    def _put(self, box: str, epoch: str, seq: int, at: datetime, lines: list[str], receipt: Receipt) -> None:
        ms = int(at.timestamp() * 1000)
        raw = b"\x1b@\x1c&" + "\n".join(lines).encode("gb18030") + b"\n\n\n\x1dV\x00"
        job = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{self._rng.getrandbits(12):03x}-8{self._rng.getrandbits(60):015x}"
        job = f"{job[:23]}-{job[23:]}"
        self._jobs.append(
            {
                "merchant_id": self._merchant,
                "id": job,
                "box": box,
                "epoch": epoch,
                "seq": seq,
                "sha256": hashlib.sha256(raw).digest(),
                "size": len(raw),
                "boundary": "cut",
                "delivered": "all",
                "pos": "till",
                "printer": "main",
                "started_ms": ms,
                "ended_ms": ms + 900,
                "trust": "ntp",
                "boot": "demo",
                "mono_ms": ms,
                "received_at": ms + 1500,
                "state": "read",
                "rules_version": RULES,
                "lines": "\n".join(lines),
            }
        )
        self._papers.append({"merchant_id": self._merchant, "job_id": job, "raw": raw, "reading": None})
        row = receipt_row(self._merchant, job, 0, receipt)
        row["fields"] = msgspec.json.encode(receipt).decode()
        day = (at - timedelta(hours=4)).date()
        self._receipts.append(row | {"of_day": (box, day)})


def row(name: str, cents: int, wide: int = 32) -> str:
    amount = f"{cents / 100:.2f}"
    width = sum(2 if ord(c) > 0x2E7F else 1 for c in name)
    return name + " " * max(1, wide - width - len(amount)) + amount
