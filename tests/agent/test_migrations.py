"""Schemas that change while receipts are on their way: nothing is lost, nothing comes twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from agent.store import SCHEMA_VERSION
from relay.schema import SCHEMA
from tests.agent.rig import Rig, number_in, receipt

AGENT_1 = (
    "DROP TABLE journals; DROP TABLE taken; ALTER TABLE alerts DROP COLUMN say; DROP TABLE cancels;"
    " CREATE TABLE cancels (order_id TEXT PRIMARY KEY, reason TEXT NOT NULL, wall_ms INTEGER NOT NULL);"
    " PRAGMA user_version = 1"
)
CAPTURE_1 = "DROP TABLE printers; PRAGMA user_version = 1"


@pytest.mark.covers("F43")
@pytest.mark.timeout(300)
def test_both_files_are_brought_up_while_the_till_prints_and_receipts_wait(bench: Callable[..., Rig]) -> None:
    """An update of the box in opening hours: five receipts wait in files of an older release, five more are printed
    while the new one starts. The cloud gets each of them once."""
    box = bench().start("relay", "agent").online()
    box.kill("broker")
    box.print(*[receipt(n) for n in range(1, 6)])
    box.wait_outbox(5)
    for name in ("agent", "relay"):
        box.kill(name)
    box.hang_up()
    for name, script in (("agent.db", AGENT_1), ("capture.db", CAPTURE_1)):
        with sqlite3.connect(box.folder / "box" / name) as connection:
            connection.executescript(script)
    box.start("relay")
    box.print(*[receipt(n) for n in range(6, 11)])
    box.start("broker", "agent")
    box.printer.wait(b"\x1dVB\x00", 10, within=60)
    keys = box.cloud.wait_jobs(10, within=90)
    box.wait_empty(60)
    assert sorted(number_in(box.cloud.raws[key] or b"") for key in keys) == list(range(1, 11))
    assert len(box.cloud.jobs) == 10 and len({epoch for epoch, _ in keys}) == 1
    assert box.query("agent.db", "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert box.query("capture.db", "PRAGMA user_version") == [(SCHEMA,)]
