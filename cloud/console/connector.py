"""A CRM's connection: its address and key, which of its fields is what, and how the last reading went."""

from __future__ import annotations

import functools
import re
from typing import Any

import anyio.to_thread
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import connectors, crms, imports
from cloud.api.problem import Problem, not_found
from cloud.auth import Who
from cloud.console.access import back, read, written
from cloud.console.desk import HIDDEN, Ask, Desk
from cloud.console.shop_rules import Form, form_of
from cloud.crms import Failed, Settings
from cloud.webhooks import Unsafe, check_url

HOME = "/customers/crm"
MOST_FIELDS = 60


def routes(desk: Desk) -> list[Any]:
    config = desk.cloud.config

    @get(HOME + "/{kind:str}", **HIDDEN)
    async def page(kind: FromPath[str], request: Ask) -> Response[str]:
        who = await desk.reader(request, "owner")
        known = _known(kind)
        row = await read(desk, lambda c: connectors.of(c, who.merchant, kind))
        return _answer(desk, request, who, kind, known, row)

    @post(HOME + "/{kind:str}", status_code=303, **HIDDEN)
    async def change(kind: FromPath[str], request: Ask) -> Response[Any]:
        """`do`: look (at some records, before anything is kept) | keep | now | remove."""
        who = await desk.acting(request, "owner")
        known, form = _known(kind), await form_of(request)
        row = await read(desk, lambda c: connectors.of(c, who.merchant, kind))
        do = form.text("do")
        if do == "now":
            await written(desk, lambda c: connectors.now(c, who.merchant, kind, who.name))
            return back(f"{HOME}/{kind}")
        if do == "remove":
            await written(desk, lambda c: connectors.remove(c, who.merchant, kind, who.name))
            return back("/customers")
        settings, url, typed = _settings(form), form.text("url").rstrip("/"), form.text("secret")
        secret = typed
        if not secret and row is not None and row.url == url:  # a kept key goes to no other address
            secret = row.secret
        try:
            check_url(url, config.webhooks.allow_private)
            call = connectors.caller(url, secret, config)
            found = await anyio.to_thread.run_sync(functools.partial(known.some, call, settings))
        except (Unsafe, Failed) as error:
            key = error.key if isinstance(error, Failed) else "connector.wrong.address"
            said = error.text if isinstance(error, Failed) else str(error)
            values = {"url": url, "settings": settings, "secret": typed, "problem": key, "said": said}
            return _answer(desk, request, who, kind, known, row, 422, **values)
        if do == "keep":
            await written(desk, lambda c: connectors.keep(c, who.merchant, kind, url, secret, settings, who.name))
            return back(f"{HOME}/{kind}")
        return _answer(desk, request, who, kind, known, row, url=url, settings=settings, secret=typed, found=found)

    return [page, change]


def _known(kind: str) -> crms.Crm:
    known = crms.crm(kind)
    if known is None:
        raise not_found()
    return known


def _answer(
    desk: Desk, request: Ask, who: Who, kind: str, known: crms.Crm, row: Any, status: int = 200, **more: Any
) -> Response[str]:
    settings = connectors.settings_of(row) if row is not None else Settings(known.ENTITY, dict(known.USUAL))
    found = more.get("found")
    values: dict[str, Any] = {
        "url": row.url if row is not None else "",
        "settings": settings,
        "problem": "",
        "said": "",
    }
    values |= {"secret": "", "found": None} | more
    names = list(dict.fromkeys([*values["settings"].fields, *(name for one in found or [] for name in one)]))
    return desk.page(
        request,
        who,
        "connector.html",
        status,
        kind=kind,
        title=known.TITLE,
        row=row,
        done=connectors.outcome_of(row) if row is not None else None,
        names=[name for name in names if name not in (crms.ID, crms.OPTED_OUT)][:MOST_FIELDS],
        targets=imports.TARGETS,
        every=connectors.EVERY_MIN,
        **values,
    )


def _settings(form: Form) -> Settings:
    fields = {name: form.text(f"is-{name}", 20) for name in form.all("field")[:MOST_FIELDS]}
    low, high = connectors.EVERY_MIN
    chosen = {name: target for name, target in fields.items() if target != "-" and target in (*imports.TARGETS, "")}
    entity = form.text("entity", 60)
    if not re.fullmatch(r"[A-Za-z0-9_]*", entity):
        raise Problem(422, "bad-entity", "A list's name has letters and digits alone, like Contact.")
    return Settings(entity, chosen, min(max(form.number("every_min") or 60, low), high))
