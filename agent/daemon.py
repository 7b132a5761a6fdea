"""Put the agent together, start its parts in order, stop them in the reverse one."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from agent import boot_slip, clock, profiles, state
from agent.alerts import Alerts
from agent.button import Button
from agent.child import Reader
from agent.clips import Clips
from agent.commands import Commands
from agent.door import Door, Refused, RelayGone
from agent.feed_button import FeedButton
from agent.health import Health
from agent.mqtt import Mqtt
from agent.orders import Orders
from agent.page import LocalPage
from agent.player import Player
from agent.printer_care import PrinterCare
from agent.reading import Reading
from agent.store import DiskBad, SchemaOld, Store, get_meta, set_meta
from agent.supervise import Backoff, Supervisor, notify
from agent.update import Updates
from agent.uplink import Uplink
from config import reload as reloading
from config.box import Box, box_id
from wire.messages import Trust

log = logging.getLogger("tillwire.agent")

FLOOR_S = 3600.0


class Agent:
    """Every part of the agent, knowing those it needs; nothing runs before `run`."""

    def __init__(self, box: Box, config_problems: Sequence[str] = (), config: str = "") -> None:
        """`config_problems`: why `box` is not what agent.toml says now, but what last worked. `config`: the file, which
        SIGHUP reads again."""
        self.config_problems, self.config = config_problems, config
        self.box, self.name = box, box_id(box)
        self.supervisor = Supervisor()
        self.store = Store(box.agent_db)
        self.door = Door(box.box.control)
        self.clips = Clips(Path(box.box.state_dir, "clips"))
        self.player = Player(box.alerts, self._buzz, Path(box.box.state_dir, "sounds"), self.clips)
        self.alerts = Alerts(box.alerts, self.store, self.player)
        self.mqtt = Mqtt(box.cloud, self.name, self._will)
        self.uplink = Uplink(self.mqtt, self.store, self.door)
        self.reader = Reader()
        self.reading = Reading(box.capture, self.door, self.store, self.reader, self.uplink.due)
        self.uplink.reading = self.reading
        self.orders = Orders(box, self.store, self.door, self.mqtt, self.uplink, self.alerts)
        self.care = PrinterCare(self.door, self.alerts)
        self.updates = Updates(box, self.door, self.uplink)
        self.commands = Commands(self.store, self.door, self.mqtt, self.uplink, self.reading, self.alerts, self.updates)
        self.reading.taking.profile_of = self._profile_of
        self.health = Health(
            box, self.name, self.store, self.door, self.mqtt, self.uplink, self.reading, self.orders, self.alerts,
            self.supervisor, self.updates,
        )  # fmt: skip

    def _profile_of(self, printer: str) -> bytes:
        """For the reading child: the model that the settings name, else what the printer says it is."""
        settings = self.box.printer.get(printer)
        says = str(self.orders.printers.get(printer, {}).get("model") or "")
        return profiles.packed(*([settings.model] if settings else []), says)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reloads: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.create_task(self._reload(), name="reload")))
        opening = asyncio.create_task(self._open_store(), name="open-store")
        ending = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({opening, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            return
        opening.result()
        await self.alerts.load()
        if self.config_problems:
            self.alerts.raise_(
                "config", "", f"agent.toml is wrong, the last good one is in use: {self.config_problems[0]}"
            )
        else:
            self.alerts.resolve("config")
        if self.box.cloud.version == "auto":
            self.mqtt.version = await self.store.run(lambda c: get_meta(c, "mqtt_version", "auto"))
            self.mqtt.on_state.append(self._remember_version)
        self.mqtt.floor = max(self.mqtt.floor, float(await self.store.run(lambda c: get_meta(c, "clock_floor", "0"))))
        self.mqtt.on_state.append(lambda up: notify("STATUS=online" if up else "STATUS=offline"))  # an update asks
        start = self.supervisor.start
        start("reader", self.reader.start)
        start("uplink", self.uplink.run)
        start("reading", self.reading.run)
        start("orders", self.orders.run)
        start("alerts", self.alerts.run)
        start("commands", self.commands.run)
        start("update", self.updates.run)
        start("door", self.door.run)
        start("mqtt", self.mqtt.run)
        start("health", self.health.run)
        start("care", self.care.run)
        start("look", self.health.look)
        start("links", self.health.watch_links)
        start("clock-floor", self._keep_floor)
        if self.box.alerts.button:
            start("button", Button(self.box.alerts.button, self.alerts.acknowledge).run)
        if self.box.alerts.feed_button:
            start("feed-button", FeedButton(self.door, self.alerts).run)
        if self.box.alerts.test_at:
            start("daily-test", self.alerts.daily_test)
        start("state", lambda: state.serve(Path(self.box.box.state_dir), self.health.local))
        if self.box.page.listen:
            start("page", LocalPage(self.box.page, self.health.local).run)
        if self.box.box.status_slip:
            start(
                "status-slip",
                lambda: boot_slip.print_once(self.box, self.store, self.door, self.mqtt, self.health.local),
            )
        log.info("box=%s agent ready broker=%s relay=%s", self.name, self.box.cloud.broker, self.box.box.control)
        notify("READY=1")
        threading.Thread(target=_load_encoder, name="load-encoder", daemon=True).start()
        await stop.wait()
        notify("STOPPING=1")
        log.info("box=%s agent stops", self.name)
        await self.health.say_offline()
        await self.supervisor.stop()
        await self.reader.stop()
        await self.player.stop()
        await self.store.close()

    async def _reload(self) -> None:
        """What can change while it runs does, the rest is said."""
        found = await asyncio.to_thread(reloading.reload, self.config, self.box, "tillwire-agent")
        reloading.say(self.config, "tillwire-agent", found)
        self.box = self.orders.box = self.health.box = found.box
        self.alerts.settings = self.player.settings = found.box.alerts
        if found.wrong is not None:
            self.alerts.raise_("config", "", f"agent.toml is wrong and was not taken: {found.wrong.problems[0]}")
        else:
            self.alerts.resolve("config")

    async def _open_store(self) -> None:
        """Without agent.db nothing can be promised: wait for the disk, loudly. The till prints meanwhile."""
        backoff = Backoff(1.0, 30.0)
        while True:
            try:
                await self.store.open()
                return
            except DiskBad as error:
                log.error("%s; the relay goes on capturing; tried again", error)
                notify(f"STATUS={error}")
            except SchemaOld as error:
                log.warning("%s: running tillwire migrate", error)
                if not await _migrate(self.store):
                    log.error("tillwire migrate did not help: %s", error)
            await backoff.wait()

    def _remember_version(self, connected: bool) -> None:
        if connected and self.mqtt.version != "auto":
            version = self.mqtt.version
            task = asyncio.create_task(self.store.run(lambda c: set_meta(c, "mqtt_version", version)))
            task.add_done_callback(lambda t: t.cancelled() or t.exception())

    async def _keep_floor(self) -> None:
        """Remember the time while it is known for sure: after a boot without a clock it is at least that late."""
        while True:
            if clock.trust() is Trust.NTP:
                now = clock.wall_ms() // 1000
                self.mqtt.floor = max(self.mqtt.floor, float(now))
                await self.store.run(lambda c, now=now: set_meta(c, "clock_floor", str(now)))  # type: ignore[misc]
            await asyncio.sleep(FLOOR_S)

    async def _buzz(self) -> bool:
        """The printer's buzzer, as the last way to be heard."""
        for name in self.box.printer:
            try:
                await self.door.ask("buzz", printer=name)
                return True
            except (RelayGone, Refused) as error:
                log.info("printer=%s did not buzz: %s", name, error)
        return False

    def _will(self) -> bytes:
        return self.health.will()


async def _migrate(store: Store) -> bool:
    import sys

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.cli", "migrate", "--agent-db", str(store.path)
    )
    return await child.wait() == 0


def _load_encoder() -> None:
    """python-escpos takes a third of a second: paid now, not by the first order."""
    try:
        from receipt import slip

        slip.prepare()
    except ImportError as error:
        log.error("orders cannot be printed: python-escpos is not to be had: %s", error)
