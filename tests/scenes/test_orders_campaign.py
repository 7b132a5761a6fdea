"""Orders under mixed faults: what is on paper, and what is said of it. The long one runs with `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.orders_campaign import Campaign


@pytest.mark.timeout(900)
@pytest.mark.covers("F4", "F5", "F34", "F44", "F46", "F47", "F48", "A25")
def test_a_few_orders_under_mixed_faults_are_on_paper_once_or_told(tmp_path: Path) -> None:
    """Half a minute of it in every run: kills, a board without power, clocks, a line and printers that fail."""
    found = Campaign(tmp_path / "system", orders=24, seed=4, rate=3.0, fault_s=(0.3, 1.5), longest_s=4.0).run()
    assert not found.broken, found.broken
    assert not found.duplicates + found.silent + found.untrue, f"{found}"


@pytest.mark.slow  # half an hour, and more where the machine has other work
@pytest.mark.timeout(7200)
@pytest.mark.covers("F1", "F4", "F5", "F23", "F34", "F44", "F46", "F47", "F48", "A25")
def test_ten_thousand_orders_under_mixed_faults(tmp_path: Path) -> None:
    found = Campaign(tmp_path / "system", orders=10_000, seed=1, rate=6.0, fault_s=(1.0, 6.0)).run()
    print(found)
    assert not found.bad(), f"{found}"
