"""Boxes: how each does, what it can be told to do; and the shops they stand in."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

import anyio.to_thread
import msgspec
import sqlalchemy as sa
from litestar import Response, get, post

from cloud import audit, crm, figures, phones, views
from cloud.auth import Who
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.facts import Places, clean
from cloud.store.figures import shop_boxes, shops
from cloud.store.schema import boxes
from wire.messages import Status


def routes(desk: Desk) -> list[Any]:
    store = desk.cloud.store

    @get("/boxes", **HIDDEN)
    async def fleet(request: Ask) -> Response[str]:
        who = await desk.reader(request, "boxes:read")

        def work() -> dict[str, Any]:
            with store.read() as connection:
                places = Places(connection, [who.merchant])
                found = views.box_list(connection, who.merchant)
                rows = connection.execute(
                    sa.select(boxes.c.id, boxes.c.status).where(boxes.c.merchant_id == who.merchant)
                )
                status = {r.id: msgspec.json.decode(r.status, type=Status) if r.status else None for r in rows}
                return {
                    "boxes": found,
                    "health": {box: msgspec.to_builtins(value) if value else {} for box, value in status.items()},
                    "shops": {box.id: places.shop(who.merchant, box.id) for box in found},
                    "alarms": views.standing_alarms(connection, who.merchant),
                }

        values = await anyio.to_thread.run_sync(work)
        return desk.page(request, who, "fleet.html", **values)

    @get("/setup/shops", **HIDDEN)
    async def shop_list(request: Ask) -> Response[str]:
        who = await desk.reader(request, "receipts:read")
        return await shown(request, who, "", 200)

    async def shown(request: Ask, who: Who, problem: str, status: int) -> Response[str]:
        def work() -> dict[str, Any]:
            with store.read() as connection:
                places = Places(connection, [who.merchant])
                found = views.box_list(connection, who.merchant, journals=False)
                at = {box.id: places.shop(who.merchant, box.id).id for box in found}
                return {"shops": places.all(who.merchant), "at": at}

        values = await anyio.to_thread.run_sync(work)
        zones = sorted(available_timezones())
        may = who.role == "owner"
        return desk.page(
            request,
            who,
            "shops.html",
            status,
            zones=zones,
            countries=phones.countries(),
            problem=problem,
            may=may,
            **values,
        )

    @post("/setup/shops", status_code=303, **HIDDEN)
    async def keep(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "owner")
        form = dict(await request.form())
        problem = await anyio.to_thread.run_sync(keep_shop, desk, who, form)
        if problem:
            return await shown(request, who, problem, 422)
        desk.cloud.bell.ring()
        return desk.back(request, form, "/setup/shops")

    return [fleet, shop_list, keep]


def keep_shop(desk: Desk, who: Who, form: dict[str, Any]) -> str:
    """-> a key of the strings that says what is wrong, "" when it is kept; the figures are then counted anew."""
    shop = str(form.get("id", ""))
    name, zone = clean(str(form.get("name", "")), 60), str(form.get("zone", ""))
    currency = str(form.get("currency", "")).strip().upper()
    country = str(form.get("country", ""))
    starts = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", str(form.get("day_starts", "")))
    if form.get("new"):
        shop = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30] or "shop"
    if not name:
        return "fleet.wrong.name"
    if zone not in available_timezones():
        return "fleet.wrong.zone"
    if starts is None:
        return "fleet.wrong.day_starts"
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        return "receipts.wrong.currency"
    if country and country not in phones.countries():
        return "fleet.wrong.country"
    values = {"name": name, "zone": zone, "day_starts": int(starts[1]) * 60 + int(starts[2]), "currency": currency}
    values["country"] = country
    mine = (shops.c.merchant_id == who.merchant, shops.c.id == shop)
    with desk.cloud.store.write() as connection:
        known = {s.id for s in Places(connection, [who.merchant]).all(who.merchant)}
        if (shop in known) == bool(form.get("new")):
            return "fleet.wrong.name"
        if not connection.execute(sa.update(shops).where(*mine).values(**values)).rowcount:
            connection.execute(sa.insert(shops).values(merchant_id=who.merchant, id=shop, **values))
        for box in [b.id for b in views.box_list(connection, who.merchant, journals=False)]:
            if form.get(f"box-{box}") == "1":
                here = (shop_boxes.c.merchant_id == who.merchant, shop_boxes.c.box == box)
                connection.execute(sa.delete(shop_boxes).where(*here))
                connection.execute(sa.insert(shop_boxes).values(merchant_id=who.merchant, box=box, shop=shop))
        audit.add(connection, who.merchant, who.name, "shop.change", shop or "-", f"{zone} {starts[0]} {currency}")
        crm.fold_again(connection, who.merchant, crm.country_of(connection, who.merchant))
        figures.begin_again(connection, who.merchant)
    return ""
