"""P9: every route × method × role × two merchants. What is another merchant's answers as if it did not exist; what a
role may not do is refused; what changes something comes from our own pages.

The routes come from the application itself: a new one that stands in none of the lists below fails. PUBLIC: for
everybody. OWN_ONLY: without an id, so it can show only the caller's own things. OWNERS: an owner's alone. READER_MAY:
changes something, and who may only look may do it all the same. All others have an id in their path.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from cloud.auth import ROLES, SCOPES
from cloud.context import Context
from cloud.events import Bell
from cloud.reader_door import Shared
from cloud.store.database import Store
from cloud.web import make_app
from config.cloud import CloudConfig
from tests.cloud.conftest import PASSWORD, Cloud, until
from tests.simulators.box import SimulatedBox

PUBLIC = {
    "/hooks/{channel}/{token}",
    "/healthz",
    "/healthz/live",
    "/healthz/ready",
    "/metrics",
    "/login",
    "/look",  # language and theme, a cookie
    "/static/{name}",
    "/v1/openapi.json",
    "/v1/asyncapi.json",
    "/v1/claims/{code}",
    "/oauth/token",  # by the client's secret, or a code and its verifier
    "/oauth/revoke",
    "/.well-known/oauth-authorization-server",
    *(f"/{kind}/{{door}}{leaf}" for kind in "ts" for leaf in ("", "/add", "/basket", "/line", "/where", "/order")),
    *(f"/o/{{link}}{leaf}" for leaf in ("", "/live", "/again", "/withdraw", "/contact", "/wechat")),  # by a token alone
    "/-/openapi",
    "/-/openapi/openapi.json",
    "/-/openapi/{path}",
}
OWN_ONLY = {  # lists and actions without an id: they show the caller's own things
    "/",
    "/live",
    "/logout",
    "/setup",
    "/pace",
    "/receipts",
    "/receipts/export/{kind}",
    "/receipts/completeness",
    "/receipts/completeness/export/{kind}",
    "/analysis",
    "/analysis/items",
    "/analysis/people",
    "/analysis/compare",
    "/analysis/export/{kind}",
    "/analysis/category",
    "/customers",
    "/customers/export/{kind}",
    "/customers/import",
    "/customers/crm/{kind}",
    "/boxes",
    "/setup/shops",
    "/setup/reading",
    "/setup/orders",
    "/setup/printing",
    "/setup/slip",
    "/setup/slip/picture",
    "/setup/sounds",
    "/setup/sounds/{event}",
    "/v1/sounds",
    "/v1/sounds/{event}",
    "/v1/analytics/{figure}",
    "/v1/customers",
    "/alarms/clear",
    "/v1/orders",
    "/v1/receipts",
    "/v1/boxes",
    "/v1/shops",
    "/v1/events",
    "/v1/channels/{channel}",
    "/v1/webhooks",
    "/v1/shop/reasons",
    "/v1/doors",
    "/v1/doors/{channel}",
    "/v1/shop/review",
    "/v1/shop/routing",
    "/v1/shop/pace",
    "/v1/shop/slip",
    "/v1/shop/logo",
    "/v1/shop/slip.png",
    "/v1/menu",
    "/v1/front",
    "/v1/tables",
    "/setup/menu",
    "/setup/menu/table",
    "/setup/menu/table.csv",
    "/setup/menu/categories",
    "/setup/front",
    "/setup/tables",
    "/setup/tables/sheet/{kind}",
    "/setup/notices",
    "/setup/notices/{way}",
    "/setup/notices/staff",
    "/setup/people",
    "/setup/password",
    "/setup/keys",
    "/setup/keeping",
    "/setup/boxes",
    "/setup/apps",
    "/setup/webhooks",
    "/oauth/authorize",
}
OWNERS = (
    "/customers/crm",
    "/setup/people",
    "/setup/keys",
    "/setup/keeping",
    "/setup/boxes",
    "/setup/apps",
    "/setup/webhooks",
)
READER_MAY = {"/logout", "/setup/password"}
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
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    return all_routes(tmp_path_factory.mktemp("routes"))


@pytest.fixture(scope="module")
def theirs(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> dict[str, str]:
    """Ids of things that belong to the cafe."""
    front.status()
    front.capture()
    order = cafe.post("/v1/orders", json={"kind": "takeaway", "items": [{"name": "Soup"}]}).json()["id"]
    hook = cafe.post("/v1/webhooks", json={"url": "https://example.com/hook"}).json()["id"]
    receipt = until(lambda: cafe.get("/v1/receipts").json()["receipts"])[0]["id"]
    category = cafe.put("/v1/menu", content="row,name:en,price\ncategory,Food,\nitem,Soup,4\n").json()["categories"][0]
    table = cafe.put("/v1/tables", json={"names": ["1"]}).json()["tables"][0]
    cloud.command("client", "add", "Cafe App", "--redirect", "https://example.com/cb", "--merchant", "Corner Cafe")
    with sqlite3.connect(f"file:{cloud.database}?mode=ro", uri=True) as connection:
        user, key, program = (
            connection.execute(f"SELECT id FROM {table} WHERE merchant_id IN (SELECT id FROM merchants WHERE name = ?)"
                               " ORDER BY created_at", ("Corner Cafe",)).fetchone()[0]
            for table in ("users", "api_keys", "oauth_clients")
        )  # fmt: skip
    return {
        "order_id": order,
        "receipt_id": receipt,
        "box_id": front.name,
        "action": "accept",
        "customer_id": "theirs",
        "shop_id": "theirs",
        "figure": "day",
        "webhook_id": hook,
        "user_id": user,
        "key_id": key,
        "client_id": program,
        "grant_id": program,
        "category_id": category["id"],
        "item_id": category["items"][0]["id"],
        "table_id": table["id"],
        "kind": "red.pdf",
        "way": "sms",
        "event": "fault",
    }


class Session:
    """Somebody logged in, with the token that our pages carry."""

    def __init__(self, cloud: Cloud, user: str) -> None:
        self.client = cloud.log_in(user)
        self.page = self.client.get("/").text
        self.origin = cloud.url
        self.csrf = self.page.split('data-csrf="')[1].split('"')[0]

    def ask(self, method: str, address: str) -> httpx.Response:
        return self.client.request(method, address, headers={"X-CSRF-Token": self.csrf, "Origin": self.origin})


@pytest.fixture(scope="module")
def sessions(cloud: Cloud, cafe: httpx.Client) -> Iterator[dict[tuple[str, str], Session]]:
    """(merchant, role) -> who is logged in there as that."""
    found = {}
    for merchant in ("Corner Cafe", "Other Shop"):
        for role in ROLES:
            user = f"{merchant.split()[0].lower()}-{role}"
            words = ("merchant", "add", merchant, "--user", user, "--role", role, "--password-stdin")
            cloud.command(*words, stdin=PASSWORD + "\n")
            found[merchant, role] = Session(cloud, user)
    yield found
    for session in found.values():
        session.client.close()


@pytest.fixture(scope="module")
def stranger(cloud: Cloud, sessions: dict[tuple[str, str], Session]) -> Iterator[httpx.Client]:
    """Another merchant's API key, that may do everything."""
    key = cloud.command("key", "add", "Other Shop")
    with httpx.Client(base_url=cloud.url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as client:
        yield client


def body_of(path: str) -> Any:
    return BODIES.get(path.rsplit("/", 1)[-1])


@pytest.mark.covers("A38")
def test_every_route_with_a_foreign_id_answers_404(
    routes: list[tuple[str, str]],
    sessions: dict[tuple[str, str], Session],
    stranger: httpx.Client,
    theirs: dict[str, str],
) -> None:
    asked = 0
    nothing = stranger.get("/v1/orders/00000000-0000-7000-8000-000000000000").json()
    for method, path in routes:
        if path in PUBLIC | OWN_ONLY:
            continue
        assert "{" in path, f"{path} is new here: is it public, or whose things does it show?"
        address = path.format(**theirs)
        if path.startswith("/v1"):
            answers = [stranger.request(method, address, json=body_of(path))]
        else:
            answers = [sessions["Other Shop", role].ask(method, address) for role in ROLES]
            for answer in answers[1:]:  # whose role does not reach so far may be told that first
                assert answer.status_code in (403, 404), f"{method} {path}: {answer.status_code}"
        assert answers[0].status_code == 404, f"{method} {path}: {answers[0].status_code} {answers[0].text}"
        assert answers[0].json() == nothing
        asked += 1
    for path, key in (("orders", "orders"), ("receipts", "receipts"), ("boxes", "boxes"), ("events", "events")):
        assert stranger.get(f"/v1/{path}").json()[key] == [], path
    foreign_box = {"kind": "dine_in", "items": [{"name": "Soup"}], "box": theirs["box_id"]}
    assert stranger.post("/v1/orders", json=foreign_box).status_code == 404
    assert asked >= 16


@pytest.mark.covers("A38")
def test_no_page_or_list_shows_what_is_anothers(
    routes: list[tuple[str, str]],
    sessions: dict[tuple[str, str], Session],
    stranger: httpx.Client,
    theirs: dict[str, str],
) -> None:
    """What has no id in its path: asked as the other merchant, in every role."""
    hidden = {theirs[name] for name in ("order_id", "receipt_id", "box_id", "webhook_id", "user_id", "client_id")}
    shown = set()
    for method, path in routes:
        if method != "GET" or path not in OWN_ONLY or path == "/live" or "{" in path:
            continue
        if path.startswith("/v1"):
            answers = [stranger.get(path)]
        else:
            answers = [sessions["Other Shop", role].client.get(path) for role in ROLES]
        for answer in answers:
            assert answer.status_code in (200, 400, 403, 404), f"{path}: {answer.status_code}"
            assert not [secret for secret in hidden if secret in answer.text], path
            shown.add(path) if answer.status_code == 200 else None
    assert {"/", "/v1/orders", "/v1/webhooks"} <= shown


@pytest.mark.covers("A38")
def test_without_a_session_or_key_no_route_shows_anything(
    cloud: Cloud, routes: list[tuple[str, str]], theirs: dict[str, str]
) -> None:
    for method, path in routes:
        if path in PUBLIC:
            continue
        address = path.format(**theirs, channel="api")
        answer = httpx.request(method, cloud.url + address, json=body_of(path))
        assert answer.status_code in (401, 303), f"{method} {path}: {answer.status_code}"
        assert theirs["order_id"] not in answer.text


@pytest.mark.covers("A38")
def test_a_role_does_no_more_than_it_may(
    routes: list[tuple[str, str]], sessions: dict[tuple[str, str], Session], theirs: dict[str, str]
) -> None:
    """In their own house: who may only look changes nothing, and what is the owner's no one else reaches."""
    refused = 0
    for method, path in routes:
        if path in PUBLIC or path.startswith("/v1"):
            continue
        address = path.format(**theirs)
        if method != "GET" and path not in READER_MAY:
            answer = sessions["Corner Cafe", "readonly"].ask(method, address)
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
            refused += 1
        if path.startswith(OWNERS):
            for role in ROLES[1:]:
                answer = sessions["Corner Cafe", role].ask(method, address)
                assert answer.status_code == 403, f"{method} {path} as {role}: {answer.status_code}"
                refused += 1
    assert refused > 30


@pytest.mark.covers("A43")
def test_what_changes_something_comes_from_our_own_pages(
    cloud: Cloud, routes: list[tuple[str, str]], sessions: dict[tuple[str, str], Session], theirs: dict[str, str]
) -> None:
    owner = sessions["Corner Cafe", "owner"]
    tried = 0
    for method, path in routes:
        if method == "GET" or path in PUBLIC or path.startswith("/v1"):
            continue
        address = path.format(**theirs)
        for headers in (
            {"Origin": cloud.url},  # no token
            {"X-CSRF-Token": "x" * 43, "Origin": cloud.url},
            {"X-CSRF-Token": owner.csrf, "Origin": "https://evil.example"},
            {"X-CSRF-Token": owner.csrf, "Origin": "null"},
            {"X-CSRF-Token": owner.csrf, "Sec-Fetch-Site": "cross-site"},
        ):
            answer = owner.client.request(method, address, headers=headers)
            assert answer.status_code == 403, f"{method} {path} {headers}: {answer.status_code}"
            tried += 1
    assert tried > 60


def test_every_route_of_the_api_names_a_scope_and_holds_to_it(
    cloud: Cloud, tmp_path: Path, theirs: dict[str, str]
) -> None:
    keys = {}
    for method, path, scope in api_scopes(tmp_path):
        assert scope in SCOPES, f"{method} {path} names no scope"
        if scope not in keys:
            others = [word for other in SCOPES if other != scope for word in ("--scope", other)]
            keys[scope] = cloud.command("key", "add", "Corner Cafe", *others)
        answer = httpx.request(
            method,
            cloud.url + path.format(**theirs, channel="api"),
            json=body_of(path),
            headers={"Authorization": f"Bearer {keys[scope]}"},
        )
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
        assert answer.json()["type"].endswith("no-scope")


def api_scopes(folder: Path) -> list[tuple[str, str, str]]:
    """(method, path, scope) of what an API key opens."""
    with closing(Store("sqlite:///unused", folder / "scopes.db")) as store:
        app = make_app(Context(store, CloudConfig(), Bell(), threading.Event(), Shared(), dict))
        return [
            (method, route.path_format, str(handler.opt.get("scope", "")))
            for route in app.routes
            if route.path_format.startswith("/v1") and route.path_format not in PUBLIC
            for method, (handler, _) in route.route_handler_map.items()  # type: ignore[union-attr]
            if method != "OPTIONS"
        ]


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
