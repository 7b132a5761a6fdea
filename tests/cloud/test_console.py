"""The console over HTTP: log-in, cookies, CSRF, headers, limits, roles."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.cloud.conftest import PASSWORD, Cloud, until
from tests.simulators.box import SimulatedBox

TAKEAWAY = {"kind": "takeaway", "items": [{"name": "<b>Soup</b>"}], "note": "javascript:alert(1)"}


def csrf(page: httpx.Client) -> str:
    found = re.search(r'data-csrf="([^"]+)"', page.get("/").text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def anna(cloud: Cloud, cafe: httpx.Client) -> httpx.Client:
    return cloud.log_in("anna")


def test_strangers_are_sent_to_the_log_in(cloud: Cloud) -> None:
    answer = httpx.get(cloud.url + "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert httpx.get(cloud.url + "/live").status_code == 401


@pytest.mark.covers("A42", "A44")
def test_every_answer_has_its_headers_and_the_cookie_is_shut(cloud: Cloud, anna: httpx.Client) -> None:
    for path in ("/", "/login", "/v1/orders", "/nothing", "/static/app.js", "/healthz"):
        headers = anna.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert anna.get("/").headers["cache-control"] == "no-store"
    answer = httpx.post(f"{cloud.url}/login", data={"name": "ANNA ", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert len(answer.cookies["tillwire"]) >= 43


@pytest.mark.covers("A42")
def test_log_in_makes_a_new_session_and_log_out_ends_it_on_the_server(cloud: Cloud, anna: httpx.Client) -> None:
    page = cloud.log_in("anna")
    first = page.cookies["tillwire"]
    page.post("/login", data={"name": "anna", "password": PASSWORD})
    second = page.cookies["tillwire"]
    assert first != second
    assert httpx.get(cloud.url + "/", cookies={"tillwire": first}).status_code == 303
    assert page.post("/logout", data={"csrf": csrf(page)}).status_code == 303
    assert httpx.get(cloud.url + "/", cookies={"tillwire": second}).status_code == 303


@pytest.mark.covers("A43")
def test_only_our_own_page_can_press_the_buttons(
    cloud: Cloud, cafe: httpx.Client, front: SimulatedBox, anna: httpx.Client
) -> None:
    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    path, token = f"/orders/{order}/accept", csrf(anna)
    assert anna.post(path).status_code == 403
    assert anna.post(path, headers={"X-CSRF-Token": "wrong"}).status_code == 403
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert anna.post(path, headers={"X-CSRF-Token": token} | foreign).status_code == 403
        login = {"name": "anna", "password": PASSWORD}
        assert httpx.post(f"{cloud.url}/login", data=login, headers=foreign).status_code == 403
    assert cafe.get(f"/v1/orders/{order}").json()["state"] == "review"
    assert anna.post(path, headers={"X-CSRF-Token": token, "Origin": cloud.url}).status_code == 200
    told = cafe.get(f"/v1/orders/{order}").json()
    assert told["state"] in ("queued", "sent")
    assert ("accepted", "user anna") in [(h["state"], h["who"]) for h in told["history"]]


@pytest.mark.covers("A16")
def test_what_comes_from_outside_is_shown_as_text(cafe: httpx.Client, front: SimulatedBox, anna: httpx.Client) -> None:
    cafe.post("/v1/orders", json=TAKEAWAY)
    front.capture("<script>alert(1)</script>\n</pre><img src=x onerror=alert(2)>\n")
    front.acked([front.seq])
    until(lambda: "alert(2)" in anna.get("/").text)
    page = anna.get("/").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>Soup" not in page
    assert "&lt;b&gt;Soup" in page
    receipt = cafe.get("/v1/receipts").json()["receipts"][0]["id"]
    for address in (f"/v1/receipts/{receipt}/html", f"/receipts/{receipt}"):
        shown = (cafe if "v1" in address else anna).get(address).text
        assert "<script>alert" not in shown
        assert "&lt;script&gt;" in shown


def test_the_live_page_is_told_what_changes(cafe: httpx.Client, front: SimulatedBox, anna: httpx.Client) -> None:
    with anna.stream("GET", "/live", params={"after": 10**9}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
    after = re.search(r'data-after="(\d+)"', anna.get("/").text)
    assert after
    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    with anna.stream("GET", "/live", params={"after": after[1]}, timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: ["):
                pieces = {piece["id"]: piece for piece in json.loads(line[6:])}
                if f"o-{order}" in pieces:
                    break
    assert pieces[f"o-{order}"]["slot"] == "orders"
    assert "waits for you" in pieces[f"o-{order}"]["html"]
    assert "figures" in pieces


def test_staff_may_act_and_readers_may_only_look(cloud: Cloud, cafe: httpx.Client, front: SimulatedBox) -> None:
    for user, role in (("sam", "staff"), ("rita", "readonly")):
        cloud.command(
            "merchant", "add", "Corner Cafe", "--user", user, "--role", role, "--password-stdin", stdin=PASSWORD + "\n"
        )
    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    rita, sam = cloud.log_in("rita"), cloud.log_in("sam")
    assert 'data-do="accept"' not in rita.get("/").text
    assert rita.post(f"/orders/{order}/accept", headers={"X-CSRF-Token": csrf(rita)}).status_code == 403
    reason = {"reason": "Something on it is sold out"}
    assert sam.post(f"/orders/{order}/reject", headers={"X-CSRF-Token": csrf(sam)}, data=reason).status_code == 200
    assert cafe.get(f"/v1/orders/{order}").json()["says"] == "rejected: Something on it is sold out"
    rita.close()
    sam.close()


@pytest.mark.covers("A41")
def test_guessing_is_slow_and_tells_nothing(cloud: Cloud, cafe: httpx.Client) -> None:
    def guess(name: str) -> httpx.Response:
        return httpx.post(f"{cloud.url}/login", data={"name": name, "password": "wrong password"})

    known, unknown = guess("anna"), guess("nobody-at-all")
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace("anna", "") == unknown.text.replace("nobody-at-all", "")
    answers = [guess("nobody-at-all") for _ in range(8)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert guess("another-one").status_code == 401
