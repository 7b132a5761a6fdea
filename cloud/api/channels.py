"""Orders that platforms bring by their own webhooks (cloud/channels): the door, and /v1/doors that opens it."""

from __future__ import annotations

import hashlib
import logging
import secrets
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Controller, Request, delete, get, post, put
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from cloud import audit, channels, orders
from cloud.api.access import who_of
from cloud.api.problem import Problem, not_found
from cloud.api.shapes import check_text, iso_sure
from cloud.channels import NotAnOrder, Withdrawn
from cloud.context import Cloud, Context
from cloud.orders import Submission
from cloud.store.rules import doors
from wire.messages import now_ms

log = logging.getLogger("cloud.channels")
Ask = Request[Any, Any, Any]


class DoorOut(Struct):
    """Give `url` and `secret` to the platform; they are shown only when the door is made."""

    channel: str
    created_at: str
    url: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET


class DoorsOut(Struct):
    doors: list[DoorOut]
    known: list[str]  # channels that there are


class TakenOut(Struct):
    result: str  # new | known | other | cancelled | late | nothing
    order: str | None = None


class Doors(Controller):
    path = "/doors"
    tags = ("orders",)

    @get("/", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Platforms that bring orders by themselves")
    def list(self, request: Ask, cloud: Cloud) -> DoorsOut:
        with cloud.store.read() as connection:
            mine = sa.select(doors).where(doors.c.merchant_id == who_of(request).merchant).order_by(doors.c.channel)
            found = [DoorOut(row.channel, iso_sure(row.created_at)) for row in connection.execute(mine)]
        return DoorsOut(found, channels.names())

    @put("/{channel:str}", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def open(self, channel: FromPath[str], request: Ask, cloud: Cloud) -> DoorOut:
        """Make the address and the secret for a platform's webhook; what there was before stops working."""
        if channel not in channels.names():
            raise Problem(422, "no-channel", f"channel is one of {', '.join(channels.names())}.")
        who, token, secret, at = who_of(request), secrets.token_urlsafe(24), secrets.token_urlsafe(32), now_ms()
        with cloud.store.write() as connection:
            _close(connection, who.merchant, channel)
            connection.execute(
                sa.insert(doors).values(
                    merchant_id=who.merchant, channel=channel, token_hash=_hash(token), secret=secret, created_at=at
                )
            )
            audit.add(connection, who.merchant, who.name, "door.open", channel)
        web = cloud.config.web
        url = f"{web.public_url.rstrip('/') or 'http://' + web.listen}/hooks/{channel}/{token}"
        return DoorOut(channel, iso_sure(at), url, secret)

    @delete("/{channel:str}", opt={"scope": "orders:write"}, sync_to_thread=True)
    def close(self, channel: FromPath[str], request: Ask, cloud: Cloud) -> None:
        who = who_of(request)
        with cloud.store.write() as connection:
            _close(connection, who.merchant, channel)
            audit.add(connection, who.merchant, who.name, "door.close", channel)


@post("/hooks/{channel:str}/{token:str}", status_code=200, opt={"public": True}, include_in_schema=False)
async def channel_hook(channel: FromPath[str], token: FromPath[str], request: Ask, cloud: Cloud) -> TakenOut:
    """A platform's webhook. What is not signed by it is refused; what is no new order is taken and left alone."""
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    return await anyio.to_thread.run_sync(_take, cloud, channel, token, headers, body)


def _take(cloud: Context, name: str, token: str, headers: dict[str, str], body: bytes) -> TakenOut:
    found = channels.channel(name)
    with cloud.store.read() as connection:
        door = connection.execute(
            sa.select(doors).where(doors.c.token_hash == _hash(token), doors.c.channel == name)
        ).first()  # fmt: skip
    if found is None or door is None:
        raise not_found()
    if not found.verify(door.secret, headers, body):
        log.warning("channel=%s merchant=%s a message with a wrong signature", name, door.merchant_id)
        raise Problem(401, "wrong-signature", f"The signature in {found.SIGNED_BY} does not fit the body.")
    try:
        order = found.read(headers, body)
    except NotAnOrder as error:
        raise Problem(422, "no-order", f"This message is not understood: {error}.") from None
    if order is None:
        return TakenOut("nothing")
    if isinstance(order, Withdrawn):
        return _withdraw(cloud, door.merchant_id, name, order)
    if errors := check_text(order.content):
        raise Problem(422, "bad-text", "Control characters are not accepted in an order.", errors=errors)
    try:
        order_id, made = _submit(cloud, door.merchant_id, name, order)
    except orders.OtherBody:  # it was changed at the platform after it came; the shop has the first one
        log.warning("channel=%s merchant=%s order %s came again, changed", name, door.merchant_id, order.external_id)
        return TakenOut("other")
    cloud.bell.ring()
    return TakenOut("new" if made else "known", order_id)


def _submit(cloud: Context, merchant: str, name: str, order: Submission) -> tuple[str, bool]:
    def once() -> tuple[str, bool]:
        with cloud.store.write() as connection:
            return orders.submit(connection, merchant, order, name, cloud.config.orders)

    try:
        return once()
    except sa.exc.IntegrityError:  # the platform sent it twice at once, and the other one was first
        return once()


def _withdraw(cloud: Context, merchant: str, name: str, wish: Withdrawn) -> TakenOut:
    """`late`: it ended already, and not on paper."""
    with cloud.store.write() as connection:
        order_id = orders.by_external_id(connection, merchant, name, wish.external_id)
        if order_id is None:
            return TakenOut("nothing")
        try:
            orders.cancel(connection, merchant, order_id, name, wish.reason, cloud.config.orders)
        except orders.WrongState:
            return TakenOut("late", order_id)
    cloud.bell.ring()
    return TakenOut("cancelled", order_id)


def _close(connection: sa.Connection, merchant: str, channel: str) -> None:
    connection.execute(sa.delete(doors).where(doors.c.merchant_id == merchant, doors.c.channel == channel))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
