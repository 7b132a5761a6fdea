"""What every customer page stands on: which shop and table an address leads to, who visits, and how a page is answered.

Customers have no account. A signed token leads to a table, a slug to a shop; a cookie leads to the visit with its
basket. A table's token that was taken once lets the visit go on after the code has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from litestar import Request, Response
from litestar.datastructures import Cookie

from cloud import basket, fronts
from cloud.api.access import address_of
from cloud.api.problem import Problem, from_exception, not_found
from cloud.auth import Buckets
from cloud.basket import VISIT_MS, Visit
from cloud.console.desk import Desk
from cloud.fronts import DiningTable, Front
from cloud.menu import said
from cloud.strings import Strings

Ask = Request[Any, Any, Any]
MOST_FORM = 20_000
HEADERS = {
    "Vary": "Accept-Language, Cookie, Accept-Encoding",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self)",
    "X-Robots-Tag": "noindex",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer stands: at a table (red code) or before the shop (black)."""

    front: Front
    table: DiningTable | None
    address: str  # /t/TOKEN or /s/SLUG
    visit: Visit | None


class Form:
    """Fields of a form, each with all its values."""

    def __init__(self, body: bytes) -> None:
        self._fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200)

    def text(self, name: str) -> str:
        return self._fields.get(name, [""])[-1]

    def number(self, name: str, otherwise: int = 0) -> int:
        text = self.text(name).strip()
        return int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 12 else otherwise

    def all(self, start: str) -> list[str]:
        """The values of every field whose name starts so, in order, each once."""
        found = [v for name, values in self._fields.items() if name.startswith(start) for v in values if v]
        return list(dict.fromkeys(found))


class Counter:
    """One for the application."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.cloud = desk, desk.cloud
        self._wrong = Buckets(0.5, 30)  # addresses that lead nowhere: nobody guesses tokens here
        self._acts = Buckets(4, 120)
        self._sends = Buckets(0.2, 12)  # orders from one place
        desk.templates.filters.update(said=said, allergen=lambda name, t: t(f"order.allergen.{name}"))

    @property
    def cookie(self) -> str:
        return "__Host-tillwire-visit" if self.cloud.secure else "tillwire-visit"

    def source(self, request: Ask) -> str:
        return address_of(request, self.cloud.config.web.proxies)

    async def form(self, request: Ask) -> Form:
        """Of an unsafe request: from our own page, not too often. Raises Problem."""
        self.desk.from_here(request)
        if wait := self._acts.take(self.source(request)):
            raise Problem(429, "too-fast", "", retry_after_s=wait)
        body = await request.body()
        if len(body) > MOST_FORM:
            raise Problem(413, "too-large", "")
        try:
            return Form(body)
        except ValueError:
            raise Problem(400, "bad-form", "") from None

    def may_send(self, place: Place, request: Ask) -> None:
        where = place.table.id if place.table else place.front.merchant
        if wait := self._sends.take(f"{where} {self.source(request)}"):
            raise Problem(429, "too-fast", "", retry_after_s=wait)

    def place(self, connection: sa.Connection, request: Ask, kind: str, door: str) -> Place:
        """Raises Problem: 404 where there is nothing; 410 for a table code that is no longer taken."""
        cookie = request.cookies.get(self.cookie, "")
        if kind == "s":
            front = fronts.by_slug(connection, door[:80])
            if front is None:
                raise self.nowhere(request)
            return Place(front, None, f"/s/{front.slug}", basket.find(connection, cookie, front.merchant))
        found = fronts.at_table(connection, door)
        if found is None:
            raise self.nowhere(request)
        front, table, taken = found
        visit = basket.find(connection, cookie, front.merchant)
        if not taken and (visit is None or visit.table_id != table.id):
            self.nowhere(request)
            raise Problem(410, "old-code", "")
        return Place(front, table, f"/t/{door}", visit)

    def nowhere(self, request: Ask) -> Problem:
        if wait := self._wrong.take(self.source(request)):
            return Problem(429, "too-fast", "", retry_after_s=wait)
        return not_found()

    # ---- answers

    def page(self, request: Ask, template: str, status: int = 200, **values: Any) -> Response[bytes]:
        text = self.desk.render(request, None, template, **values)
        return self.html(request, text, status)

    def html(self, request: Ask, text: str, status: int = 200) -> Response[bytes]:
        return Response(text.encode(), status_code=status, media_type="text/html", headers=dict(HEADERS))

    def visit_cookie(self, value: str) -> Cookie:
        return Cookie(
            key=self.cookie,
            value=value,
            max_age=VISIT_MS // 1000,
            path="/",
            httponly=True,
            secure=self.cloud.secure,
            samesite="lax",
        )

    def refused(self, request: Ask, error: Exception) -> Response[Any]:
        """A page that says what happened and what helps."""
        found = from_exception(error)
        answer = self.page(request, "order_gone.html", found.status, kind=found.kind.replace("-", "_"))
        if found.retry_after_s is not None:
            answer.headers["Retry-After"] = str(max(1, round(found.retry_after_s)))
        return answer


def reader_languages(t: Strings, front: Front) -> tuple[str, ...]:
    """In which order names are tried: the reader's language, then the shop's."""
    return (t.lang, *front.languages)
