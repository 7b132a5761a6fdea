"""One order, live, for whoever has its link: what became of it, and how it can be mended."""

from __future__ import annotations

import asyncio
import json
from collections import Counter as Counts
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent, ServerSentEventMessage

from cloud import basket, contacts, fronts, guests, menu, senders, typed, wechat
from cloud.api.problem import Problem, from_exception, not_found
from cloud.fronts import Front
from cloud.guests import AGAIN, Guest
from cloud.order_page.counter import Ask, Counter, Form, reader_languages
from cloud.order_page.shop import HIDDEN
from cloud.review import REASONS
from cloud.strings import Strings
from wire.messages import OrderState

S = OrderState
PAUSE_S, LOOK_S = 0.5, 15.0
MOST_LISTENERS = 8  # pages that follow one order
STEPS = {  # what a customer is told of a state, and how far that is: 0 sent, 1 accepted, 2 in the kitchen
    S.SUBMITTED: ("waiting", 0),
    S.REVIEW: ("waiting", 0),
    S.ACCEPTED: ("accepted", 1),
    S.QUEUED: ("accepted", 1),
    S.SENT: ("accepted", 1),
    S.RECEIVED: ("accepted", 1),
    S.PRINTING: ("accepted", 1),
    S.REPRINTING: ("kitchen", 2),
    S.PRINTED: ("kitchen", 2),
    S.CLOSED: ("settled", 2),
    S.FAILED: ("checking", 1),
    S.UNCONFIRMED: ("checking", 1),
    S.CANCELLING: ("cancelling", 1),
    S.CANCELLED: ("cancelled", -1),
    S.REJECTED: ("rejected", -1),
    S.EXPIRED: ("expired", -1),
}


def routes(counter: Counter) -> list[Any]:
    page = Status(counter)

    @get("/o/{link:str}", **HIDDEN)
    async def show(request: Ask, link: FromPath[str]) -> Response[Any]:
        return await anyio.to_thread.run_sync(page.show, request, link)

    @get("/o/{link:str}/live", **HIDDEN)
    async def live(request: Ask, link: FromPath[str]) -> ServerSentEvent:
        await anyio.to_thread.run_sync(page.known, request, link)
        return ServerSentEvent(page.news(link, counter.desk.language(request)))

    @post("/o/{link:str}/again", status_code=200, **HIDDEN)
    async def again(request: Ask, link: FromPath[str]) -> Response[Any]:
        await counter.form(request)
        return await anyio.to_thread.run_sync(page.again, request, link)

    @post("/o/{link:str}/withdraw", status_code=200, **HIDDEN)
    async def withdraw(request: Ask, link: FromPath[str]) -> Response[Any]:
        await counter.form(request)
        return await anyio.to_thread.run_sync(page.withdraw, request, link)

    @post("/o/{link:str}/contact", status_code=200, **HIDDEN)
    async def contact(request: Ask, link: FromPath[str]) -> Response[Any]:
        form = await counter.form(request)
        return await anyio.to_thread.run_sync(page.contact, request, link, form)

    @post("/o/{link:str}/wechat", status_code=200, **HIDDEN)
    async def link_wechat(request: Ask, link: FromPath[str]) -> Response[Any]:
        await counter.form(request)
        return await anyio.to_thread.run_sync(page.link_wechat, request, link)

    @get("/o/{link:str}/wechat", **HIDDEN)
    async def code(request: Ask, link: FromPath[str]) -> Response[Any]:
        return await anyio.to_thread.run_sync(page.wechat_code, request, link)

    return [show, live, again, withdraw, contact, link_wechat, code]


class Status:
    def __init__(self, counter: Counter) -> None:
        self._counter, self._cloud = counter, counter.cloud
        self._listeners: Counts[str] = Counts()

    def known(self, request: Ask, link: str) -> tuple[Guest, Front]:
        """Raises Problem 404."""
        with self._cloud.store.read() as connection:
            return self._find(connection, request, link)

    def _find(self, connection: sa.Connection, request: Ask, link: str) -> tuple[Guest, Front]:
        guest = guests.by_link(connection, link)
        front = fronts.of(connection, guest.merchant) if guest else None
        if guest is None or front is None:
            raise self._counter.nowhere(request)
        return guest, front

    def show(self, request: Ask, link: str) -> Response[Any]:
        guest, front = self.known(request, link)
        self._seen(guest)
        t = self._counter.desk.language(request)
        names = self._names(t, guest, front)
        with self._cloud.store.read() as connection:
            linking = wechat.state(connection, guest.merchant, guest.order_id)
            ways = set(senders.senders_of(connection, guest.merchant))
            offered = wechat.offered(connection, guest.merchant)
        shown = self._shown(t, guest, front, linking)
        more: dict[str, Any] = {"names": names, "ways": ways, "links_wechat": offered}
        return self._counter.page(request, "order_status.html", front=front, link=link, **shown, **more)

    def _names(self, t: Strings, guest: Guest, front: Front) -> list[tuple[str, list[str]]]:
        """What was ordered, in the reader's language as far as the menu still has it; the paper has the shop's."""
        with self._cloud.store.read() as connection:
            known = menu.load(connection, front.merchant)
        found, languages = [], reader_languages(t, front)
        for line, printed in zip(guest.lines, guest.content.items, strict=True):
            item = known.item(line.item)
            options = [o for g in item.groups for o in g.options if o.id in line.options] if item else []
            same = len(options) == len(printed.options)
            chosen = [menu.said(o.names, *languages) for o in options] if same else printed.options
            found.append((menu.said(item.names, *languages) if item else printed.name, chosen))
        return found

    def _shown(self, t: Strings, guest: Guest, front: Front, linking: str) -> dict[str, Any]:
        word, step = STEPS[S.CANCELLED if guest.stopped else OrderState(guest.state)]
        next_link = front.order_link(guest.replaced_by) if guest.replaced_by else ""
        ready = datetime.fromtimestamp(guest.ready_at / 1000, front.zone).strftime("%H:%M") if guest.ready_at else ""
        shown = {"guest": guest, "word": word, "step": step, "reason": reason_for(t, guest)}
        return {**shown, "next_link": next_link, "ready": ready, "linking": linking}

    def _seen(self, guest: Guest) -> None:
        """They were told by the page, whatever becomes of the notice."""
        if (guest.state in AGAIN or guest.stopped) and guest.seen_at is None:
            with self._cloud.store.write() as connection:
                contacts.seen(connection, guest.merchant, guest.order_id)
            self._cloud.bell.ring()

    # ---- live

    async def news(self, link: str, t: Strings) -> AsyncGenerator[ServerSentEventMessage, None]:
        """The piece of the page that tells the state, whenever it changed; a beat when it did not."""
        if self._listeners[link] >= MOST_LISTENERS:
            return  # the browser asks again later
        self._listeners[link] += 1
        last: tuple[Any, ...] = ()
        try:
            with self._cloud.bell.task_ear() as ear:
                while not self._cloud.stopping.is_set():
                    ear.clear()
                    try:
                        now, text = await anyio.to_thread.run_sync(self._piece, link, t, last)
                    except Exception as error:  # a page's fence: the database may be away
                        if from_exception(error).status != 503:
                            raise
                        now, text = last, ""
                    if text:
                        yield ServerSentEventMessage(data=json.dumps({"html": text}), event="state", retry=3000)
                    elif now is None:
                        return
                    else:
                        yield ServerSentEventMessage(comment="beat")
                    last = now
                    await asyncio.sleep(PAUSE_S)
                    try:
                        async with asyncio.timeout(LOOK_S if self._cloud.store.sqlite else 1.0):
                            await ear.wait()
                    except TimeoutError:
                        pass
        finally:
            self._listeners[link] -= 1
            if not self._listeners[link]:
                del self._listeners[link]

    def _piece(self, link: str, t: Strings, last: tuple[Any, ...]) -> tuple[Any, str]:
        with self._cloud.store.read() as connection:
            guest = guests.by_link(connection, link)
            front = fronts.of(connection, guest.merchant) if guest else None
            linking = wechat.state(connection, guest.merchant, guest.order_id) if guest else ""
        if guest is None or front is None:
            return None, ""
        now = (guest.state, guest.proof, guest.reason, guest.replaced_by, guest.changed_at, linking)
        if now == last:
            return now, ""
        self._seen(guest)
        shown = self._shown(t, guest, front, linking)
        return now, self._counter.desk.piece(t, "order_pieces.html", "state", front, link, *shown.values())

    # ---- what is done

    def again(self, request: Ask, link: str) -> Response[Any]:
        """The basket of a rejected order opens again at the door it came from."""
        cookie = ""
        with self._cloud.store.write() as connection:
            guest, front = self._find(connection, request, link)
            if not guest.can_change:
                return self._see(f"/o/{link}")
            visit = basket.find(connection, request.cookies.get(self._counter.cookie, ""), front.merchant)
            if visit is None:
                cookie, visit = basket.begin(connection, front, guest.table_id)
            guests.reopen(connection, visit, guest, menu.load(connection, front.merchant))
            table = fronts.table(connection, front.merchant, guest.table_id) if guest.table_id else None
            if table is not None:  # the visit lets them sit there; a code that is taken would let anybody
                basket.sit_at(connection, visit, table.id)
                door = f"/t/{fronts.void_token(table)}"
            else:
                door = f"/s/{front.slug}"
        answer: Any = self._see(f"{door}/basket")
        if cookie:
            answer.set_cookie(self._counter.visit_cookie(cookie))
        return answer  # type: ignore[no-any-return]

    def withdraw(self, request: Ask, link: str) -> Response[Any]:
        with self._cloud.store.write() as connection:
            guest, _ = self._find(connection, request, link)
            guests.withdraw(connection, guest, self._cloud.config.orders)
        self._cloud.bell.ring()
        return self._see(f"/o/{link}")

    def contact(self, request: Ask, link: str, form: Form) -> Response[Any]:
        """How to tell them, given or mended after the order was sent."""
        try:
            phone, email, wechat = typed.contact(form.text("phone"), form.text("email"), form.text("wechat"))
        except typed.Refused as error:
            raise Problem(422, error.code, "") from None
        with self._cloud.store.write() as connection:
            guest, _ = self._find(connection, request, link)
            told = (phone or guest.phone, email or guest.email, wechat or guest.wechat)
            contacts.reach(connection, guest.merchant, guest.order_id, *told)
        return self._see(f"/o/{link}")

    def link_wechat(self, request: Ask, link: str) -> Response[Any]:
        """They want to be told by WeChat: cloud/wechat.py asks for a code that the page then shows."""
        with self._cloud.store.write() as connection:
            guest, _ = self._find(connection, request, link)
            if wechat.offered(connection, guest.merchant):
                wechat.ask(connection, guest.merchant, guest.order_id)
        self._cloud.bell.ring()
        return self._see(f"/o/{link}#state")

    def wechat_code(self, request: Ask, link: str) -> Response[Any]:
        with self._cloud.store.read() as connection:
            guest, _ = self._find(connection, request, link)
            image = wechat.picture(connection, guest.merchant, guest.order_id)
        if image is None:
            raise not_found()
        kind = "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
        return Response(image, media_type=kind, headers={"Cache-Control": "no-store"})

    def _see(self, address: str) -> Response[Any]:
        return Redirect(address, status_code=303)


def reason_for(t: Strings, guest: Guest) -> str:
    """Why, in the reader's language where the shop chose one of the known reasons and added nothing of its own."""
    key = f"order.reason.is_{guest.reason_code}"
    known = key in t and guest.reason in ("", REASONS.get(guest.reason_code))
    return t(key) if known else guest.reason
