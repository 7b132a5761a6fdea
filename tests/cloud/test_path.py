"""The two flows, end to end through a running cloud: a receipt to its ack, an order to paper."""

from __future__ import annotations

from typing import Any

import httpx

from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox
from wire.messages import PrintOrder, Proof

ORDER = {
    "kind": "dine_in",
    "table": "7",
    "external_id": "A-1001",
    "currency": "EUR",
    "items": [
        {"name": "Flat white", "quantity": 2, "unit_price": 420, "options": ["oat milk"]},
        {"name": "Almond croissant", "unit_price": 390},
    ],
}


def test_a_receipt_is_stored_acknowledged_read_and_shown(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> None:
    sent = front.capture()
    front.acked([sent.seq])
    ack = front.acks[front.epoch, sent.seq]
    assert (ack.sha256, ack.result) == (sent.sha256, "stored")

    def read() -> list[dict[str, Any]]:
        receipts = cafe.get("/v1/receipts").json()["receipts"]
        return [r for r in receipts if (r["epoch"], r["seq"], r["state"]) == (front.epoch, sent.seq, "read")]

    (found,) = until(read)
    assert (found["box"], found["seq"], found["sha256"]) == (front.name, sent.seq, sent.sha256.hex())
    assert found["receipts"][0]["total"] == 1230
    assert cafe.get(f"/v1/receipts/{found['id']}/raw").content == sent.raw
    assert "CORNER CAFE" in cafe.get(f"/v1/receipts/{found['id']}/text").text
    assert cafe.get(f"/v1/receipts/{found['id']}/png").content.startswith(b"\x89PNG")


def test_an_order_is_printed_and_its_proof_is_told(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> None:
    made = cafe.post("/v1/orders", json=ORDER)
    assert made.status_code == 201, made.text
    order = made.json()
    assert order["state"] in ("queued", "sent")
    assert order["content"]["total"] == 1230

    slip = front.order(order["id"])
    assert isinstance(slip, PrintOrder)
    assert (slip.order, slip.content.table, slip.content.items[0].quantity) == (order["id"], "7", 2)
    front.print_order(slip.order, Proof.L2)

    def printed() -> dict[str, object]:
        now: dict[str, object] = cafe.get(f"/v1/orders/{order['id']}").json()
        return now if now["state"] == "printed" else {}

    told = until(printed)
    assert told["proof"] == "L2"
    states = [step["state"] for step in told["history"]]  # type: ignore[attr-defined]
    assert states == ["submitted", "accepted", "queued", "sent", "received", "printing", "printed"]
    assert told["says"] == "printed – the printer confirmed it after printing"
