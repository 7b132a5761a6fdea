"""agent/mqtt.py against real brokers: MQTT 5 and 3.1.1, passwords, TLS, manual acknowledgement, refusals."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent import tls
from agent.mqtt import Denied, Incoming, Mqtt, Offline
from config.box import Cloud
from tests.agent.rig import BIN, free_port
from wire import topics

BOX = "bench-box-1"
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


class Mosquitto:
    """A broker that can be stopped and started again on its port."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.conf = folder / "mosquitto.conf"
        self.conf.write_text("\n".join([f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}", *lines]) + "\n")
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    def start(self) -> Mosquitto:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(MOSQUITTO), "-c", str(self.conf)], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    made: list[Mosquitto] = []

    def make(*lines: str) -> Mosquitto:
        made.append(Mosquitto(tmp_path / f"broker{len(made)}", *lines))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


class Ear(Mqtt):
    """Keeps the orders that come, from the first moment on."""

    def __init__(self, settings: Cloud) -> None:
        super().__init__(settings, BOX, lambda: b"will")
        self.orders: asyncio.Queue[Incoming] = asyncio.Queue()
        self.on_message["orders"] = self.orders.put_nowait


def connected(settings: Cloud, body: Callable[[Ear], Awaitable[Any]], wait: bool = True) -> Any:
    async def run() -> Any:
        mqtt = Ear(settings)
        state = asyncio.Event()
        mqtt.on_state.append(lambda up: state.set() if up else None)
        task = asyncio.create_task(mqtt.run())
        try:
            if wait:
                async with asyncio.timeout(20):
                    await state.wait()
            return await body(mqtt)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(run())


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110 -- the reason of a failed attempt has no event of its own
            await asyncio.sleep(0.02)


async def reason(mqtt: Mqtt, word: str) -> str:
    """Until the reason why there is no connection says `word`."""
    await until(lambda: word in mqtt.reason)
    return mqtt.reason


def publisher(port: int) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="cloud")
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


@needs_mosquitto
def test_it_speaks_mqtt_5_where_the_broker_does(broker: Callable[..., Mosquitto]) -> None:
    port = broker("allow_anonymous true").port

    async def body(mqtt: Mqtt) -> str:
        await asyncio.wait_for(mqtt.publish("status", b"x"), 5)
        return mqtt.version

    assert connected(Cloud(broker=f"mqtt://127.0.0.1:{port}"), body) == "5"


def test_it_falls_back_to_3_1_1_and_stays_there(tmp_path: Path) -> None:
    port = free_port()
    conf = tmp_path / "nats.conf"
    conf.write_text(
        f'server_name: x\nlisten: "127.0.0.1:{free_port()}"\njetstream {{ store_dir: "{tmp_path}" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\n'
    )
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([str(BIN / "nats-server"), "-c", conf], stderr=log) as nats,
    ):
        try:

            async def body(mqtt: Mqtt) -> str:
                await asyncio.wait_for(mqtt.publish("status", b"x"), 5)
                return mqtt.version

            assert connected(Cloud(broker=f"mqtt://127.0.0.1:{port}"), body) == "3.1.1"
        finally:
            nats.kill()


@pytest.mark.covers("F33")
def test_a_broker_that_grants_no_subscription_counts_as_none(tmp_path: Path) -> None:
    """Receipts would go up for ever, and no acknowledgement ever come down."""
    port, conf = free_port(), tmp_path / "nats.conf"
    users = (
        '{ user: "deaf", password: "x", permissions: { publish: { allow: ["tillwire.>"] }, subscribe: { deny: ">" } } }'
    )
    conf.write_text(
        f'server_name: bench\nlisten: "127.0.0.1:-1"\njetstream {{ store_dir: "{tmp_path}/nats" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\nauthorization {{ users: [ {users} ] }}\n'
    )
    (tmp_path / "password").write_text("x\n")
    settings = Cloud(broker=f"mqtt://127.0.0.1:{port}", username="deaf", password_file=str(tmp_path / "password"))

    async def body(mqtt: Mqtt) -> str:
        told = await reason(mqtt, "subscription")
        assert not mqtt.connected
        return told

    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([str(BIN / "nats-server"), "-c", conf], stderr=log) as nats,
    ):
        try:
            assert "did not grant a subscription" in connected(settings, body, wait=False)
        finally:
            nats.kill()


@needs_mosquitto
def test_a_message_that_was_not_taken_comes_again(broker: Callable[..., Mosquitto]) -> None:
    """The broker hears an acknowledgement only when the message is stored: here, never in the first connection."""
    port = broker("allow_anonymous true", "max_inflight_messages 5").port
    sender = publisher(port)
    settings = Cloud(broker=f"mqtt://127.0.0.1:{port}")

    async def get(mqtt: Ear, take: bool) -> bytes:
        if not take:
            await asyncio.wait_for(mqtt.publish("status", b"subscribed before this"), 5)
            sender.publish(topics.down(BOX, "orders"), b"order 1", qos=1)
        incoming = await asyncio.wait_for(mqtt.orders.get(), 10)
        if take:
            incoming.done()
            await asyncio.wait_for(mqtt.publish("status", b"after the acknowledgement"), 5)
        return incoming.payload

    async def first(mqtt: Ear) -> bytes:
        return await get(mqtt, take=False)

    async def second(mqtt: Ear) -> bytes:
        return await get(mqtt, take=True)

    async def third(mqtt: Ear) -> bytes:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await get(mqtt, take=True)
        return b"nothing"

    assert [connected(settings, step) for step in (first, second, third)] == [b"order 1", b"order 1", b"nothing"]
    sender.disconnect()


@needs_mosquitto
@pytest.mark.covers("F32")
def test_a_wrong_password_is_told_and_tried_again(broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.touch()
    tmp_path.chmod(0o755)
    subprocess.run(["mosquitto_passwd", "-b", passwd, BOX, "right"], check=True, capture_output=True)
    passwd.chmod(0o644)
    port = broker("allow_anonymous false", f"password_file {passwd}").port
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    settings = Cloud(broker=f"mqtt://127.0.0.1:{port}", password_file=str(secret))

    async def body(mqtt: Mqtt) -> str:
        told = await reason(mqtt, "refused")
        with pytest.raises(Offline):
            mqtt.publish("status", b"x")
        secret.write_text("right\n")  # read again at each attempt
        await until(lambda: mqtt.connected)
        return told

    assert "refused" in connected(settings, body, wait=False)


@pytest.mark.parametrize("turns", range(6))
def test_a_stop_is_heard_also_at_the_moment_of_the_connection(
    broker: Callable[..., Mosquitto], tmp_path: Path, turns: int
) -> None:
    settings = Cloud(broker=f"mqtt://127.0.0.1:{broker('allow_anonymous true').port}")

    async def run() -> None:
        mqtt = Ear(settings)
        task = asyncio.create_task(mqtt.run())

        def later(left: int) -> None:
            if left:
                asyncio.get_running_loop().call_soon(later, left - 1)
            else:
                task.cancel()

        mqtt.on_state.append(lambda up: later(turns) if up else None)
        async with asyncio.timeout(30):
            await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(run())


def test_a_missing_password_file_is_named_with_what_helps(tmp_path: Path) -> None:
    settings = Cloud(broker="mqtt://127.0.0.1:9", password_file=str(tmp_path / "password"))

    async def body(mqtt: Mqtt) -> str:
        return await reason(mqtt, "password_file")

    told = connected(settings, body, wait=False)
    assert str(tmp_path / "password") in told and "box add" in told


@needs_mosquitto
@pytest.mark.covers("F33")
def test_mqtt_5_tells_what_the_broker_denies(broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic write {topics.up(BOX, 'status')}\n")
    tmp_path.chmod(0o755)
    acl.chmod(0o644)
    port = broker("allow_anonymous true", f"acl_file {acl}").port

    async def body(mqtt: Mqtt) -> None:
        await asyncio.wait_for(mqtt.publish("status", b"x"), 5)
        with pytest.raises(Denied, match="Not authorized"):
            await asyncio.wait_for(mqtt.publish("receipts", b"x"), 5)

    connected(Cloud(broker=f"mqtt://127.0.0.1:{port}"), body)


@needs_mosquitto
@pytest.mark.covers("F27")
def test_what_waits_for_the_broker_is_told_when_it_dies(broker: Callable[..., Mosquitto]) -> None:
    one = broker("allow_anonymous true")

    async def body(mqtt: Mqtt) -> int:
        one.stop()
        with pytest.raises(Offline):
            await asyncio.wait_for(mqtt.publish("status", b"x"), 10)
        one.start()
        await until(lambda: mqtt.connected)
        await asyncio.wait_for(mqtt.publish("status", b"x"), 5)
        return mqtt.connects

    assert connected(Cloud(broker=f"mqtt://127.0.0.1:{one.port}"), body) == 2


def certificates(folder: Path) -> dict[str, Path]:
    """A CA of our own, a server for localhost, a box."""
    folder.chmod(0o755)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-out", "other.pem", "-days", "2",
            "-subj", "/CN=other CA")  # fmt: skip
    for name, subject, alt in (("server", "/CN=localhost", "DNS:localhost"), ("box", f"/CN={BOX}", "DNS:box")):
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject
        )
        (folder / "ext").write_text(f"subjectAltName={alt}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")  # fmt: skip
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)
    return {path.name: path for path in folder.iterdir()}


@needs_mosquitto
@needs_openssl
@pytest.mark.covers("F30", "F35")
def test_tls_with_its_names_and_certificates(broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    files = certificates(tmp_path)
    port = broker(
        "allow_anonymous true", f"cafile {files['ca.pem']}", f"certfile {files['server.pem']}",
        f"keyfile {files['server.key']}", "require_certificate true",
    ).port  # fmt: skip
    mine = {"cert_file": str(files["box.pem"]), "key_file": str(files["box.key"])}
    right = Cloud(broker=f"mqtts://localhost:{port}", ca_file=str(files["ca.pem"]), **mine)

    async def publish(mqtt: Mqtt) -> None:
        await asyncio.wait_for(mqtt.publish("status", b"x"), 5)

    connected(right, publish)

    async def other_ca(mqtt: Mqtt) -> None:
        assert "certificate verify failed" in await reason(mqtt, "certificate")

    connected(Cloud(broker=f"mqtts://localhost:{port}", ca_file=str(files["other.pem"]), **mine), other_ca, wait=False)

    async def other_name(mqtt: Mqtt) -> None:
        assert "IP address mismatch" in await reason(mqtt, "mismatch")

    connected(Cloud(broker=f"mqtts://127.0.0.1:{port}", ca_file=str(files["ca.pem"]), **mine), other_name, wait=False)


@needs_mosquitto
@needs_openssl
@pytest.mark.covers("F36")
def test_a_certificate_of_the_box_that_expired_while_it_was_away_is_named_and_replaced(
    broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """The broker only hangs up; the box says why, and takes the new file without a restart."""
    files = certificates(tmp_path)
    port = broker(
        "allow_anonymous true", f"cafile {files['ca.pem']}", f"certfile {files['server.pem']}",
        f"keyfile {files['server.key']}", "require_certificate true",
    ).port  # fmt: skip
    mine = tmp_path / "mine.pem"
    old = ("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "box.csr", "-out",
           "mine.pem", "-startdate", "20250101000000Z", "-enddate", "20250201000000Z", "-notext")  # fmt: skip
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca = x\n[x]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\ndefault_md = sha256\n"
        "policy = any\n[any]\ncommonName = supplied\n"
    )
    (tmp_path / "index.txt").touch()
    (tmp_path / "serial").write_text("77\n")
    subprocess.run(["openssl", *old], cwd=tmp_path, check=True, capture_output=True)
    settings = Cloud(
        broker=f"mqtts://localhost:{port}", ca_file=str(files["ca.pem"]), cert_file=str(mine),
        key_file=str(files["box.key"]), version="5",
    )  # fmt: skip

    async def body(mqtt: Mqtt) -> str:
        told = await reason(mqtt, "expired on Feb  1")
        mine.write_bytes(files["box.pem"].read_bytes())
        await until(lambda: mqtt.connected)
        await asyncio.wait_for(mqtt.publish("status", b"x"), 20)
        return told

    told = connected(settings, body, wait=False)
    assert "ask the operator" in told
    assert "expires on" in tls.own_expiry(settings, time.time()), "the new one ends within a month"
    assert tls.own_expiry(settings, time.time() - 60 * 86_400) == ""


@needs_mosquitto
@pytest.mark.slow
@pytest.mark.covers("F29")
def test_a_connection_that_is_only_half_there_is_found(broker: Callable[..., Mosquitto]) -> None:
    """The broker is frozen: its kernel still takes our bytes, and no answer comes."""
    one = broker("allow_anonymous true")

    async def body(mqtt: Mqtt) -> float:
        assert one.process is not None
        one.process.send_signal(19)  # SIGSTOP
        lost = asyncio.Event()
        mqtt.on_state.append(lambda up: None if up else lost.set())
        begun = time.monotonic()
        async with asyncio.timeout(60):
            await lost.wait()
        return time.monotonic() - begun

    assert connected(Cloud(broker=f"mqtt://127.0.0.1:{one.port}"), body) < 45
