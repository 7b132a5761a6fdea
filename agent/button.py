"""A button that acknowledges alerts: an input device of the kernel, as the overlay gpio-key makes of a GPIO line.

Reads struct input_event of linux/input.h: two longs of time, then type, code (u16), value (s32). A key that goes down
counts; what it is does not matter. The device may come later or go away: it is opened again for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable

log = logging.getLogger("tillwire.agent")

EVENT = struct.Struct("@llHHi")
KEY, DOWN = 1, 1
AGAIN_S = 5.0


class Button:
    def __init__(self, path: str, pressed: Callable[[], object]) -> None:
        self.path, self._pressed = path, pressed

    async def run(self) -> None:
        silent = False
        while True:
            try:
                device = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if not silent:
                    log.warning("button=%s cannot be opened: %s; tried again", self.path, error.strerror)
                silent = True
            else:
                silent = False
                log.info("button=%s acknowledges alerts", self.path)
                try:
                    await self._listen(device)
                finally:
                    os.close(device)
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, device: int) -> None:
        """Until the device goes away."""
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        held = bytearray()

        def ready() -> None:
            try:
                data = os.read(device, 64 * EVENT.size)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                gone.set()
                return
            held.extend(data)
            while len(held) >= EVENT.size:
                _, _, kind, _, value = EVENT.unpack(bytes(held[: EVENT.size]))
                del held[: EVENT.size]
                if (kind, value) == (KEY, DOWN):
                    log.info("button=%s was pressed", self.path)
                    self._pressed()

        loop.add_reader(device, ready)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(device)
