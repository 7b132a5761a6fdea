"""Kill -9 of relay, agent, broker and cloud, alone and together, hundreds of times, while a till prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.campaign import QUICK, VICTIMS, Campaign


@pytest.fixture
def campaign(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Campaign]:
    made = Campaign(tmp_path / "system", *request.param)
    yield made
    made.close()


@pytest.mark.covers("F1", "F3", "F5", "F6", "F31")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("campaign", [(1, 0.02, QUICK, 1)], indirect=True)
def test_two_hundred_kills_lose_nothing_and_double_nothing(campaign: Campaign) -> None:
    campaign.run(200)
    told = campaign.finish()
    assert set(campaign.kills) == {"relay", "agent", "broker", "cloud"}, told


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("campaign", [(2, 0.0, VICTIMS), (3, 0.0, VICTIMS)], indirect=True)
def test_a_thousand_kills_and_twenty_thousand_receipts(campaign: Campaign) -> None:
    campaign.run(600)
    while campaign.till.number < 10_500:
        campaign.run(sum(campaign.kills.values()) + 10)
    print(campaign.finish(600))
