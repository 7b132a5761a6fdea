"""woocommerce: a web shop's own orders, by its webhook `order.updated` (or `order.created`; `order.deleted`).

In the shop: WooCommerce, Settings, Advanced, Webhooks: topic "Order updated" (it tells of new and of cancelled orders
alike), delivery URL https://OUR-HOST/hooks/woocommerce/TOKEN, and the secret that Tillwire shows. The body is the order
as its REST API has it (v3); prices are decimal texts, and a line's `total` is without tax: what the customer pays is
total + total_tax.

Source: WooCommerce REST API documentation, "Webhooks" and "Orders" (X-WC-Webhook-Signature: base64 of HMAC-SHA256 over
the body).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from cloud.channels import Message, NotAnOrder, Withdrawn
from cloud.orders import Submission
from receipt.model import minor_digits
from receipt.slip_writer import clean
from wire.messages import OrderContent, OrderItem

SIGNED_BY = "x-wc-webhook-signature"
TOPICS = ("order.created", "order.updated", "order.deleted")
PAID = ("processing", "on-hold")  # a draft, or one that waits for its payment, is no order yet
GONE = ("cancelled", "refunded", "failed", "trash")
DELIVERED = ("flat_rate", "free_shipping")  # methods of delivery; local_pickup is fetched
MOST_ITEMS = 200


class Meta(msgspec.Struct):
    display_key: str = ""
    display_value: str = ""
    key: str = ""


class Line(msgspec.Struct):
    name: str
    quantity: int
    total: str = "0"
    total_tax: str = "0"
    meta_data: list[Meta] = []


class Person(msgspec.Struct):
    first_name: str = ""
    last_name: str = ""
    address_1: str = ""
    address_2: str = ""
    postcode: str = ""
    city: str = ""
    phone: str = ""


class Shipping(msgspec.Struct):
    method_id: str = ""


class Order(msgspec.Struct):
    id: int
    number: str
    status: str
    currency: str
    total: str
    line_items: list[Line]
    billing: Person = msgspec.field(default_factory=Person)
    shipping: Person = msgspec.field(default_factory=Person)
    shipping_lines: list[Shipping] = []
    customer_note: str = ""


class Brief(msgspec.Struct):
    """As much of an order as a deleted one still has."""

    id: int
    status: str = ""


_brief = msgspec.json.Decoder(Brief, strict=False)
_order = msgspec.json.Decoder(Order, strict=False)


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    right = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    return hmac.compare_digest(right, headers.get(SIGNED_BY, "").encode())


def read(headers: Mapping[str, str], body: bytes) -> Message:
    """Raises NotAnOrder."""
    topic = headers.get("x-wc-webhook-topic", "")
    if topic not in TOPICS:
        return None  # also the ping that WooCommerce sends when the webhook is saved
    try:
        brief = _brief.decode(body)
        if topic == "order.deleted" or brief.status in GONE:
            return Withdrawn(str(brief.id), f"{brief.status or 'deleted'} in the web shop")
        if brief.status not in PAID:
            return None
        order = _order.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnOrder(f"it is no order of WooCommerce's REST API v3: {error}") from error
    if not 0 < len(order.line_items) <= MOST_ITEMS:
        raise NotAnOrder(f"it has {len(order.line_items)} lines, where 1 to {MOST_ITEMS} can be printed")
    digits = minor_digits(order.currency)
    delivered = any(line.method_id in DELIVERED for line in order.shipping_lines)
    who = order.shipping if delivered and order.shipping.address_1 else order.billing
    place = (who.address_1, who.address_2, f"{who.postcode} {who.city}")
    content = OrderContent(
        number=clean(order.number)[:20],
        kind="delivery" if delivered else "takeaway",
        items=[_item(line, digits) for line in order.line_items],
        channel="woocommerce",
        customer=clean(f"{order.billing.first_name} {order.billing.last_name}")[:100],
        phone=_masked(order.billing.phone),
        address=", ".join(filter(None, map(clean, place)))[:200] if delivered else "",
        note=clean(order.customer_note)[:500],
        currency=order.currency,
        total=_minor(order.total, digits),
    )
    return Submission(content, "woocommerce", str(order.id))


def _item(line: Line, digits: int) -> OrderItem:
    if not 1 <= line.quantity <= 999:
        raise NotAnOrder(f"{line.name!r} is ordered {line.quantity} times")
    paid = _minor(line.total, digits) + _minor(line.total_tax, digits)
    options = [f"{meta.display_key}: {meta.display_value}" for meta in line.meta_data if not meta.key.startswith("_")]
    each = paid // line.quantity if paid % line.quantity == 0 else None  # a rounded price would not add up
    return OrderItem(clean(line.name)[:200] or "?", line.quantity, each, [clean(o)[:100] for o in options[:30]])


def _minor(text: str, digits: int) -> int:
    """A decimal text -> minor units. Raises NotAnOrder for what is none, or below zero."""
    try:
        value = Decimal(text or "0").scaleb(digits)
        whole = int(value.quantize(Decimal(1)))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise NotAnOrder(f"{text!r} is no amount") from error
    if not 0 <= whole <= 10_000_000_000:
        raise NotAnOrder(f"{text!r} is out of range")
    return whole


def _masked(phone: str) -> str:
    digits = [c for c in phone if c.isdigit()]
    return f"*** {''.join(digits[-3:])}" if digits else ""
