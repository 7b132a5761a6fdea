"""agent/health.py: what no event tells of becomes an alert all the same. In one process, nobody at the other ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent import health as module
from agent.daemon import Agent
from config.box import load_box
from tests.agent.rig import free_port
from wire import messages
from wire.messages import Status


def watched(
    folder: Path, body: Callable[[Agent, Callable[[Callable[[], bool]], Awaitable[None]]], Awaitable[None]]
) -> None:
    config = folder / "agent.toml"
    config.write_text(
        f'[box]\nid = "bench-box-1"\nstate_dir = "{folder}/box"\ncontrol = "{folder}/none.sock"\n'
        f'[printer.main]\nurl = "tcp://127.0.0.1:{free_port()}"\n[pos.till]\nurl = "tcp://127.0.0.1:{free_port()}"\n'
        f'[cloud]\nbroker = "mqtt://127.0.0.1:{free_port()}"\n[alerts]\nsound = false\n'
    )

    async def run() -> None:
        agent = Agent(load_box(config))
        await agent.store.open()
        look = asyncio.create_task(agent.health.look())

        async def until(check: Callable[[], bool]) -> None:
            async with asyncio.timeout(10):
                while not check():  # noqa: ASYNC110 -- looking is what is under test
                    await asyncio.sleep(0.01)

        try:
            await body(agent, until)
        finally:
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
            await agent.store.close()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "OFFLINE_S", "NO_ACK_S", "RELAY_GONE_S"):
        monkeypatch.setattr(module, name, 0.05)


def test_a_relay_and_a_broker_that_stay_away_are_alerts(tmp_path: Path) -> None:
    async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        await until(lambda: agent.alerts.get("relay") is not None and agent.alerts.get("offline") is not None)
        agent.door.opened.set()
        agent.mqtt.connected = True
        await until(lambda: agent.alerts.get("relay") is None and agent.alerts.get("offline") is None)

    watched(tmp_path, body)


@pytest.mark.covers("F33")
def test_a_cloud_that_never_acknowledges_is_an_alert(tmp_path: Path) -> None:
    async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        agent.mqtt.connected = True
        agent.uplink._fly(1).taken = 1.0  # the broker took it: MQTT 3.1.1 says no more
        await until(lambda: agent.alerts.get("no_ack") is not None)
        agent.uplink._gone(1)
        await until(lambda: agent.alerts.get("no_ack") is None)

    watched(tmp_path, body)


@pytest.mark.covers("F44", "F45")
def test_what_is_wrong_with_a_printer_is_an_alert(tmp_path: Path) -> None:
    async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        agent.orders.printers["main"] = {"connected": True, "paper": "out"}
        await until(lambda: agent.alerts.get("printer", "main") is not None)
        assert any("paper is out" in name for name in agent.alerts.names())
        agent.orders.printers["main"] = {"connected": True, "paper": "ok"}
        await until(lambda: agent.alerts.get("printer", "main") is None)

    watched(tmp_path, body)


@pytest.mark.covers("F12", "F15")
def test_a_disk_that_takes_nothing_is_an_alert(tmp_path: Path) -> None:
    async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        agent.store.problem = "database or disk is full"
        await until(lambda: agent.alerts.get("disk") is not None)
        await agent.store.run(lambda c: None)
        await until(lambda: agent.alerts.get("disk") is None)

    watched(tmp_path, body)


def test_the_status_and_the_will_can_be_sent_before_anything_is_known(tmp_path: Path) -> None:
    async def body(agent: Agent, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        status = messages.decode("status", messages.encode(await agent.health.status()))
        will = messages.decode("status", agent.health.will())
        assert isinstance(status, Status) and status.online and not will.online
        assert status.backlog == 0 and status.disk_free

    watched(tmp_path, body)
