"""How a box comes to a merchant, what brokers learn of it, and how it is cut off."""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cloud import claims
from cloud.broker import SERVICE, hash_password
from cloud.mqtt import Address, Mqtt, Offline
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.conftest import Cloud, until
from tests.cloud.mosquitto import Mosquitto
from tests.cloud.test_batch import fresh_store, rows
from tests.simulators.box import SimulatedBox, job
from wire import topics
from wire.messages import encode


@given(st.integers(0, 2**80 - 1), st.integers(0, 20), st.sampled_from(claims.ALPHABET))
def test_a_slip_of_the_hand_is_seen(number: int, at: int, typed: str) -> None:
    code = claims.spell(number)
    assert claims.number_of(code) == number
    assert claims.number_of(code.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == number
    slipped = code[:at] + typed + code[at + 1 :]
    if slipped != code:
        assert claims.number_of(slipped) is None


@given(st.text(max_size=100))
def test_whatever_is_typed_is_a_code_or_none(text: str) -> None:
    number = claims.number_of(text)
    assert number is None or 0 <= number < 2**80


@pytest.mark.covers("A32")
def test_a_code_is_used_once_and_ends(tmp_path: Path) -> None:
    mine, other = claims.Hashes("$2b$04$" + "a" * 53), claims.Hashes("$2b$04$" + "b" * 53)
    with closing(fresh_store(tmp_path)) as store:

        def use(code: str, hashes: claims.Hashes, wish: str = "") -> str | None:
            with store.write() as connection:
                return claims.use(connection, code, hashes, wish)

        first, second, third = (_new(store) for _ in range(3))
        assert use(first, mine, "kitchen-9") == "kitchen-9"
        assert use(first, mine, "kitchen-9") == "kitchen-9"  # its answer was lost
        assert use(first, other) is None
        named = use(second, other, "kitchen-9")  # taken: it gets another one
        assert named is not None
        assert topics.is_box(named)
        assert named != "kitchen-9"
        with store.write() as connection:
            connection.execute(sa.update(schema.claims).values(expires_at=1))
        assert use(third, mine) is None
        assert use("", mine) is None
        made = [row for row in rows(store, schema.boxes, "id", "merchant_id") if row[1] == "m"]
        assert len(made) == 2
        assert first not in str(rows(store, schema.claims))
        assert [w for (w,) in rows(store, schema.audit, "what") if w == "box.claim"] == ["box.claim"] * 2


def _new(store: Store) -> str:
    with store.write() as connection:
        return claims.new(connection, "m", "test")


def _ask(cloud: Cloud, code: str, secret: str, **more: Any) -> httpx.Response:
    body = {"bcrypt": hash_password(secret), "pbkdf2_sha512": claims.mosquitto_hash(secret)} | more
    return httpx.post(f"{cloud.url}/v1/claims/{code}", json=body, timeout=30)


@pytest.mark.covers("A32", "A34")
def test_a_claimed_box_works_and_a_revoked_one_hears_nothing_any_more(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path).start()
    line = None
    try:
        cloud.merchant("Corner Cafe", "anna").close()
        code, secret = cloud.command("claim", "new", "Corner Cafe"), secrets.token_urlsafe(32)
        answer = _ask(cloud, code, secret, box="cafe-front-1")
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"box": "cafe-front-1", "broker": f"mqtt://127.0.0.1:{cloud.mqtt_port}"}
        box = cloud.connect("cafe-front-1", secret)
        box.capture()
        box.acked([1])
        box.close()

        line = Mqtt(Address("127.0.0.1", cloud.mqtt_port, "cafe-front-1", secret), "cafe-front-1")
        topic = topics.down("cafe-front-1", "acks")
        line.subscribe([topic])
        password = (tmp_path / "broker" / "cloud.password").read_text().strip()
        service = Mqtt(Address("127.0.0.1", cloud.mqtt_port, SERVICE, password), "second-service")
        service.publish(topic, b"before")
        assert [m.payload for m in line.receive(10)] == [b"before"]
        cloud.command("box", "revoke", "cafe-front-1")
        began, heard = time.monotonic(), 0.0
        with pytest.raises(Offline):  # what counts is what is delivered
            while time.monotonic() - began < 60:
                service.publish(topic, b"after")
                if line.receive(0.2):
                    heard = time.monotonic() - began
        assert heard < 60
        with pytest.raises(Offline):
            Mqtt(Address("127.0.0.1", cloud.mqtt_port, "cafe-front-1", secret), "cafe-front-1")
        service.close()

        answers = [_ask(cloud, wrong, secret) for wrong in (code, claims.spell(7), "nonsense", "x" * 500)]
        assert {(a.status_code, a.text) for a in answers} == {(404, answers[0].text)}  # none tells why
        bad = httpx.post(f"{cloud.url}/v1/claims/{code}", json={"bcrypt": "password"})
        assert bad.status_code == 400
        assert httpx.post(f"{cloud.url}/v1/claims/{code}", json={}).status_code == 422
        until(lambda: _ask(cloud, claims.spell(8), secret).status_code == 429)
    finally:
        if line is not None:
            line.close()
        cloud.close()


@pytest.mark.covers("A34", "F33")
def test_a_mosquitto_is_told_who_may_connect(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(secrets.token_urlsafe(16) + "\n")
    files = tmp_path / "files"
    files.mkdir()
    broker = None
    boxes: list[SimulatedBox] = []
    cloud = Cloud(tmp_path, broker=f'url = "mqtt://127.0.0.1:1"\npassword_file = "{tmp_path / "secret"}"')
    try:
        client = cloud.merchant("Corner Cafe", "anna")
        first = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
        assert "1 boxes" in cloud.command("broker-files", str(files))
        for file in files.iterdir():
            file.chmod(0o644)
        broker = Mosquitto(tmp_path, files=files)
        cloud.config.write_text(cloud.config.read_text().replace('127.0.0.1:1"', f'127.0.0.1:{broker.port}"'))
        cloud.start()
        until(lambda: httpx.get(f"{cloud.url}/healthz").json()["broker"])
        boxes.append(SimulatedBox("cafe-front-1", first, "127.0.0.1", broker.port).ready())
        boxes[0].capture()
        boxes[0].acked([1])

        secret = secrets.token_urlsafe(32)
        claimed = _ask(cloud, cloud.command("claim", "new", "Corner Cafe"), secret).json()
        assert claimed["broker"] == f"mqtt://127.0.0.1:{broker.port}"
        cloud.command("broker-files", str(files))
        broker.reload()
        boxes.append(cloud_box := _connect(claimed["box"], secret, broker.port))
        cloud_box.capture()
        cloud_box.acked([1])
        assert {r["box"] for r in client.get("/v1/receipts").json()["receipts"]} == {"cafe-front-1", claimed["box"]}

        line = Mqtt(Address("127.0.0.1", broker.port, claimed["box"], secret), "another-name")
        line.publish(topics.up("cafe-front-1", "receipts"), encode(job(boxes[0].epoch, 2)))  # not its own to say
        line.publish(topics.up(claimed["box"], "receipts"), encode(job(cloud_box.epoch, 2)))
        cloud_box.acked([2])
        cloud.command("box", "revoke", claimed["box"])
        cloud.command("broker-files", str(files))
        broker.reload()
        with pytest.raises(Offline):
            for _ in range(300):
                line.receive(0.1)
        boxes[0].capture(text="still here")
        boxes[0].acked([2])
        assert boxes[0].results == ["stored", "stored"]
    finally:
        for box in boxes:
            box.close()
        cloud.close()
        if broker is not None:
            broker.close()


def _connect(name: str, secret: str, port: int) -> SimulatedBox:
    """mosquitto has read its files a moment after the signal."""
    return SimulatedBox(name, secret, "127.0.0.1", port).ready()
