from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.rig import Rig


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """-> makes a box on the bench; sections of agent.toml as keywords ("printer.main" as {"printer.main": ...})."""
    made: list[Rig] = []

    def make(mosquitto: str | None = None, at: tuple[int, str] | None = None, **sections: dict[str, Any]) -> Rig:
        rig = Rig(tmp_path / f"rig{len(made)}", mosquitto, at, **sections)
        made.append(rig)
        return rig

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def box(bench: Callable[..., Rig]) -> Rig:
    """A box that runs."""
    return bench().start("relay", "agent").online()
