"""OAuth 2.0: a platform is let in by a merchant, keeps its access by refreshing it, and loses it at a word."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import oauth
from cloud.store.access import oauth_tokens
from cloud.store.database import Store
from tests.cloud.conftest import PASSWORD, Cloud
from tests.cloud.test_batch import fresh_store

BACK = "https://mealhub.example/callback?x=1"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def program(cloud: Cloud) -> tuple[str, str]:
    """(client id, secret) of a platform that the operator registered."""
    import subprocess
    import sys

    words = ["client", "add", "MealHub", "--redirect", BACK]
    command = [sys.executable, "-m", "cloud", "--config", str(cloud.config), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    client_id, secret = done.stdout.split()
    return client_id, secret


@pytest.fixture(scope="module")
def owner(cloud: Cloud, cafe: httpx.Client) -> Iterator[httpx.Client]:
    with closing(cloud.log_in("anna")) as client:
        yield client


def asked(client_id: str, **changes: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": BACK,
        "scope": "orders:read orders:write",
        "state": "s t&a=te",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes


def csrf(page: httpx.Client) -> str:
    found = re.search(r'data-csrf="([^"]+)"', page.get("/").text)
    assert found
    return found[1]


def told(answer: httpx.Response) -> dict[str, str]:
    """What was told at the platform's address."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == BACK.split("?")[0], answer.headers["location"]
    values = {name: value[0] for name, value in parse_qs(parts.query).items()}
    assert values.pop("x") == "1"
    return values


def consent(page: httpx.Client, form: dict[str, str], answer: str = "allow") -> dict[str, str]:
    body = {**form, "answer": answer, "csrf": csrf(page)}
    return told(page.post("/oauth/authorize", data=body))


def token(cloud: Cloud, program: tuple[str, str] | None, **form: str) -> httpx.Response:
    return httpx.post(f"{cloud.url}/oauth/token", data=form, auth=program, timeout=30)


def first_tokens(cloud: Cloud, owner: httpx.Client, program: tuple[str, str]) -> dict[str, Any]:
    code = consent(owner, asked(program[0]))["code"]
    got = token(cloud, program, grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=VERIFIER)
    assert got.status_code == 200, got.text
    body: dict[str, Any] = got.json()
    return body


def may(cloud: Cloud, access: str, path: str = "/v1/orders") -> int:
    return httpx.get(cloud.url + path, headers={"Authorization": f"Bearer {access}"}).status_code


def test_a_platform_is_let_in_refreshes_and_is_sent_away(
    cloud: Cloud, owner: httpx.Client, program: tuple[str, str]
) -> None:
    asks = owner.get("/oauth/authorize", params=asked(program[0]))
    assert asks.status_code == 200
    assert "MealHub asks for access to Corner Cafe" in asks.text
    assert "form-action 'self' https://mealhub.example;" in asks.headers["content-security-policy"]
    no = consent(owner, asked(program[0]), "deny")
    assert (no["error"], no["state"]) == ("access_denied", "s t&a=te")
    yes = consent(owner, asked(program[0]))
    assert (yes["state"], yes["iss"]) == ("s t&a=te", f"http://{urlsplit(cloud.url).netloc}")
    form = {"grant_type": "authorization_code", "code": yes["code"], "redirect_uri": BACK, "code_verifier": VERIFIER}
    got = token(cloud, program, **form).json()
    assert (got["token_type"], got["expires_in"], got["scope"]) == ("Bearer", 3600, "orders:read orders:write")
    assert may(cloud, got["access_token"]) == 200
    assert may(cloud, got["access_token"], "/v1/receipts") == 403  # not in its scopes
    again = token(cloud, program, grant_type="refresh_token", refresh_token=got["refresh_token"]).json()
    assert may(cloud, again["access_token"]) == 200
    page = owner.get("/setup/apps").text
    assert "MealHub" in page
    for secret in (got["access_token"], got["refresh_token"], again["access_token"], yes["code"]):
        for file in cloud.folder.glob("cloud.db*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()
    assert token(cloud, None, **form, client_id=program[0], client_secret=program[1]).status_code == 400  # code twice
    assert may(cloud, again["access_token"]) in (200, 401)  # remembered for a second
    assert token(cloud, program, grant_type="refresh_token", refresh_token=again["refresh_token"]).status_code == 400


def test_the_merchant_and_the_platform_end_it(cloud: Cloud, owner: httpx.Client, program: tuple[str, str]) -> None:
    for way in ("merchant", "platform"):
        got = first_tokens(cloud, owner, program)
        if way == "platform":
            done = httpx.post(f"{cloud.url}/oauth/revoke", data={"token": got["refresh_token"]}, auth=program)
            assert done.status_code == 200
        else:
            for end in re.findall(r'action="(/setup/apps/grants/[^"]+/end)"', owner.get("/setup/apps").text):
                assert owner.post(end, data={"csrf": csrf(owner)}).status_code == 303
        assert may(cloud, got["access_token"]) == 401
        gone = token(cloud, program, grant_type="refresh_token", refresh_token=got["refresh_token"])
        assert (gone.status_code, gone.json()["error"]) == (400, "invalid_grant")
    assert httpx.post(f"{cloud.url}/oauth/revoke", data={"token": "x"}, auth=program).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "orders:read root"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
def test_a_wrong_question_is_answered_at_the_platforms_address(
    owner: httpx.Client, program: tuple[str, str], changes: dict[str, str], error: str
) -> None:
    wrong = told(owner.get("/oauth/authorize", params=asked(program[0], **changes)))
    assert (wrong["error"], wrong["state"]) == (error, "s t&a=te")
    assert consent(owner, asked(program[0], **changes))["error"] == error  # nor behind the page's back


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": BACK + "#"},
        {"redirect_uri": BACK.upper()},
        {"redirect_uri": ""},
        {"client_id": "app_nobody"},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    owner: httpx.Client, program: tuple[str, str], changes: dict[str, str]
) -> None:
    form = asked(program[0]) | changes
    assert owner.get("/oauth/authorize", params=form).status_code == 400
    assert owner.post("/oauth/authorize", data={**form, "answer": "allow", "csrf": csrf(owner)}).status_code == 400


@pytest.mark.covers("A43")
def test_only_an_owner_allows_and_only_from_our_page(
    cloud: Cloud, owner: httpx.Client, program: tuple[str, str]
) -> None:
    name = f"staff-{secrets.token_hex(4)}"
    words = ("merchant", "add", "Corner Cafe", "--user", name, "--role", "staff", "--password-stdin")
    cloud.command(*words, stdin=PASSWORD + "\n")
    form = asked(program[0]) | {"answer": "allow"}
    with closing(cloud.log_in(name)) as staff:
        assert "Only an owner" in staff.get("/oauth/authorize", params=form).text
        assert staff.post("/oauth/authorize", data={**form, "csrf": csrf(staff)}).status_code == 403
    assert owner.post("/oauth/authorize", data=form).status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert owner.post("/oauth/authorize", data={**form, "csrf": csrf(owner)}, headers=evil).status_code == 403
    stranger = httpx.get(f"{cloud.url}/oauth/authorize", params=form)
    assert stranger.status_code == 303
    assert stranger.headers["location"].startswith("/login?next=%2Foauth%2Fauthorize")


def test_a_code_is_worth_nothing_without_its_verifier_address_and_program(
    cloud: Cloud, owner: httpx.Client, program: tuple[str, str]
) -> None:
    good = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": VERIFIER}
    for change in ({"code_verifier": "x" * 43}, {"code_verifier": ""}, {"redirect_uri": "https://mealhub.example/"}):
        code = consent(owner, asked(program[0]))["code"]
        answer = token(cloud, program, **(good | change), code=code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert token(cloud, program, **good, code=code).status_code == 400  # one try
    code = consent(owner, asked(program[0]))["code"]
    for wrong in ((program[0], "wrong"), (program[0], ""), ("app_nobody", program[1])):
        answer = token(cloud, wrong, **good, code=code)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert token(cloud, program, grant_type="password", username="anna", password=PASSWORD).json()["error"] == (
        "unsupported_grant_type"
    )
    twice = httpx.post(
        f"{cloud.url}/oauth/token",
        content=b"grant_type=authorization_code&code=a&code=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        auth=program,
    )
    assert twice.json()["error"] == "invalid_request"
    as_json = httpx.post(f"{cloud.url}/oauth/token", json={"grant_type": "refresh_token"}, auth=program)
    assert as_json.json()["error"] == "invalid_request"


def test_of_many_who_use_one_code_one_gets_tokens(cloud: Cloud, owner: httpx.Client, program: tuple[str, str]) -> None:
    code = consent(owner, asked(program[0]))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: token(cloud, program, **form).status_code, range(6)))
    assert answers.count(200) == 1, answers


def test_a_stolen_refresh_token_ends_the_grant(tmp_path: Path) -> None:
    with closing(fresh_store(tmp_path)) as store:
        caller, first = granted(store)
        second = run(store, oauth.refresh, caller, {"refresh_token": first.refresh})
        assert isinstance(second, oauth.Tokens)
        lost = run(store, oauth.refresh, caller, {"refresh_token": first.refresh})  # its answer was lost: at once
        assert isinstance(lost, oauth.Tokens)
        with store.write() as connection:
            used = oauth_tokens.c.used_at - oauth.LEEWAY_MS - 1
            connection.execute(sa.update(oauth_tokens).where(oauth_tokens.c.used_at.is_not(None)).values(used_at=used))
        stolen = run(store, oauth.refresh, caller, {"refresh_token": first.refresh})
        assert isinstance(stolen, oauth.Denied)
        for access in (first.access, second.access, lost.access):
            assert oauth.owner(store, access) is None
        assert isinstance(run(store, oauth.refresh, caller, {"refresh_token": second.refresh}), oauth.Denied)


def test_what_is_over_is_over(tmp_path: Path) -> None:
    with closing(fresh_store(tmp_path)) as store:
        caller, first = granted(store)
        assert oauth.owner(store, first.access) is not None
        assert oauth.owner(store, first.refresh) is None  # no access token
        with store.write() as connection:
            connection.execute(sa.update(oauth_tokens).values(expires_at=1))
        assert oauth.owner(store, first.access) is None
        assert isinstance(run(store, oauth.refresh, caller, {"refresh_token": first.refresh}), oauth.Denied)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_only_safe_redirect_addresses_are_registered(text: str) -> None:
    for uri in (text, f"https://{text}", f"http://{text}", f"javascript:{text}", f"data:{text}"):
        if oauth.check_redirect(uri) == "":
            parts = urlsplit(uri)
            assert parts.scheme not in ("javascript", "data", "file", "")
            assert parts.scheme != "http" or parts.hostname in ("127.0.0.1", "::1", "localhost")
            assert not parts.fragment


def granted(store: Store) -> tuple[oauth.Client, oauth.Tokens]:
    from cloud.auth import Who

    with store.write() as connection:
        client_id, _ = oauth.add_client(connection, "App", [BACK], public=True, merchant=None, who="test")
        who = Who("m", "user anna", frozenset(), "owner")
        code = oauth.consent(connection, who, oauth.wish_of(connection, "m", asked(client_id)))
        caller = oauth.proven_client(connection, client_id, "")
        form = {"code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        tokens = oauth.exchange(connection, caller, form)
    assert isinstance(tokens, oauth.Tokens)
    return caller, tokens


def run(store: Store, work: Any, caller: oauth.Client, form: dict[str, str]) -> Any:
    with store.write() as connection:
        return work(connection, caller, form)
