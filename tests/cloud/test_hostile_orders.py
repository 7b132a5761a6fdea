"""What a platform, or whoever has its key, may not make a printer do: too much paper, or bytes of their own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

SOUP: dict[str, Any] = {"name": "Soup", "unit_price": 500}


def order(cafe: httpx.Client, **fields: Any) -> httpx.Response:
    return cafe.post("/v1/orders", json={"kind": "takeaway", "items": [SOUP], **fields})


@pytest.mark.covers("A6")
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"items": [SOUP] * 200}, {"items": [SOUP] * 201}),
        ({"items": [SOUP]}, {"items": []}),
        ({"note": "x" * 500}, {"note": "x" * 501}),
        ({"items": [{"name": "x" * 200}]}, {"items": [{"name": "x" * 201}]}),
        ({"items": [SOUP | {"options": ["x"] * 30}]}, {"items": [SOUP | {"options": ["x"] * 31}]}),
        ({"items": [SOUP | {"quantity": 999}]}, {"items": [SOUP | {"quantity": 1000}]}),
    ],
    ids=["items", "no items", "note", "name", "options", "quantity"],
)
def test_an_order_is_as_long_as_a_slip_may_be_and_not_one_longer(
    cafe: httpx.Client, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    assert order(cafe, **good).status_code == 201
    answer = order(cafe, **bad)
    assert answer.status_code == 400 and "title" in answer.json()


@pytest.mark.covers("A6")
def test_a_body_of_megabytes_is_refused_unread(cafe: httpx.Client) -> None:
    assert order(cafe, note="x" * 3_000_000).status_code == 413


@pytest.mark.covers("A8")
@pytest.mark.parametrize("field", ["raw", "escpos", "bytes", "commands", "template"])
def test_there_is_no_door_for_printer_commands(cafe: httpx.Client, field: str) -> None:
    """Neither a field of an order nor an address of the API takes bytes for a printer."""
    made = order(cafe, **{field: "G0BpAA=="})  # what the API does not know is left out, as everywhere
    assert "G0BpAA" not in made.text + cafe.get(f"/v1/orders/{made.json()['id']}").text
    known = cafe.get("/v1/openapi.json").json()["paths"]
    assert not [path for path, verbs in known.items() if field in path.split("/") and set(verbs) & {"post", "put"}]
    for path in (f"/v1/{field}", f"/v1/boxes/cafe-front-1/{field}", f"/v1/orders/{field}"):
        assert cafe.post(path, content=b"\x1bp\x00\x19\xfa").status_code in (404, 405)
