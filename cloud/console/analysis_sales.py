"""The first view of the analysis: what came in by day, hour and weekday, by month and year, and what is expected."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from cloud import analytics, charts, words
from cloud.analytics import Sums
from cloud.auth import Who
from cloud.charts import Mark
from cloud.console.period import Period, change, weekdays
from cloud.strings import Strings


def money_of(p: Period) -> Any:
    return lambda value: words.money(round(value), p.span.currency)


def axis_of(p: Period) -> Any:
    """Of an axis: its values are round, and cents say nothing."""
    return lambda value: words.money(round(value), p.span.currency).removesuffix(".00")


def sales_of(connection: sa.Connection, p: Period, t: Strings, who: Who) -> dict[str, Any]:
    money = money_of(p)
    now, before = analytics.totals(connection, p.span), analytics.totals(connection, p.other)
    days = analytics.by_day(connection, p.span)
    by_hour = dict(analytics.by_value(connection, p.span, "hour"))
    hours = [(f"{n:02d}", by_hour.get(f"{n:02d}", Sums())) for n in _open_hours(p, by_hour)]
    told = _forecast(connection, p)
    names = weekdays(t)
    return {
        "now": now,
        "changes": changes(now, before),
        "days": days,
        "day_chart": _day_chart(p, t, days, told, money),
        "told": told,
        "hours": hours,
        "hour_chart": charts.bars(
            t("analysis.by_hour"),
            [f"{hour}" for hour, _ in hours],
            {
                t("analysis.amount"): [
                    Mark(v.amount, f"{hour}:00 {money(v.amount)}", p.receipts(hour=str(int(hour)))) for hour, v in hours
                ]
            },
            format=axis_of(p),
        ),
        "weekdays": list(zip(names, _averages(days), strict=True)),
        "weekday_chart": charts.bars(
            t("analysis.by_weekday"),
            names,
            {
                t("analysis.average"): [
                    Mark(v, f"{names[n]} {money(v)}", p.receipts(weekday=n)) for n, v in enumerate(_averages(days))
                ]
            },
            format=axis_of(p),
        ),
        "heat": _heat(connection, p, names),
        **_seasons(connection, p, t, money),
    }


def _forecast(connection: sa.Connection, p: Period) -> analytics.Forecast:
    """From whole days alone: up to yesterday."""
    s = p.span
    long = analytics.Span(s.merchant, s.currency, p.today - timedelta(days=7 * 13), p.today - timedelta(days=1), s.shop)
    return analytics.forecast({day: v.amount for day, v in analytics.by_day(connection, long).items()})


def _seasons(connection: sa.Connection, p: Period, t: Strings, money: Any) -> dict[str, Any]:
    """What a day brought on average in each month, this year beside those before: up to yesterday."""
    s, names = p.span, [t(f"analysis.month.m{n}") for n in range(1, 13)]
    first, last = date(p.today.year - 2, 1, 1), p.today - timedelta(days=1)
    found = analytics.seasons(analytics.by_day(connection, analytics.Span(s.merchant, s.currency, first, last, s.shop)))
    months = [(y, n, v) for y, all_of in found.items() for n, v in enumerate(all_of) if v is not None]
    series = {
        str(year): [_month(p, year, n, v, names[n], money) for n, v in enumerate(row)] for year, row in found.items()
    }
    drawn = charts.bars(t("analysis.seasons"), names, series, format=axis_of(p), width=1180)
    rows = [(f"{names[n]} {y}", v, _month(p, y, n, v, names[n], money).href) for y, n, v in reversed(months)]
    return {"season_chart": drawn if len(months) > 1 else None, "months": rows}


def _month(p: Period, year: int, n: int, value: int | None, name: str, money: Any) -> Mark:
    if value is None:
        return Mark(None)
    first = date(year, n + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return Mark(value, f"{name} {year} {money(value)}", p.receipts(first=first, last=last))


def _day_chart(p: Period, t: Strings, days: dict[date, Sums], told: analytics.Forecast, money: Any) -> Any:
    if len(days) > 120:
        weeks: dict[date, int] = {}
        for day, v in days.items():
            start = day - timedelta(days=day.weekday())
            if weeks or v.amount:  # from its first week on: a new shop has no past
                weeks[start] = weeks.get(start, 0) + v.amount
        marks = [Mark(v, f"{d} {money(v)}", p.receipts(first=d, last=d + timedelta(days=6))) for d, v in weeks.items()]
        labels = [f"{d:%d.%m.}" for d in weeks]
        title = t("analysis.by_week")
        return charts.bars(title, labels, {t("analysis.amount"): marks}, format=axis_of(p), width=1180)
    ahead = {day: v for day, v in told.days.items() if day >= p.today} if p.span.last == p.today else {}
    all_days = [*days, *(day for day in ahead if day > p.span.last)]
    came = [
        Mark(days[d].amount, f"{d} {money(days[d].amount)}", p.receipts(first=d, last=d)) if d in days else Mark(None)
        for d in all_days
    ]
    series = {t("analysis.amount"): came}
    if ahead and len(days) > 6:
        series[t("analysis.expected")] = [
            Mark(ahead[d], f"{d} {t('analysis.expected')} {money(ahead[d])}") if d in ahead else Mark(None)
            for d in all_days
        ]
    labels = [f"{d:%d.%m.}" for d in all_days]
    return charts.stacked(t("analysis.by_day"), labels, series, format=axis_of(p), width=1180)


def _open_hours(p: Period, hours: Any) -> list[int]:
    """From the first hour of the business day with a receipt to the last, the empty ones between them too."""
    start = p.day_starts // 60
    found = sorted((int(hour) - start) % 24 for hour in hours)
    return [(n + start) % 24 for n in range(found[0], found[-1] + 1)] if found else []


def _averages(days: dict[date, Sums]) -> list[int]:
    """Average amount of each weekday, Monday first."""
    count = [0] * 7
    for day in days:
        count[day.weekday()] += 1
    sums = analytics.by_weekday(days)
    return [round(v.amount / n) if n else 0 for v, n in zip(sums, count, strict=True)]


def changes(now: Sums, before: Sums) -> dict[str, Any]:
    names = ("amount", "receipts", "basket", "covers", "tips", "discounts", "refunded", "voided", "per_cover")
    return {
        name: (getattr(before, name), change(getattr(now, name) or 0, getattr(before, name) or 0)) for name in names
    }


def _heat(connection: sa.Connection, p: Period, names: list[str]) -> dict[str, Any]:
    """Rows of cells; each cell has a shade from 0 to 9 of the largest."""
    found = analytics.heat(connection, p.span)
    hours = _open_hours(p, {hour for _, hour in found})
    most = max((v.amount for v in found.values()), default=0)
    rows = []
    for n, name in enumerate(names):
        cells = []
        for hour in hours:
            value = found.get((n, hour), Sums())
            shade = min(9, max(0, value.amount) * 10 // most) if most > 0 else 0
            cells.append((shade if value.amount > 0 else "n", value, p.receipts(weekday=n, hour=hour)))
        rows.append((name, cells))
    return {"hours": hours, "rows": rows}
