"""/v1/orders: submitted, looked up, accepted or rejected, cancelled, printed again. 404 for what is another merchant's.

Lists come newest first; ask again with before=`next` until it is null.
"""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from msgspec import Meta, Struct

from cloud import audit, orders, previews, views
from cloud.api.access import who_of
from cloud.api.problem import Problem, not_found
from cloud.api.shapes import OrderIn, OrderOut, OrdersOut, ReasonIn, check_text
from cloud.auth import Who
from cloud.context import Cloud
from cloud.review import REASONS
from wire.messages import OrderContent, OrderItem
from wire.topics import is_box

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Text = Annotated[str | None, QueryParameter(max_length=100)]
States = Annotated[str | None, QueryParameter(name="state", max_length=200, description="One or more, by comma.")]
Ask = Request[Any, Any, Any]
Minutes = Annotated[int | None, QueryParameter(ge=0, le=480)]


class RejectIn(Struct):
    reason: Annotated[str, Meta(max_length=200, description="Shown to the customer. Empty: what the code says.")] = ""
    code: Annotated[str, Meta(max_length=32)] = ""


class ReprintIn(Struct):
    reason: Annotated[str, Meta(max_length=200)] = ""
    part: Annotated[str, Meta(max_length=32, description="kitchen, bar ... Empty: all of it.")] = ""


class Orders(Controller):
    path = "/orders"
    tags = ("orders",)

    @post("/", opt={"scope": "orders:write"}, sync_to_thread=True, summary="Submit an order")
    def submit(
        self,
        data: JSONBody[OrderIn],
        request: Ask,
        cloud: Cloud,
        idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key", max_length=200)] = None,
    ) -> Response[OrderOut]:
        """201 when it is new; 200 when the same order was submitted before (same external_id or Idempotency-Key, same
        body); 409 when the body is another one. Dine-in orders print at once, others wait for the shop unless it
        accepts the channel by itself."""
        if errors := check_text(data) + (check_text(idempotency_key, "Idempotency-Key") if idempotency_key else []):
            raise Problem(422, "bad-text", "Control characters are not accepted in an order.", errors=errors)
        who = who_of(request)
        if data.box and not is_box(data.box):
            raise not_found()
        order = orders.Submission(
            _content(data), data.channel, data.external_id, idempotency_key, data.box, data.printer, data.shop_id
        )
        try:
            order_id, made = self._submit(cloud, who, order)
        except sa.exc.IntegrityError:  # another worker stored the same one in this moment
            order_id, made = self._submit(cloud, who, order)
        cloud.bell.ring()
        with cloud.store.read() as connection:
            view = views.order(connection, who.merchant, order_id)
        if view is None:
            raise not_found()
        return Response(view, status_code=201 if made else 200, headers={"Location": f"/v1/orders/{order_id}"})

    def _submit(self, cloud: Cloud, who: Who, order: orders.Submission) -> tuple[str, bool]:
        try:
            with cloud.store.write() as connection:
                return orders.submit(connection, who.merchant, order, who.name, cloud.config.orders)
        except orders.NoBox:
            if order.box:
                raise not_found() from None
            raise

    @get("/", opt={"scope": "orders:read"}, sync_to_thread=True, summary="List orders")
    def list(
        self, request: Ask, cloud: Cloud, limit: Limit = 50, before: Text = None, states: States = None
    ) -> OrdersOut:
        with cloud.store.read() as connection:
            found, after = views.order_page(
                connection, who_of(request).merchant, limit, before, states.split(",") if states else None
            )
        return OrdersOut(found, after)

    @get("/{order_id:str}", opt={"scope": "orders:read"}, sync_to_thread=True, summary="What became of an order")
    def one(self, order_id: FromPath[str], request: Ask, cloud: Cloud) -> OrderOut:
        """`state` and `proof` say what is known: `printed` always has a proof of L1 or better; `unconfirmed` means that
        bytes were sent and the printer did not confirm."""
        with cloud.store.read() as connection:
            view = views.order(connection, who_of(request).merchant, order_id)
        if view is None:
            raise not_found()
        return view

    @get("/{order_id:str}/slip.png", opt={"scope": "orders:read"}, media_type="image/png", sync_to_thread=True)
    def slip(
        self,
        order_id: FromPath[str],
        request: Ask,
        cloud: Cloud,
        part: Annotated[str, QueryParameter(max_length=32)] = "",
    ) -> Response[bytes]:
        """What the slip looks like on its printer's paper, made of the bytes that are printed."""
        with cloud.store.read() as connection:
            found = previews.of_order(connection, who_of(request).merchant, order_id, part)
        if found is None:
            raise not_found()
        return Response(previews.png(found), media_type="image/png")

    @post("/{order_id:str}/accept", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def accept(self, order_id: FromPath[str], request: Ask, cloud: Cloud, ready_in_min: Minutes = None) -> OrderOut:
        """`ready_in_min`: minutes that the customer is promised; without it, what the shop says for all."""
        who = who_of(request)
        with cloud.store.write() as connection:
            orders.accept(connection, who.merchant, order_id, who.name, cloud.config.orders, ready_in_min)
        return self._now(order_id, request, cloud)

    @post("/{order_id:str}/reject", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def reject(self, order_id: FromPath[str], data: JSONBody[RejectIn], request: Ask, cloud: Cloud) -> OrderOut:
        """`code` is one of GET /v1/shop/reasons; `reason`, in the shop's own words, is what the customer reads."""
        who = who_of(request)
        if errors := check_text(data):
            raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
        if not data.code and not data.reason.strip():
            raise Problem(400, "no-reason", "A rejection needs a code or a reason: the customer is told why.")
        if data.code and data.code not in REASONS:
            raise Problem(422, "bad-code", f"code is one of {', '.join(REASONS)}.")
        with cloud.store.write() as connection:
            orders.reject(connection, who.merchant, order_id, who.name, data.reason.strip(), data.code)
        return self._now(order_id, request, cloud)

    @post("/{order_id:str}/reprint", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def reprint(self, order_id: FromPath[str], data: JSONBody[ReprintIn], request: Ask, cloud: Cloud) -> OrderOut:
        """Print the order, or one part of it, once more. What may be on paper already is headed COPY n."""
        who = who_of(request)
        if errors := check_text(data):
            raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
        with cloud.store.write() as connection:
            settings = cloud.config.orders
            orders.reprint(connection, who.merchant, order_id, who.name, data.reason.strip(), settings, data.part)
            audit.add(connection, who.merchant, who.name, "order.reprint", order_id, data.part)
        return self._now(order_id, request, cloud)

    @post("/{order_id:str}/acknowledge", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def acknowledge(self, order_id: FromPath[str], request: Ask, cloud: Cloud) -> OrderOut:
        """Somebody has heard: the sounds about this order stop at its boxes."""
        with cloud.store.write() as connection:
            orders.acknowledge(connection, who_of(request).merchant, order_id)
        return self._now(order_id, request, cloud)

    @post("/{order_id:str}/cancel", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def cancel(self, order_id: FromPath[str], data: JSONBody[ReasonIn], request: Ask, cloud: Cloud) -> OrderOut:
        """Not yet at the box: `cancelled`. Else `cancelling`, until the box says whether it was in time."""
        who = who_of(request)
        with cloud.store.write() as connection:
            orders.cancel(connection, who.merchant, order_id, who.name, _reason(data), cloud.config.orders)
        return self._now(order_id, request, cloud)

    @post("/{order_id:str}/close", opt={"scope": "orders:write"}, status_code=200, sync_to_thread=True)
    def close(self, order_id: FromPath[str], data: JSONBody[ReasonIn], request: Ask, cloud: Cloud) -> OrderOut:
        """A person dealt with an order that is `unconfirmed` or `failed`."""
        who = who_of(request)
        with cloud.store.write() as connection:
            orders.close(connection, who.merchant, order_id, who.name, _reason(data))
        return self._now(order_id, request, cloud)

    def _now(self, order_id: str, request: Ask, cloud: Cloud) -> OrderOut:
        cloud.bell.ring()
        with cloud.store.read() as connection:
            view = views.order(connection, who_of(request).merchant, order_id)
        if view is None:
            raise not_found()
        return view


def _reason(data: ReasonIn) -> str:
    if errors := check_text(data):
        raise Problem(422, "bad-text", "Control characters are not accepted.", errors=errors)
    return data.reason.strip()


def masked(phone: str) -> str:
    """The last digits are enough to ask for: the slip lies about in a kitchen.

    >>> masked("+49 170 1234567"), masked("")
    ('*** 567', '')
    """
    digits = [c for c in phone if c.isdigit()]
    return f"*** {''.join(digits[-3:])}" if digits else ""


def _content(data: OrderIn) -> OrderContent:
    items = [
        OrderItem(i.name, i.quantity, i.unit_price, i.options, i.note, i.category, i.allergens) for i in data.items
    ]
    total = data.total
    if total is None and all(i.unit_price is not None for i in items):
        total = sum(i.quantity * (i.unit_price or 0) for i in items)
    return OrderContent(
        number=data.number,
        kind=data.kind,
        items=items,
        channel=data.channel,
        table=data.table,
        customer=data.customer,
        note=data.note,
        currency=data.currency,
        total=total,
        placed_at=data.placed_at,
        due_at=data.due_at,
        shop=data.shop,
        phone=masked(data.phone),
        address=data.address,
        distance=data.distance,
        link=data.link,
    )
