"""[box] status_slip: print how the box is, once after each boot, as soon as it has had time to reach the cloud."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from agent import clock, own_slips
from agent.credentials import claimed
from agent.door import Door, Refused, RelayGone
from agent.links import addresses
from agent.mqtt import Mqtt
from agent.slips import LOCAL
from agent.state import State
from agent.store import Store, get_meta, set_meta
from config.box import Box

log = logging.getLogger("tillwire.agent")

WAIT_S = 60.0  # for the cloud; then the slip says that it is not reached
AGAIN_S = 1.0
VALID_S = 3600.0  # a printer that is switched on later still prints it


async def print_once(box: Box, store: Store, door: Door, mqtt: Mqtt, state: State) -> None:
    """Once a boot, whatever restarts the agent: the relay knows the slip by the boot's id."""
    boot = clock.boot()
    if await store.run(lambda c: get_meta(c, "status_slip_boot", "")) == boot:
        return
    online = asyncio.Event()
    mqtt.on_state.append(lambda up: online.set() if up else None)
    if claimed(box.cloud) and not mqtt.connected:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await online.wait()
    while True:
        await door.opened.wait()
        try:
            await _print(box, door, await state(), f"{LOCAL}status-{boot}/main/1")
            break
        except RelayGone:
            await asyncio.sleep(AGAIN_S)
        except Refused as error:
            log.warning("status slip: %s", error)
            break
    await store.run(lambda c: set_meta(c, "status_slip_boot", boot))


async def _print(box: Box, door: Door, told: dict[str, Any], slip: str) -> None:
    """Raises RelayGone, Refused."""
    devices = await door.probe()
    name = next(iter(box.printer))
    says = next((str(device.get("says") or "") for device in devices if device["name"] == name), "")

    def made() -> bytes:
        facts = told | {"printers": devices, "addresses": addresses()}
        models = [box.printer[name].model, says]
        return own_slips.status(facts, models=models, web=box.cloud.web, claimed=claimed(box.cloud))

    raw = await asyncio.to_thread(made)
    await door.ask("print", raw, slip=slip, attempt=1, printer=name, copy=0, valid_s=VALID_S)
