"""Fuzzed jobs in any chunks through the relay, over TCP and serial lines: every byte to the printer, every job kept."""

from __future__ import annotations

import os
import pty
import random
import socket
import threading
import tty
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.relay.conftest import Box, Pos, until
from tests.relay.test_real_streams import _without_questions, _without_realtime, all_of, random_job, send_in

ROUND = 2_000  # jobs on one wire
CHUNKS = (1, 2, 3, 7, 13, 64, 512, 1000, 4096, 65536, 65536, 100_000)


class Sink:
    """A printer that takes everything and says nothing, at either kind of line."""

    def __init__(self, kind: str) -> None:
        self.received = bytearray()
        if kind == "tcp":
            self._server = socket.create_server(("127.0.0.1", 0))
            self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        else:
            self._fd, slave = pty.openpty()
            tty.setraw(self._fd)
            tty.setraw(slave)
            self.url = f"serial://{os.ttyname(slave)}?baud=115200"
        threading.Thread(target=self._take, args=(kind,), daemon=True).start()

    def _take(self, kind: str) -> None:
        fd = self._server.accept()[0].detach() if kind == "tcp" else self._fd
        try:
            while data := os.read(fd, 1 << 16):
                self.received += data
        except OSError:
            pass  # the relay, or the test, has ended
        os.close(fd)


def fuzzed(rng: random.Random) -> bytes:
    """A job: commands of every kind at random; a third of them mutated, in bits, by holes and by repeats."""
    job = bytearray(random_job(rng))
    if rng.random() < 0.33:
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(job) + 1)
            how = rng.random()
            if how < 0.4:
                job[at : at + 1] = bytes([rng.randrange(256)])
            elif how < 0.7:
                del job[at : at + rng.randint(1, 20)]
            else:
                job[at:at] = job[at : at + 30]
    return bytes(job)


def one_wire(make_box: Callable[..., Box], folder: Path, kind: str, seed: int) -> None:
    """ROUND jobs: what the printer has and what the journal has are what the POS sent."""
    rng = random.Random(seed)
    sink = Sink(kind)
    if kind == "tcp":
        box = make_box(printers={"main": sink.url})
        pos = box.pos()
    else:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        box = make_box(printers={"main": sink.url}, pos={"till": {"url": f"serial://{os.ttyname(slave)}?baud=115200"}})
        pos = Pos(fd=master)
    sent = bytearray()
    for _ in range(ROUND):
        sent += fuzzed(rng)
    sent += b"\x1b@the end\n\x1dV\x00"  # a length that lies is still being paid with what follows, and so may this be
    send_in(pos, bytes(sent), iter(lambda: rng.choice(CHUNKS), None))
    until(lambda: len(sink.received) >= len(sent))
    if sink.received != sent:
        assert _without_realtime(bytes(sink.received)) == _without_realtime(bytes(sent)), f"seed {seed}"
        assert len(sink.received) == len(sent)
    box.stop()  # whatever is open is kept
    box.start()
    expected, kept = _without_questions(bytes(sent)), all_of(box)
    assert expected in (kept, _without_questions(kept)), f"seed {seed}"
    box.stop()
    for path in box.state.glob("capture*"):
        path.unlink()


@pytest.mark.covers("A13", "F54")
@pytest.mark.parametrize("kind", ["tcp", "tcp", "pty"])
@pytest.mark.parametrize("part", range(4))
def test_twenty_thousand_fuzzed_jobs_pass_unchanged(
    make_box: Callable[..., Box], tmp_path: Path, kind: str, part: int, request: pytest.FixtureRequest
) -> None:
    one_wire(make_box, tmp_path, kind, zlib.crc32(request.node.name.encode()))


@pytest.mark.slow
@pytest.mark.covers("A13")
@pytest.mark.timeout(20_000)
def test_a_million_fuzzed_jobs_pass_unchanged(make_box: Callable[..., Box], tmp_path: Path) -> None:
    """FUZZ_JOBS: so many instead. FUZZ_SEED: others."""
    rounds, seed = int(os.environ.get("FUZZ_JOBS", "1000000")) // ROUND, int(os.environ.get("FUZZ_SEED", "1000"))
    for n in range(rounds):
        one_wire(make_box, tmp_path, "pty" if n % 3 == 2 else "tcp", seed + n)
