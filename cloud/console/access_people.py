"""People: who logs in, and as what; and one's own password."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from litestar import Response, get, post
from litestar.params import FromPath

from cloud import auth, people
from cloud.api.problem import Problem, not_found
from cloud.auth import Buckets
from cloud.console.access import OWNER, back, fields, once, read, written
from cloud.console.desk import HIDDEN, Ask, Desk

HOME = "/setup/people"


def routes(desk: Desk) -> list[Any]:
    tries = Buckets(1 / 12, 5)  # of one's own password

    @get(HOME, **HIDDEN)
    async def page(request: Ask) -> Response[str]:
        who = await desk.reader(request, OWNER)
        found = await read(desk, lambda c: people.listed(c, who.merchant))
        return desk.page(request, who, "access_people.html", people=found, roles=auth.ROLES)

    @post(HOME, status_code=200, **HIDDEN)
    async def add(request: Ask) -> Response[str]:
        who = await desk.acting(request, OWNER)
        form = await fields(request, "name", "role")
        password = people.made_up_password()
        hashed = await anyio.to_thread.run_sync(auth.hash_password, password)
        await written(desk, lambda c: people.add(c, who.merchant, form["name"], hashed, form["role"], who.name))
        return once(desk, request, who, "password", password, HOME, name=form["name"].lower())

    @post(HOME + "/{user_id:str}/role", status_code=303, **HIDDEN)
    async def role(user_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        form = await fields(request, "role")
        if not await written(desk, lambda c: people.set_role(c, who.merchant, user_id, form["role"], who.name)):
            raise not_found()
        return back(HOME)

    @post(HOME + "/{user_id:str}/password", status_code=200, **HIDDEN)
    async def reset(user_id: FromPath[str], request: Ask) -> Response[str]:
        """A new password for somebody who forgot theirs."""
        who = await desk.acting(request, OWNER)
        password = people.made_up_password()
        hashed = await anyio.to_thread.run_sync(auth.hash_password, password)
        if not await written(desk, lambda c: people.set_password(c, who.merchant, user_id, hashed, who.name)):
            raise not_found()
        return once(desk, request, who, "password", password, HOME, name="")

    @post(HOME + "/{user_id:str}/remove", status_code=303, **HIDDEN)
    async def remove(user_id: FromPath[str], request: Ask) -> Response[Any]:
        who = await desk.acting(request, OWNER)
        if not await written(desk, lambda c: people.remove(c, who.merchant, user_id, who.name)):
            raise not_found()
        return back(HOME)

    @get("/setup/password", **HIDDEN)
    async def mine(request: Ask) -> Response[str]:
        return desk.page(request, await desk.reader(request), "access_password.html", problem="")

    @post("/setup/password", status_code=303, **HIDDEN)
    async def change(request: Ask) -> Response[Any]:
        """The person logs in again, everywhere."""
        who = await desk.acting(request, "")
        form = await request.form()
        old, new = str(form.get("old", ""))[:1000], str(form.get("new", ""))[:1001]
        if wait := tries.take(who.id):
            raise Problem(429, "too-many-tries", "Too many wrong passwords.", retry_after_s=wait)
        if not await anyio.to_thread.run_sync(auth.right_password, desk.cloud.store, who, old):
            return desk.page(request, who, "access_password.html", 422, problem="wrong")
        tries.give_back(who.id)
        if not 8 <= len(new) <= 1000:
            return desk.page(request, who, "access_password.html", 422, problem="short")
        hashed = await anyio.to_thread.run_sync(auth.hash_password, new)
        await written(desk, lambda c: people.set_password(c, who.merchant, who.id, hashed, who.name))
        return back("/login")

    return [page, add, role, reset, remove, mine, change]
