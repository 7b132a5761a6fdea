"""Strangers on the network: floods of questions, crowds of connections, bytes that trickle."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from tests.relay.conftest import Box, Pos, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter

ASK = b"\x10\x04\x01"


@pytest.mark.covers("A19")
def test_a_flood_of_questions_is_told_from_memory(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """The printer is spared most of it, the other till is answered by the printer, and prints."""
    box = make_box(pos={"till": {}, "stranger": {}})
    till, stranger = box.pos("till"), box.pos("stranger")
    till.send(ASK)
    assert till.read(1) == b"\x16"
    stop = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        assert stranger.sock
        with suppress(OSError):
            while not stop.is_set():
                sent += stranger.sock.send(ASK * 2000)

    def listen() -> None:
        assert stranger.sock
        with suppress(OSError):
            while stranger.sock.recv(65536):
                pass

    threads = [threading.Thread(target=flood), threading.Thread(target=listen)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: box.counters()["floods"] >= 2)
        before, began = len(printer.asked), time.monotonic()
        for _ in range(50):
            till.send(ASK)
            assert till.read(1) == b"\x16"
        till.send(RECEIPT)
        printer.wait(lambda: RECEIPT in bytes(printer.received))
        assert len(printer.asked) - before < 5000 + 2500 * (time.monotonic() - began)  # ASKS_PER_S, and the till's
        assert box.jobs(1)[0][1] == RECEIPT
        counters = box.counters()
        assert counters["answered_by_relay"] > 1000
    finally:
        stop.set()
        assert stranger.sock
        stranger.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        stranger.close()
    till.send(ASK)
    assert till.read(1) == b"\x16"


@pytest.mark.covers("A19")
def test_every_question_of_a_flood_gets_an_answer(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(ASK)
    pos.read(1)
    printer.set(paper="near")
    pos.send(b"\x10\x04\x04")
    assert pos.read(1) == b"\x1e"
    pos.send(b"\x10\x04\x04" * 30_000)
    assert pos.read(30_000) == b"\x1e" * 30_000
    assert box.counters()["floods"] >= 1
    pos.send(RECEIPT)  # it is let in again
    printer.wait(lambda: bytes(printer.received).endswith(RECEIPT))


@pytest.mark.covers("A12")
def test_a_thousand_connections_leave_the_till_alone(box: Box, printer: SimulatedPrinter) -> None:
    till = box.pos()
    till.send(RECEIPT)  # a till that has printed is not hung up on, however silent it is
    printer.wait(lambda: printer.cuts == 1)
    host, port = box.ports["till"].removeprefix("tcp://").rsplit(":", 1)
    crowd: list[socket.socket] = []
    for _ in range(1000):
        with suppress(OSError):
            crowd.append(socket.create_connection((host, int(port)), 5))
    till.send(RECEIPT)
    assert printer.printed(2 * len(RECEIPT)) == RECEIPT * 2
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["counters"]["pos_refused"] >= 900)
        assert agent.ask("status")["pos"]["till"]["links"] <= 8
    assert box.process and _files(box.process.pid) < 60
    for sock in crowd:
        sock.close()

    def prints() -> bool:
        with suppress(OSError, AssertionError):
            again = box.pos()
            again.send(RECEIPT)
            printer.wait(lambda: printer.cuts >= 3, 2)
            return True
        return False

    until(prints)


@pytest.mark.covers("A12")
def test_connections_that_do_nothing_give_way(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(start=False).start(first="import relay.box; relay.box.IDLE_S = 0.2")
    silent = [box.pos() for _ in range(7)]
    busy = box.pos()
    busy.send(b"in the middle of a job, ")
    printer.printed(24)
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["pos"]["till"]["links"] == 8)

    def till_gets_in() -> bool:
        with suppress(OSError, AssertionError):
            till = box.pos()
            till.send(RECEIPT)
            busy.send(b"the end\n\x1dV\x00")
            printer.wait(lambda: RECEIPT in bytes(printer.received), 2)
            return True
        return False

    until(till_gets_in)
    assert bytes(printer.received).startswith(b"in the middle of a job, the end\n\x1dV\x00")
    until(lambda: any(pos.is_hung_up(0.1) for pos in silent))
    assert busy.hears_nothing(0.05)


@pytest.mark.covers("A12")
def test_bytes_that_trickle_in_cost_nobody_else_anything(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """A link that sends half a command and stops does not hold a printer that it never used."""
    box = make_box(pos={"till": {}, "slow": {}})
    slow, till = box.pos("slow"), box.pos("till")
    for byte in b"\x1d(k":
        slow.send(bytes([byte]))
    till.send(RECEIPT)
    printer.wait(lambda: RECEIPT in bytes(printer.received))


@pytest.mark.covers("A12")
@pytest.mark.parametrize("kind", ["tcp", "serial"])
def test_text_that_trickles_for_ever_gives_way_to_a_till_that_waits(
    make_box: Callable[..., Box], printer: SimulatedPrinter, pty_pair: tuple[Pos, str], kind: str
) -> None:
    slow_url = {"url": f"serial://{pty_pair[1]}?baud=9600"} if kind == "serial" else {}
    box = make_box(pos={"till": {}, "slow": slow_url}, start=False)
    box.start(first="import relay.link; relay.link.TRICKLE_S = 2.0")
    slow = pty_pair[0] if kind == "serial" else box.pos("slow")
    slow.send(b"a")
    printer.printed(1)
    till = box.pos()
    till.send(RECEIPT)
    dots = 0
    while RECEIPT not in bytes(printer.received):
        with suppress(OSError):
            slow.send(b".")
            dots += 1
        assert dots < 2000
        time.sleep(0.1)
    assert bytes(printer.received)[:1] == b"a"
    if kind == "tcp":
        assert slow.is_hung_up()


@pytest.mark.covers("A12")
def test_one_address_cannot_take_every_connection(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    port = free_port()
    box = make_box(pos={"till": {"url": f"tcp://127.0.0.1:{port}?limit=4&each=2"}})
    crowd = [box.pos() for _ in range(2)]
    with suppress(ConnectionResetError):
        assert box.pos().is_hung_up()
    other = socket.create_connection(("127.0.0.1", port), 45, source_address=("127.0.0.2", 0))
    other.sendall(RECEIPT)
    assert printer.printed(len(RECEIPT)) == RECEIPT
    for sock in (*crowd, other):
        sock.close()


def _files(pid: int) -> int:
    from pathlib import Path

    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
