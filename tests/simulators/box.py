"""A box as the cloud sees it: publishes jobs, reports and status with paho, collects acks, orders and commands."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
import uuid
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from receipt.model import Kind, Receipt
from wire import topics
from wire.messages import (
    Ack,
    Acks,
    Boundary,
    Captured,
    Clock,
    Message,
    OrderState,
    Part,
    PrinterState,
    Proof,
    Reading,
    Report,
    Status,
    Trust,
    decode,
    encode,
    new,
    now_ms,
    pack_reading,
)

PAPER = """      CORNER CAFE
   12 Harbour Street
--------------------------------
2 x Flat white            8.40
1 x Almond croissant      3.90
--------------------------------
TOTAL                EUR 12.30
Visa ************4242    12.30
No. {number}    2026-11-22 09:{minute:02d}
      Thank you!
"""


def paper(number: int) -> str:
    return PAPER.format(number=number, minute=number % 60)


def job(epoch: str, seq: int, text: str | None = None, rules: str = "simulated", **changes: Any) -> Captured:
    """A captured job whose number, total and time a box has read. `rules`: that it read them with; others than the
    cloud's own have it read the job again."""
    text = paper(seq) if text is None else text
    raw = b"\x1b@" + text.encode("cp437", "replace") + b"\x1dV\x00"
    clock = Clock("boot", seq % 1_000_000, now_ms(), Trust.NTP)
    seen = Reading(
        rules_version=rules,
        lines=text.splitlines(),
        receipts=[Receipt(Kind.SALE, number=str(seq), date="2026-11-22", time="09:30", currency="EUR", total=1230)],
    )
    fields: dict[str, Any] = {
        "epoch": epoch,
        "seq": seq,
        "sha256": hashlib.sha256(raw).digest(),
        "size": len(raw),
        "boundary": Boundary.CUT,
        "pos": "till",
        "printer": "main",
        "started": clock,
        "ended": clock,
        "raw": raw,
    }
    fields["reading"] = pack_reading(seen)
    return new(Captured, **fields | changes)


def in_parts(whole: Captured, size: int = 60_000) -> list[Captured | Part]:
    """A job whose raw bytes do not fit into one message."""
    raw = whole.raw or b""
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    whole.raw, whole.parts = pieces[0], len(pieces)
    rest = [
        new(Part, epoch=whole.epoch, seq=whole.seq, sha256=whole.sha256, part=n, parts=len(pieces), raw=piece)
        for n, piece in enumerate(pieces[1:], 1)
    ]
    return [whole, *rest]


class SimulatedBox:
    """Connects as box `name`. Everything that comes down is in `acks`, `orders`, `commands`."""

    def __init__(self, name: str, password: str, host: str, port: int, *, client_id: str | None = None) -> None:
        self.name, self.epoch, self.seq = name, str(uuid.uuid4()), 0
        self.acks: dict[tuple[str, int], Ack] = {}
        self.acked_ids: set[str] = set()
        self.wanted: list[Any] = []
        self.kept: dict[tuple[str, int], Captured] = {}  # a box keeps what was acknowledged for `keep_days`
        self.offers_again = True  # whether it answers a `want` from there
        self.orders: queue.Queue[Any] = queue.Queue()
        self.commands: queue.Queue[Any] = queue.Queue()
        self.other: list[str] = []  # topics that are not ours
        self.results: list[str] = []  # "stored" or "duplicate", as they came
        self._news = threading.Condition()
        self._ready = threading.Event()
        self.refused: str = ""
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id or name, clean_session=True, protocol=mqtt.MQTTv311
        )
        self.client.username_pw_set(name, password)
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(200)
        self.client.reconnect_delay_set(1, 1)
        will = new(Status, online=False)
        self.client.will_set(topics.up(name, "status"), encode(will), qos=1, retain=True)
        self.client.on_connect, self.client.on_message = self._on_connect, self._on_message
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect_async(host, port, keepalive=30)
        self.client.loop_start()

    def ready(self, within: float = 30) -> SimulatedBox:
        assert self._ready.wait(within), f"box {self.name} did not connect in {within} s {self.refused}"
        return self

    def close(self, politely: bool = True) -> None:
        if politely:
            self.client.disconnect()
        elif self.client.socket():
            self.client._sock_close()
        self.client.loop_stop()

    def publish(self, leaf: str, message: Message, retain: bool = False) -> None:
        self.client.publish(topics.up(self.name, leaf), encode(message), qos=1, retain=retain)

    def capture(self, text: str | None = None, **changes: Any) -> Captured:
        """The next job, published."""
        self.seq += 1
        message = job(self.epoch, self.seq, text, **changes)
        self.kept[self.epoch, self.seq] = message
        self.publish("receipts", message)
        return message

    def status(self, online: bool = True, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "online": online,
            "version": "0.1.0",
            "epoch": self.epoch,
            "last_seq": self.seq,
            "printers": [PrinterState("main", online=True, paper="ok", connected=True)],
        }
        self.publish("status", new(Status, **fields | changes), retain=True)

    def report(self, order: str, state: OrderState, proof: Proof = Proof.NONE, **more: Any) -> Report:
        message = new(Report, order=order, state=state, proof=proof, **more)
        self.publish("reports", message)
        return message

    def print_order(self, order: str, proof: Proof = Proof.L1) -> None:
        self.report(order, OrderState.RECEIVED)
        self.report(order, OrderState.PRINTING)
        self.report(order, OrderState.PRINTED, proof)

    def acked(self, seqs: Any, within: float = 30, epoch: str | None = None) -> None:
        """Wait until these are acknowledged."""
        keys = {(epoch or self.epoch, seq) for seq in seqs}
        self.wait(lambda: keys <= self.acks.keys(), within, lambda: f"no ack for {sorted(keys - self.acks.keys())[:5]}")

    def order(self, order_id: str, within: float = 30) -> Any:
        """Wait until this order comes down -> its message. Others that come before are dropped."""
        end = time.monotonic() + within
        while True:
            message = self.orders.get(timeout=max(0.01, end - time.monotonic()))
            if message.order == order_id:
                return message

    def wait(self, true: Any, within: float = 30, says: Any = lambda: "it did not happen") -> None:
        end = time.monotonic() + within
        with self._news:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"{self.name}: {says()} in {within} s"
                self._news.wait(left)

    def _on_connect(self, client: mqtt.Client, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self.refused = str(code)
            return
        client.subscribe(f"tillwire/1/{topics.shard_of(self.name)}/{self.name}/down/#", qos=1)

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            _, _, leaf = topics.parse(message.topic)
            value = decode(leaf, message.payload, message.topic)
        except Exception:
            self.other.append(message.topic)
            return
        with self._news:
            if isinstance(value, Acks):
                for ack in value.acks:
                    self.acks[ack.epoch, ack.seq] = ack
                    self.results.append(ack.result)
                self.acked_ids |= set(value.ids)
                self.wanted += value.want
                if self.offers_again:
                    for want in value.want:
                        for seq in range(want.first, want.last + 1):
                            if (want.epoch, seq) in self.kept:
                                self.publish("receipts", self.kept[want.epoch, seq])
            elif leaf == "orders":
                self.orders.put(value)
            else:
                self.commands.put(value)
            self._news.notify_all()
