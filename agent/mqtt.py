"""The connection to the broker: paho, served by the agent's own loop. Only names and handshakes wait in a thread.

Rules that keep it free of deadlocks and of loss: paho's callbacks only hand over; nothing is kept in paho's memory
(each connection is a new client, what was not acknowledged is sent again from agent.db); an incoming message is
acknowledged to the broker only when its taker calls `done`. A thread of paho's own would cost two switches of the
interpreter for each message, and while receipts pour in each of them waits its turn.

Source: MQTT 3.1.1 and 5.0; paho-mqtt 2, callback API version 2.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import clock, tls
from agent.credentials import Passwords
from agent.supervise import Backoff
from config.box import Cloud, secret
from wire import topics

log = logging.getLogger("tillwire.agent")

KEEPALIVE_S = 20  # a half-open connection is found within twice that
CONNECT_S = 20.0  # for name, TCP, TLS, CONNACK and SUBACK together
UNREACHABLE_S, REFUSED_S = 10.0, 60.0  # longest wait between attempts: no way there; turned away
SESSION_S = 7 * 24 * 3600
LOOK_S = 1.0  # how often paho looks whether the line is alive
PUBACK_S = 60.0  # behind one for a later message: the broker forgot this one, they come in the order of the messages
NO_PUBACK_S = 300.0  # while messages wait for theirs; a slow line takes two minutes for a large one
IN_FLIGHT = 500  # more than the uplink's own window: paho never queues


class Offline(Exception):
    """There is no connection to the broker (any more): back off, send again."""


class Denied(Exception):
    """The broker refused this message (MQTT 5 says so)."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the cloud. Call `done` once it is stored or of no use: only then the broker forgets it."""

    leaf: str
    topic: str
    payload: bytes
    done: Callable[[], None]
    retained: bool = False  # it lay at the broker: ours to boxes never do


class Mqtt:
    """`run` keeps a connection open; `connected` tells; `on_state` is called in the loop at each change."""

    def __init__(self, cloud: Cloud, box: str, will: Callable[[], bytes]) -> None:
        self.cloud, self.box = cloud, box
        self.version = cloud.version  # auto | 5 | 3.1.1; auto becomes what the broker was found to speak
        self.connected = False
        self.reason = "not tried yet"  # why there is no connection, for people
        self.on_state: list[Callable[[bool], None]] = []
        self.on_message: dict[str, Callable[[Incoming], None]] = {}
        self.connects = 0
        self.floor = float(tls.BUILT)  # it is later than this, s since 1970, whatever the clock says
        self._will = will
        self._client: paho.Client | None = None
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, tuple[asyncio.Future[None], float]] = {}  # by mid, and when it was published
        self._pubacks = (0.0, 0.0)  # when the last came, and when its message was published
        self._changed: asyncio.Event = asyncio.Event()
        self._failures_of_5 = 0
        self._passwords = Passwords(secret(cloud.password_file))
        self._password = ""  # of the connection that is open or tried

    def publish(self, leaf: str, payload: bytes, retain: bool = False) -> asyncio.Future[None]:
        """Hand over to the broker, QoS 1. -> done at its PUBACK, which means "carried on", never "stored".

        The future raises Offline when the connection ends before, Denied where MQTT 5 refuses.
        """
        client = self._client
        if client is None or not self.connected:
            raise Offline(self.reason)
        info = client.publish(topics.up(self.box, leaf), payload, qos=1, retain=retain)
        assert self._loop is not None
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(_retrieved)
        self._waiting[info.mid] = future, time.monotonic()
        return future

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        backoff = Backoff(0.3, UNREACHABLE_S)
        told = ""
        try:
            while True:
                version = "5" if self.version in ("auto", "5") else "3.1.1"
                self._changed.clear()
                try:
                    client = self._client = self._new_client(version)
                    async with asyncio.timeout(CONNECT_S):  # wait_for may swallow a stop that comes with the CONNACK
                        await self._connect(client, version)
                except (OSError, ValueError, TimeoutError, Offline) as error:
                    self.reason = _reason(error)
                    if own := tls.own_expiry(self.cloud, clock.wall_ms() / 1000):
                        self.reason = f"{self.reason}; {own}"
                    if self._consider_older(version):
                        self._drop()
                        continue
                else:
                    backoff.reset()
                    told = ""
                    while self.connected:
                        await self._changed.wait()
                        self._changed.clear()
                self._drop()
                if self.reason != told:
                    told = self.reason
                    log.warning("broker=%s not connected: %s", self.cloud.broker, self.reason)
                backoff.most = REFUSED_S if "refused:" in self.reason else UNREACHABLE_S
                await backoff.wait()
        finally:
            self._drop()

    async def _connect(self, client: paho.Client, version: str) -> None:
        """Open, wait for the CONNACK, subscribe, wait for the SUBACK. Raises OSError, ValueError, Offline."""
        url = urlsplit(self.cloud.broker)
        port = url.port or (8883 if url.scheme == "mqtts" else 1883)
        if url.scheme == "mqtts":
            client.tls_set_context(tls.context(self.cloud, self.floor, clock.wall_ms() / 1000))
        host = url.hostname or ""
        if version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_S
            await _in_thread(lambda: client.connect(host, port, KEEPALIVE_S, clean_start=False, properties=properties))
        else:
            await _in_thread(lambda: client.connect(host, port, KEEPALIVE_S))
        self._attend(client)
        while not self.connected:
            await self._changed.wait()
            self._changed.clear()
            if self.reason and not self.connected:
                raise Offline(self.reason)

    def _attend(self, client: paho.Client) -> None:
        """Serve the client's socket in the loop from here on. Raises Offline where it is closed already."""
        loop, line = self._loop, client.socket()
        assert loop is not None
        if not isinstance(line, socket.socket):
            raise Offline("the connection ended at once")
        try:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            log.debug("broker=%s TCP_NODELAY: %s", self.cloud.broker, error)

        def write(*_: Any) -> None:
            loop.add_writer(line, flush)

        def flush() -> None:
            """All that waits, in as few packets as it takes: paho writes each message by itself."""
            _cork(line, True)
            client.loop_write()
            _cork(line, False)

        def written(*_: Any) -> None:
            loop.remove_writer(line)

        def leave(*_: Any) -> None:
            loop.remove_reader(line)
            loop.remove_writer(line)

        def read() -> None:
            while client.loop_read() == paho.MQTT_ERR_SUCCESS and client.socket() is line:
                if not isinstance(line, ssl.SSLSocket) or not line.pending():  # what TLS holds the kernel does not tell
                    return

        def look() -> None:
            if client.loop_misc() == paho.MQTT_ERR_SUCCESS and client is self._client:
                self._look_for_pubacks()
                self._look = loop.call_later(LOOK_S, look)

        client.on_socket_register_write = write
        client.on_socket_unregister_write = written
        client.on_socket_close = leave
        loop.add_reader(line, read)
        if client.want_write():
            write()
        self._look = loop.call_later(LOOK_S, look)

    def _new_client(self, version: str) -> paho.Client:
        self.reason = ""
        try:
            self._password = self._passwords.next()
        except OSError as error:
            hint = (
                "`tillwire claim CODE` makes one, or tillwire-cloud ... box add prints the password that belongs in it"
            )
            raise Offline(f"[cloud] password_file cannot be read: {error}; {hint}") from error
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id(self.box, self._password),
            clean_session=None if version == "5" else True,  # 3.1.1 knows no expiry: a session would stay for ever
            protocol=paho.MQTTv5 if version == "5" else paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.suppress_exceptions = True
        client.max_inflight_messages_set(IN_FLIGHT)
        if self._password or self.cloud.username:
            client.username_pw_set(self.cloud.username or self.box, self._password or None)
        client.will_set(topics.up(self.box, "status"), self._will(), qos=1, retain=True)
        client.on_connect = self._hand_over(client, self._connacked)
        client.on_disconnect = self._hand_over(client, self._disconnected)
        client.on_subscribe = self._hand_over(client, self._subacked)
        client.on_publish = self._hand_over(client, self._pubacked)
        client.on_message = self._hand_over(client, self._arrived)
        return client

    def _hand_over(self, client: paho.Client, what: Callable[..., None]) -> Callable[..., None]:
        """A paho callback that only passes its arguments on. paho holds its locks meanwhile."""
        loop = self._loop
        assert loop is not None

        def callback(_client: paho.Client, _userdata: Any, *args: Any) -> None:
            loop.call_soon(self._if_current, client, what, args)

        return callback

    def _if_current(self, client: paho.Client, what: Callable[..., None], args: tuple[Any, ...]) -> None:
        if client is self._client:
            what(*args)

    # ---- in the loop

    def _connacked(self, _flags: Any, reason: Any, _properties: Any = None) -> None:
        client = self._client
        if reason.is_failure or client is None:
            self.reason = f"the broker refused: {reason}"
            self._passwords.refused()
            self._changed.set()
            return
        try:
            self._passwords.taken(self._password)
        except OSError as error:
            log.error("the new password is not settled, both are tried from now on: %s", error)
        if self.version == "auto":
            self.version = "5" if client._protocol == paho.MQTTv5 else "3.1.1"
        client.subscribe([(topics.down(self.box, leaf), 1) for leaf in topics.DOWN])

    def _subacked(self, _mid: int, reasons: Any, _properties: Any = None) -> None:
        """Who speaks and hears nothing is not connected. A cluster that elects its leaders grants nothing at first."""
        if refused := [str(reason) for reason in reasons if reason.is_failure]:
            self.reason = (
                f"the broker did not grant a subscription of ours ({refused[0]}): its rights, or a cluster in trouble"
            )
            self._changed.set()
            return
        self.connected = True
        self.connects += 1
        self.reason = ""
        log.info("broker=%s connected mqtt=%s", self.cloud.broker, self.version)
        if own := tls.own_expiry(self.cloud, clock.wall_ms() / 1000):
            log.warning("broker=%s %s", self.cloud.broker, own)
        self._changed.set()
        for told in self.on_state:
            told(True)

    def _disconnected(self, _flags: Any, reason: Any, _properties: Any = None) -> None:
        self._lost(f"the connection ended: {reason}")

    def _lost(self, why: str) -> None:
        was, self.connected = self.connected, False
        self.reason = self.reason or why
        self._changed.set()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(Offline(self.reason))
        if was:
            for told in self.on_state:
                told(False)

    def _pubacked(self, mid: int, reason: Any, _properties: Any = None) -> None:
        future, since = self._waiting.pop(mid, (None, 0.0))
        if future is None or future.done():
            return
        self._pubacks = time.monotonic(), since
        if reason is not None and reason.is_failure:
            future.set_exception(Denied(f"the broker refused the message: {reason}"))
        else:
            future.set_result(None)

    def _look_for_pubacks(self) -> None:
        """A message that the broker forgot holds its place for ever, and with it, in the end, all the others: then only
        another connection helps."""
        if not self._waiting:
            return
        now = time.monotonic()
        _, since = next(iter(self._waiting.values()))
        came, of = self._pubacks
        overtaken = of > since and now - since > PUBACK_S
        if overtaken or now - max(came, since) > NO_PUBACK_S:
            self._lost(f"the broker answers pings, and did not take a message in {now - since:.0f} s")

    def _arrived(self, message: paho.MQTTMessage) -> None:
        client = self._client
        assert client is not None

        def done() -> None:
            if client is self._client and client.is_connected():
                client.ack(message.mid, message.qos)

        leaf = message.topic.rpartition("/")[2]
        taker = self.on_message.get(leaf)
        if taker is None:
            done()
            return
        taker(Incoming(leaf, message.topic, bytes(message.payload), done, bool(message.retain)))

    def _drop(self) -> None:
        """Leave the connection for good; nothing here waits for the broker."""
        self._lost("closed")
        client, self._client = self._client, None
        if self._look is not None:
            self._look.cancel()
        if client is None:
            return
        line = client.socket()
        client.drop_out_messages()
        client.disconnect()
        client.loop_write()  # closes, where the line takes it
        if isinstance(line, socket.socket) and line.fileno() >= 0:
            if self._loop is not None:
                self._loop.remove_reader(line)
                self._loop.remove_writer(line)
            line.close()

    def _consider_older(self, version: str) -> bool:
        """MQTT 5 refused, or cut off without a word twice: this broker speaks 3.1.1. Only with version = "auto"."""
        if self.version != "auto" or version != "5":
            return False
        refused = "Unsupported protocol" in self.reason
        self._failures_of_5 += "connection ended" in self.reason
        if not refused and self._failures_of_5 < 2:
            return False
        self.version = "3.1.1"
        log.info("broker=%s does not speak MQTT 5 (%s): 3.1.1 from now on", self.cloud.broker, self.reason)
        return True


def client_id(box: str, password: str) -> str:
    """The box's id and what only who knows its password can tell: no other box can take over its session, on brokers
    that let any user have any client id."""
    if not password:
        return box
    return f"{box}-{hashlib.sha256(f'client id of {box}: {password}'.encode()).hexdigest()[:16]}"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {CONNECT_S:.0f} s"
    return str(error) or type(error).__name__


def _retrieved(future: asyncio.Future[None]) -> None:
    """Whoever does not wait for a PUBACK need not hear of its failure."""
    if not future.cancelled():
        future.exception()


def _cork(line: socket.socket, on: bool) -> None:
    if line.fileno() >= 0:  # else the write found out that the other end is gone
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


async def _in_thread(call: Callable[[], Any]) -> None:
    """A blocking call in a daemon thread of its own: one that hangs (name look-up) does not hold up the exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    future.add_done_callback(_retrieved)

    def settle(error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def body() -> None:
        error: BaseException | None = None
        try:
            call()
        except (OSError, ValueError) as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:
            pass

    threading.Thread(target=body, name="broker-connect", daemon=True).start()
    await future
