"""/v1/shops, and what the receipts of a shop say of each other: copies, second tries, what counts."""

from __future__ import annotations

import httpx
import pytest

from receipt.model import Kind, Receipt
from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox
from wire.messages import Reading, pack_reading


@pytest.fixture(scope="module")
def owner(cloud: Cloud) -> httpx.Client:
    return cloud.merchant("Shop Keeper", "keeper")


def test_a_shop_has_its_boxes_clock_and_hours(cloud: Cloud, owner: httpx.Client) -> None:
    cloud.command("box", "add", "Shop Keeper", "keeper-front-1")
    cloud.command("box", "add", "Shop Keeper", "keeper-bar-001")
    (first,) = owner.get("/v1/shops").json()["shops"]
    assert (first["id"], first["boxes"], first["hours"]) == ("", ["keeper-bar-001", "keeper-front-1"], None)
    page = cloud.log_in("keeper")
    csrf = page.get("/").text.split('data-csrf="')[1].split('"')[0]
    form = {"csrf": csrf, "new": "1", "name": "Harbour", "zone": "Europe/Vienna", "day_starts": "04:30"}
    kept = page.post("/setup/shops", data=form | {"currency": "EUR", "box-keeper-bar-001": "1"})
    page.close()
    assert kept.status_code == 303, kept.text
    owner.put("/v1/front", json={"hours": "Mon-Sun 11:00-23:00", "timezone": "Europe/Vienna"}).raise_for_status()
    first, harbour = owner.get("/v1/shops").json()["shops"]
    assert first["boxes"] == ["keeper-front-1"]
    assert harbour == owner.get("/v1/shops/harbour").json()
    assert owner.get("/v1/shops/-").json() == first
    assert (harbour["zone"], harbour["day_starts"], harbour["currency"]) == ("Europe/Vienna", "04:30", "EUR")
    assert (harbour["country"], harbour["boxes"]) == ("AT", ["keeper-bar-001"])
    assert (harbour["hours"]["text"], harbour["hours"]["zone"]) == ("Mon-Sun 11:00-23:00", "Europe/Vienna")
    assert harbour["hours"]["open"] == (harbour["hours"]["opens_at"][11:13] in map(str, range(11, 23)))
    assert owner.get("/v1/shops/nowhere").status_code == 404


def test_receipts_tell_copies_second_tries_and_what_counts(cloud: Cloud, owner: httpx.Client) -> None:
    box: SimulatedBox = cloud.box("Shop Keeper", "keeper-till-1")
    lines = ["Soup 4.00", "Bread 1.00", "TOTAL 5.00"]

    def read(said: list[str], kind: Kind = Kind.SALE, **more: str) -> bytes:
        receipt = Receipt(kind, total=500, currency="EUR", date="2026-11-22", time="12:00", **more)
        return pack_reading(Reading("2", said, [receipt]))

    box.capture("Soup 4.00\nBr", reading=read([*lines[:1], "Br"], number="1"), delivered="part")
    box.capture("\n".join(lines), reading=read(lines, number="1"))
    box.capture("COPY\n" + "\n".join(lines), reading=read(["COPY", *lines], Kind.COPY, number="1", same_as="1"))
    box.acked([1, 2, 3])

    def all_read() -> list[dict[str, object]] | None:
        found = owner.get("/v1/receipts", params={"box": box.name}).json()["receipts"]
        found.sort(key=lambda r: r["seq"])
        states = [r["state"] for r in found]
        return found if states == ["read"] * 3 and found[0]["receipts"][0]["repeated_by"] else None

    torn, whole, copy = until(all_read)
    assert [r["delivered"] for r in (torn, whole, copy)] == ["part", "all", "all"]
    said = [r["receipts"][0] for r in (torn, whole, copy)]
    assert [(s["same_as"], s["repeated_by"], s["counted"]) for s in said] == [
        (None, whole["id"], False),
        (None, None, True),
        ("1", None, False),
    ]
