"""Orders under mixed faults: what is on paper, and what is said of it. The long one runs with `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.orders_campaign import Campaign, Found


def said(found: Found) -> str:
    return f"{found.orders} orders {found.states}, {found.marked} marked slips, faults {found.faults}"


@pytest.mark.slow  # about two minutes
@pytest.mark.timeout(600)
@pytest.mark.covers("F4", "F5", "F34", "F44", "F46", "F47", "F48", "A25")
def test_a_few_orders_under_mixed_faults_are_on_paper_once_or_told(tmp_path: Path) -> None:
    found = Campaign(tmp_path / "system", orders=40, seed=11, rate=4.0, fault_s=(0.3, 1.5)).run()
    assert not found.duplicates, said(found)
    assert not found.silent, said(found)
    assert not found.untrue, said(found)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.covers("F4", "F5", "F34", "F44", "F46", "F47", "F48", "A25")
def test_ten_thousand_orders_under_mixed_faults(tmp_path: Path) -> None:
    found = Campaign(tmp_path / "system", orders=10_000, seed=1, rate=6.0, fault_s=(1.0, 6.0)).run()
    print(said(found))
    assert not found.duplicates and not found.silent and not found.untrue, said(found)
    assert not found.late, said(found)
