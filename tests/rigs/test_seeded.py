"""Faults of our own making in the running box: what the other tests look at shows each of them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing

from tests.agent.rig import Rig, receipt
from tests.relay.conftest import Box, until
from tests.simulators.printer import SimulatedPrinter
from wire import messages
from wire.messages import Ack, Acks

Bench = Callable[..., Rig]


def seeded(bench: Bench, fault: str) -> Rig:
    box = bench()
    box.first["agent"] = f"from tests.rigs.seeded import FAULTS\nFAULTS['{fault}']()"
    box.cloud.ack = False
    return box.start("relay", "agent").online()


def test_freed_by_puback(bench: Bench) -> None:
    """test_receipts.py: nothing is released before the cloud acknowledges."""
    box = seeded(bench, "freed_by_puback")
    box.print(receipt(1))
    box.wait_released(1)


def test_ack_of_any_hash(bench: Bench) -> None:
    """test_receipts.py: an ack with another hash frees nothing."""
    box = seeded(bench, "ack_of_any_hash")
    box.print(receipt(1))
    ((epoch, seq),) = box.cloud.wait_jobs(1)
    box.cloud.say("acks", messages.new(Acks, acks=[Ack(epoch, seq, b"\0" * 32, "stored")]))
    box.wait_outbox(0)


def test_new_id_on_retry(bench: Bench) -> None:
    """test_crash_agent.py: a job is one message, however often it is sent."""
    box = seeded(bench, "new_id_on_retry")
    box.print(receipt(1))
    (key,) = box.cloud.wait_jobs(1)
    first = box.cloud.jobs[key].id
    box.cloud.wait(lambda: box.cloud.jobs[key].id != first, "it comes again under another id", within=40)


def broken(make_box: Callable[..., Box], fault: str) -> Box:
    return make_box(start=False).start(first=f"from tests.rigs.seeded import FAULTS\nFAULTS['{fault}']()")


def test_rows_are_not_checked(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """test_faults.py: a flipped bit is found and told."""
    box = make_box()
    box.pos().send(b"\x1b@NUMBER 1 MARKER\n\x1dV\x00")
    box.jobs(1)
    box.kill(signal.SIGTERM)
    file = box.state / "capture.db"
    file.write_bytes(file.read_bytes().replace(b"NUMBER 1 MARKER", b"NUMBER 7 MARKER"))
    box.start(first="from tests.rigs.seeded import FAULTS\nFAULTS['rows_are_not_checked']()")
    assert b"NUMBER 7 MARKER" in box.jobs(1)[0][1], "it hands out what was never printed"


def test_seq_begins_again(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """test_kills.py and the campaign: numbers of a journal only rise."""
    box = broken(make_box, "seq_begins_again")
    pos = box.pos()
    for _ in range(3):
        pos.send(b"\x1b@tea\n\x1dV\x00")
    jobs = box.jobs(3)
    with closing(box.agent()) as agent:
        agent.ask("release", jobs=[[*job["key"], job["sha256"]] for job, _ in jobs])
    box.kill(signal.SIGTERM)
    box.start(first="from tests.rigs.seeded import FAULTS\nFAULTS['seq_begins_again']()")
    box.pos().send(b"\x1b@coffee\n\x1dV\x00")
    until(lambda: box.jobs(1)[0][0]["key"] == jobs[0][0]["key"])
