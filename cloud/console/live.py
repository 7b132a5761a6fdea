"""Today, live: the page, and what changes on it as pieces of HTML by server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent, ServerSentEventMessage

from cloud import analytics, audit, events, metrics, orders, rules, views
from cloud.api.problem import Problem, from_exception, not_found
from cloud.api.shapes import check_text
from cloud.auth import Who
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.period import change, period
from cloud.review import REASONS
from cloud.rules import Pace, Review
from cloud.strings import Strings
from wire.messages import now_ms

RECEIPTS, ORDERS = 12, 30
PAUSE_S = 0.25  # between two looks at what is new, for one live page
BEAT_S = 15.0
PACE_MS = 3_600_000
MOST_PREP_MIN = 480


def routes(desk: Desk) -> list[Any]:
    today = Today(desk)

    @get("/", **HIDDEN)
    async def home(request: Ask) -> Response[str]:
        who = await desk.reader(request)
        shown = await anyio.to_thread.run_sync(today.shown, who)
        return desk.page(request, who, "live.html", **shown)

    @get("/live", **HIDDEN)
    async def live(request: Ask, after: FromQuery[int] = 0) -> ServerSentEvent:
        who = await desk.who(request)
        if who is None:
            raise Problem(401, "logged-out", "Log in again.")
        last = request.headers.get("last-event-id", "")
        start = int(last) if last.isdigit() else max(0, after)
        return ServerSentEvent(today.news(who, desk.language(request), start))

    @post("/orders/{order_id:str}/{action:str}", status_code=200, **HIDDEN)
    async def act(order_id: FromPath[str], action: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        if action not in ("accept", "reject", "cancel", "close", "reprint", "acknowledge"):
            raise not_found()
        form = await request.form()
        reason, code = str(form.get("reason", "")).strip()[:200], str(form.get("code", "other"))
        if check_text(reason):
            raise Problem(422, "bad-text", "The reason holds a control character.")
        minutes = str(form.get("minutes", ""))
        if minutes and not (minutes.isascii() and minutes.isdigit() and int(minutes) <= MOST_PREP_MIN):
            raise Problem(422, "bad-minutes", f"Minutes are a number up to {MOST_PREP_MIN}.")
        wish = Wish(reason, code, int(minutes) if minutes else None)
        await anyio.to_thread.run_sync(today.act, who, order_id, action, wish)
        return Response({"ok": True})

    @post("/alarms/clear", status_code=200, **HIDDEN)
    async def clear(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await request.form()
        await anyio.to_thread.run_sync(today.clear, who, str(form.get("kind", "")), str(form.get("object", "")))
        return Response({"ok": True})

    @post("/pace", status_code=303, **HIDDEN)
    async def pace(request: Ask) -> Response[Any]:
        """Normal, busy, paused: in one tap; paused for at most an hour, so that nobody forgets it."""
        who = await desk.acting(request, "orders:write")
        form = await request.form()
        mode = str(form.get("mode", ""))
        if mode not in ("normal", "busy", "paused"):
            raise not_found()
        await anyio.to_thread.run_sync(today.set_pace, who, mode)
        return desk.back(request, form, "/")

    return [home, live, act, clear, pace]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person said with a button."""

    reason: str = ""
    code: str = "other"  # of a rejection: one of cloud/review.py REASONS
    minutes: int | None = None  # promised; None: what the shop says for all


@dataclass(frozen=True, slots=True)
class Sales:
    """Today so far, and the same weekday a week ago up to the same hour, in the currency of most receipts."""

    amount: int
    before: int
    change: float | None
    currency: str
    day: date


def sales_so_far(connection: sa.Connection, merchant: str) -> Sales:
    p = period(connection, merchant, {"range": "7"})
    shop = p.shops[0]
    now = shop.local(now_ms())
    week_ago = p.today - timedelta(days=7)
    today = analytics.totals(connection, replace(p.span, first=p.today, last=p.today)).amount
    then = replace(p.span, first=week_ago, last=week_ago)
    start = shop.day_starts // 60
    so_far = (now.hour - start) % 24
    before = sum(
        round(value.amount * (now.minute / 60 if (int(hour) - start) % 24 == so_far else 1))
        for hour, value in analytics.by_value(connection, then, "hour")
        if (int(hour) - start) % 24 <= so_far
    )
    return Sales(today, before, change(today, before), p.span.currency, p.today)


def promised(connection: sa.Connection, merchant: str) -> int:
    """Minutes that a customer is promised where nobody says otherwise."""
    pace = rules.load(connection, merchant, Pace)
    busy = pace.mode == "busy" and (pace.until_ms is None or pace.until_ms > now_ms())
    return rules.load(connection, merchant, Review).prep_min + (pace.extra_min if busy else 0)


class Today:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._cloud = desk, desk.cloud

    def shown(self, who: Who) -> dict[str, Any]:
        with self._cloud.store.read() as connection:
            after = views.newest_event(connection, who.merchant)
            found, _ = views.order_page(connection, who.merchant, ORDERS)
            receipts, _ = views.receipt_page(connection, who.merchant, RECEIPTS, with_text=True)
            boxes = views.box_list(connection, who.merchant, journals=False)
            alarms = views.standing_alarms(connection, who.merchant)
            figures = self._figures(connection, who.merchant, boxes)
            pace = rules.load(connection, who.merchant, Pace)
            promise = promised(connection, who.merchant)
        standing = pace.until_ms is None or pace.until_ms > now_ms()
        return {
            "pace": pace.mode if standing else "normal",
            "pace_until": pace.until_ms if standing else None,
            "promise": promise,
            "reasons": [code for code in REASONS if code != "paused"],
            "after": after,
            "orders": found,
            "receipts": receipts,
            "boxes": boxes,
            "alarms": alarms,
            "figures": figures,
        }

    def _figures(self, connection: Any, merchant: str, boxes: list[Any]) -> dict[str, Any]:
        waiting, _ = views.order_page(connection, merchant, 100, states=["review"])
        return {
            "waiting": len(waiting),
            "receipts": views.received_since(connection, merchant, now_ms() - 3_600_000),
            "online": sum(1 for box in boxes if box.online),
            "boxes": len(boxes),
            "sales": sales_so_far(connection, merchant),
        }

    def act(self, who: Who, order_id: str, action: str, wish: Wish) -> None:
        limits = self._cloud.config.orders
        with self._cloud.store.write() as connection:
            if action == "accept":
                orders.accept(connection, who.merchant, order_id, who.name, limits, wish.minutes)
            elif action == "reject":
                orders.reject(connection, who.merchant, order_id, who.name, wish.reason, wish.code)
            elif action == "cancel":
                reason = wish.reason or "cancelled by the shop"
                orders.cancel(connection, who.merchant, order_id, who.name, reason, limits)
            elif action == "reprint":
                orders.reprint(connection, who.merchant, order_id, who.name, wish.reason, limits)
                audit.add(connection, who.merchant, who.name, "order.reprint", order_id)
            elif action == "acknowledge":
                orders.acknowledge(connection, who.merchant, order_id)
            else:
                orders.close(connection, who.merchant, order_id, who.name, wish.reason or "settled by the shop")
        self._cloud.bell.ring()

    def set_pace(self, who: Who, mode: Any) -> None:
        with self._cloud.store.write() as connection:
            now = rules.load(connection, who.merchant, Pace)
            until = None if mode == "normal" else now_ms() + PACE_MS
            new = Pace(mode, until, now.extra_min, now.channels, now.text)
            rules.save(connection, who.merchant, new, who.name)
        self._cloud.bell.ring()

    def clear(self, who: Who, kind: str, about: str) -> None:
        with self._cloud.store.write() as connection:
            events.clear_alarm(connection, who.merchant, kind, about)
        self._cloud.bell.ring()

    async def news(self, who: Who, t: Strings, after: int) -> AsyncGenerator[ServerSentEventMessage, None]:
        """What changed, as pieces of the page; at most four looks a second; a beat when it is quiet."""
        store, stopping = self._cloud.store, self._cloud.stopping
        look_s = BEAT_S if store.sqlite else 1.0  # on PostgreSQL another process may have written: no bell tells
        metrics.LISTENERS.inc()
        try:
            yield ServerSentEventMessage(data="{}", event="hello", retry=2000)
            with self._cloud.bell.task_ear() as ear:
                beat = time.monotonic() + BEAT_S
                while not stopping.is_set():
                    ear.clear()
                    try:
                        after, pieces = await anyio.to_thread.run_sync(self._pieces, who, t, after)
                    except Exception as error:  # a page's fence: the database may be away
                        if from_exception(error).status != 503:
                            raise
                        pieces = []
                    if pieces:
                        yield ServerSentEventMessage(data=json.dumps(pieces), event="news", id=str(after))
                        beat = time.monotonic() + BEAT_S
                    elif time.monotonic() > beat:
                        yield ServerSentEventMessage(comment="beat")
                        beat = time.monotonic() + BEAT_S
                    await asyncio.sleep(PAUSE_S)
                    try:
                        async with asyncio.timeout(look_s):
                            await ear.wait()
                    except TimeoutError:
                        pass
        finally:
            metrics.LISTENERS.dec()

    def _pieces(self, who: Who, t: Strings, after: int) -> tuple[int, list[dict[str, Any]]]:
        def piece(macro: str, *values: Any) -> str:
            return self._desk.piece(t, "pieces.html", macro, *values)

        with self._cloud.store.read() as connection:
            new = views.event_page(connection, who.merchant, after, 500)
            if not new:
                return after, []
            latest = {(event.kind.split(".")[0], event.object): event for event in new}
            out: list[dict[str, Any]] = []
            promise = promised(connection, who.merchant)
            receipts = [about for kind, about in latest if kind == "receipt"][-RECEIPTS:]
            for about in receipts:
                found = views.receipt(connection, who.merchant, about, full=False)
                if found:
                    out.append({"slot": "receipts", "id": f"r-{about}", "html": piece("receipt", found)})
            for kind, about in latest:
                if kind == "order" and (order := views.order(connection, who.merchant, about)):
                    html = piece("order", order, "orders:write" in who.scopes, promise)
                    out.append({"slot": "orders", "id": f"o-{about}", "html": html, "state": order.state})
            boxes = views.box_list(connection, who.merchant, journals=False)
            if any(kind == "box" for kind, _ in latest):
                out.append({"id": "boxes", "html": piece("boxes", boxes)})
            if any(kind in ("alarm", "box") for kind, _ in latest):
                alarms = views.standing_alarms(connection, who.merchant)
                out.append({"id": "alarms", "html": piece("alarms", alarms, boxes)})
            figures = self._figures(connection, who.merchant, boxes)
            out.append({"id": "figures", "html": piece("figures", figures)})
        return new[-1].n, out
