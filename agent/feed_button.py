"""The printer's own feed button acknowledges alerts, where the printer tells that it is held down.

A printer tells so in its automatic status, which the till may have asked for, and in DLE EOT 1: while an alert sounds,
the relay is asked each second to put that question to printers that nobody prints on. Nothing is asked otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agent.alerts import Alerts, State
from agent.door import Door, Refused, RelayGone

log = logging.getLogger("tillwire.agent")

LOOK_S = 1.0


class FeedButton:
    def __init__(self, door: Door, alerts: Alerts) -> None:
        self.door, self.alerts = door, alerts
        self._down: set[str] = set()
        door.listen("printer", self._printer)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self.alerts.any(State.SOUNDING) and self.door.opened.is_set():
                try:
                    await self.door.ask("status", ask=True)
                except (RelayGone, Refused) as error:
                    log.debug("printers are not asked for their buttons: %s", error)

    def _printer(self, event: dict[str, Any]) -> None:
        """A button that went down; one that stays down counts once."""
        name, down = str(event["name"]), bool((event.get("status") or {}).get("feed_button"))
        if down and name not in self._down and (count := self.alerts.acknowledge()):
            log.info("printer=%s feed button acknowledges %d alerts", name, count)
        (self._down.add if down else self._down.discard)(name)
