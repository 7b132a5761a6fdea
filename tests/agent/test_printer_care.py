"""agent/printer_care.py with a real relay: a printer that nobody named is asked once; an interrupted receipt shows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.daemon import Agent
from config.box import load_box
from tests.relay.conftest import Box
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter

LIMIT = 60.0


def with_agent(
    box: Box, body: Callable[[Agent, Callable[[Callable[[], bool]], Awaitable[None]]], Awaitable[None]]
) -> None:
    box.config.write_text(
        box.config.read_text() + f'[cloud]\nbroker = "mqtt://127.0.0.1:{free_port()}"\n[alerts]\nsound = false\n'
    )
    box.start()

    async def run() -> None:
        agent = Agent(load_box(box.config))
        await agent.store.open()
        tasks = [asyncio.create_task(part()) for part in (agent.door.run, agent.care.run)]

        async def until(check: Callable[[], bool]) -> None:
            async with asyncio.timeout(LIMIT):
                while not check():  # noqa: ASYNC110 -- what is under test is in another process
                    await asyncio.sleep(0.01)

        try:
            await body(agent, until)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await agent.store.close()

    try:
        asyncio.run(run())
    finally:
        box.stop()


def test_a_printer_that_nobody_named_is_asked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with SimulatedPrinter() as printer:

        async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
            await until(lambda: "says=TM-T88V" in caplog.text)
            status = (await agent.door.ask("status"))["printers"]["main"]
            assert (status["says"], status["asks_for_probe"]) == ("TM-T88V", False)
            assert status["model"] not in ("generic", "")
            assert b"".join(printer.paper) == b""

        with_agent(Box(tmp_path, {"main": printer.url}), body)


def test_a_receipt_that_was_cut_short_shows_until_somebody_has_looked(tmp_path: Path) -> None:
    with SimulatedPrinter() as printer:
        box = Box(tmp_path, {"main": printer.url}, model="generic")

        async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
            await agent.door.opened.wait()
            pos = await asyncio.to_thread(box.pos)
            pos.send(b"\x1b@half of a receipt\n")
            await asyncio.to_thread(printer.wait, lambda: b"receipt" in printer.received)
            printer.power_cycle()
            await until(lambda: agent.alerts.get("interrupted", "main") is not None)
            alert = agent.alerts.get("interrupted", "main")
            assert alert is not None and "till" in alert.text and alert.sound == ""
            assert agent.alerts.acknowledge("interrupted:main") == 1

        with_agent(box, body)


def test_receipts_are_pulled_while_a_printer_that_never_answers_is_asked_what_it_is(tmp_path: Path) -> None:
    with SimulatedPrinter() as printer:
        printer.silent = True

        async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
            await agent.door.opened.wait()
            asking = asyncio.create_task(agent.door.probe(url="main"))
            pulled = 0
            while not asking.done():
                await agent.door.jobs()
                pulled += 1
            assert pulled > 3 and [device["says"] for device in await asking] == [""]

        with_agent(Box(tmp_path, {"main": printer.url}), body)
