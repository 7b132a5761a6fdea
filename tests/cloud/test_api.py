"""/v1 as a platform sees it: validation, one shape of error, idempotency, paging, limits."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox

ORDER: dict[str, Any] = {"kind": "takeaway", "items": [{"name": "Soup"}]}


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:tillwire:problem:")
    assert body["title"]
    assert body["detail"]
    return body


def test_without_a_key_nothing_is_shown(cloud: Cloud) -> None:
    for headers in ({}, {"Authorization": "Bearer tw_wrong"}, {"Authorization": "Basic eDp5"}):
        answer = httpx.get(f"{cloud.url}/v1/orders", headers=headers)
        is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "sit_in"}, 400),
        ({"items": []}, 400),
        ({"items": [{"name": "Soup", "quantity": 0}]}, 400),
        ({"items": [{"name": "Soup", "quantity": -1}]}, 400),
        ({"items": [{"name": "Soup", "unit_price": -5}]}, 400),
        ({"items": [{"name": "Soup", "quantity": 10**400}]}, 400),
        ({"items": [{"name": "Soup"}] * 201}, 400),
        ({"items": [{"name": "x" * 201}]}, 400),
        ({"items": [{"name": "Soup\x1bp\x00"}]}, 422),
        ({"note": "a\nb"}, 422),
        ({"table": "\x10\x14"}, 422),
        ({"customer": "\u202egnirts"}, 422),
        ({"currency": "euro"}, 400),
        ({"channel": "../x"}, 400),
        ({"box": "nobody-knows-it"}, 404),
        ({"box": "../../etc"}, 404),
    ],
)
def test_what_cannot_be_an_order_is_refused(
    cafe: httpx.Client, front: SimulatedBox, change: dict[str, Any], status: int
) -> None:
    is_problem(cafe.post("/v1/orders", json=ORDER | change), status)


@pytest.mark.covers("A29", "A45")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"kind": NaN}',
        b"[" * 50_000,
        b'{"a":' * 20_000,
        b"\xff\xfe",
        b'"\\ud800"',
        b"1e999",
    ],
)
def test_what_is_no_json_of_ours_is_refused(cafe: httpx.Client, body: bytes) -> None:
    is_problem(cafe.post("/v1/orders", content=body, headers={"Content-Type": "application/json"}), 400)


@pytest.mark.covers("A29")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["kind", "items", "name", "quantity", "total"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_gets_a_clear_answer(cafe: httpx.Client, front: SimulatedBox, body: Any) -> None:
    answer = cafe.post("/v1/orders", json=body)
    assert answer.status_code in (200, 201, 400, 422, 429), answer.text


def test_unknown_fields_are_kept_out(cafe: httpx.Client, front: SimulatedBox) -> None:
    order = cafe.post("/v1/orders", json=ORDER | {"merchant_id": "x", "state": "printed", "proof": "L3"}).json()
    assert (order["state"], order["proof"]) == ("review", "")
    assert "merchant_id" not in order


@pytest.mark.covers("A51")
def test_the_same_order_twice_is_one_and_another_body_is_a_conflict(cafe: httpx.Client, front: SimulatedBox) -> None:
    body = ORDER | {"external_id": "twice", "channel": "mealhub"}
    first, second = cafe.post("/v1/orders", json=body), cafe.post("/v1/orders", json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert is_problem(cafe.post("/v1/orders", json=body | {"note": "other"}), 409)["type"].endswith("other-order")
    assert cafe.post("/v1/orders", json=body | {"channel": "foodrun"}).status_code == 201

    headers = {"Idempotency-Key": "abc"}
    one = cafe.post("/v1/orders", json=ORDER, headers=headers)
    assert cafe.post("/v1/orders", json=ORDER, headers=headers).json()["id"] == one.json()["id"]
    is_problem(cafe.post("/v1/orders", json=ORDER | {"note": "other"}, headers=headers), 409)


def test_the_same_order_from_many_at_once_is_one(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> None:
    body = ORDER | {"external_id": "race"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cafe.post("/v1/orders", json=body), range(16)))
    assert {a.json()["id"] for a in answers} == {answers[0].json()["id"]}
    assert sorted(a.status_code for a in answers) == [200] * 15 + [201]


def test_an_order_is_accepted_rejected_and_cancelled(cafe: httpx.Client, front: SimulatedBox) -> None:
    one, two, three = (cafe.post("/v1/orders", json=ORDER).json()["id"] for _ in range(3))
    assert cafe.post(f"/v1/orders/{one}/accept").json()["state"] in ("queued", "sent")
    told = cafe.post(f"/v1/orders/{two}/reject", json={"reason": "sold out"}).json()
    assert (told["state"], told["says"]) == ("rejected", "rejected: sold out")
    is_problem(cafe.post(f"/v1/orders/{two}/accept"), 409)
    is_problem(cafe.post(f"/v1/orders/{two}/cancel", json={"reason": "x"}), 409)
    is_problem(cafe.post(f"/v1/orders/{three}/reject", json={}), 400)
    is_problem(cafe.post(f"/v1/orders/{three}/reject", json={"reason": "\x07"}), 422)
    assert cafe.post(f"/v1/orders/{three}/cancel", json={"reason": "changed"}).json()["state"] == "cancelled"


def test_lists_are_paged_and_filtered(cafe: httpx.Client, front: SimulatedBox) -> None:
    seqs = [front.capture(f"PAGED JOB\nNo. {n}\nfifty% _off\n").seq for n in range(7)]
    front.acked(seqs)
    until(lambda: all(r["state"] == "read" for r in cafe.get("/v1/receipts").json()["receipts"]))
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 3, "q": "paged job"} | ({"before": after} if after else {})
        page = cafe.get("/v1/receipts", params=params).json()
        seen += [r["id"] for r in page["receipts"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    assert len(cafe.get("/v1/receipts", params={"q": "fifty% _off"}).json()["receipts"]) == 7
    assert cafe.get("/v1/receipts", params={"q": "%"}).json()["receipts"]
    assert not cafe.get("/v1/receipts", params={"q": "fifty%%off"}).json()["receipts"]
    assert [r["seq"] for r in cafe.get("/v1/receipts", params={"number": str(seqs[2])}).json()["receipts"]] == [seqs[2]]
    assert not cafe.get("/v1/receipts", params={"since": "2999-01-01T00:00:00Z"}).json()["receipts"]
    is_problem(cafe.get("/v1/receipts", params={"since": "yesterday"}), 422)
    is_problem(cafe.get("/v1/receipts", params={"limit": 9999}), 400)
    is_problem(cafe.get("/v1/receipts", params={"q": "a\0b"}), 422)


def test_boxes_tell_their_state_in_words(cafe: httpx.Client, front: SimulatedBox) -> None:
    front.status()

    def online() -> Any:
        return [b for b in cafe.get("/v1/boxes").json()["boxes"] if b["id"] == front.name and b["online"]]

    (box,) = until(online)
    assert (box["says"], box["version"]) == ("connected", "0.1.0")
    assert [(p["name"], p["says"], p["ready"]) for p in box["printers"]] == [("main", "ready", True)]
    assert box["journals"][0]["missing"] == []


def test_two_phones_that_decide_at_once_agree_and_a_double_tap_does_no_harm(cafe: httpx.Client) -> None:
    """One accepts, twice, while the other rejects, twice: one of them was first, and everybody is told so."""
    for n in range(8):
        order = cafe.post("/v1/orders", json={**ORDER, "kind": "takeaway", "external_id": f"two-{n}"}).json()["id"]
        path = f"/v1/orders/{order}"
        acts = [("accept", None), ("reject", {"code": "too_busy"}), ("accept", None), ("reject", {"code": "too_busy"})]
        with ThreadPoolExecutor(4) as phones:
            answers = list(phones.map(lambda act: cafe.post(f"{path}/{act[0]}", json=act[1]).status_code, acts))  # noqa: B023
        became = cafe.get(path).json()
        accepted = became["state"] != "rejected"
        assert answers == ([200, 409, 200, 409] if accepted else [409, 200, 409, 200]), (answers, became["state"])
        decisions = [h["state"] for h in became["history"] if h["state"] in ("accepted", "rejected")]
        assert decisions == ["accepted" if accepted else "rejected"]


def test_events_are_pulled_in_order_each_once(cafe: httpx.Client, front: SimulatedBox) -> None:
    order = cafe.post("/v1/orders", json=ORDER).json()["id"]
    seen: list[dict[str, Any]] = []
    after = 0
    while page := cafe.get("/v1/events", params={"after": after, "limit": 50}).json():
        if not page["events"]:
            break
        seen += page["events"]
        after = page["last"]
    numbers = [e["n"] for e in seen]
    assert numbers == sorted(set(numbers))
    assert [e["data"]["state"] for e in seen if e["object"] == order] == ["submitted", "review"]


def test_a_key_has_only_its_scopes(cloud: Cloud, cafe: httpx.Client) -> None:
    key = cloud.command("key", "add", "Corner Cafe", "--scope", "receipts:read")
    headers = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{cloud.url}/v1/receipts", headers=headers).status_code == 200
    is_problem(httpx.get(f"{cloud.url}/v1/orders", headers=headers), 403)
    is_problem(httpx.post(f"{cloud.url}/v1/orders", json=ORDER, headers=headers), 403)


def test_errors_of_the_road_have_the_same_shape(cloud: Cloud, cafe: httpx.Client) -> None:
    is_problem(cafe.get("/v1/nothing"), 404)
    is_problem(cafe.delete("/v1/orders"), 405)
    is_problem(cafe.post("/v1/orders", content=b"x" * 300_000, headers={"Content-Type": "application/json"}), 413)


def test_the_openapi_document_names_every_route(cloud: Cloud) -> None:
    document = httpx.get(f"{cloud.url}/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/v1/orders", "/v1/orders/{order_id}", "/v1/orders/{order_id}/cancel", "/v1/receipts", "/v1/boxes"} <= set(
        document["paths"]
    )
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_health_and_metrics(cloud: Cloud, front: SimulatedBox) -> None:
    parts = dict.fromkeys(("ok", "web", "store", "broker", "ingest"), True)
    assert httpx.get(f"{cloud.url}/healthz").json() == parts
    assert httpx.get(f"{cloud.url}/healthz/live").json() == {"ok": True}
    text = httpx.get(f"{cloud.url}/metrics").text
    assert "tillwire_cloud_commit_seconds_count" in text
    assert all(c in string.printable for c in text)
    for gauge in ("store_up 1.0", "boxes_online ", "holes ", "receipts_unread ", "deliveries_due ", "alarms "):
        assert f"\ntillwire_cloud_{gauge}" in text
