"""The console's pages of access, used as an owner uses them: people, keys, boxes and webhooks."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from cloud import auth, people
from cloud.statuses import status_of
from cloud.store import schema
from tests.cloud.conftest import PASSWORD, Cloud, until
from tests.cloud.test_batch import fresh_store, rows
from wire.messages import Status, new


class Page:
    """A person in front of the console."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        found = re.search(r'data-csrf="([^"]+)"', client.get("/").text)
        assert found
        self.csrf = found[1]

    def post(self, path: str, **form: str | list[str]) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf, **form})

    def secret(self, answer: httpx.Response) -> str:
        assert answer.status_code == 200, answer.text
        found = re.findall(r'<p class="secret"><code>([^<]+)</code>', answer.text)
        return str(found[-1])


@pytest.fixture(scope="module")
def anna(cloud: Cloud, cafe: httpx.Client) -> Iterator[Page]:
    with closing(cloud.log_in("anna")) as client:
        yield Page(client)


@pytest.mark.covers("A42")
def test_a_person_comes_changes_and_goes(cloud: Cloud, anna: Page) -> None:
    name = f"ben-{secrets.token_hex(3)}"
    password = anna.secret(anna.post("/setup/people", name=name.upper(), role="staff"))
    assert anna.post("/setup/people", name=name, role="staff").status_code == 422  # taken
    with closing(cloud.log_in(name, password)) as client:
        ben = Page(client)
        assert client.get("/setup/people").status_code == 403
        assert ben.post("/setup/password", old="wrong", new="long enough").status_code == 422
        assert ben.post("/setup/password", old=password, new="short").status_code == 422
        changed = "another good one"
        assert ben.post("/setup/password", old=password, new=changed).status_code == 303
        assert client.get("/").status_code == 303  # logged out everywhere
    assert httpx.post(f"{cloud.url}/login", data={"name": name, "password": password}).status_code == 401
    with closing(cloud.log_in(name, changed)) as client:
        (found,) = re.findall(
            rf"<b>{name}</b>.*?/setup/people/([0-9a-f-]+)/role", anna.client.get("/setup/people").text, re.DOTALL
        )
        assert anna.post(f"/setup/people/{found}/role", role="king").status_code == 422
        assert anna.post(f"/setup/people/{found}/role", role="readonly").status_code == 303
        assert client.get("/").status_code == 303
    with closing(cloud.log_in(name, changed)) as client:
        assert anna.post(f"/setup/people/{found}/remove").status_code == 303
        assert client.get("/").status_code == 303
    assert httpx.post(f"{cloud.url}/login", data={"name": name, "password": changed}).status_code == 401


def test_someone_is_always_the_owner(tmp_path: Path) -> None:
    with closing(fresh_store(tmp_path)) as store, store.write() as connection:
        first = people.add(connection, "m", "one", "-", "owner", "test")
        for refused in (
            lambda: people.remove(connection, "m", first, "test"),
            lambda: people.set_role(connection, "m", first, "staff", "test"),
        ):
            with pytest.raises(people.Refused, match="owner"):
                refused()
        second = people.add(connection, "m", "two", "-", "owner", "test")
        assert people.remove(connection, "m", first, "test")
        assert not people.remove(connection, "other", second, "test")


def test_a_key_works_until_it_is_revoked(cloud: Cloud, anna: Page) -> None:
    assert anna.post("/setup/keys", label="none").status_code == 422
    key = anna.secret(anna.post("/setup/keys", label="Till system", scope=["orders:read"]))
    ask = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{cloud.url}/v1/orders", headers=ask).status_code == 200
    assert httpx.get(f"{cloud.url}/v1/receipts", headers=ask).status_code == 403
    page = anna.client.get("/setup/keys").text
    assert key not in page
    (found,) = re.findall(r"<b>Till system</b>.*?/setup/keys/([0-9a-f-]+)/revoke", page, re.DOTALL)
    assert anna.post(f"/setup/keys/{found}/revoke").status_code == 303
    until(lambda: httpx.get(f"{cloud.url}/v1/orders", headers=ask).status_code == 401)


def test_the_form_of_a_key_offers_what_it_may(anna: Page) -> None:
    page = anna.client.get("/setup/keys").text
    assert re.findall(r'name="scope" value="([^"]+)"', page) == list(auth.SCOPES)


def test_an_owner_has_receipts_erased_sooner(anna: Page) -> None:
    assert anna.post("/setup/keeping", receipts="90", raw="7").status_code == 303
    page = anna.client.get("/setup/keeping").text
    assert re.findall(r'name="(receipts|raw)"[^>]* value="(\d*)"', page) == [("receipts", "90"), ("raw", "7")]
    for wrong in ({"receipts": "5"}, {"receipts": "-1"}, {"raw": "many"}, {"receipts": "999999"}):
        assert anna.post("/setup/keeping", **wrong).status_code == 422, wrong
    assert anna.post("/setup/keeping").status_code == 303
    assert 'value="90"' not in anna.client.get("/setup/keeping").text


def test_a_box_comes_by_a_code_and_its_fingerprint_shows(cloud: Cloud, anna: Page) -> None:
    from agent.credentials import stage

    code = anna.secret(anna.post("/setup/boxes"))
    staged = stage(cloud.folder / f"password-{secrets.token_hex(4)}")
    name = f"paged-{secrets.token_hex(4)}"
    body = {"bcrypt": staged.bcrypt, "pbkdf2_sha512": staged.pbkdf2, "box": name}
    assert httpx.post(f"{cloud.url}/v1/claims/{code}", json=body).json()["box"] == name
    with closing(cloud.connect(name, staged.password)) as box:
        box.capture()
        box.acked([1])
    page = anna.client.get("/setup/boxes").text
    assert staged.fingerprint in page
    assert staged.password not in page
    again = anna.secret(anna.post(f"/setup/boxes/{name}/code"))
    other = stage(cloud.folder / f"password-{secrets.token_hex(4)}")
    body = {"bcrypt": other.bcrypt, "pbkdf2_sha512": other.pbkdf2, "box": "something-else"}
    assert httpx.post(f"{cloud.url}/v1/claims/{again}", json=body).json()["box"] == name
    cloud.connect(name, other.password).close()
    assert anna.post(f"/setup/boxes/{name}/rotate").status_code == 303
    assert anna.post(f"/setup/boxes/{name}/revoke").status_code == 303
    assert "cut off" in anna.client.get("/setup/boxes").text


def test_a_webhook_shows_what_was_delivered(cloud: Cloud, anna: Page) -> None:
    assert anna.post("/setup/webhooks", url="http://169.254.169.254/").status_code == 422
    secret = anna.secret(anna.post("/setup/webhooks", url="https://example.com/paged", kind=["order.changed"]))
    assert secret.startswith("whsec_")
    page = anna.client.get("/setup/webhooks").text
    (found,) = re.findall(r'href="/setup/webhooks/([0-9a-f-]+)">https://example.com/paged<', page)
    log = anna.client.get(f"/setup/webhooks/{found}").text
    assert secret not in page + log
    assert anna.post(f"/setup/webhooks/{found}/again").status_code == 303
    assert anna.post(f"/setup/webhooks/{found}/remove").status_code == 303
    assert anna.client.get(f"/setup/webhooks/{found}").status_code == 404


@pytest.mark.covers("A33")
def test_two_machines_that_speak_as_one_box_are_told(tmp_path: Path) -> None:
    """A kernel makes a boot id anew at each start: one that comes back after another is a second machine."""
    with closing(fresh_store(tmp_path)) as store:
        box = rows(store, schema.boxes, "id")[0][0]

        def says(boot: str) -> list[tuple[str, ...]]:
            with store.write() as connection:
                status_of(connection, "m", box, new(Status, online=True, boot=boot), False)
            return rows(store, schema.alarms, "kind", "object")

        assert says("boot-a") == says("boot-a") == says("boot-b") == says("boot-c") == []  # it was started again
        assert says("boot-b") == [("clone", box)]


def test_passwords_that_are_made_up_differ() -> None:
    made = {people.made_up_password() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password) for password in made)
    assert PASSWORD not in made
