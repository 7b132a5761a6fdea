"""Menu, basket, and the order itself: /t/{token} for a table's red code, /s/{shop} for the black one.

Everything works as plain forms. The page's script asks for the piece that changed (X-Piece) in place of a whole page.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from cloud import basket, guests, menu, orders, rules, senders, typed, wechat
from cloud.api.problem import Problem
from cloud.guests import Wanted
from cloud.menu import MOST_OF_ONE, Line
from cloud.order_page.counter import Ask, Counter, Form, Place, reader_languages
from cloud.review import Facts, applies
from cloud.rules import Pace
from cloud.typed import Refused
from wire.messages import now_ms

HIDDEN: dict[str, Any] = {"include_in_schema": False, "opt": {"public": True}}
DOORS = ("/t/{door:str}", "/s/{door:str}")


def _all(leaf: str = "") -> list[str]:
    return [door + leaf for door in DOORS]


def routes(counter: Counter) -> list[Any]:
    shop = Shop(counter)

    async def work(what: Callable[..., Response[Any]], request: Ask, door: str, *more: Any) -> Response[Any]:
        kind = request.url.path[1]  # t or s: the router let nothing else through
        return await anyio.to_thread.run_sync(what, request, kind, door, *more)

    @get(_all(), **HIDDEN)
    async def show_menu(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.show_menu, request, door)

    @post(_all("/add"), status_code=200, **HIDDEN)
    async def add(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.add, request, door, await counter.form(request))

    @get(_all("/basket"), **HIDDEN)
    async def show_basket(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.show_basket, request, door)

    @post(_all("/line"), status_code=200, **HIDDEN)
    async def line(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.line, request, door, await counter.form(request))

    @post(_all("/where"), status_code=200, **HIDDEN)
    async def where(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.where, request, door, await counter.form(request))

    @post(_all("/order"), status_code=200, **HIDDEN)
    async def order(request: Ask, door: FromPath[str]) -> Response[Any]:
        return await work(shop.order, request, door, await counter.form(request))

    return [show_menu, add, show_basket, line, where, order]


class Shop:
    def __init__(self, counter: Counter) -> None:
        self._counter, self._cloud = counter, counter.cloud

    # ---- pages

    def show_menu(self, request: Ask, kind: str, door: str) -> Response[Any]:
        with self._cloud.store.read() as connection:
            place = self._counter.place(connection, request, kind, door)
            return self._counter.page(request, "order_menu.html", **self._shown(connection, request, place))

    def show_basket(self, request: Ask, kind: str, door: str) -> Response[Any]:
        with self._cloud.store.read() as connection:
            place = self._counter.place(connection, request, kind, door)
            values = self._shown(connection, request, place)
        return self._basket_page(request, place, values)

    def _basket_page(
        self,
        request: Ask,
        place: Place,
        values: dict[str, Any],
        form: Form | None = None,
        problem: Refused | None = None,
    ) -> Response[Any]:
        names = ("name", "phone", "email", "wechat", "address", "note", "kind")
        before = {} if form or place.visit is None else self._before(place.front.merchant, place.visit.replaces)
        typed = {name: form.text(name)[:300] if form else before.get(name, "") for name in names}
        status = 200 if problem is None else 409
        return self._counter.page(
            request, "order_basket.html", status, typed=typed, problem=problem, asked=self._asked(place), **values
        )

    def _before(self, merchant: str, replaces: str | None) -> dict[str, str]:
        """What they wrote on the order that was rejected: nobody writes it twice."""
        if replaces is None:
            return {}
        with self._cloud.store.read() as connection:
            return guests.filled_in(connection, merchant, replaces)

    def _asked(self, place: Place) -> bool:
        """Were they asked where they are? Once is enough; without a place of the shop nobody is."""
        return place.front.place is None or (place.visit is not None and place.visit.distance is not None)

    def _shown(self, connection: sa.Connection, request: Ask, place: Place) -> dict[str, Any]:
        front, t = place.front, self._counter.desk.language(request)
        known = menu.load(connection, front.merchant)
        when = front.now()
        bill = menu.price(known, list(place.visit.lines) if place.visit else [], when)
        pace = rules.load(connection, front.merchant, Pace)
        facts = Facts("table" if place.table else "shop", self._kinds(place)[0], None, 0, now_ms())
        paused = applies(pace, facts) and pace.mode == "paused"
        return {
            "place": place,
            "front": front,
            "menu": known,
            "bill": bill,
            "when": when,
            "in_order": reader_languages(t, front),
            "kinds": self._kinds(place),
            "off": (not front.dine_in) if place.table else not front.kinds(),
            "paused": paused,
            "open": front.open_now(),
            "opens_at": front.opens_at(),
            "most": MOST_OF_ONE,
            "ways": set(senders.senders_of(connection, front.merchant)),
            "links_wechat": wechat.offered(connection, front.merchant),
        }

    def _kinds(self, place: Place) -> tuple[str, ...]:
        return ("dine_in",) if place.table else place.front.kinds() or ("takeaway",)

    # ---- what is done

    def add(self, request: Ask, kind: str, door: str, form: Form) -> Response[Any]:
        """A thing into the basket. What the menu does not have now is told by the basket, not here."""
        cookie = ""
        with self._cloud.store.write() as connection:
            place = self._counter.place(connection, request, kind, door)
            quantity = min(max(form.number("quantity", 1), 1), MOST_OF_ONE)
            known = menu.load(connection, place.front.merchant)
            problem, visit = "", place.visit
            try:
                line = Line(
                    form.text("item")[:64],
                    quantity,
                    tuple(sorted(option[:64] for option in form.all("g-")[:40])),
                    typed.clean(form.text("note"), 140, "note"),
                )
                (priced,) = menu.price(known, [line], place.front.now()).lines
                problem = priced.trouble
                if not problem:
                    if visit is None:
                        cookie, visit = basket.begin(connection, place.front, place.table.id if place.table else "")
                    basket.add(connection, self._seated(connection, place, visit), line)
            except Refused as error:
                problem = error.code
            except basket.Full:
                problem = "full"
        return self._after(request, place, problem, cookie)

    def _seated(self, connection: sa.Connection, place: Place, visit: basket.Visit) -> basket.Visit:
        """Whoever scans another table's code sits there now."""
        here = place.table.id if place.table else ""
        return visit if visit.table_id == here else basket.sit_at(connection, visit, here)

    def line(self, request: Ask, kind: str, door: str, form: Form) -> Response[Any]:
        with self._cloud.store.write() as connection:
            place = self._counter.place(connection, request, kind, door)
            if place.visit is not None:
                quantity = form.number("quantity", 1)
                basket.set_quantity(connection, place.visit, form.number("place", -1), form.text("item"), quantity)
        return self._see(f"{place.address}/basket")

    def where(self, request: Ask, kind: str, door: str, form: Form) -> Response[Any]:
        """A hint for the shop, never a condition (A48): the distance's band is kept, the place is not."""
        with self._cloud.store.write() as connection:
            place = self._counter.place(connection, request, kind, door)
            if place.visit is not None and place.front.place is not None:
                kept = basket.DECLINED
                try:
                    here = float(form.text("latitude")), float(form.text("longitude"))
                    if all(map(math.isfinite, here)) and abs(here[0]) <= 90 and abs(here[1]) <= 180:
                        kept = basket.band(metres(here, place.front.place))
                except ValueError:
                    pass
                basket.locate(connection, place.visit, kept)
        return self._see(f"{place.address}/basket")

    def order(self, request: Ask, kind: str, door: str, form: Form) -> Response[Any]:
        try:
            return self._order(request, kind, door, form)
        except sa.exc.IntegrityError:  # the same basket was sent twice at once, and the other was first
            return self._order(request, kind, door, form)

    def _order(self, request: Ask, kind: str, door: str, form: Form) -> Response[Any]:
        problem: Refused
        try:
            with self._cloud.store.write() as connection:
                place = self._counter.place(connection, request, kind, door)
                self._counter.may_send(place, request)
                if place.visit is None:
                    raise Refused("no_visit")
                visit = self._seated(connection, place, place.visit)
                order_id = guests.place(
                    connection,
                    place.front,
                    place.table,
                    visit,
                    form.text("basket")[:64],
                    self._wanted(request, place, form),
                    place.front.source(self._counter.source(request)),
                    self._cloud.config.orders,
                    self._cloud.config.base,
                )
            self._cloud.bell.ring()
            return self._see(f"/o/{place.front.order_link(order_id)}")
        except Refused as error:
            problem = error
        except orders.NoBox:
            problem = Refused("no_box")
        with self._cloud.store.read() as connection:
            place = self._counter.place(connection, request, kind, door)
            values = self._shown(connection, request, place)
        return self._basket_page(request, place, values, form, problem)

    def _wanted(self, request: Ask, place: Place, form: Form) -> Wanted:
        kinds = self._kinds(place)
        phone, email, wechat = typed.contact(form.text("phone"), form.text("email"), form.text("wechat"))
        return Wanted(
            kind=form.text("kind") if form.text("kind") in kinds else kinds[0],
            total=form.number("total", -1),
            language=self._counter.desk.language(request).lang,
            name=typed.clean(form.text("name"), 60, "name"),
            phone=phone,
            email=email,
            wechat=wechat,
            address=typed.clean(form.text("address"), 200, "address"),
            note=typed.clean(form.text("note"), 200, "note"),
        )

    # ---- answers

    def _after(self, request: Ask, place: Place, problem: str, cookie: str) -> Response[Any]:
        """The bar with the new sum for the page's script; else the menu again."""
        answer: Any
        if request.headers.get("x-piece") == "bar":
            with self._cloud.store.read() as connection:
                cookies = {**request.cookies, **({self._counter.cookie: cookie} if cookie else {})}
                visit = basket.find(connection, cookies.get(self._counter.cookie, ""), place.front.merchant)
                known = menu.load(connection, place.front.merchant)
            bill = menu.price(known, list(visit.lines) if visit else [], place.front.now())
            t = self._counter.desk.language(request)
            text = self._counter.desk.piece(t, "order_pieces.html", "bar", place, bill, problem)
            answer = self._counter.html(request, text, 409 if problem else 200)
        elif problem:
            raise Problem(409, problem, "")
        else:
            answer = self._see(place.address)
        if cookie:
            answer.set_cookie(self._counter.visit_cookie(cookie))
        return answer  # type: ignore[no-any-return]

    def _see(self, address: str) -> Response[Any]:
        return Redirect(address, status_code=303)


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """The way between two places in degrees, as the crow flies (haversine, mean radius of the earth).

    >>> round(metres((51.5007, -0.1246), (51.5055, -0.0754)))
    3447
    """
    (lat1, lon1), (lat2, lon2) = ((math.radians(p[0]), math.radians(p[1])) for p in (a, b))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(min(1.0, math.sqrt(half)))
