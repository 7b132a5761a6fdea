"""What the agent does for printers besides printing: asks one that nobody knows what it is, once and gently, and shows
that a receipt was cut short when a printer was lost in the middle of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agent.alerts import Alerts
from agent.door import Door, Refused, RelayGone

AGAIN_S = 30.0  # a printer that was busy is asked again
SHOWN_S = 3600.0  # an interrupted receipt that nobody has looked at
THEN = {
    "go-on": "it went on where the printer had stopped taking bytes; look whether a line is missing",
    "reprint": "it is printed again whole, with a mark",
}
log = logging.getLogger("tillwire.agent")


class PrinterCare:
    def __init__(self, door: Door, alerts: Alerts) -> None:
        self.door, self.alerts = door, alerts
        self._unknown: set[str] = set()
        self._news = asyncio.Event()
        door.on_open.append(self._opened)
        door.listen("printer", lambda event: self._seen(str(event.get("name")), event.get("status") or {}))
        door.listen("interrupted", self._interrupted)

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for name in sorted(self._unknown):
                await self._ask(name)

    def _opened(self, hello: dict[str, Any]) -> None:
        self._unknown.clear()
        for name, status in (hello.get("printers") or {}).items():
            self._seen(name, status)
            self._forget_later(name)

    def _seen(self, name: str, status: dict[str, Any]) -> None:
        """Connected, and of a model that nobody has named: the relay says so."""
        if status.get("asks_for_probe") and name not in self._unknown:
            self._unknown.add(name)
            self._news.set()
        elif not status.get("connected"):
            self._unknown.discard(name)

    async def _ask(self, name: str) -> None:
        try:
            devices = await self.door.probe(url=name, gently=True)
        except (RelayGone, Refused, KeyError) as error:
            log.info("printer=%s cannot be asked what it is: %s", name, error)
            return
        for device in devices:
            if not device["asked"]:
                asyncio.get_running_loop().call_later(AGAIN_S, self._news.set)
            elif device["says"]:
                log.info("printer=%s says=%s model=%s", name, device["says"], device["model"] or "unknown")
                self._unknown.discard(name)

    def _interrupted(self, event: dict[str, Any]) -> None:
        """Seen, not heard: that the printer is gone sounds by itself."""
        printer, pos = str(event.get("printer")), str(event.get("pos"))
        then = THEN.get(str(event.get("then")), "look at the paper")
        self.alerts.raise_(
            "interrupted", printer, f"printer {printer} was lost in a receipt of {pos}: {then}", sound=""
        )
        self._forget_later(printer)

    def _forget_later(self, printer: str) -> None:
        asyncio.get_running_loop().call_later(SHOWN_S, self.alerts.resolve, "interrupted", printer)
