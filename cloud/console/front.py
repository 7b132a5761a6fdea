"""How the shop shows itself to customers: name, languages, hours, and what its codes take."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

import sqlalchemy as sa
from litestar import Response, get, post

from cloud import audit, fronts, strings
from cloud.api.problem import Problem
from cloud.console.access import all_of, back, fields, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.menu_pages import zone_for_rules
from cloud.hours import BadHours, parse

HOME = "/setup/front"
PLACE = re.compile(r"\s*(-?\d{1,2}\.\d+)\s*,\s*(-?\d{1,3}\.\d+)\s*")


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "owner")
        front = await read(desk, lambda c: fronts.of(c, who.merchant))
        if front is None:
            front = await written(desk, lambda c: fronts.ensure(c, who.merchant))
        zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc"))
        url = f"{desk.cloud.config.base}/s/{front.slug}"
        return desk.page(request, who, "front.html", front=front, zones=["UTC", *zones], url=url)

    @post(HOME, status_code=303, **HIDDEN)
    async def save(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "owner")
        form = await fields(
            request, "name", "slug", "currency", "timezone", "hours", "place", "more", "per_table", "per_customer"
        )
        known, extra = strings.languages(), re.findall(r"\b[a-z]{2,3}\b", form["more"].lower())
        languages = [lang for lang in [*await all_of(request, "language"), *extra] if lang in known or lang in extra]
        ways = await all_of(request, "takes")
        try:
            parse(form["hours"])
        except BadHours as error:
            raise Problem(422, "bad-hours", f"{error}.") from None
        if not 1 <= len(form["name"]) <= 60 or not languages:
            raise Problem(422, "bad-front", "The shop needs a name of at most 60 characters, and a language.")
        place = PLACE.fullmatch(form["place"])
        if form["place"] and (place is None or abs(float(place[1])) > 90 or abs(float(place[2])) > 180):
            raise Problem(422, "bad-front", "A place is written as latitude, longitude: 51.50070, -0.12460.")
        values: dict[str, Any] = {
            "name": form["name"],
            "slug": form["slug"].lower(),
            "currency": form["currency"].upper(),
            "timezone": form["timezone"],
            "languages": " ".join(dict.fromkeys(languages[:6])),
            "hours": form["hours"],
            "dine_in": "dine_in" in ways,
            "takeaway": "takeaway" in ways,
            "delivery": "delivery" in ways,
            "latitude": round(float(place[1]) * 1e6) if place else None,
            "longitude": round(float(place[2]) * 1e6) if place else None,
            "open_per_table": _count(form["per_table"], 8),
            "open_per_customer": _count(form["per_customer"], 3),
        }

        def work(connection: sa.Connection) -> list[str]:
            wrong = fronts.change(connection, who.merchant, values)
            if not wrong:
                zone_for_rules(connection, who.merchant, values["timezone"], who.name)
                audit.add(connection, who.merchant, who.name, "front.save", values["slug"])
            return wrong

        if wrong := await written(desk, work):
            raise Problem(422, "bad-front", f"This cannot be so, or is taken: {', '.join(wrong)}.")
        return back(HOME)

    return [page, save]


def _count(text: str, otherwise: int) -> int:
    return min(max(int(text), 1), 99) if text.isascii() and text.isdigit() else otherwise
