"""The embedded broker: each box is confined to its own topics, and the broker lives exactly as long as the service."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cloud import broker
from cloud.broker import Broker
from cloud.mqtt import Address, Mqtt, Offline
from config.cloud import Broker as Settings
from config.cloud import CloudConfig
from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox, job
from wire import topics
from wire.messages import encode


@pytest.fixture(scope="module")
def secrets(cloud: Cloud, cafe: httpx.Client) -> dict[str, str]:
    return {box: cloud.command("box", "add", "Corner Cafe", box) for box in ("cafe-bar-01", "cafe-bar-02")}


def connect(cloud: Cloud, box: str, secret: str, client_id: str = "") -> Mqtt:
    return Mqtt(Address("127.0.0.1", cloud.mqtt_port, box, secret), client_id or box)


def broker_pid(cloud: Cloud) -> int:
    assert cloud.process is not None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        if "(nats-server)" in stat and stat.rsplit(")", 1)[1].split()[1] == str(cloud.process.pid):
            return int(folder.name)
    return 0


def test_a_box_added_while_the_service_runs_connects_at_once(cloud: Cloud, cafe: httpx.Client) -> None:
    box = cloud.box("Corner Cafe", "cafe-fresh-1")
    box.capture()
    box.acked([1])


def test_a_line_that_is_only_looked_at_hears_its_pings(cloud: Cloud, secrets: dict[str, str]) -> None:
    """As dispatch does it: what came is taken, nothing is waited for."""
    address = Address("127.0.0.1", cloud.mqtt_port, "cafe-bar-01", secrets["cafe-bar-01"])
    mqtt = Mqtt(address, "cafe-bar-01", keepalive_s=6)
    heard = mqtt._heard
    until(lambda: mqtt.receive(0) or mqtt._heard > heard)
    mqtt.close()


@pytest.mark.covers("F29")
def test_a_broker_that_has_nothing_to_say_is_not_taken_for_a_dead_one(fake_broker: Callable[..., int]) -> None:
    """It answers pings, and nothing else: there is no answer to what is published with QoS 0."""
    mqtt = Mqtt(Address("127.0.0.1", fake_broker(answers_pings=True), "cloud", "x"), "cloud", keepalive_s=1)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        mqtt.publish("tillwire/1/00/box/down/acks", b"want", qos=0)
        mqtt.receive(0.05)
    mqtt.close()


@pytest.mark.covers("F29")
def test_a_broker_that_is_silent_is_left_however_much_it_is_told(fake_broker: Callable[..., int]) -> None:
    mqtt = Mqtt(Address("127.0.0.1", fake_broker(answers_pings=False), "cloud", "x"), "cloud", keepalive_s=1)
    with pytest.raises(Offline, match="silent"):
        for _ in range(400):
            mqtt.publish("tillwire/1/00/box/down/acks", b"want", qos=0)
            mqtt.receive(0.05)


@pytest.fixture
def fake_broker() -> Iterator[Callable[..., int]]:
    servers: list[socket.socket] = []

    def start(answers_pings: bool) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            link = server.accept()[0]
            link.recv(4096)
            link.sendall(b"\x20\x02\0\0")
            while data := link.recv(4096):
                if answers_pings and b"\xc0\0" in data:
                    link.sendall(b"\xd0\0")

        threading.Thread(target=serve, daemon=True).start()
        port: int = server.getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()


def test_a_killed_broker_forgets_connections_that_do_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep for ever what is said to them, until its disk is full. The service comes with another client
    id each time, and a box that was replaced never does."""
    monkeypatch.setattr(broker, "FORGET", "1s")
    server = Broker(CloudConfig(broker=Settings(listen="127.0.0.1:0", dir=str(tmp_path))), dict)
    server.start()
    try:
        gone = Mqtt(server.address, "gone")
        gone.subscribe([topics.all_up()[0]])
        was = kept(tmp_path)
        assert was
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(Offline):
            for _ in range(100):
                gone.receive(0.1)
        gone.close()
        here = until(lambda: connected(server.address, "here"))
        here.subscribe([topics.all_up()[0]])
        assert kept(tmp_path) > was, "it came back with what it kept"
        until(lambda: kept(tmp_path).isdisjoint(was))
        topic = topics.up("cafe-bar-01", topics.all_up()[0].rpartition("/")[2])
        here.publish(topic, b"still heard")
        assert until(lambda: here.receive(0.1))[0].payload == b"still heard"
        here.close()
    finally:
        server.stop()


def kept(folder: Path) -> set[str]:
    """What the broker keeps of subscriptions with QoS 1: NATS calls them consumers."""
    return {path.name for path in folder.glob("jetstream/*/streams/$MQTT_msgs/obs/*")}


def connected(address: Address, name: str) -> Mqtt | None:
    try:
        return Mqtt(address, name)
    except Offline:
        return None


def test_wrong_passwords_and_unknown_names_are_refused(cloud: Cloud, secrets: dict[str, str]) -> None:
    for name, secret in (("cafe-bar-01", "wrong"), ("cafe-bar-01", ""), ("nobody-1234", "x"), ("", ""), ("cloud", "x")):
        with pytest.raises(Offline):
            connect(cloud, name, secret, "some-client")


@pytest.mark.covers("A20", "A24")
def test_a_box_cannot_write_what_another_one_says_or_is_told(
    cloud: Cloud, cafe: httpx.Client, secrets: dict[str, str]
) -> None:
    good, evil = "cafe-bar-01", "cafe-bar-02"
    victim, attacker = connect(cloud, good, secrets[good]), connect(cloud, evil, secrets[evil])
    victim.subscribe([f"tillwire/1/{topics.shard_of(good)}/{good}/down/#"])
    forged = job("00000000-0000-4000-8000-000000000001", 1)
    for topic in (
        topics.up(good, "receipts"),
        topics.down(good, "acks"),
        topics.down(evil, "acks"),
        "other/tree",
        "$SYS/x",
    ):
        attacker.publish(topic, encode(forged), qos=1)
    attacker.publish(topics.up(evil, "receipts"), encode(job("00000000-0000-4000-8000-000000000002", 1)))
    until(lambda: [r for r in cafe.get("/v1/receipts").json()["receipts"] if r["box"] == evil])
    assert not [r for r in cafe.get("/v1/receipts").json()["receipts"] if r["box"] == good]
    assert victim.receive(0.2) == []
    victim.close()
    attacker.close()


@pytest.mark.covers("A22")
@pytest.mark.parametrize(
    "wish", ["#", "+/+/+/+/+/+", "$SYS/#", "tillwire/1/#", "$share/g/tillwire/1/#", "tillwire/1/+/cafe-bar-01/down/#"]
)
def test_a_box_hears_nothing_that_is_not_for_it(cloud: Cloud, secrets: dict[str, str], wish: str) -> None:
    """What counts is what is delivered, not what the SUBACK says."""
    victim = cloud.connect("cafe-bar-01", secrets["cafe-bar-01"])
    listener = connect(cloud, "cafe-bar-02", secrets["cafe-bar-02"], f"listener-{abs(hash(wish)) % 9999}")
    try:
        listener.subscribe([wish], timeout_s=2)
        heard = listener.receive(0.05)
    except Offline:
        heard = []
    try:
        victim.capture()
        victim.acked([victim.seq])  # something was said, and answered, after the listener had its wish
        heard += listener.receive(0.1)
    except Offline:
        pass
    finally:
        victim.close()
        listener.close()
    assert heard == []


def test_the_broker_comes_back_when_it_dies_and_nothing_is_lost(cloud: Cloud, secrets: dict[str, str]) -> None:
    box = cloud.connect("cafe-bar-02", secrets["cafe-bar-02"])
    box.capture()
    box.acked([1])
    first = broker_pid(cloud)
    os.kill(first, signal.SIGKILL)
    until(lambda: broker_pid(cloud) not in (0, first))
    until(lambda: httpx.get(f"{cloud.url}/healthz").json()["broker"])
    again = cloud.connect("cafe-bar-02", secrets["cafe-bar-02"])
    again.epoch, again.seq = box.epoch, 1
    again.capture()
    again.acked([2])


def test_a_revoked_box_is_cut_off(cloud: Cloud, secrets: dict[str, str]) -> None:
    line = connect(cloud, "cafe-bar-02", secrets["cafe-bar-02"], "to-be-revoked")
    cloud.command("box", "revoke", "cafe-bar-02")
    with pytest.raises(Offline):
        for _ in range(100):
            line.receive(0.1)
    with pytest.raises(Offline):
        connect(cloud, "cafe-bar-02", secrets["cafe-bar-02"])


def test_commands_list_what_there_is(cloud: Cloud, cafe: httpx.Client) -> None:
    cloud.command("box", "add", "Corner Cafe", "zzz-listed-1")
    assert "Corner Cafe" in cloud.command("box", "list")
    order = cafe.post("/v1/orders", json={"kind": "takeaway", "items": [{"name": "Soup"}]}).json()["id"]
    assert order in cloud.command("order", "list", "--limit", "1")
    assert cloud.command("audit", "check") == "the audit log is whole"
    cloud.command("channel", "set", "Corner Cafe", "listed", "--auto-accept", "yes")
    body = {"kind": "takeaway", "items": [{"name": "Soup"}], "channel": "listed"}
    assert cafe.post("/v1/orders", json=body).json()["state"] in ("queued", "sent")


def test_commands_refuse_what_is_wrong(cloud: Cloud, cafe: httpx.Client) -> None:
    assert "8 to 36 small letters" in cloud.command("box", "add", "Corner Cafe", "Bad/Name", fails=True)
    assert "no merchant" in cloud.command("box", "add", "Nobody", "some-box-1", fails=True)
    assert "taken" in cloud.command(
        "merchant", "add", "X", "--user", "anna", "--password-stdin", stdin="long enough\n", fails=True
    )
    assert "8 to 1000" in cloud.command(
        "merchant", "add", "X", "--user", "b", "--password-stdin", stdin="short\n", fails=True
    )


def test_the_broker_dies_with_a_killed_service_and_the_next_start_has_everything(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    client = cloud.merchant("Corner Cafe", "anna")  # without a running service
    secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
    cloud.start()
    try:
        box = cloud.connect("cafe-front-1", secret)
        box.capture()
        box.acked([1])
        broker = broker_pid(cloud)
        cloud.stop(signal.SIGKILL)
        until(lambda: not Path(f"/proc/{broker}").exists())
        cloud.start()
        assert [r["seq"] for r in client.get("/v1/receipts").json()["receipts"]] == [1]
        assert cloud.stop() == 0
        assert not list(tmp_path.glob("*.admin"))
    finally:
        cloud.close()


@pytest.mark.covers("F6")
def test_killed_again_and_again_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL in the middle of ingest; the box sends again what was not acknowledged, like a real one."""
    cloud = Cloud(tmp_path)
    client = cloud.merchant("Corner Cafe", "anna")
    secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
    epoch, total, seen = "11111111-2222-4333-8444-555555555555", 1200, set[int]()
    acked: set[int] = set()
    try:
        for trial in range(4):
            cloud.start()
            box = SimulatedBox("cafe-front-1", secret, "127.0.0.1", cloud.mqtt_port).ready()
            box.epoch = epoch
            last = trial == 3
            for seq in sorted(set(range(1, total + 1)) - acked):
                box.publish("receipts", job(epoch, seq, f"R{seq:08d}\n"))
            goal = total if last else min(total, len(acked) + 60)
            missing = (set(range(1, total + 1)) - acked, goal - len(acked))
            box.wait(lambda box=box, missing=missing: len({s for _, s in box.acks} & missing[0]) >= missing[1], 20)
            if not last:
                cloud.stop(signal.SIGKILL)
            acked |= {seq for _, seq in box.acks}
            box.close(politely=last)
        assert acked == set(range(1, total + 1))
        before = None
        while True:
            params = {"limit": 200} | ({"before": before} if before else {})
            page = client.get("/v1/receipts", params=params).json()
            numbers = [r["seq"] for r in page["receipts"]]
            assert not seen & set(numbers)
            seen |= set(numbers)
            if (before := page["next"]) is None:
                break
        assert seen == set(range(1, total + 1))
        (shown,) = client.get("/v1/boxes/cafe-front-1").json()["journals"]
        assert (shown["watermark"], shown["missing"]) == (total, [])
    finally:
        cloud.close()
