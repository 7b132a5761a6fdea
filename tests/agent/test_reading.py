"""agent/reading.py: when the relay's jobs are listed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent import reading
from agent.child import Reader
from agent.door import Door
from agent.reading import Reading
from agent.store import Store
from config.box import Capture


def test_a_listing_that_takes_long_comes_to_its_end_though_jobs_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missed is told by a listing that ended: begun anew each time, it never would."""
    monkeypatch.setattr(reading, "RELIST_SOON_S", 0.02)

    async def story() -> None:
        store = Store(tmp_path / "agent.db")
        await store.open()
        taken = Reading(Capture(), Door(str(tmp_path / "no relay")), store, Reader(), lambda *_: None)
        ended = 0

        async def slow() -> int:
            nonlocal ended
            await asyncio.sleep(0.3)
            ended += 1
            return 0

        monkeypatch.setattr(taken._backlog, "take", slow)
        task = asyncio.create_task(taken.run())
        taken.relist()
        try:
            async with asyncio.timeout(20):
                while ended < 3:
                    taken.missing(("epoch", 1))
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()

    asyncio.run(story())
