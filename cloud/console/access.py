"""What the pages of access have in common: only owners, a secret that is shown once, and back to the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.to_thread
from litestar import Response
from litestar.response import Redirect

from cloud import people
from cloud.api.problem import Problem
from cloud.api.shapes import check_text
from cloud.auth import Who
from cloud.console.desk import Ask, Desk

OWNER = "owner"


async def fields(request: Ask, *names: str, longest: int = 500) -> dict[str, str]:
    """What a form sent, stripped. Raises Problem 422 for control characters and what is too long."""
    form = await request.form()
    found = {name: str(form.get(name, "")).strip() for name in names}
    for name, value in found.items():
        if len(value) > longest or check_text(value):
            raise Problem(422, "bad-text", f"{name}: at most {longest} characters, none of them a control character.")
    return found


async def all_of(request: Ask, name: str) -> list[str]:
    """Every value of a field that may come several times (check boxes)."""
    form = await request.form()
    return [str(value)[:100] for value in form.getall(name, [])]


async def written(desk: Desk, work: Callable[[Any], Any]) -> Any:
    """`work(connection)` in a transaction; then whoever waits for news looks. Raises Problem 422 for Refused."""

    def run() -> Any:
        with desk.cloud.store.write() as connection:
            return work(connection)

    try:
        result = await anyio.to_thread.run_sync(run)
    except (people.Refused, ValueError) as error:
        text = str(error)
        raise Problem(422, getattr(error, "reason", "refused"), f"{text[:1].upper()}{text[1:]}.") from None
    desk.cloud.bell.ring()
    return result


async def read(desk: Desk, work: Callable[[Any], Any]) -> Any:
    def run() -> Any:
        with desk.cloud.store.read() as connection:
            return work(connection)

    return await anyio.to_thread.run_sync(run)


def back(address: str) -> Response[Any]:
    return Redirect(address, status_code=303)


def once(desk: Desk, request: Ask, who: Who, kind: str, secret: str, home: str, **more: Any) -> Response[str]:
    """A page with a secret that nobody sees again. `kind` names its sentences: access.once.KIND."""
    return desk.page(request, who, "access_once.html", kind=kind, secret=secret, home=home, more=more)
