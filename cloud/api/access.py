"""Who calls: API keys and OAuth access tokens for /v1. A route names the scope it needs in opt["scope"]."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from time import monotonic
from typing import Any

import anyio.to_thread
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from cloud import auth, oauth
from cloud.api.problem import Problem
from cloud.auth import Buckets, Who
from cloud.store.database import Store

KEEP_S = 1.0  # a revoked key works for this long


def who_of(request: Request[Any, Any, Any]) -> Who:
    """Who the guard found."""
    who: Who = request.state.who
    return who


def address_of(connection: ASGIConnection, proxies: int) -> str:  # type: ignore[type-arg]
    """Where a request comes from; of X-Forwarded-For only what our own `proxies` proxies added is believed."""
    if proxies:
        hops = [hop.strip() for hop in connection.headers.get("x-forwarded-for", "").split(",")]
        if len(hops) >= proxies:
            return hops[-proxies][:64]
    return connection.client.host if connection.client else ""


def key_guard(store: Store, rate: int) -> Any:
    """-> the guard of /v1 (a function: Litestar copies guards, and locks cannot be copied)."""
    keys = Keys(store, rate)

    async def guard(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        await keys.check(connection, handler)

    return guard


class Keys:
    """Who a key belongs to, and whether it may. Puts Who into connection.state.who."""

    def __init__(self, store: Store, rate: int) -> None:
        self._store = store
        self._rates = Buckets(rate, rate * 2)
        self._wrong = Buckets(2, 100)  # keys are too long to guess: this only keeps the noise down
        self._known: OrderedDict[str, tuple[Who, float]] = OrderedDict()
        self._turn = Lock()

    async def check(self, connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        kind, _, key = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key:
            raise Problem(401, "no-key", "Send the header Authorization: Bearer YOUR-KEY.")
        who = self._remembered(key)
        if who is None:
            address = connection.client.host if connection.client else ""
            if wait := self._wrong.take(address):
                raise Problem(429, "too-many-wrong-keys", "Too many wrong keys from here.", retry_after_s=wait)
            owner = oauth.owner if key.startswith(oauth.ACCESS) else auth.key_owner
            who = await anyio.to_thread.run_sync(owner, self._store, key)
            if who is None:
                raise Problem(401, "wrong-key", "This key is not known, or was revoked.")
            self._wrong.give_back(address)
            with self._turn:
                self._known[key] = (who, monotonic())
                while len(self._known) > 10_000:
                    self._known.popitem(last=False)
        if wait := self._rates.take(who.id):
            raise Problem(429, "too-many-requests", "This key asks too often.", retry_after_s=wait)
        scope = handler.opt.get("scope")
        if scope and scope not in who.scopes:
            raise Problem(403, "no-scope", f"This key lacks the scope {scope}.")
        connection.state.who = who

    def _remembered(self, key: str) -> Who | None:
        with self._turn:
            found = self._known.get(key)
        return found[0] if found and monotonic() - found[1] < KEEP_S else None
