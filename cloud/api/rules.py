"""/v1/shop: what the shop decides about its orders. `shop` in the query names one of several; without it, all."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import anyio.to_thread
import msgspec
from litestar import Controller, Request, Response, get, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from cloud import previews, rules
from cloud.api.access import who_of
from cloud.api.problem import Problem
from cloud.api.shapes import check_text
from cloud.context import Cloud
from cloud.review import ANSWER_S, REASONS
from cloud.rules import BadRule, Pace, Review, Routing
from receipt import logo
from wire.messages import SlipStyle

Shop = Annotated[str, QueryParameter(max_length=64, pattern=r"^[a-z0-9-]*$", description="Empty: all shops.")]
Ask = Request[Any, Any, Any]
T = TypeVar("T", Review, Routing, Pace, SlipStyle)


class SlipIn(Struct):
    """What stands on every slip. The logo is set by PUT /v1/shop/logo."""

    header: list[str] = []
    footer: list[str] = []
    prices: bool = True
    qr: bool = True
    language: Annotated[str, Meta(max_length=10, description="en, zh, zh-hant, es, de, fr, ja")] = ""


class SlipOut(SlipIn):
    has_logo: bool = False


class ReasonsOut(Struct):
    """Codes with which an order may be rejected, and seconds that platforms themselves wait for an answer."""

    reasons: dict[str, str]
    deadlines: dict[str, int]


class ShopRules(Controller):
    path = "/shop"
    tags = ("orders",)

    @get("/reasons", opt={"scope": "orders:read"}, sync_to_thread=False)
    def reasons(self) -> ReasonsOut:
        return ReasonsOut(REASONS, ANSWER_S)

    @get("/review", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Who accepts what by itself")
    def review(self, request: Ask, cloud: Cloud, shop: Shop = "") -> Review:
        return _load(request, cloud, Review, shop)

    @put("/review", opt={"scope": "orders:write"}, sync_to_thread=True)
    def set_review(self, data: JSONBody[Review], request: Ask, cloud: Cloud, shop: Shop = "") -> Review:
        return _save(request, cloud, data, shop)

    @get("/routing", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Which part is printed where")
    def routing(self, request: Ask, cloud: Cloud, shop: Shop = "") -> Routing:
        return _load(request, cloud, Routing, shop)

    @put("/routing", opt={"scope": "orders:write"}, sync_to_thread=True)
    def set_routing(self, data: JSONBody[Routing], request: Ask, cloud: Cloud, shop: Shop = "") -> Routing:
        return _save(request, cloud, data, shop)

    @get("/pace", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Normal, busy, paused")
    def pace(self, request: Ask, cloud: Cloud, shop: Shop = "") -> Pace:
        return _load(request, cloud, Pace, shop)

    @put("/pace", opt={"scope": "orders:write"}, sync_to_thread=True)
    def set_pace(self, data: JSONBody[Pace], request: Ask, cloud: Cloud, shop: Shop = "") -> Pace:
        return _save(request, cloud, data, shop)

    @get("/slip", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Header, footer and logo of slips")
    def slip(self, request: Ask, cloud: Cloud, shop: Shop = "") -> SlipOut:
        return _slip(_load(request, cloud, SlipStyle, shop))

    @put("/slip", opt={"scope": "orders:write"}, sync_to_thread=True)
    def set_slip(self, data: JSONBody[SlipIn], request: Ask, cloud: Cloud, shop: Shop = "") -> SlipOut:
        old = _load(request, cloud, SlipStyle, shop)
        style = msgspec.structs.replace(
            old, header=data.header, footer=data.footer, prices=data.prices, qr=data.qr, language=data.language
        )  # fmt: skip
        return _slip(_save(request, cloud, style, shop))

    @put("/logo", opt={"scope": "orders:write"}, status_code=200, summary="The logo, a PNG; an empty body: none")
    async def set_logo(self, request: Ask, cloud: Cloud, shop: Shop = "") -> SlipOut:
        """At most 64 KiB and 576 x 2000 dots; it is kept in black and white."""
        body = await request.body()
        return await anyio.to_thread.run_sync(_set_logo, request, cloud, body, shop)

    @get("/slip.png", opt={"scope": "orders:read"}, sync_to_thread=True, media_type="image/png")
    def sample(
        self,
        request: Ask,
        cloud: Cloud,
        shop: Shop = "",
        columns: Annotated[int, QueryParameter(ge=24, le=64, description="32: 58 mm, 48: 80 mm")] = 48,
    ) -> Response[bytes]:
        """A made-up order on the shop's slip, as a printer of that width would print it."""
        return Response(previews.sample(_load(request, cloud, SlipStyle, shop), columns), media_type="image/png")

    @get("/logo", opt={"scope": "orders:read"}, sync_to_thread=True, media_type="image/png")
    def logo(self, request: Ask, cloud: Cloud, shop: Shop = "") -> Response[bytes]:
        """Nothing where there is none."""
        return Response(_load(request, cloud, SlipStyle, shop).logo, media_type="image/png")


def _set_logo(request: Ask, cloud: Cloud, body: bytes, shop: str) -> SlipOut:
    try:
        png = logo.tidy(body) if body else b""
    except ValueError as error:
        raise Problem(422, "bad-logo", f"{str(error)[0].upper()}{str(error)[1:]}.") from None
    style = msgspec.structs.replace(_load(request, cloud, SlipStyle, shop), logo=png)
    return _slip(_save(request, cloud, style, shop))


def _slip(style: SlipStyle) -> SlipOut:
    return SlipOut(style.header, style.footer, style.prices, style.qr, style.language, bool(style.logo))


def _load(request: Ask, cloud: Cloud, kind: type[T], shop: str) -> T:
    with cloud.store.read() as connection:
        return rules.load(connection, who_of(request).merchant, kind, shop)


def _save(request: Ask, cloud: Cloud, value: T, shop: str) -> T:
    who = who_of(request)
    if errors := check_text(value):
        raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
    try:
        with cloud.store.write() as connection:
            rules.save(connection, who.merchant, value, who.name, shop)
    except BadRule as error:
        problems = [{"field": "", "problem": p} for p in error.problems]
        raise Problem(422, "bad-rule", "This rule cannot hold.", errors=problems) from None
    cloud.bell.ring()
    return value
