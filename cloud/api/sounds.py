"""/v1/sounds: what a shop's boxes play for an event, in place of the sound that they came with."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
import sqlalchemy as sa
from litestar import Controller, Request, Response, delete, get, put
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from cloud import sounds
from cloud.api.access import who_of
from cloud.api.problem import Problem, not_found
from cloud.api.shapes import iso_sure
from cloud.context import Cloud
from cloud.facts import Places

Ask = Request[Any, Any, Any]
Shop = Annotated[str, QueryParameter(max_length=64, pattern=r"^[a-z0-9-]*$", description="Empty: all shops.")]


class SoundOut(Struct):
    """`shop` is empty where the sound is that of all shops; `boxes` that have it already, of those that stand there."""

    event: str
    shop: str
    seconds: float
    changed_at: str
    boxes: list[str]


class SoundsOut(Struct):
    events: list[str]
    sounds: list[SoundOut]


class Sounds(Controller):
    path = "/sounds"
    tags = ("shops",)

    @get("/", opt={"scope": "orders:read"}, sync_to_thread=True, summary="Alert sounds of a shop's own")
    def list(self, request: Ask, cloud: Cloud, shop: Shop = "") -> SoundsOut:
        """`events` are all that may have one. What is not listed plays as it came with the box."""
        merchant = who_of(request).merchant
        with cloud.store.read() as connection:
            _known(connection, merchant, shop)
            return _listed(connection, merchant, shop)

    @get("/{event:str}", opt={"scope": "orders:read"}, sync_to_thread=True, media_type="audio/wav")
    def one(self, event: FromPath[str], request: Ask, cloud: Cloud, shop: Shop = "") -> Response[bytes]:
        """As the boxes play it: one channel, 16 kHz."""
        with cloud.store.read() as connection:
            data = sounds.data_of(connection, who_of(request).merchant, shop, event)
        if data is None:
            raise not_found()
        return Response(sounds.as_wav(data), media_type="audio/wav")

    @put(
        "/{event:str}",
        opt={"scope": "orders:write"},
        status_code=200,
        request_max_body_size=sounds.MOST_FILE,
        summary="Give an event a sound of your own",
    )
    async def set(self, event: FromPath[str], request: Ask, cloud: Cloud, shop: Shop = "") -> SoundsOut:
        """The body is a WAV file of at most 4.8 s and 2 MB, 8 to 32 bits, any rate. Only its samples are kept. Boxes
        get it at once, or as soon as they are on line."""
        file = await request.body()
        return await anyio.to_thread.run_sync(_set, request, cloud, event, shop, file)

    @delete("/{event:str}", opt={"scope": "orders:write"}, status_code=204, sync_to_thread=True)
    def remove(self, event: FromPath[str], request: Ask, cloud: Cloud, shop: Shop = "") -> None:
        """The sound that came with the box plays again."""
        with cloud.store.write() as connection:
            if not sounds.remove(connection, who_of(request), shop, event):
                raise not_found()
        cloud.bell.ring()


def _set(request: Ask, cloud: Cloud, event: str, shop: str, file: bytes) -> SoundsOut:
    who = who_of(request)
    if event not in sounds.EVENTS:
        raise not_found()
    data = tidied(who.merchant, file)
    with cloud.store.write() as connection:
        _known(connection, who.merchant, shop)
        sounds.keep(connection, who, shop, event, data)
        out = _listed(connection, who.merchant, shop)
    cloud.bell.ring()
    return out


def tidied(merchant: str, file: bytes) -> bytes:
    """What is kept of a file. Raises Problem."""
    if wait := sounds.PACE.take(merchant):
        raise Problem(429, "too-many-sounds", "Too many files one after the other.", retry_after_s=wait)
    try:
        return sounds.tidy(file)
    except sounds.BadSound as error:
        raise Problem(422, "bad-sound", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _known(connection: sa.Connection, merchant: str, shop: str) -> None:
    if not any(one.id == shop for one in Places(connection, [merchant]).all(merchant)):
        raise not_found()


def _listed(connection: sa.Connection, merchant: str, shop: str) -> SoundsOut:
    held = sounds.held(connection, merchant, shop)
    found = [
        SoundOut(
            one.event,
            one.shop,
            round(one.seconds, 1),
            iso_sure(one.changed_at),
            [box for box, has in held.items() if has.get(one.event) == one.digest],
        )
        for one in sounds.of_shop(connection, merchant, shop).values()
    ]
    return SoundsOut([*sounds.EVENTS], found)
