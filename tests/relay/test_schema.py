"""A journal of an older release: brought up by a child while the till prints on; what cannot be is put aside."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay.schema import SCHEMA
from tests.relay.conftest import Box, until
from tests.simulators.printer import SimulatedPrinter

RECEIPT = b"\x1b@TOTAL %d.00\n\x1dV\x00"
WAITS = """
import relay.schema
relay.schema.COMMAND[:0] = ["sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done; exec "$@"', %r]
"""
REFUSES = "import relay.schema; relay.schema.COMMAND[:] = ['sh', '-c', 'echo no such step; exit 1']"


@pytest.fixture
def old(make_box: Callable[..., Box], printer: SimulatedPrinter) -> Box:
    """A box whose journal holds two receipts, and is as version 1 made it."""
    box = make_box()
    pos = box.pos()
    for number in (1, 2):
        pos.send(RECEIPT % number)
    box.jobs(2)
    assert box.kill(signal.SIGTERM) == 0
    with closing(sqlite3.connect(box.state / "capture.db")) as db:
        db.execute("DROP TABLE printers")
        db.execute("PRAGMA user_version = 1")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return box


@pytest.mark.covers("F62")
def test_an_old_journal_is_brought_up_and_the_till_prints_meanwhile(
    old: Box, printer: SimulatedPrinter, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    old.start(wait=False, first=WAITS % str(go))
    pos = old.pos()
    pos.send(RECEIPT % 3)
    printer.wait(lambda: printer.cuts == 3)
    assert old.sql("PRAGMA user_version") == [(1,)], "it was printed while the journal was still the old one"
    go.touch()
    jobs = old.jobs(3)
    assert [raw for _, raw in jobs] == [RECEIPT % number for number in (1, 2, 3)]
    assert len({job["key"][0] for job, _ in jobs}) == 1 and [job["key"][1] for job, _ in jobs] == [1, 2, 3]
    assert old.sql("PRAGMA user_version") == [(SCHEMA,)]
    assert (old.state / f"capture.db.before-{SCHEMA}").exists()
    assert old.counters()["cut_released_unsafe"] == 1, "and its cut did not wait"
    pos.send(RECEIPT % 4)
    assert len(old.jobs(4)) == 4


def test_one_that_cannot_be_brought_up_is_put_aside_and_its_rows_come_home(old: Box, printer: SimulatedPrinter) -> None:
    old.start(wait=False, first=REFUSES)
    old.pos().send(RECEIPT % 3)
    jobs = old.jobs(3)
    assert sorted(raw for _, raw in jobs) == [RECEIPT % number for number in (1, 2, 3)]
    assert len({job["key"][0] for job, _ in jobs}) == 2
    assert "no such step" in old.log.read_text()
    until(lambda: list(old.state.glob("capture.db.bad-*")))
