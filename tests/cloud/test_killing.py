"""Workers, PostgreSQL and the broker are killed at random: nothing is lost, nothing is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.killing import campaign


@pytest.mark.covers("F6")
def test_a_short_campaign_of_kills_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, seed=11, kills=4, boxes=6)


@pytest.mark.slow
@pytest.mark.covers("F6")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_long_campaign_of_kills(tmp_path: Path, seed: int) -> None:
    print(campaign(tmp_path, seed, kills=60, boxes=20))
