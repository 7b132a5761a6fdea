"""What the box knows of itself: its status message, each minute and at each change, and what follows: alerts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Any

import msgspec

from agent import clock, links, outbox
from agent.alerts import Alerts
from agent.door import Door, Refused, RelayGone
from agent.mqtt import Mqtt, Offline
from agent.orders import Orders
from agent.printers import fault_sound, trouble
from agent.reading import Reading
from agent.store import DiskBad, Store
from agent.supervise import Supervisor, notify, watchdog_s
from agent.update import Updates
from agent.uplink import Uplink
from config.box import Box
from wire import messages
from wire.messages import PrinterState, Status

log = logging.getLogger("tillwire.agent")

EVERY_S = 60.0
SOONEST_S = 1.0  # between two status messages
OFFLINE_S = 300.0
NO_ACK_S = 300.0
RELAY_GONE_S = 10.0
LOOK_S = 5.0


class Health:
    def __init__(
        self, box: Box, name: str, store: Store, door: Door, mqtt: Mqtt, uplink: Uplink, reading: Reading,
        orders: Orders, alerts: Alerts, supervisor: Supervisor, updates: Updates,
    ) -> None:  # fmt: skip
        self.box, self.name, self.store, self.door, self.mqtt = box, name, store, door, mqtt
        self.uplink, self.reading, self.orders, self.alerts, self.supervisor = (
            uplink,
            reading,
            orders,
            alerts,
            supervisor,
        )
        self.version = updates.version
        self.updates = updates
        updates.on_change.append(lambda: self._changed.set())
        self._changed = asyncio.Event()
        self.links: list[str] = []  # the ways out of the box, as people read them
        self.round_trip_ms: int | None = None  # to the broker and back, of the last status message
        self._used: list[str] = []  # devices of the default route
        self._last_seq = 0
        self._away: dict[str, float] = {}  # what is away -> since when (loop time)
        for event in ("printer", "pos"):
            door.listen(event, lambda _event: self._changed.set())
        door.listen("captured", self._captured)
        door.on_open.append(lambda hello: self._opened(hello))
        door.on_close.append(self._changed.set)
        alerts.on_change.append(self._changed.set)
        mqtt.on_state.append(lambda up: self._changed.set() if up else None)

    def will(self) -> bytes:
        """What the broker says of this box when it is cut off."""
        return messages.encode(messages.new(Status, online=False, version=self.version, boot=clock.boot()))

    async def status(self, online: bool = True) -> Status:
        relay: dict[str, Any] = {}
        if self.door.opened.is_set():
            with contextlib.suppress(RelayGone, Refused):
                relay = await self.door.ask("status")
        epoch = str(self.door.hello.get("epoch") or "")
        held = outbox.Backlog(0, None, 0)
        with contextlib.suppress(DiskBad):
            held = await self.store.run(lambda c: outbox.backlog(c, epoch))
        return messages.new(
            Status,
            online=online,
            version=self.version,
            boot=clock.boot(),
            epoch=epoch,
            first_unacked=held.first_seq,
            last_seq=max(self._last_seq, int(self.door.hello.get("last_seq") or 0)),
            backlog=held.jobs,
            printers=[
                _printer(name, values) for name, values in (relay.get("printers") or self.orders.printers).items()
            ],
            counters=self.counters(relay),
            disk_free=_disk_free(self.box.box.state_dir),
            clock=clock.now(),
            alerts=self.alerts.names(),
            links=self.links,
            sounds=self.alerts.player.clips.held() if self.alerts.player.clips else {},
            update=self.updates.text,
        )

    def counters(self, relay: dict[str, Any]) -> dict[str, int]:
        """The relay's, all together and for each printer and POS; then the agent's own."""
        found: dict[str, int] = {f"relay.{k}": int(v) for k, v in (relay.get("counters") or {}).items()}
        for name, values in [*(relay.get("printers") or {}).items(), *(relay.get("pos") or {}).items()]:
            found |= {f"relay.{name}.{k}": int(v) for k, v in (values.get("counters") or {}).items()}
        for part in (self.uplink, self.reading, self.orders, self.alerts):
            found |= part.counters
        found["reading_crashes"] = self.reading.reader.crashes
        found["connects"] = self.mqtt.connects
        found["restarts"] = sum(self.supervisor.restarts.values())
        return found

    async def run(self) -> None:
        """Say how the box is: at once when something changes, else each minute."""
        while True:
            if self.mqtt.connected:
                self._changed.clear()
                status = await self.status()
                with contextlib.suppress(Offline):
                    sent = asyncio.get_running_loop().time()
                    taken = self.mqtt.publish("status", messages.encode(status), retain=True)
                    taken.add_done_callback(lambda future, sent=sent: self._measured(future, sent))  # type: ignore[misc]
                await asyncio.sleep(SOONEST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._changed.wait()
                    if not self.mqtt.connected:
                        self._changed.clear()

    def _measured(self, taken: asyncio.Future[None], sent: float) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self.round_trip_ms = round((asyncio.get_running_loop().time() - sent) * 1000)

    async def local(self) -> dict[str, Any]:
        """For whoever stands in front of the box: agent/state.py. No secret, nothing of a receipt."""
        told = await self.status(self.mqtt.connected)
        kept = ("version", "epoch", "last_seq", "backlog", "printers", "disk_free", "alerts")
        found: dict[str, Any] = {key: msgspec.to_builtins(getattr(told, key)) for key in kept}
        return found | {
            "box": self.name,
            "broker": self.mqtt.cloud.broker,
            "online": self.mqtt.connected,
            "reason": self.mqtt.reason,
            "mqtt": self.mqtt.version,
            "round_trip_ms": self.round_trip_ms,
            "ack_ms": self.uplink.ack_ms,
            "acked": self.uplink.counters["acked"],
            "waits_for_acks": self.uplink.waits_for_acks,
            "relay": self.door.opened.is_set(),
            "sound": self.alerts.player.last_way if self.box.alerts.sound else "off",
            "clock": str(clock.trust()),
            "wall_ms": clock.wall_ms(),
            "links": self.links,
        }

    async def watch_links(self) -> None:
        """Which ways out there are, and how well they hear. Another one in use is news; a signal that wavers is not."""
        while True:
            before, ways = self.links, await asyncio.to_thread(links.ways)
            self.links = [str(way) for way in ways]
            if [way.device for way in ways if way.used] != self._used and before:
                self._changed.set()
            self._used = [way.device for way in ways if way.used]
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Raise and resolve the alerts that no event tells of; tell systemd that the loop lives."""
        pause = min(LOOK_S, watchdog_s() or LOOK_S)
        silent_s, last_acked = 0.0, 0
        while True:
            notify("WATCHDOG=1")
            self._long(
                "relay",
                not self.door.opened.is_set(),
                RELAY_GONE_S,
                "the print path (tillwire-relay) does not answer; printing may be down",
                "fault",
            )
            self._long(
                "offline",
                not self.mqtt.connected,
                OFFLINE_S,
                f"the broker cannot be reached: {self.mqtt.reason}",
                "offline",
            )
            acked = self.uplink.counters["acked"]
            silent_s = silent_s + pause if self.uplink.waits_for_acks and acked == last_acked else 0.0
            last_acked = acked
            if silent_s > NO_ACK_S:
                self.alerts.raise_(
                    "no_ack", "", "the broker takes what this box sends, but the cloud acknowledges nothing: wrong"
                    " permissions at the broker, or the cloud's ingest is down", "",
                )  # fmt: skip
            elif silent_s == 0 and self.mqtt.connected:
                self.alerts.resolve("no_ack")
            if self.store.problem:
                self.alerts.raise_("disk", "", f"the agent cannot write its store: {self.store.problem}")
            else:
                self.alerts.resolve("disk")
            if self.store.damaged:
                log.error("store=%s is damaged: the agent starts anew, which moves it aside", self.store.path)
                signal.raise_signal(signal.SIGTERM)
            for name, status in self.orders.printers.items():
                problem = trouble(status)
                if problem:  # one that is switched off is shown, and sounds as soon as an order waits for it
                    sound = "" if status.get("connected") is False else fault_sound(status)
                    say = (sound,) if sound else ()
                    self.alerts.raise_("printer", name, f"printer {name}: {problem}", sound, say)
                else:
                    self.alerts.resolve("printer", name)
            await asyncio.sleep(pause)

    async def say_offline(self) -> None:
        """A clean end: the will is not sent then."""
        if not self.mqtt.connected:
            return
        with contextlib.suppress(Offline, TimeoutError):
            future = self.mqtt.publish("status", self.will(), retain=True)
            async with asyncio.timeout(2.0):
                await future

    def _long(self, kind: str, away: bool, limit_s: float, text: str, sound: str) -> None:
        now = asyncio.get_running_loop().time()
        if not away:
            self._away.pop(kind, None)
            self.alerts.resolve(kind)
        elif now - self._away.setdefault(kind, now) >= limit_s:
            self.alerts.raise_(kind, "", text, sound)

    def _opened(self, hello: dict[str, Any]) -> None:
        self._last_seq = int(hello.get("last_seq") or 0)
        self._changed.set()

    def _captured(self, event: dict[str, Any]) -> None:
        epoch, seq = event["key"]
        if epoch == self.door.hello.get("epoch"):
            self._last_seq = max(self._last_seq, int(seq))
        else:
            self.door.hello["epoch"], self._last_seq = epoch, int(seq)


def _printer(name: str, values: dict[str, Any]) -> PrinterState:
    return PrinterState(
        name=name,
        online=values.get("online"),
        paper=values.get("paper"),
        cover_open=values.get("cover_open"),
        error=bool(values["error"]) if values.get("error") is not None else None,
        drawer_open=values.get("drawer_open"),
        connected=bool(values.get("connected")),
        model=str(values.get("model") or ""),
    )


def _disk_free(folder: str) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
