"""Teach: mark on a sample receipt where a field stands; see what that changes before it is kept; take lessons back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from litestar import Response, get, post

from cloud import figures, teaching
from cloud.api.problem import Problem
from cloud.auth import Who
from cloud.console.access import back, fields, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.facts import SURE, Places, Shop, parse
from cloud.store.figures import facts
from cloud.store.rows import among
from cloud.store.schema import jobs, receipts
from cloud.teaching import MARK, TAUGHT, Lessons, Spot
from receipt.model import Kind, Receipt

HOME = "/setup/reading"
TRIED = 200  # receipts on which a mark is tried before it is kept
SHOWN = 8
KINDS = (Kind.SALE.value, Kind.REFUND.value, Kind.VOID.value, Kind.OTHER.value)


def routes(desk: Desk) -> list[Any]:
    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, "orders:write")
        asked = {name: value[:64] for name, value in request.query_params.items()}
        values = await read(desk, lambda c: _page(c, who, asked))
        return desk.page(request, who, "teach.html", **values)

    @post(HOME, status_code=303, **HIDDEN)
    async def teach(request: Ask) -> Response[Any]:
        who = await desk.acting(request, "orders:write")
        form = await fields(request, "shop", "name", "label", "do", "receipt")
        if form["name"] not in TAUGHT or not form["label"] or len(form["label"]) > 60:
            raise Problem(422, "bad-lesson", "This is no place on a receipt: mark one again.")

        def work(connection: sa.Connection) -> None:
            shop = Places(connection, [who.merchant]).by_id(who.merchant, form["shop"])
            change = teaching.forget if form["do"] == "forget" else teaching.mark
            change(connection, who.merchant, shop.id, form["name"], form["label"], who.name)
            figures.begin_again(connection, who.merchant)

        await written(desk, work)
        where = {"shop": form["shop"] or "-", "receipt": form["receipt"], "field": form["name"], "done": "1"}
        return back(f"{HOME}?{urlencode(where)}")

    return [page, teach]


@dataclass(frozen=True, slots=True)
class Sample:
    """A receipt of the shop, with what is read on it."""

    job: str
    at: str
    read: Receipt
    lines: list[str]
    to_check: bool

    def now(self, taught: Lessons) -> Receipt:
        return teaching.by_lesson(self.read, taught, self.lines, SURE)


def _page(connection: sa.Connection, who: Who, asked: dict[str, str]) -> dict[str, Any]:
    places = Places(connection, [who.merchant])
    shops = places.all(who.merchant)
    name = asked.get("field") if asked.get("field") in TAUGHT else TAUGHT[0]
    wanted = _samples(connection, who.merchant, [facts.c.job_id == asked.get("receipt", "")], places, 1)
    shop = places.by_id(who.merchant, asked.get("shop", "-").removeprefix("-"))
    if wanted:
        shop, sample = wanted[0]
    of_shop = [facts.c.shop == shop.id]
    others = [one for _, one in _samples(connection, who.merchant, [*of_shop, facts.c.to_check], places, SHOWN)]
    latest = [one for _, one in _samples(connection, who.merchant, of_shop, places, TRIED)]
    if not wanted:
        sample = (others or latest or [Sample("", "", Receipt(), [], False)])[0]
    taught = places.taught(who.merchant, shop.id)
    spot, line = _marked(asked.get("at", ""), str(name), sample)
    changes: list[Any] = []
    after, found = sample.now(taught), 0
    if spot is not None:
        new = teaching.with_lesson(taught, str(name), spot.label, MARK)
        after = sample.now(new)
        found = sum(
            1 for one in latest if teaching.taught_value({spot.label: 1}, str(name), one.read.currency, one.lines)
        )
        each = ((one, getattr(one.now(taught), str(name)), getattr(one.now(new), str(name))) for one in latest)
        changes = [(one, was, becomes) for one, was, becomes in each if was != becomes]
    return {
        "shops": shops,
        "shop": shop,
        "names": TAUGHT,
        "money": teaching.MONEY,
        "name": name,
        "sample": sample,
        "others": others or latest[:SHOWN],
        "pieces": [_pieces(text, str(name), sample.read.currency) for text in sample.lines],
        "spot": spot,
        "line": line,
        "before": sample.now(taught),
        "after": after,
        "latest": len(latest),
        "found": found,
        "changes": changes[:SHOWN],
        "changed": len(changes),
        "taught": taught,
        "mark": MARK,
        "done": bool(asked.get("done")),
    }


def _samples(
    connection: sa.Connection, merchant: str, which: list[Any], places: Places, most: int
) -> list[tuple[Shop, Sample]]:
    """The newest first; those of which no line could be read are left out."""
    f = facts.c
    query = sa.select(f.job_id, f.n, f["at"], f.shop, f.to_check, jobs.c.lines).join(
        jobs, sa.and_(jobs.c.merchant_id == f.merchant_id, jobs.c.id == f.job_id)
    )
    where = [f.merchant_id == merchant, f.kind.in_(KINDS), jobs.c.lines != "", *which]
    rows = connection.execute(query.where(*where).order_by(f["at"].desc()).limit(most)).all()
    r = receipts.c
    mine = among(connection, (r.merchant_id, r.job_id), [(merchant, row.job_id) for row in rows])
    texts = {(row.job_id, row.n): row.fields for row in connection.execute(sa.select(receipts).where(mine))}
    return [
        (
            places.by_id(merchant, row.shop),
            Sample(row.job_id, row["at"], parse(texts.get((row.job_id, row.n))), row.lines.split("\n"), row.to_check),
        )
        for row in (row._mapping for row in rows)
    ]


def _marked(at: str, name: str, sample: Sample) -> tuple[Spot | None, int]:
    """LINE:START of an address -> the spot that starts there."""
    line, _, start = at.partition(":")
    if not (line.isdecimal() and start.isdecimal()) or int(line) >= len(sample.lines):
        return None, -1
    found = teaching.spots(name, sample.lines[int(line)], sample.read.currency)
    return next((spot for spot in found if spot.start == int(start) and spot.label), None), int(line)


def _pieces(line: str, name: str, currency: str | None) -> list[tuple[str, int | None]]:
    """A line cut at its spots -> (text, where the spot starts; None: plain text)."""
    out: list[tuple[str, int | None]] = []
    at = 0
    for spot in sorted(teaching.spots(name, line, currency), key=lambda one: one.start):
        if spot.start < at or not spot.label:
            continue
        out += [(line[at : spot.start], None), (line[spot.start : spot.end], spot.start)]
        at = spot.end
    return [*out, (line[at:], None)]
