"""/v1/shops: the places of a merchant, the boxes that stand there, their clock, and when customers may order.

The first shop, and the only one of most merchants, has the empty id everywhere (`shop_id` of an order, `?shop=`);
where an id stands in an address, a dash is written for it: /v1/shops/-
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from litestar import Controller, Request, get
from litestar.params import FromPath
from msgspec import Struct

from cloud import fronts
from cloud.api.access import who_of
from cloud.api.problem import not_found
from cloud.api.shapes import iso
from cloud.context import Cloud
from cloud.facts import Places, Shop
from cloud.fronts import Front
from cloud.store.schema import boxes

FIRST = "-"  # stands for the empty id in an address
Ask = Request[Any, Any, Any]


class HoursOut(Struct):
    """When customers may order by themselves, the same for all shops of a merchant. Orders of platforms follow the
    rules of GET /v1/shop/review instead."""

    text: str  # "Mon-Fri 11:00-15:00; Sat 10:00-01:00", by the clock of `zone`; empty: always
    zone: str
    open: bool  # now, and not paused
    opens_at: str | None  # local time; the present where it is open; null: never
    paused_until: str | None


class ShopOut(Struct):
    id: str
    name: str
    zone: str  # IANA name: the clock that receipts and figures go by
    day_starts: str  # HH:MM; what is sold before belongs to the day before
    currency: str  # of receipts that name none; may be empty
    country: str  # ISO 3166: as it was set, else the zone's
    boxes: list[str]
    hours: HoursOut | None  # null: customers cannot order here by themselves


class ShopsOut(Struct):
    shops: list[ShopOut]


class Shops(Controller):
    path = "/shops"
    tags = ("shops",)

    @get("/", opt={"scope": "boxes:read"}, sync_to_thread=True, summary="Shops, their boxes and opening hours")
    def list(self, request: Ask, cloud: Cloud) -> ShopsOut:
        with cloud.store.read() as connection:
            return ShopsOut(shops_of(connection, who_of(request).merchant))

    @get("/{shop_id:str}", opt={"scope": "boxes:read"}, sync_to_thread=True, summary="One shop")
    def one(self, shop_id: FromPath[str], request: Ask, cloud: Cloud) -> ShopOut:
        """A dash names the first shop, whose id is empty."""
        wanted = "" if shop_id == FIRST else shop_id
        with cloud.store.read() as connection:
            found = [shop for shop in shops_of(connection, who_of(request).merchant) if shop.id == wanted]
        if not found or not shop_id:
            raise not_found()
        return found[0]


def shops_of(connection: sa.Connection, merchant: str) -> list[ShopOut]:
    """The first one is always there."""
    places, front = Places(connection, [merchant]), fronts.of(connection, merchant)
    known = sa.select(boxes.c.id).where(boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None))
    at: dict[str, list[str]] = {}
    for box in connection.execute(known.order_by(boxes.c.id)).scalars():
        at.setdefault(places.shop(merchant, box).id, []).append(box)
    return [_shop(shop, at.get(shop.id, []), front) for shop in places.all(merchant)]


def _shop(shop: Shop, standing: list[str], front: Front | None) -> ShopOut:
    starts = f"{shop.day_starts // 60:02d}:{shop.day_starts % 60:02d}"
    hours = _hours(front) if front else None
    return ShopOut(shop.id, shop.name, shop.zone, starts, shop.currency, shop.dials_from, standing, hours)


def _hours(front: Front) -> HoursOut:
    opens = front.opens_at()
    return HoursOut(
        front.hours,
        front.zone.key,
        front.open_now(),
        opens.isoformat(timespec="minutes") if opens else None,
        iso(front.paused_until) if front.paused() else None,
    )
