"""Webhooks: signed, tried again, and never sent where they must not go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from cloud import webhooks
from tests.cloud.conftest import Cloud, until
from wire.messages import OrderState, Proof


class Platform:
    """A platform's server. `answers` are given in turn: a status, "hang", "drip" or "redirect"; then 200."""

    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.answers: list[Any] = []
        self.released = threading.Event()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                platform.got.put(({k.lower(): v for k, v in self.headers.items()}, body))
                answer = platform.answers.pop(0) if platform.answers else 200
                if answer == "hang":
                    platform.released.wait(20)
                elif answer == "drip":
                    with_slow_header = b"HTTP/1.1 200 OK\r\nX: "
                    try:
                        self.wfile.write(with_slow_header)
                        while not platform.released.wait(0.2):
                            self.wfile.write(b"x")
                    except OSError:
                        pass
                elif answer == "redirect":
                    self.send_response(302)
                    self.send_header("Location", f"{platform.url}/elsewhere")
                    self.end_headers()
                else:
                    self.send_response(answer)
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    one = Platform()
    yield one
    one.close()


@pytest.fixture(scope="module")
def trying_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that may call private addresses."""
    cloud = Cloud(tmp_path_factory.mktemp("hooks"), extra="[webhooks]\nallow_private = true\ntimeout_s = 1\n")
    cloud.start()
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def shop(trying_out: Cloud) -> Iterator[httpx.Client]:
    with trying_out.merchant("Corner Cafe", "anna") as client:
        trying_out.command("box", "add", "Corner Cafe", "cafe-front-1")
        yield client


def order(shop: httpx.Client) -> str:
    answer = shop.post("/v1/orders", json={"kind": "takeaway", "items": [{"name": "Soup"}]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_an_event_arrives_signed(shop: httpx.Client, platform: Platform) -> None:
    before = order(shop)
    hook = shop.post("/v1/webhooks", json={"url": f"{platform.url}/in?a=1", "kinds": ["order.changed"]}).json()
    assert hook["secret"].startswith("whsec_")
    assert "secret" not in shop.get(f"/v1/webhooks/{hook['id']}").json()
    made = order(shop)
    headers, body = platform.got.get(timeout=30)
    event = json.loads(body)
    assert (event["type"], event["object"], event["data"]["state"]) == ("order.changed", made, "submitted")
    assert made != before  # what happened before it was set up is not sent
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(hook["secret"].removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"

    def delivered() -> Any:
        rows = shop.get(f"/v1/webhooks/{hook['id']}/deliveries").json()["deliveries"]
        return [r for r in rows if r["state"] == "done"]

    assert until(delivered)[0]["status"] == 200
    assert shop.delete(f"/v1/webhooks/{hook['id']}").status_code == 204
    assert shop.get(f"/v1/webhooks/{hook['id']}").status_code == 404


def test_every_state_of_an_order_is_an_event(shop: httpx.Client, trying_out: Cloud) -> None:
    """From submitted to printed, and each other way an order ends: as a platform pulls them."""
    box = trying_out.box("Corner Cafe", "hook-front-1")
    box.status()
    after = shop.get("/v1/events?after=0&limit=200").json()["last"]
    while (last := shop.get(f"/v1/events?after={after}&limit=200").json()["last"]) != after:
        after = last

    def states(order_id: str) -> list[str]:
        found = shop.get(f"/v1/events?after={after}&limit=200").json()["events"]
        return [e["data"]["state"] for e in found if e["kind"] == "order.changed" and e["object"] == order_id]

    def says(order_id: str, *reports: OrderState, **more: Any) -> None:
        for state in reports:
            box.report(order_id, state, Proof.L1 if state is OrderState.PRINTED else Proof.NONE, **more)
            until(lambda state=state: states(order_id)[-1] == state)

    S = OrderState
    table = {"kind": "dine_in", "table": "4", "items": [{"name": "Soup"}], "box": box.name}
    printed, other, late = (shop.post("/v1/orders", json=table).json()["id"] for _ in range(3))
    for one in (printed, other, late):
        until(lambda one=one: "sent" in states(one))
    says(printed, S.RECEIVED, S.PRINTING, S.PRINTED)
    assert states(printed) == ["submitted", "accepted", "queued", "sent", "received", "printing", "printed"]
    shop.post(f"/v1/orders/{printed}/reprint", json={})
    shop.post(f"/v1/orders/{late}/cancel", json={"reason": "x"})
    says(late, S.CANCELLED, cancelled=True)
    says(other, S.FAILED)
    says(other, S.UNCONFIRMED, tries=2)
    shop.post(f"/v1/orders/{other}/close", json={"reason": "it was there"})
    assert states(printed)[-1] == "reprinting" and states(late)[-2:] == ["cancelling", "cancelled"]
    assert states(other)[-3:] == ["failed", "unconfirmed", "closed"]
    gone = order(shop)
    shop.post(f"/v1/orders/{gone}/reject", json={"code": "too_busy"})
    assert states(gone) == ["submitted", "review", "rejected"]


def test_what_is_not_taken_comes_again(shop: httpx.Client) -> None:
    platforms = {answer: Platform() for answer in (500, 404, "redirect", "hang", "drip")}
    hooks, waiting = {}, order(shop)
    for answer, platform in platforms.items():
        platform.answers = [answer]
        made = shop.post("/v1/webhooks", json={"url": platform.url, "kinds": ["order.changed"]})
        hooks[answer] = f"/v1/webhooks/{made.json()['id']}"
    shop.post(f"/v1/orders/{waiting}/reject", json={"code": "too_busy"})  # one event
    try:
        first = {answer: platform.got.get(timeout=30)[0] for answer, platform in platforms.items()}
        for hook in hooks.values():
            until(lambda hook=hook: shop.get(hook).json()["failing_since"])
        for answer, platform in platforms.items():
            again, _ = platform.got.get(timeout=30)
            assert again["webhook-id"] == first[answer]["webhook-id"], answer
        for hook in hooks.values():
            until(lambda hook=hook: not shop.get(hook).json()["failing_since"])
            assert shop.get(f"{hook}/deliveries").json()["deliveries"][0]["tries"] == 2
            shop.delete(hook)
    finally:
        for platform in platforms.values():
            platform.close()


def test_all_tries_take_about_a_day() -> None:
    assert 24 * 3600 <= sum(webhooks.RETRY_S) + 60 <= 26 * 3600


@pytest.mark.covers("A49")
@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https://user:pass@example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://[not-an-address/",
    ],
)
def test_an_unsafe_address_is_refused_at_once(cloud: Cloud, cafe: httpx.Client, url: str) -> None:
    answer = cafe.post("/v1/webhooks", json={"url": url})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:tillwire:problem:unsafe-url"


@pytest.mark.covers("A49")
@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%eth0"]]
)
def test_a_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> None:
    """The name service is the attacker's: it is asked once, and all of what it says must be public."""
    asked = []

    def lie(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in answers]

    monkeypatch.setattr(socket, "getaddrinfo", lie)
    with pytest.raises(webhooks.Unsafe, match="not a public address"):
        webhooks.resolve("https://innocent.example/")
    assert asked == ["innocent.example"]


@pytest.mark.covers("A49")
@pytest.mark.parametrize("odd", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1"])
def test_odd_spellings_of_loopback_lead_nowhere(odd: str) -> None:
    with pytest.raises((webhooks.Unsafe, OSError)):
        webhooks.resolve(f"https://{odd}/")


def test_the_connection_goes_to_the_address_that_was_checked(platform: Platform) -> None:
    port = int(platform.url.rsplit(":", 1)[1])
    target = webhooks.Target("127.0.0.1", "no-such-name.invalid", port, "/x", tls=False)
    assert webhooks.post(target, b"{}", {"webhook-id": "1"}, 5, ssl.create_default_context()) == 200
    headers, _ = platform.got.get(timeout=5)
    assert headers["host"].startswith("no-such-name.invalid")


def test_public_addresses_are_public() -> None:
    for text in ("93.184.215.14", "8.8.8.8", "2606:4700:4700::1111"):
        assert webhooks.is_public(ipaddress.ip_address(text))
