"""cloud/channels: a platform's own webhook, from its signature to the order in review. A real cloud over HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from cloud import channels
from cloud.channels import NotAnOrder, woocommerce
from tests.cloud.conftest import Cloud

ORDER: dict[str, Any] = {
    "id": 727, "number": "727", "status": "processing", "currency": "EUR", "total": "29.35",
    "customer_note": "ring twice",
    "billing": {"first_name": "Anna", "last_name": "Berg", "phone": "+49 170 1234567", "address_1": "Elsewhere 1"},
    "shipping": {"address_1": "Harbour Street 12", "address_2": "", "postcode": "20457", "city": "Hamburg"},
    "shipping_lines": [{"method_id": "flat_rate", "total": "3.00"}],
    "line_items": [
        {"name": "Pizza Margherita", "quantity": 2, "total": "16.82", "total_tax": "1.18",
         "meta_data": [{"key": "size", "display_key": "Size", "display_value": "large"},
                       {"key": "_internal", "display_key": "x", "display_value": "y"}]},
        {"name": "Tiramisù", "quantity": 1, "total": "7.80", "total_tax": "0.55", "meta_data": []},
    ],
}  # fmt: skip


def post(cafe: httpx.Client, door: dict[str, Any], order: dict[str, Any], **headers: str) -> httpx.Response:
    body = json.dumps(order).encode()
    signed = base64.b64encode(hmac.new(door["secret"].encode(), body, hashlib.sha256).digest()).decode()
    head = {"X-WC-Webhook-Topic": "order.created", "X-WC-Webhook-Signature": signed, "Content-Type": "application/json"}
    path = "/hooks/" + door["url"].partition("/hooks/")[2]
    return cafe.post(path, content=body, headers={**head, **headers})


@pytest.fixture(scope="module")
def door(cloud: Cloud, cafe: httpx.Client) -> dict[str, Any]:
    answer = cafe.put("/v1/doors/woocommerce")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_order_of_a_web_shop_waits_for_the_shop(cafe: httpx.Client, door: dict[str, Any]) -> None:
    taken = post(cafe, door, ORDER)
    assert taken.status_code == 200 and taken.json()["result"] == "new", taken.text
    order = cafe.get(f"/v1/orders/{taken.json()['order']}").json()
    content = order["content"]
    assert (order["channel"], order["external_id"], order["state"]) == ("woocommerce", "727", "review")
    assert (content["kind"], content["total"], content["phone"]) == ("delivery", 2935, "*** 567")
    assert content["address"] == "Harbour Street 12, 20457 Hamburg"
    assert content["items"][0] == {
        "name": "Pizza Margherita",
        "quantity": 2,
        "unit_price": 900,
        "options": ["Size: large"],
    }


@pytest.mark.covers("A25", "A50")
def test_the_same_message_again_is_the_same_order_and_a_changed_one_prints_nothing(
    cafe: httpx.Client, door: dict[str, Any]
) -> None:
    first = post(cafe, door, {**ORDER, "id": 800}).json()
    again = post(cafe, door, {**ORDER, "id": 800}, **{"X-WC-Webhook-Topic": "order.updated"}).json()
    assert (again["result"], again["order"]) == ("known", first["order"])
    assert post(cafe, door, {**ORDER, "id": 800, "customer_note": "other"}).json()["result"] == "other"


@pytest.mark.covers("A50")
def test_what_the_platform_did_not_sign_is_refused(cafe: httpx.Client, door: dict[str, Any]) -> None:
    for wrong in ("", "AAAA", base64.b64encode(b"x" * 32).decode()):
        assert post(cafe, door, {**ORDER, "id": 900}, **{"X-WC-Webhook-Signature": wrong}).status_code == 401
    assert post(cafe, {**door, "url": "/hooks/woocommerce/guessed"}, ORDER).status_code == 404
    assert post(cafe, {**door, "url": door["url"].replace("woocommerce", "native")}, ORDER).status_code == 404
    old = dict(door)
    new = cafe.put("/v1/doors/woocommerce").json()
    assert post(cafe, old, {**ORDER, "id": 901}).status_code == 404  # the old address is closed
    door |= new
    assert post(cafe, door, {**ORDER, "id": 901}).json()["result"] == "new"


def test_what_is_no_new_order_is_taken_and_left_alone(cafe: httpx.Client, door: dict[str, Any]) -> None:
    assert post(cafe, door, {**ORDER, "id": 950, "status": "pending"}).json()["result"] == "nothing"
    assert post(cafe, door, {"webhook_id": 3}, **{"X-WC-Webhook-Topic": ""}).json()["result"] == "nothing"
    assert post(cafe, door, {"id": "what?"}).status_code == 422
    assert post(cafe, door, {**ORDER, "id": 951, "line_items": []}).status_code == 422


def test_what_the_platform_withdraws_is_cancelled_once(cafe: httpx.Client, door: dict[str, Any]) -> None:
    taken = post(cafe, door, {**ORDER, "id": 960}).json()
    gone = {**ORDER, "id": 960, "status": "cancelled"}
    updated = {"X-WC-Webhook-Topic": "order.updated"}
    for _ in range(2):  # it sends everything twice
        assert post(cafe, door, gone, **updated).json() == {"result": "cancelled", "order": taken["order"]}
    order = cafe.get(f"/v1/orders/{taken['order']}").json()
    assert (order["state"], order["reason"]) == ("cancelled", "cancelled in the web shop")
    assert post(cafe, door, {**ORDER, "id": 960}).json()["result"] == "known"  # the first message once more
    assert cafe.get(f"/v1/orders/{taken['order']}").json()["state"] == "cancelled"
    assert post(cafe, door, {"id": 961}, **{"X-WC-Webhook-Topic": "order.deleted"}).json()["result"] == "nothing"
    refused = post(cafe, door, {**ORDER, "id": 962}).json()["order"]
    cafe.post(f"/v1/orders/{refused}/reject", json={"code": "too_busy"})
    assert post(cafe, door, {"id": 962}, **{"X-WC-Webhook-Topic": "order.deleted"}).json()["result"] == "late"


@pytest.mark.covers("A46")
@pytest.mark.parametrize("total", ["-1.00", "NaN", "Infinity", "1e99", "twelve"])
def test_an_amount_that_is_none_is_refused(total: str) -> None:
    headers = {"x-wc-webhook-topic": "order.created"}
    with pytest.raises(NotAnOrder):
        woocommerce.read(headers, json.dumps({**ORDER, "total": total}).encode())


def test_every_channel_keeps_the_contract() -> None:
    assert channels.names() == ["woocommerce"] and channels.channel("../auth") is None
    for name in channels.names():
        found = channels.channel(name)
        assert found is not None and found.SIGNED_BY.islower()
        assert not found.verify("secret", {}, b"") and callable(found.read)
