"""The routes of /v1. Each names the scope it needs; a foreign id answers as one that does not exist: 404.

`since`, `until`, `before`, `next`: lists come newest first; ask again with before=`next` until it is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from cloud import views
from cloud.admin import set_channel
from cloud.api.access import who_of
from cloud.api.channels import Doors
from cloud.api.menu import Menus
from cloud.api.orders import Limit, Orders, Text
from cloud.api.problem import not_found
from cloud.api.rules import ShopRules
from cloud.api.shapes import (
    BoxesOut,
    BoxOut,
    EventsOut,
    ReceiptOut,
    ReceiptsOut,
    from_iso,
)
from cloud.api.shops import Shops
from cloud.api.sounds import Sounds
from cloud.api.webhooks import Hooks
from cloud.console.paper import POLICY, html_of, png_of
from cloud.context import Cloud

Ask = Request[Any, Any, Any]


class ChannelIn(Struct):
    auto_accept: bool


class Receipts(Controller):
    path = "/receipts"
    tags = ("receipts",)

    @get("/", opt={"scope": "receipts:read"}, sync_to_thread=True, summary="Search receipts")
    def list(
        self,
        request: Ask,
        cloud: Cloud,
        limit: Limit = 50,
        before: Text = None,
        box: Text = None,
        number: Text = None,
        kind: Text = None,
        q: Text = None,
        total: Annotated[int | None, QueryParameter(ge=-(2**53), le=2**53)] = None,
        since: Text = None,
        until: Text = None,
    ) -> ReceiptsOut:
        """`q` is looked for in the text; `total` in minor units; `since` and `until` are when it came to us."""
        with cloud.store.read() as connection:
            found, after = views.receipt_page(
                connection,
                who_of(request).merchant,
                limit,
                before=before,
                box=box,
                number=number,
                kind=kind,
                text=q,
                total=total,
                since_ms=from_iso(since, "since"),
                until_ms=from_iso(until, "until"),
            )
        return ReceiptsOut(found, after)

    @get("/{receipt_id:str}", opt={"scope": "receipts:read"}, sync_to_thread=True, summary="One receipt, all of it")
    def one(self, receipt_id: FromPath[str], request: Ask, cloud: Cloud) -> ReceiptOut:
        return self._find(receipt_id, request, cloud)

    @get("/{receipt_id:str}/text", opt={"scope": "receipts:read"}, media_type="text/plain", sync_to_thread=True)
    def text(self, receipt_id: FromPath[str], request: Ask, cloud: Cloud) -> str:
        return str(self._find(receipt_id, request, cloud).text)

    @get("/{receipt_id:str}/html", opt={"scope": "receipts:read"}, media_type="text/html", sync_to_thread=True)
    def html(self, receipt_id: FromPath[str], request: Ask, cloud: Cloud) -> Response[str]:
        """The paper, styled, as one page without scripts."""
        found = self._find(receipt_id, request, cloud)
        page = html_of(cloud.pictures, self._raw(receipt_id, request, cloud), str(found.text))
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    @get("/{receipt_id:str}/png", opt={"scope": "receipts:read"}, media_type="image/png", sync_to_thread=True)
    def png(self, receipt_id: FromPath[str], request: Ask, cloud: Cloud) -> Response[bytes]:
        """The paper as a picture, one dot of the printer a pixel."""
        found = self._find(receipt_id, request, cloud)
        picture = png_of(cloud.pictures, self._raw(receipt_id, request, cloud), str(found.text))
        return Response(picture, media_type="image/png")

    @get(
        "/{receipt_id:str}/raw",
        opt={"scope": "receipts:read"},
        sync_to_thread=True,
        media_type="application/octet-stream",
    )
    def raw(self, receipt_id: FromPath[str], request: Ask, cloud: Cloud) -> Response[bytes]:
        """The bytes that the POS printed, card numbers masked. 404 where they stay on the box."""
        self._find(receipt_id, request, cloud)
        data = self._raw(receipt_id, request, cloud)
        if data is None:
            raise not_found()
        return Response(data, media_type="application/octet-stream")

    def _find(self, receipt_id: str, request: Ask, cloud: Cloud) -> ReceiptOut:
        with cloud.store.read() as connection:
            found = views.receipt(connection, who_of(request).merchant, receipt_id)
        if found is None:
            raise not_found()
        return found

    def _raw(self, receipt_id: str, request: Ask, cloud: Cloud) -> bytes | None:
        with cloud.store.read() as connection:
            return views.raw(connection, who_of(request).merchant, receipt_id)


class Boxes(Controller):
    path = "/boxes"
    tags = ("boxes",)

    @get("/", opt={"scope": "boxes:read"}, sync_to_thread=True, summary="Boxes and their printers")
    def list(self, request: Ask, cloud: Cloud) -> BoxesOut:
        with cloud.store.read() as connection:
            return BoxesOut(views.box_list(connection, who_of(request).merchant))

    @get("/{box_id:str}", opt={"scope": "boxes:read"}, sync_to_thread=True)
    def one(self, box_id: FromPath[str], request: Ask, cloud: Cloud) -> BoxOut:
        with cloud.store.read() as connection:
            found = views.box_list(connection, who_of(request).merchant, box_id)
        if not found:
            raise not_found()
        return found[0]


class Channels(Controller):
    path = "/channels"
    tags = ("orders",)

    @put("/{channel:str}", opt={"scope": "orders:write"}, sync_to_thread=True)
    def set(self, channel: FromPath[str], data: JSONBody[ChannelIn], request: Ask, cloud: Cloud) -> ChannelIn:
        """Whether takeaway and delivery orders of a channel are accepted without a person."""
        if not channel.isascii() or not channel.replace("-", "").replace("_", "").isalnum() or len(channel) > 32:
            raise not_found()
        who = who_of(request)
        with cloud.store.write() as connection:
            set_channel(connection, who.merchant, channel, data.auto_accept, who.name)
        return data


@get("/events", opt={"scope": "events:read"}, sync_to_thread=True, tags=["events"], summary="What happened since")
def event_list(
    request: Ask,
    cloud: Cloud,
    after: Annotated[int, QueryParameter(ge=0, le=2**53 - 1)] = 0,
    limit: Limit = 50,
) -> EventsOut:
    """In order, each once: what a webhook missed can be pulled here."""
    with cloud.store.read() as connection:
        found = views.event_page(connection, who_of(request).merchant, after, limit)
    return EventsOut(found, found[-1].n if found else after)


ROUTES: Sequence[Any] = (Orders, Receipts, Boxes, Shops, Sounds, Channels, Doors, ShopRules, Menus, event_list, Hooks)
