"""The console's routes: log in, the live page, and what its buttons do.

Every unsafe request must come from our own pages (Sec-Fetch-Site or Origin) and, with a session, carry its CSRF token.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncGenerator
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import jinja2
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect, ServerSentEvent, ServerSentEventMessage
from markupsafe import Markup, escape

from cloud import audit, auth, events, metrics, orders, views, words
from cloud.api.access import address_of
from cloud.api.problem import Problem, from_exception, not_found
from cloud.api.shapes import check_text
from cloud.auth import Buckets, Who
from cloud.console.paper import png_of
from cloud.context import Context
from cloud.store.database import Store
from wire.messages import now_ms

Ask = Request[Any, Any, Any]
RECEIPTS, ORDERS = 12, 30
PAUSE_S = 0.25  # between two looks at what is new, for one live page
BEAT_S = 15.0


class Console:
    """Makes the routes. Templates and static files are read once."""

    def __init__(self, cloud: Context) -> None:
        self._cloud = cloud
        self._static = {
            name: (files("cloud").joinpath("static", name).read_bytes(), kind)
            for name, kind in (("app.css", "text/css"), ("app.js", "text/javascript"), ("icon.svg", "image/svg+xml"))
        }
        self._stamp = hashlib.sha256(b"".join(data for data, _ in self._static.values())).hexdigest()[:12]
        self._pages = jinja2.Environment(
            loader=jinja2.PackageLoader("cloud", "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._pages.globals.update(stamp=self._stamp, words=words)
        self._pages.filters.update(money=words.money, clock=_clock, columns=_columns, tidy=_tidy, alert=words.alert)
        rate = cloud.config.web.login_rate
        self._by_name = Buckets(rate / 60, rate)
        self._by_address = Buckets(rate * 4 / 60, rate * 4)

    @property
    def cookie(self) -> str:
        return "__Host-tillwire" if self._cloud.secure else "tillwire"

    def routes(self) -> list[Any]:
        hidden: dict[str, Any] = {"include_in_schema": False}

        @get("/", **hidden)
        async def home(request: Ask) -> Response[str]:
            who = await self._who(request)
            if who is None:
                return Redirect("/login", status_code=303)
            return self._page(await anyio.to_thread.run_sync(self._live_page, who))

        @get("/login", **hidden)
        async def login_page(request: Ask) -> Response[str]:
            return self._page(self._pages.get_template("login.html").render(problem="", name=""))

        @post("/login", status_code=303, **hidden)
        async def login(request: Ask, data: URLEncodedBody[dict[str, str]]) -> Response[str]:
            self._from_here(request)
            return await self._log_in(request, str(data.get("name", "")), str(data.get("password", "")))

        @post("/logout", status_code=303, **hidden)
        async def logout(request: Ask) -> Response[str]:
            await self._acting(request, "")
            token = request.cookies.get(self.cookie, "")
            await anyio.to_thread.run_sync(auth.log_out, self._cloud.store, token)
            answer: Any = Redirect("/login", status_code=303)
            answer.set_cookie(self._cookie("", 0))
            return answer  # type: ignore[no-any-return]

        @get("/live", **hidden)
        async def live(request: Ask, after: FromQuery[int] = 0) -> ServerSentEvent:
            who = await self._who(request)
            if who is None:
                raise Problem(401, "logged-out", "Log in again.")
            last = request.headers.get("last-event-id", "")
            return ServerSentEvent(self._news(who, int(last) if last.isdigit() else max(0, after)))

        @get("/receipts/{receipt_id:str}", **hidden)
        async def receipt(receipt_id: FromPath[str], request: Ask) -> Response[str]:
            who = await self._who(request)
            if who is None:
                return Redirect("/login", status_code=303)
            return self._page(await anyio.to_thread.run_sync(self._receipt_page, who, receipt_id))

        @get("/receipts/{receipt_id:str}/picture", **hidden)
        async def picture(receipt_id: FromPath[str], request: Ask) -> Response[bytes]:
            who = await self._who(request)
            if who is None:
                raise Problem(401, "logged-out", "Log in again.")
            return await anyio.to_thread.run_sync(self._picture, who, receipt_id)

        @post("/orders/{order_id:str}/{action:str}", status_code=200, **hidden)
        async def act(order_id: FromPath[str], action: FromPath[str], request: Ask) -> Response[Any]:
            who = await self._acting(request, "orders:write")
            if action not in ("accept", "reject", "cancel", "close"):
                raise not_found()
            form = await request.form()
            reason = str(form.get("reason", "")).strip()[:200]
            if check_text(reason):
                raise Problem(422, "bad-text", "The reason holds a control character.")
            await anyio.to_thread.run_sync(self._act, who, order_id, action, reason)
            return Response({"ok": True})

        @post("/alarms/clear", status_code=200, **hidden)
        async def clear(request: Ask) -> Response[Any]:
            who = await self._acting(request, "orders:write")
            form = await request.form()
            await anyio.to_thread.run_sync(self._clear, who, str(form.get("kind", "")), str(form.get("object", "")))
            return Response({"ok": True})

        @get("/static/{name:str}", sync_to_thread=False, opt={"public": True}, **hidden)
        def static(name: FromPath[str], request: Ask) -> Response[bytes]:
            if name not in self._static:
                raise not_found()
            data, kind = self._static[name]
            fresh = request.query_params.get("v") == self._stamp
            age = "public, max-age=31536000, immutable" if fresh else "no-cache"
            return Response(data, media_type=kind, headers={"Cache-Control": age})

        return [home, login_page, login, logout, live, receipt, picture, act, clear, static]

    # ---- who

    async def _who(self, request: Ask) -> Who | None:
        token = request.cookies.get(self.cookie, "")
        return await anyio.to_thread.run_sync(auth.session, self._cloud.store, token) if token else None

    async def _acting(self, request: Ask, scope: str) -> Who:
        """For what changes something: our page, a session, its token, the right role."""
        self._from_here(request)
        who = await self._who(request)
        if who is None:
            raise Problem(401, "logged-out", "Log in again.")
        token = request.headers.get("x-csrf-token") or str((await request.form()).get("csrf", ""))
        if not _same(token, who.csrf):
            raise Problem(403, "csrf", "This did not come from our page: load it again.")
        if scope and scope not in who.scopes:
            raise Problem(403, "no-role", "Your role may look, not change.")
        return who

    def _from_here(self, request: Ask) -> None:
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        ours = site in (None, "same-origin", "none")
        if origin and origin != "null":
            hosts = {request.headers.get("host", ""), urlsplit(self._cloud.config.web.public_url).netloc}
            ours = ours and urlsplit(origin).netloc in hosts
        elif origin == "null":
            ours = False
        if not ours:
            raise Problem(403, "foreign-page", "This request came from another site.")

    async def _log_in(self, request: Ask, name: str, password: str) -> Response[str]:
        address, folded = self._address(request), name.strip().lower()[:64]
        wait = max(self._by_name.take(folded), self._by_address.take(address))
        page = self._pages.get_template("login.html")
        if wait:
            text = f"Too many tries. Wait {max(1, round(wait))} s, then try again."
            answer = self._page(page.render(problem=text, name=name[:64]), 429)
            answer.headers["Retry-After"] = str(max(1, round(wait)))
            return answer
        hours = self._cloud.config.web.session_hours
        found = await anyio.to_thread.run_sync(auth.log_in, self._cloud.store, folded, password[:1000], hours)
        if found is None:
            return self._page(page.render(problem="Name or password is wrong.", name=name[:64]), 401)
        self._by_name.give_back(folded)
        self._by_address.give_back(address)
        old = request.cookies.get(self.cookie)
        if old:
            await anyio.to_thread.run_sync(auth.log_out, self._cloud.store, old)
        token, who = found
        await anyio.to_thread.run_sync(self._logged_in, who, address)
        done: Any = Redirect("/", status_code=303)
        done.set_cookie(self._cookie(token, hours * 3600))
        return done  # type: ignore[no-any-return]

    def _logged_in(self, who: Who, address: str) -> None:
        with self._cloud.store.write() as connection:
            audit.add(connection, who.merchant, who.name, "log-in", who.id, address)

    def _address(self, request: Ask) -> str:
        return address_of(request, self._cloud.config.web.proxies)

    def _cookie(self, value: str, max_age: int) -> Cookie:
        return Cookie(
            key=self.cookie,
            value=value,
            max_age=max_age,
            path="/",
            httponly=True,
            secure=self._cloud.secure,
            samesite="lax",
        )

    # ---- pages

    def _page(self, text: str, status: int = 200) -> Response[str]:
        return Response(text, status_code=status, media_type="text/html")

    def _live_page(self, who: Who) -> str:
        with self._cloud.store.read() as connection:
            after = views.newest_event(connection, who.merchant)
            found, _ = views.order_page(connection, who.merchant, ORDERS)
            receipts, _ = views.receipt_page(connection, who.merchant, RECEIPTS, with_text=True)
            boxes = views.box_list(connection, who.merchant, journals=False)
            alarms = views.standing_alarms(connection, who.merchant)
            figures = self._figures(connection, who.merchant, boxes)
        return self._pages.get_template("live.html").render(
            who=who, after=after, orders=found, receipts=receipts, boxes=boxes, alarms=alarms, figures=figures
        )

    def _figures(self, connection: Any, merchant: str, boxes: list[Any]) -> dict[str, Any]:
        waiting, _ = views.order_page(connection, merchant, 100, states=["review"])
        return {
            "waiting": len(waiting),
            "receipts": views.received_since(connection, merchant, now_ms() - 3_600_000),
            "online": sum(1 for box in boxes if box.online),
            "boxes": len(boxes),
        }

    def _receipt_page(self, who: Who, receipt_id: str) -> str:
        with self._cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            drawn = found is not None and views.raw(connection, who.merchant, receipt_id) is not None
        if found is None:
            raise not_found()
        return self._pages.get_template("receipt.html").render(who=who, receipt=found, drawn=drawn)

    def _picture(self, who: Who, receipt_id: str) -> Response[bytes]:
        with self._cloud.store.read() as connection:
            found = views.receipt(connection, who.merchant, receipt_id)
            raw = views.raw(connection, who.merchant, receipt_id)
        if found is None:
            raise not_found()
        png = png_of(self._cloud.pictures, raw, str(found.text))
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    def _act(self, who: Who, order_id: str, action: str, reason: str) -> None:
        with self._cloud.store.write() as connection:
            if action == "accept":
                orders.accept(connection, who.merchant, order_id, who.name, self._cloud.config.orders)
            elif action == "reject":
                orders.reject(connection, who.merchant, order_id, who.name, reason or "the shop cannot take it now")
            elif action == "cancel":
                reason = reason or "cancelled by the shop"
                orders.cancel(connection, who.merchant, order_id, who.name, reason, self._cloud.config.orders)
            else:
                orders.close(connection, who.merchant, order_id, who.name, reason or "settled by the shop")
        self._cloud.bell.ring()

    def _clear(self, who: Who, kind: str, about: str) -> None:
        with self._cloud.store.write() as connection:
            events.clear_alarm(connection, who.merchant, kind, about)
        self._cloud.bell.ring()

    # ---- live

    async def _news(self, who: Who, after: int) -> AsyncGenerator[ServerSentEventMessage, None]:
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
                        after, pieces = await anyio.to_thread.run_sync(self._pieces, store, who, after)
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
                        await asyncio.wait_for(ear.wait(), look_s)
                    except TimeoutError:
                        pass
        finally:
            metrics.LISTENERS.dec()

    def _pieces(self, store: Store, who: Who, after: int) -> tuple[int, list[dict[str, Any]]]:
        with store.read() as connection:
            new = views.event_page(connection, who.merchant, after, 500)
            if not new:
                return after, []
            latest = {(event.kind.split(".")[0], event.object): event for event in new}
            out: list[dict[str, Any]] = []
            page = self._pages.get_template("pieces.html").module
            receipts = [about for kind, about in latest if kind == "receipt"][-RECEIPTS:]
            for about in receipts:
                found = views.receipt(connection, who.merchant, about, full=False)
                if found:
                    out.append({"slot": "receipts", "id": f"r-{about}", "html": str(page.receipt(found))})  # type: ignore[attr-defined]
            for kind, about in latest:
                if kind == "order" and (order := views.order(connection, who.merchant, about)):
                    html = str(page.order(order, "orders:write" in who.scopes))  # type: ignore[attr-defined]
                    out.append({"slot": "orders", "id": f"o-{about}", "html": html, "state": order.state})
            boxes = views.box_list(connection, who.merchant, journals=False)
            if any(kind == "box" for kind, _ in latest):
                out.append({"id": "boxes", "html": str(page.boxes(boxes))})  # type: ignore[attr-defined]
            if any(kind == "alarm" for kind, _ in latest):
                alarms = views.standing_alarms(connection, who.merchant)
                out.append({"id": "alarms", "html": str(page.alarms(alarms))})  # type: ignore[attr-defined]
            figures = self._figures(connection, who.merchant, boxes)
            out.append({"id": "figures", "html": str(page.figures(figures))})  # type: ignore[attr-defined]
        return new[-1].n, out


def _same(a: str, b: str) -> bool:
    import hmac

    return bool(b) and hmac.compare_digest(a.encode(), b.encode())


def _columns(text: str) -> int:
    """How wide the paper is, in characters: the class w32 … w64 of the style sheet sizes its letters by it."""
    widest = max((sum(2 if ord(c) > 0x2E7F else 1 for c in line) for line in text.split("\n")), default=0)
    return next((width for width in (32, 36, 42, 48, 56) if widest <= width), 64)


def _tidy(text: str) -> Markup:
    """For a small strip: no more than one empty line in a row, none at the ends. A wide letter takes two columns of the
    paper whatever the font makes of it, so that what stands to its right stays in its column."""
    short = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text).strip("\n")
    return Markup(re.sub(r"[\u2e80-\uffef]", r"<i>\g<0></i>", str(escape(short))))


def _clock(text: str | None) -> str:
    """2026-11-22T09:30:12.000Z -> 09:30. The page's script turns it into the reader's own time."""
    return text[11:16] if text else ""
