"""The door to the relay: one connection on its control socket, opened again for ever.

Gives   ask() and jobs() of relay.control.Client while it is open; RelayGone at once while it is not.
        Events to whoever registered for them; `on_open` is called with the relay's hello at every (re)connect.
Never   waits for the relay where printing or capture would wait: the relay is asked, it does not ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from agent.supervise import Backoff
from relay.control import Client, Refused, RelayGone

log = logging.getLogger("tillwire.agent")

Listener = Callable[[dict[str, Any]], None]
ANSWER_S = 15.0  # a relay that does not answer for so long is treated as gone

__all__ = ["Door", "Refused", "RelayGone"]


class Door:
    def __init__(self, path: str) -> None:
        self.path = path
        self.hello: dict[str, Any] = {}
        self.opened = asyncio.Event()
        self.on_open: list[Listener] = []
        self.on_close: list[Callable[[], None]] = []
        self._on_event: dict[str, list[Listener]] = {}
        self._client: Client | None = None

    def listen(self, event: str, listener: Listener) -> None:
        """`listener` is called in the loop with each event of that name; it must not wait."""
        self._on_event.setdefault(event, []).append(listener)

    async def ask(self, op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        """The relay's answer. Raises RelayGone, Refused."""
        client = self._open_client()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await client.ask(op, body, **fields)
        except TimeoutError:
            await client.close()
            raise RelayGone(f"the relay did not answer {op} within {ANSWER_S:.0f} s") from None

    async def probe(self, **fields: Any) -> list[dict[str, Any]]:
        """The relay's devices, each with what it answers (relay/probe.py). Raises RelayGone, Refused.

        Over a connection of its own: the relay serves the requests of one connection in turn, and for a printer that
        never answers this one waits two seconds, in which receipts could not be pulled.
        """
        client = await Client.connect(self.path)
        try:
            async with asyncio.timeout(ANSWER_S):
                return list((await client.ask("probe", **fields))["devices"])
        except TimeoutError:
            raise RelayGone(f"the relay did not answer probe within {ANSWER_S:.0f} s") from None
        finally:
            await client.close()

    async def jobs(
        self, after: list[Any] | None = None, limit: int = 20, keys: list[Any] | None = None
    ) -> tuple[list[tuple[dict[str, Any], bytes]], bool]:
        """Jobs with their bytes, and whether more follow. Raises RelayGone, Refused."""
        client = self._open_client()
        try:
            async with asyncio.timeout(ANSWER_S * 2):
                return await client.jobs(after=after, limit=limit, keys=keys)
        except TimeoutError:
            await client.close()
            raise RelayGone("the relay did not answer jobs in time") from None

    async def run(self) -> None:
        backoff = Backoff(0.1, 5.0)
        silent = False
        while True:
            try:
                client = await Client.connect(self.path)
            except RelayGone as error:
                if not silent:
                    log.warning("relay=%s cannot be reached: %s; is tillwire-relay running?", self.path, error)
                    silent = True
                await backoff.wait()
                continue
            try:
                async with asyncio.timeout(ANSWER_S):
                    self.hello = await client.ask("hello")
            except (RelayGone, Refused, TimeoutError) as error:
                log.warning("relay=%s said no hello: %s", self.path, error)
                await client.close()
                await backoff.wait()
                continue
            backoff.reset()
            silent = False
            log.info(
                "relay=%s reached epoch=%s last_seq=%s", self.path, self.hello.get("epoch"), self.hello.get("last_seq")
            )
            await self._serve(client)

    async def _serve(self, client: Client) -> None:
        self._client = client
        self.opened.set()
        try:
            for listener in self.on_open:
                listener(self.hello)
            while (event := await client.events.get()) is not None:
                for listener in self._on_event.get(str(event.get("event")), ()):
                    listener(event)
            log.warning("relay=%s went away", self.path)
        finally:
            self._client = None
            self.opened.clear()
            await client.close()
            for closed in self.on_close:
                closed()

    def _open_client(self) -> Client:
        if self._client is None:
            raise RelayGone("the relay is not connected")
        return self._client
