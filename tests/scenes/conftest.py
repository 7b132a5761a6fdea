"""A whole system for the scenes: real broker, cloud, relay and agent processes, one simulated printer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import System, free_port
from tests.simulators.till import SerialTill, TcpTill, connect


class Stored(NamedTuple):
    """A job, as the cloud has it."""

    pos: str
    raw: bytes
    text: str
    state: str  # stored | read | failed


class Shop:
    """A box between a till and a printer, and the cloud. Everything is real but the till and the printer."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.printer = SimulatedPrinter()
        self.tcp_url = f"tcp://127.0.0.1:{free_port()}"
        self.serial = SerialTill(f"serial://{folder}/till-tty")
        self.system = System(
            folder / "system",
            broker=broker,
            printers={"main": self.printer.url},
            pos={"till": self.tcp_url, "kiosk": f"serial://{self.serial.path}?baud=115200"},
            box={"capture": {"keep_days": 0, "quiet_ms": 300}},
        )
        self.system.set_up()
        self.system.start()

    def till(self) -> TcpTill:
        till = connect(self.tcp_url)
        assert isinstance(till, TcpTill)
        return till

    def stored(self, after: str = "") -> list[Stored]:
        """The jobs in the cloud, in the order of capture."""
        rows = self.system.query(
            self.system.cloud_db,
            "SELECT j.pos, p.raw, coalesce(j.lines, ''), j.state FROM jobs j JOIN papers p ON p.job_id = j.id"
            " WHERE j.epoch || printf('/%09d', j.seq) > ? ORDER BY j.epoch, j.seq",
            (after,),
        )
        return [Stored(pos, raw or b"", text, state) for pos, raw, text, state in rows]

    def last_key(self) -> str:
        rows = self.system.query(self.system.cloud_db, "SELECT max(epoch || printf('/%09d', seq)) FROM jobs")
        return str(rows[0][0] or "") if rows else ""

    def left_on_the_box(self) -> int:
        """Pieces of jobs that the journal still holds, finished or not."""
        rows = self.system.query(self.system.capture_db, "SELECT count(*) FROM pieces")
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        self.system.close()
        self.printer.close()
        self.serial.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for a whole file of scenes: starting one takes seconds."""
    shop = Shop(tmp_path_factory.mktemp("shop"), "embedded")
    yield shop
    shop.close()


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose broker is a process of its own; every part of it may be killed."""
    shop = Shop(tmp_path, "nats")
    yield shop
    shop.close()
