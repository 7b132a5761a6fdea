"""What the cloud may ask of a box: one function for each command; its result is kept until acknowledged."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent import credentials, voice
from agent.alerts import Alerts
from agent.door import Door, Refused, RelayGone
from agent.logtail import Tail
from agent.mqtt import Incoming, Mqtt
from agent.player import SilentError
from agent.reading import Reading
from agent.slips import LOCAL
from agent.store import DiskBad, Store, get_meta, set_aside, set_meta
from agent.update import Updates
from agent.uplink import Uplink
from wire import messages
from wire.messages import BadMessage, Command, OrderContent, Result

log = logging.getLogger("tillwire.agent")

Answer = tuple[str, dict[str, Any]]
TEST_SLIP_S = 35.0
REMEMBERED = 200  # ids of commands that were done: the broker may bring one twice


def _test_slip() -> bytes:
    from receipt import slip

    item = slip.SlipItem("This is a test of Tillwire", 1, note="it is no order")
    return slip.render(slip.Slip(number="TEST", kind="test slip", items=(item,), shop="Tillwire"))


class Failed(Exception):
    """A command could not be done; the text is for a person."""


class Commands:
    def __init__(
        self, store: Store, door: Door, mqtt: Mqtt, uplink: Uplink, reading: Reading, alerts: Alerts, updates: Updates
    ) -> None:
        self.store, self.door, self.uplink, self.reading, self.alerts = store, door, uplink, reading, alerts
        self.updates = updates
        self._todo: asyncio.Queue[Incoming] = asyncio.Queue()
        self._known: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "test_slip": self._test_slip,
            "play_sound": self._play_sound,
            "sound": self._sound,
            "acknowledge": self._acknowledge,
            "identify": self._identify,
            "reread": self._reread,
            "new_epoch": self._new_epoch,
            "rotate": self._rotate,
            "announce": self._announce,
            "hush": self._hush,
            "send_logs": self._send_logs,
        }
        self._tail = Tail()
        logging.getLogger().addHandler(self._tail)
        self._password_file = mqtt.cloud.password_file
        mqtt.on_message["commands"] = self._todo.put_nowait

    async def run(self) -> None:
        while True:
            incoming = await self._todo.get()
            try:
                await self._one(incoming)
            except DiskBad as error:  # not acknowledged: it comes again
                log.error("command waits: %s", error)

    async def _one(self, incoming: Incoming) -> None:
        try:
            command: Command = messages.decode("commands", incoming.payload, incoming.topic)
        except BadMessage as error:
            log.error("message set aside: %s", error)
            problem = error.problem
            await self.store.run(lambda c: set_aside(c, incoming.topic, problem, incoming.payload))
            incoming.done()
            return
        done = (await self.store.run(lambda c: get_meta(c, "commands"))).split()
        if command.id not in done:
            result = await self._do(command)
            if result is not None:
                log.info("command=%s id=%s ok=%s %s", command.name, command.id, result.ok, result.text)
                await self.uplink.report(result, "results")
            kept = " ".join([*done[-REMEMBERED:], command.id])
            await self.store.run(lambda c: set_meta(c, "commands", kept))
        incoming.done()

    async def _do(self, command: Command) -> Result | None:
        """None: its result comes later."""
        if command.name == "update":
            return await self.updates.ask(command)
        do = self._known.get(command.name)
        new = functools.partial(messages.new, Result, command=command.id)
        if do is None:
            return new(ok=False, text=f"this box knows no command {command.name!r}: {', '.join(self._known)}, update")
        try:
            text, data = await do(command.args)
        except (Failed, SilentError) as error:
            return new(ok=False, text=str(error))
        except TimeoutError:
            return new(ok=False, text="it did not end in time; look at the printer")
        except Refused as error:
            return new(ok=False, text=f"the relay refused: {error}")
        except RelayGone as error:
            return new(ok=False, text=f"the relay is away: {error}")
        return new(ok=True, text=text, data=data)

    async def _test_slip(self, args: dict[str, Any]) -> Answer:
        """Print a slip that says so, and tell what became of it: {printer}. It is no order: nothing is reported."""
        printer = str(args.get("printer") or "")
        raw = await asyncio.to_thread(_test_slip)
        name = f"{LOCAL}test-{messages.uuid7()}/main/1"
        async with asyncio.timeout(TEST_SLIP_S):
            while True:  # asked again, the relay tells how far it is
                answer = await self.door.ask(
                    "print", raw, slip=name, attempt=1, printer=printer, copy=0, valid_s=TEST_SLIP_S - 5
                )
                fate = answer["fate"]
                if fate["state"] not in ("queued", "started"):
                    break
                await asyncio.sleep(0.5)
        state, proof = str(fate["state"]), str(fate.get("proof") or "")
        if state != "done":
            raise Failed(f"the slip was not printed: {state} {fate.get('reason') or ''}".strip())
        return f"printed with proof {proof or 'none'}", {"proof": proof, "printer": str(fate.get("printer") or "")}

    async def _play_sound(self, args: dict[str, Any]) -> Answer:
        way = await self.alerts.player.play(str(args.get("sound") or "test"), str(args.get("say") or "test").split())
        return f"played by {way}", {"way": way}

    async def _sound(self, args: dict[str, Any]) -> Answer:
        """The merchant's own sound for an event: {event, data}; without data it is taken away."""
        event, data, clips = str(args.get("event") or ""), args.get("data"), self.alerts.player.clips
        if clips is None:
            raise Failed("this box keeps no sounds")
        try:
            if data:
                await asyncio.to_thread(clips.keep, event, bytes(data))
            else:
                await asyncio.to_thread(clips.remove, event)
        except (OSError, TypeError, ValueError) as error:
            raise Failed(f"the sound for {event[:40]!r} cannot be kept: {error}") from error
        for told in self.alerts.on_change:  # the status names what is held
            told()
        return f"{'kept' if data else 'taken away'}: {event}", {}

    async def _acknowledge(self, args: dict[str, Any]) -> Answer:
        named = args.get("alerts")
        names = [str(name) for name in named[:50]] if isinstance(named, list) else [str(args.get("alert") or "")]
        count = sum(self.alerts.acknowledge(name) for name in names)
        return f"{count} alerts fell silent", {"count": count}

    async def _announce(self, args: dict[str, Any]) -> Answer:
        """An order waits for a person: {order, kind, number, table}. It is not printed yet."""
        order, kind = str(args.get("order") or "")[:100], str(args.get("kind") or "")
        if not order:
            raise Failed("announce needs an order")
        content = OrderContent(str(args.get("number") or ""), kind, [], table=str(args.get("table") or ""))
        sound = f"new_order_{kind}" if kind in voice.KINDS else "new_order_takeaway"
        text = f"order {content.number} waits for somebody to accept it"
        self.alerts.raise_("new_order", order, text, sound, voice.words_of(content, review=True))
        return "it sounds until somebody acknowledges it or decides", {}

    async def _hush(self, args: dict[str, Any]) -> Answer:
        """An order does not wait any more: {order}."""
        self.alerts.resolve("new_order", str(args.get("order") or ""))
        return "done", {}

    async def _identify(self, args: dict[str, Any]) -> Answer:
        """Make the box be noticed: its sound, and the printer's buzzer."""
        buzzed = True
        try:
            await self.door.ask("buzz", printer=str(args.get("printer") or ""))
        except (Refused, RelayGone):
            buzzed = False
        way = await self.alerts.player.play("test")
        return f"played by {way}", {"way": way, "buzzed": buzzed}

    async def _send_logs(self, _args: dict[str, Any]) -> Answer:
        """The agent's latest lines."""
        lines = self._tail.lines()
        return f"{len(lines)} lines of the agent's log", {"lines": lines}

    async def _reread(self, args: dict[str, Any]) -> Answer:
        """Send jobs again that the relay still keeps: {epoch, first, last}."""
        try:
            epoch, first, last = str(args["epoch"]), int(args["first"]), int(args["last"])
        except (KeyError, TypeError, ValueError) as error:
            raise Failed(f"reread needs epoch, first and last: {error!r} is wrong") from error
        if not 0 < first <= last < first + 10_000:
            raise Failed(f"reread {first}..{last}: give 1 to 10,000 seqs")
        self.reading.want([(epoch, seq) for seq in range(first, last + 1)])
        return f"{last - first + 1} jobs asked of the relay", {}

    async def _new_epoch(self, _args: dict[str, Any]) -> Answer:
        answer = await self.door.ask("new_epoch")
        self.reading.relist()  # every un-acknowledged job has another key now
        return f"epoch {answer.get('epoch')}", {"epoch": str(answer.get("epoch"))}

    async def _rotate(self, _args: dict[str, Any]) -> Answer:
        """Make another password; tell its hashes. The broker refuses the old one from when the cloud has them."""
        if not self._password_file:
            raise Failed("this box has no password_file: its key is changed by hand")
        path = Path(self._password_file)
        try:
            staged = await asyncio.to_thread(credentials.stage, path)
        except OSError as error:
            raise Failed(
                f"a new password cannot be kept beside {path}: {error}; put password_file into state_dir"
            ) from error
        hashes = {"bcrypt": staged.bcrypt, "pbkdf2_sha512": staged.pbkdf2}
        return f"a new password, fingerprint {staged.fingerprint}", hashes
