"""Which days, shop and currency a page of figures is about: as its address says, else what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from cloud import analytics
from cloud.analytics import Span
from cloud.facts import Places, Shop
from cloud.strings import Strings
from wire.messages import now_ms

RANGES = ("1", "7", "28", "90", "365")
USUAL = "28"
LONGEST = 3660


@dataclass(frozen=True, slots=True)
class Period:
    span: Span
    range: str  # one of RANGES, or "" where the days were chosen
    shops: list[Shop]
    currencies: list[str]
    today: date
    against: str  # before | year
    problem: str = ""  # a key of the strings

    @property
    def day_starts(self) -> int:
        """Minutes after midnight, of the shop that is looked at, or the first."""
        return next((shop.day_starts for shop in self.shops if shop.id == (self.span.shop or "")), 0)

    @property
    def other(self) -> Span:
        """What it is compared with."""
        if self.against == "year":
            s = self.span
            return Span(s.merchant, s.currency, s.first - timedelta(days=364), s.last - timedelta(days=364), s.shop)
        return self.span.before()

    def here(self, **changes: Any) -> str:
        """The query of the same page with something changed."""
        s = self.span
        days = {"range": self.range} if self.range else {"from": s.first.isoformat(), "to": s.last.isoformat()}
        if "range" in changes:
            days = {}
        values = days | ({"shop": s.shop or "-"} if s.shop is not None else {}) | {"currency": s.currency or "-"}
        values |= {"against": self.against}
        values |= changes
        return "?" + urlencode({k: v for k, v in values.items() if v is not None})

    def receipts(self, **more: Any) -> str:
        """The receipts that a figure stands on."""
        s = self.span
        values: dict[str, Any] = {"first": s.first.isoformat(), "last": s.last.isoformat(), "counted": "1"}
        values["currency"] = s.currency or "-"
        if s.shop is not None:
            values["shop"] = s.shop or "-"
        for name, value in more.items():
            values[name] = "-" if value == "" else value
        return "/receipts?" + urlencode(values)


def today_of(shop: Shop) -> date:
    """The business day that it is now."""
    return shop.day(shop.local(now_ms()))


def period(connection: sa.Connection, merchant: str, asked: dict[str, str]) -> Period:
    """Whatever the address says, there is a period: what cannot be is told in `problem`, and the usual is shown."""
    places = Places(connection, [merchant])
    shops = places.all(merchant)
    shop = _known(asked.get("shop"), shops)
    today = today_of(places.by_id(merchant, shop or ""))
    problem, chosen = "", asked.get("range", "")
    chosen = chosen if chosen in RANGES else ""
    first, last = today - timedelta(days=int(chosen or USUAL) - 1), today
    if not chosen and (asked.get("from") or asked.get("to")):
        try:
            last = date.fromisoformat(asked.get("to") or today.isoformat())
            first = date.fromisoformat(asked.get("from") or (last - timedelta(days=27)).isoformat())
            if not date(2000, 1, 1) <= first <= last <= date(2100, 1, 1) or (last - first).days > LONGEST:
                raise ValueError
        except ValueError:
            problem, chosen = "analysis.wrong_days", USUAL
            first, last = today - timedelta(days=int(USUAL) - 1), today
    else:
        chosen = chosen or USUAL
    found = analytics.currencies(connection, merchant, first, last)
    wanted = asked.get("currency")
    wanted = "" if wanted == "-" else wanted
    currency = wanted if wanted is not None and wanted in found else found[0] if found else (shops[0].currency or "")
    against = "year" if asked.get("against") == "year" else "before"
    return Period(Span(merchant, currency, first, last, shop), chosen, shops, found, today, against, problem)


def _known(asked: str | None, shops: list[Shop]) -> str | None:
    if asked is None or asked == "":
        return None
    value = "" if asked == "-" else asked
    return value if any(shop.id == value for shop in shops) else None


def change(now: float, before: float) -> float | None:
    """The change as a share; None where there is nothing to compare with."""
    return (now - before) / abs(before) if before else None


def weekdays(t: Strings) -> list[str]:
    return [t(f"analysis.weekday.d{n}") for n in range(7)]
