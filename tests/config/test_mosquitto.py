"""config/mosquitto.conf and config/acl, with a real mosquitto: a box is confined to its own topics.

What counts is what is delivered: a refused QoS 1 publish is acknowledged all the same by MQTT 3.1.1, and a refused
subscription is granted.
"""

from __future__ import annotations

import getpass
import queue
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

import agent.mqtt
from tests.simulators.system import free_port, listens, until
from wire import topics

CONFIG = Path(__file__).parents[2] / "config"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
ONE, OTHER = "shop42-front", "shop43-front"

pytestmark = pytest.mark.skipif(
    not MOSQUITTO or not shutil.which("mosquitto_passwd"), reason="mosquitto is not installed"
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("mosquitto"), free_port()
    passwords = folder / "passwd"
    passwords.touch()
    for user in (ONE, OTHER, "cloud"):
        subprocess.run(
            ["mosquitto_passwd", "-b", passwords, user, f"secret of {user}"], check=True, capture_output=True
        )
    shutil.copy(CONFIG / "acl", folder / "acl")
    for path in (passwords, folder / "acl"):
        path.chmod(0o644)
    text = (CONFIG / "mosquitto.conf").read_text()
    for was, now in (
        ("listener 1883", f"listener {port}"),
        ("/etc/mosquitto/tillwire.passwd\nacl", f"{passwords}\nacl"),
        ("/etc/mosquitto/tillwire.acl\n\n", f"{folder}/acl\n\n"),
        ("persistence true", "persistence false"),
    ):
        assert was in text
        text = text.replace(was, now)
    text += f"\nuser {getpass.getuser()}\n"  # else root becomes "mosquitto", who cannot read a test's folder
    (folder / "mosquitto.conf").write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(MOSQUITTO), "-c", folder / "mosquitto.conf"], stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 10, f"mosquitto listens: {(folder / 'log').read_text()}")
        yield port
    finally:
        process.terminate()
        process.wait(10)


class Peer:
    """Somebody at the broker, and what was delivered to them."""

    def __init__(self, port: int, user: str, client_id: str = "", password: str | None = None) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.told: queue.Queue[object] = queue.Queue()
        client_id = client_id or agent.mqtt.client_id(user, f"secret of {user}")
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(user, f"secret of {user}" if password is None else password)
        self.client.on_message = lambda c, u, m: self.heard.put((m.topic, m.payload))
        self.client.on_connect = lambda c, u, f, reason, p: self.told.put(reason)
        self.client.on_subscribe = lambda *a: self.told.put("subscribed")
        self.client.on_publish = lambda c, u, mid, reason, p: self.told.put(reason)
        self.client.on_disconnect = lambda *a: self.told.put("gone")
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.connected = self.told.get(timeout=5)

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, qos=1)
        assert self.told.get(timeout=5) == "subscribed"

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> str:
        self.client.publish(topic, payload, qos=1, retain=retain)
        return str(self.told.get(timeout=5))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def peers(broker: int) -> Iterator[dict[str, Peer]]:
    all_of_them = {user: Peer(broker, user) for user in (ONE, OTHER, "cloud")}
    yield all_of_them
    for peer in all_of_them.values():
        peer.close()


@pytest.mark.covers("A20", "F33")
def test_a_box_writes_its_own_topics_and_no_others(peers: dict[str, Peer]) -> None:
    cloud, one = peers["cloud"], peers[ONE]
    cloud.subscribe("tillwire/1/#")
    assert one.publish(topics.up(OTHER, "receipts"), b"forged") == "Not authorized"
    assert one.publish(topics.down(ONE, "acks"), b"forged") == "Not authorized"
    assert one.publish(topics.up(ONE, "receipts"), b"true") == "Success"
    assert cloud.heard.get(timeout=5) == (topics.up(ONE, "receipts"), b"true")
    assert cloud.heard.empty()


@pytest.mark.covers("A22")
@pytest.mark.parametrize(
    "wish", ["#", "+/+/+/+/+/+", "$SYS/#", f"$share/g/{topics.down(OTHER, 'orders')}", topics.down(OTHER, "orders")]
)
def test_a_box_hears_nothing_of_another_whatever_it_subscribes_to(peers: dict[str, Peer], wish: str) -> None:
    cloud, one = peers["cloud"], peers[ONE]
    one.subscribe(wish)
    one.subscribe(topics.down(ONE, "orders"))
    cloud.publish(topics.down(OTHER, "orders"), b"not for one")
    cloud.publish(topics.down(ONE, "orders"), b"for one")
    heard = {one.heard.get(timeout=5)}
    while not one.heard.empty():
        heard.add(one.heard.get())
    assert heard == {(topics.down(ONE, "orders"), b"for one")}


@pytest.mark.covers("A21")
def test_another_box_cannot_throw_one_out_by_its_client_id(broker: int, peers: dict[str, Peer]) -> None:
    """It would have to know the password."""
    thief = Peer(broker, OTHER, client_id=ONE)
    peers["cloud"].subscribe(topics.up(ONE, "status"))
    assert peers[ONE].publish(topics.up(ONE, "status"), b"still here") == "Success"
    assert peers["cloud"].heard.get(timeout=5)[1] == b"still here"
    thief.close()


def test_a_wrong_password_and_no_name_are_refused(broker: int) -> None:
    assert str(Peer(broker, ONE, client_id="x", password="guess").connected) == "Not authorized"
    assert str(Peer(broker, "", client_id="y", password="").connected) == "Not authorized"


@pytest.mark.covers("A27")
def test_a_message_that_is_too_large_ends_only_its_own_connection(peers: dict[str, Peer]) -> None:
    peers["cloud"].subscribe("tillwire/1/#")
    peers[OTHER].client.publish(topics.up(OTHER, "receipts"), bytes(200_000), qos=1)
    assert peers[ONE].publish(topics.up(ONE, "receipts"), b"x" * 131_000) == "Success"
    assert len(peers["cloud"].heard.get(timeout=5)[1]) == 131_000
