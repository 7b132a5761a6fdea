"""P9: every route, with every method, asked for another merchant's things, answers as if they did not exist.

The routes come from the application itself: a new one that this test does not know fails it.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from cloud.context import Context
from cloud.events import Bell
from cloud.reader_door import Shared
from cloud.store.database import Store
from cloud.web import make_app
from config.cloud import CloudConfig
from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox

PUBLIC = {
    "/healthz",
    "/metrics",
    "/login",
    "/look",  # language and theme, a cookie
    "/static/{name}",
    "/v1/openapi.json",
    "/v1/asyncapi.json",
    "/v1/claims/{code}",
    *(f"/{kind}/{{door}}{leaf}" for kind in "ts" for leaf in ("", "/add", "/basket", "/line", "/where", "/order")),
    *(f"/o/{{link}}{leaf}" for leaf in ("", "/live", "/again", "/withdraw", "/contact")),  # by a token alone
    "/-/openapi",
    "/-/openapi/openapi.json",
    "/-/openapi/{path}",
}
OWN_ONLY = {  # lists and actions without an id: they show the caller's own things
    "/",
    "/live",
    "/logout",
    "/setup",
    "/alarms/clear",
    "/v1/orders",
    "/v1/receipts",
    "/v1/boxes",
    "/v1/events",
    "/v1/channels/{channel}",
    "/v1/webhooks",
    "/v1/shop/reasons",
    "/v1/shop/review",
    "/v1/shop/routing",
    "/v1/shop/pace",
    "/v1/shop/slip",
    "/v1/shop/logo",
    "/v1/menu",
    "/v1/front",
    "/v1/tables",
}
BODIES: dict[str, Any] = {"reject": {"reason": "x"}, "cancel": {"reason": "x"}, "close": {"reason": "x"}, "reprint": {}}


def all_routes(folder: Path) -> list[tuple[str, str]]:
    """(method, path) of everything the application answers."""
    store = Store("sqlite:///unused", folder / "routes.db")
    app: Litestar = make_app(Context(store, CloudConfig(), Bell(), threading.Event(), Shared(), dict))
    found = []
    for route in app.routes:
        path = route.path_format
        for method in sorted(route.methods - {"OPTIONS", "HEAD"}):  # type: ignore[attr-defined]
            found.append((method, path))
    store.close()
    return found


@pytest.fixture(scope="module")
def theirs(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> dict[str, str]:
    """Ids of things that belong to the cafe."""
    front.status()
    front.capture()
    order = cafe.post("/v1/orders", json={"kind": "takeaway", "items": [{"name": "Soup"}]}).json()["id"]
    hook = cafe.post("/v1/webhooks", json={"url": "https://example.com/hook"}).json()["id"]
    receipt = until(lambda: cafe.get("/v1/receipts").json()["receipts"])[0]["id"]
    return {"order_id": order, "receipt_id": receipt, "box_id": front.name, "action": "accept", "webhook_id": hook}


@pytest.mark.covers("A38")
def test_every_route_with_a_foreign_id_answers_404(cloud: Cloud, theirs: dict[str, str], tmp_path: Path) -> None:
    asked = 0
    with cloud.merchant("Other Shop", "otto") as stranger, closing(cloud.log_in("otto")) as page:
        csrf = page.get("/").text.split('data-csrf="')[1].split('"')[0]
        for method, path in all_routes(tmp_path):
            if path in PUBLIC | OWN_ONLY:
                continue
            assert "{" in path, f"{path} is new here: is it public, or whose things does it show?"
            address = path.format(**theirs)
            leaf = path.rsplit("/", 1)[-1]
            if path.startswith("/v1"):
                answer = stranger.request(method, address, json=BODIES.get(leaf))
            else:
                answer = page.request(method, address, headers={"X-CSRF-Token": csrf, "Origin": cloud.url})
            assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
            nothing = stranger.get("/v1/orders/00000000-0000-7000-8000-000000000000")
            assert answer.json() == nothing.json()
            asked += 1
        for path, key in (
            ("/v1/orders", "orders"),
            ("/v1/receipts", "receipts"),
            ("/v1/boxes", "boxes"),
            ("/v1/events", "events"),
        ):
            assert stranger.get(path).json()[key] == [], path
        foreign_box = {"kind": "dine_in", "items": [{"name": "Soup"}], "box": theirs["box_id"]}
        assert stranger.post("/v1/orders", json=foreign_box).status_code == 404
        assert theirs["order_id"] not in page.get("/").text
    assert asked >= 16


@pytest.mark.covers("A38")
def test_without_a_session_or_key_no_route_shows_anything(cloud: Cloud, theirs: dict[str, str], tmp_path: Path) -> None:
    for method, path in all_routes(tmp_path):
        if path in PUBLIC:
            continue
        address = path.format(**theirs, channel="api")
        answer = httpx.request(method, cloud.url + address, json=BODIES.get(path.rsplit("/", 1)[-1]))
        assert answer.status_code in (401, 303), f"{method} {path}: {answer.status_code}"
        assert theirs["order_id"] not in answer.text


@pytest.mark.covers("A51")
def test_two_tenants_with_the_same_external_id_have_two_orders(
    cloud: Cloud, cafe: httpx.Client, theirs: dict[str, str]
) -> None:
    body = {"kind": "dine_in", "items": [{"name": "Soup"}], "external_id": "same", "channel": "mealhub"}
    with cloud.merchant("Third Shop", "tess") as third:
        cloud.box("Third Shop", "third-shop-1")
        a, b = cafe.post("/v1/orders", json=body), third.post("/v1/orders", json=body)
    assert (a.status_code, b.status_code) == (201, 201)
    assert a.json()["id"] != b.json()["id"]
