"""agent/alerts.py: alerts are states. A stand-in for the player counts sounds; everything else is real."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent import alerts as module
from agent.alerts import Alerts, State
from agent.player import Player, SilentError
from agent.store import Store
from config.box import Alerts as Settings


class Ear(Player):
    """Hears what would be played."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__(Settings())
        self.heard: list[str] = []
        self.more = asyncio.Condition()
        self.silent = silent

    async def play(self, name: str, say: Sequence[str] = ()) -> str:
        if self.silent:
            raise SilentError("simpleaudio: no card; aplay: no card; buzzer: none")
        async with self.more:
            self.heard.append(name)
            self.more.notify_all()
        return "simpleaudio"

    async def wait(self, count: int) -> list[str]:
        async with asyncio.timeout(5), self.more:
            await self.more.wait_for(lambda: len(self.heard) >= count)
        return self.heard


def run(
    path: Path, body: Callable[[Alerts, Ear], Awaitable[None]], repeat_s: float = 0.05, silent: bool = False
) -> None:
    async def main() -> None:
        store = Store(path / "agent.db")
        await store.open()
        ear = Ear(silent)
        alerts = Alerts(replace(Settings(), repeat_s=repeat_s), store, ear)  # type: ignore[arg-type]
        await alerts.load()
        task = asyncio.create_task(alerts.run())
        try:
            await body(alerts, ear)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()

    asyncio.run(main())


async def saved(alerts: Alerts) -> None:
    """Until the store knows what is in memory: what is dirty now is written before the next thing sounds."""
    await alerts._save()


def test_it_sounds_again_until_acknowledged(tmp_path: Path) -> None:
    async def body(alerts: Alerts, ear: Ear) -> None:
        alerts.raise_("new_order", "o-1", "order 1", "new_order_dine_in")
        assert (await ear.wait(3))[:3] == ["new_order_dine_in", "reminder", "reminder"]
        assert alerts.acknowledge("new_order:o-1") == 1
        count = len(ear.heard)
        alerts.raise_("fault", "x", "another", "fault")
        await ear.wait(count + 3)
        assert "reminder" not in ear.heard[count + 1 :]

    run(tmp_path, body)


def test_one_that_is_resolved_at_once_sounds_once(tmp_path: Path) -> None:
    async def body(alerts: Alerts, ear: Ear) -> None:
        alerts.raise_("new_order", "o-1", "order 1", "new_order_takeaway")
        alerts.resolve("new_order", "o-1")
        alerts.raise_("x", "", "y", "fault")
        assert (await ear.wait(2))[:2] == ["new_order_takeaway", "fault"]
        assert alerts.get("new_order", "o-1") is None

    run(tmp_path, body, repeat_s=60)


def test_it_survives_a_restart(tmp_path: Path) -> None:
    async def first(alerts: Alerts, ear: Ear) -> None:
        alerts.raise_("unconfirmed", "o-1", "look", "unconfirmed")
        alerts.raise_("printer", "main", "paper", "fault")
        alerts.acknowledge("printer:main")
        await ear.wait(2)
        await saved(alerts)

    async def second(alerts: Alerts, ear: Ear) -> None:
        assert (await ear.wait(2))[0] == "unconfirmed"
        found = alerts.get("printer", "main")
        assert found is not None and found.state is State.ACKNOWLEDGED
        assert "fault" not in ear.heard

    run(tmp_path, first)
    run(tmp_path, second)


def test_it_escalates_and_falls_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ESCALATE_S", 0.2)

    async def body(alerts: Alerts, ear: Ear) -> None:
        changed = asyncio.Event()
        alerts.on_change.append(changed.set)
        alerts.raise_("failed", "o-1", "no paper", "fault")
        async with asyncio.timeout(5):
            while (found := alerts.get("failed", "o-1")) is None or found.state is not State.ESCALATED:
                changed.clear()
                await changed.wait()
        assert any("escalated" in name for name in alerts.names())

    run(tmp_path, body)


@pytest.mark.covers("F57")
def test_silence_is_an_alert_itself(tmp_path: Path) -> None:
    async def body(alerts: Alerts, ear: Ear) -> None:
        changed = asyncio.Event()
        alerts.on_change.append(changed.set)
        alerts.raise_("new_order", "o-1", "order 1", "new_order_dine_in")
        async with asyncio.timeout(5):
            while alerts.get("sound") is None:
                changed.clear()
                await changed.wait()
        assert alerts.counters["silent"] >= 1
        ear.silent = False
        await ear.wait(1)
        async with asyncio.timeout(5):
            while alerts.get("sound") is not None:
                changed.clear()
                await changed.wait()

    run(tmp_path, body, silent=True)
