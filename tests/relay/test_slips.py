"""Slips: between POS jobs, once, and told of truthfully."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from relay.allowed import problem
from tests.relay.conftest import LIMIT, Agent, Box, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.printer import SimulatedPrinter

SLIP = b"\x1b@\x1b!\x38TABLE 4\n\x1b!\x002 x Tea\n\x1bd\x03\x1dV\x00"


def order(agent: Agent, slip: str = "o1/main/1", attempt: int = 1, body: bytes = SLIP, **fields: object) -> dict:
    return agent.ask(
        "print", body, slip=slip, attempt=attempt, **{"printer": "main", "copy": 0, "valid_s": 60} | fields
    )


def test_a_slip_is_printed_and_proven(box: Box, printer: SimulatedPrinter) -> None:
    with closing(box.agent()) as agent:
        answer = order(agent)
        assert answer["fate"]["state"] == "queued"
        fate = agent.fate("o1/main/1", "done")
        assert fate["proof"] == "L1" and fate["status"]["paper"] == "ok"
        states = [e["fate"]["state"] for e in agent.events if e["event"] == "fate"]
        assert states == ["queued", "started", "done"]
        assert SLIP in printer.paper[0]
        assert order(agent)["fate"]["state"] == "done"  # asked again: the same fate, no second paper
        assert agent.ask("fates", after=0)["fates"][-1]["state"] == "done"
        assert agent.ask("fates", after=fate["id"])["fates"] == []
    assert printer.cuts == 1 and box.sql("SELECT count(*) FROM jobs") == [(0,)]  # slips are not captured


def test_a_printer_that_answers_process_ids_proves_more(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(model="epson-tm-t88")
    with closing(box.agent()) as agent:
        order(agent)
        assert agent.fate("o1/main/1", "done")["proof"] == "L2"


@pytest.mark.covers("F50")
def test_a_printer_without_process_ids_still_proves_l1(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    """Its profile promises more than it can: the answer in turn still proves that it worked through the slip."""
    printer.process_id = False
    box = make_box(model="epson-tm-t88")
    with closing(box.agent()) as agent:
        order(agent)
        assert agent.fate("o1/main/1", "done")["proof"] == "L1"


@pytest.mark.covers("F47")
def test_a_printer_that_swallows_bytes_proves_nothing(box: Box, printer: SimulatedPrinter) -> None:
    printer.silent = True
    with closing(box.agent()) as agent:
        order(agent)
        fate = agent.fate("o1/main/1", "done")
        assert fate["proof"] == "L0" and "no answer" in fate["reason"]


@pytest.mark.covers("F47", "F48")
def test_a_printer_that_fell_silent_is_sent_nothing_while_it_may_be_off(box: Box, printer: SimulatedPrinter) -> None:
    """A print server takes bytes for a printer that is off: what it is not sent can be printed elsewhere."""
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
        printer.silent = True
        order(agent, "o2/main/1")
        agent.event(lambda e: e["event"] == "fate" and e["fate"]["reason"] == "the printer does not answer")
        assert agent.ask("withdraw", slip="o2/main/1", attempt=1)["result"] == "withdrawn"
        order(agent, "o3/main/1")
        agent.event(lambda e: e["event"] == "fate" and e["fate"]["slip"] == "o3/main/1" and e["fate"]["reason"] != "")
        printer.silent = False
        assert agent.fate("o3/main/1", "done")["proof"] == "L1"
    assert printer.cuts == 2


@pytest.mark.covers("F47")
def test_a_printer_that_stays_silent_is_sent_slips_after_a_while_and_proves_nothing(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """Perhaps only its way back is broken: no paper at all would be worse than paper without proof."""
    soon = "import relay.slips; relay.slips.HUSH_S = 3.0; import relay.proof; relay.proof.PROOF_S = 1.0"
    box = make_box(start=False).start(first=soon)
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
    printer.silent = True
    box.stop()
    box.start(first=soon)  # what it knew of the printer, the journal knows
    with closing(box.agent()) as agent:
        order(agent, "o2/main/1")
        agent.event(lambda e: e["event"] == "fate" and e["fate"]["reason"] == "the printer does not answer")
        assert agent.fate("o2/main/1", "done")["proof"] == "L0"
    assert printer.cuts == 2


def test_a_printer_that_answers_late_is_no_silent_one(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    first = "import relay.slips; relay.slips.HUSH_S = 1e6; import relay.proof; relay.proof.PROOF_S = 1.0"
    box = make_box(start=False).start(first=first)
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
        printer.silent = True
        order(agent, "o2/main/1")
        agent.event(lambda e: e["event"] == "fate" and e["fate"]["reason"] == "the printer does not answer")
        printer.say(b"\x16")  # to DLE EOT 1: on-line
        agent.fate("o2/main/1", "done")
    assert printer.cuts == 2


@pytest.mark.covers("F44", "F45")
@pytest.mark.parametrize("trouble", [{"paper": "out"}, {"cover": True}])
def test_a_slip_waits_for_paper(box: Box, printer: SimulatedPrinter, trouble: dict[str, object]) -> None:
    printer.set(**trouble)
    with closing(box.agent()) as agent:
        order(agent)
        waiting = agent.event(lambda e: e["event"] == "fate" and e["fate"]["reason"] != "")["fate"]
        assert waiting["state"] == "queued" and waiting["reason"] in ("paper out", "cover open")
        assert SLIP not in bytes(printer.received)
        printer.set(paper="ok", cover=False)
        assert agent.fate("o1/main/1", "done")["proof"] == "L1"


@pytest.mark.covers("F34", "A25")
@pytest.mark.parametrize("trust", ["none", "ntp"])
def test_a_clock_that_was_in_1970_makes_no_slip_forgotten(
    make_box: Callable[..., Box], printer: SimulatedPrinter, trust: str
) -> None:
    """A board without a battery prints before it knows the time; set right, it must still know what it has printed."""
    clock = f"import relay.clock; relay.clock.wall_ms = lambda: 100_000; relay.clock.trust = lambda: {trust!r}"
    box = make_box(start=False).start(first=clock)
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
    box.stop()
    box.start(first=f"import relay.clock; relay.clock.trust = lambda: {trust!r}")
    with closing(box.agent()) as agent:
        assert agent.ask("withdraw", slip="o1/main/1", attempt=1)["result"] == "too_late"
        assert order(agent)["fate"]["state"] == "done"
    assert printer.cuts == 1


@pytest.mark.parametrize(("trust", "left"), [("ntp", 0), ("none", 1)])
def test_what_is_30_days_old_by_a_clock_that_can_be_believed_is_forgotten(
    make_box: Callable[..., Box], printer: SimulatedPrinter, trust: str, left: int
) -> None:
    believed = f"import relay.clock; relay.clock.trust = lambda: {trust!r}"
    box = make_box(start=False).start(first=believed)
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
    box.stop()
    later = "; import time; relay.clock.wall_ms = lambda: time.time_ns() // 10**6 + 31 * 86_400_000"
    box.start(first=f"{believed}{later}; import relay.fates; relay.fates.NEWEST = -1")
    with closing(box.agent()) as agent:
        agent.ask("fates", after=0)  # the journal is open
    assert box.sql("SELECT count(*) FROM slips") == [(left,)]


@pytest.mark.covers("F45", "F48")
def test_a_printer_that_is_not_well_is_asked_again_after_a_pause_and_not_without_one(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """Each asking is three questions; more slips that come meanwhile ask no sooner."""
    printer.set(cover=True)
    box = make_box()
    with closing(box.agent()) as agent:
        began = time.monotonic()
        order(agent)
        agent.event(lambda e: e["event"] == "fate" and e["fate"]["reason"] == "cover open")
        for n in range(20):
            order(agent, f"o{n + 2}/main/1")
        printer.wait(lambda: len(printer.asked) >= 9)
        took = time.monotonic() - began
        assert took > 2 * 2.0 - 0.5, f"{len(printer.asked)} questions in {took:.1f} s"
        printer.set(cover=False)
        agent.fate("o21/main/1", "done")
    assert printer.cuts == 21


@pytest.mark.covers("F44")
def test_paper_that_runs_out_during_a_slip_proves_late(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(start=False).start(first="import relay.proof; relay.proof.PROOF_S = 3.0")
    with closing(box.agent()) as agent:
        printer.bytes_per_s = 4
        order(agent)
        agent.fate("o1/main/1", "started")
        printer.wait(lambda: b"TABLE" in bytes(printer.received))
        printer.set(paper="out")
        fate = agent.fate("o1/main/1", "done")
        assert (fate["proof"], fate["reason"]) == ("L0", "paper out")
        printer.bytes_per_s = 0
        printer.set(paper="ok")
        late = agent.fate("o1/main/1", "done", proof="L1")
        assert late["id"] > fate["id"]


@pytest.mark.covers("F51")
def test_the_pos_comes_first_and_nothing_is_interleaved(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"POS begins\n")
    printer.printed(11)
    with closing(box.agent()) as agent:
        order(agent)
        pos.send(b"POS ends\n\x1dV\x00")
        agent.fate("o1/main/1", "done")
    assert printer.paper[0] == b"POS begins\nPOS ends\n\x1dV\x00" and SLIP in printer.paper[1]
    pos.send(b"\x1dr\x01")
    assert pos.read(1) == b"\x00" and pos.hears_nothing()  # our own answers never reach the POS


def test_the_pos_finds_its_settings_again_after_a_slip(box: Box, printer: SimulatedPrinter) -> None:
    """State replay (P1)."""
    pos = box.pos()
    pos.send(b"\x1b@\x1bt\x10\x1bE\x01\x1bD\x08\x10\x00first\n\x1dV\x00")
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
    pos.send(b"second\n\x1dV\x00")
    printer.wait(lambda: printer.cuts == 3)
    assert printer.state_at_cut[2] == printer.state_at_cut[0]
    pos.send(b"\x1b@third\n\x1dV\x00")
    assert [raw for _, raw in box.jobs(3)][1:] == [b"second\n\x1dV\x00", b"\x1b@third\n\x1dV\x00"]


@pytest.mark.covers("F52")
def test_a_pos_that_broke_off_inside_a_picture_does_not_swallow_the_slip(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    pos.send(b"\x1dv0\x00\x48\x00\xff\x00" + bytes(100))
    printer.printed(108)
    pos.close()
    with closing(box.agent()) as agent:
        order(agent)
        assert agent.fate("o1/main/1", "done")["proof"] == "L1"
    assert SLIP in printer.paper[0]


def test_only_a_marked_copy_may_follow(box: Box, printer: SimulatedPrinter) -> None:
    with closing(box.agent()) as agent:
        order(agent)
        agent.fate("o1/main/1", "done")
        refused = order(agent, attempt=2)
        assert "copy mark" in refused["error"]["hint"]
        assert order(agent, attempt=2, copy=1)["fate"]["state"] == "queued"
        until(lambda: agent.ask("fates", after=0)["fates"][-1]["state"] == "done")
    assert printer.cuts == 2


def test_a_slip_that_is_not_started_can_be_withdrawn(box: Box, printer: SimulatedPrinter) -> None:
    printer.set(paper="out")
    with closing(box.agent()) as agent:
        order(agent)
        assert agent.ask("withdraw", slip="o1/main/1", attempt=1)["result"] == "withdrawn"
        assert agent.ask("withdraw", slip="o9/main/1", attempt=1)["result"] == "unknown"
        printer.set(paper="ok")
        order(agent, "o2/main/1")
        agent.fate("o2/main/1", "done")
        assert agent.ask("withdraw", slip="o2/main/1", attempt=1)["result"] == "too_late"
    assert printer.cuts == 1


def test_a_slip_expires_when_it_cannot_be_started(box: Box, printer: SimulatedPrinter) -> None:
    printer.set(paper="out")
    with closing(box.agent()) as agent:
        order(agent, valid_s=1)
        fate = agent.fate("o1/main/1", "expired")
        assert fate["reason"] == "paper out"
        printer.set(paper="ok")
        assert order(agent, attempt=2)["fate"]["state"] == "queued"  # it was never on paper: no mark needed
        agent.fate("o1/main/1", "done")


@pytest.mark.covers("F4", "F46")
def test_a_printer_that_vanishes_during_a_slip_leaves_it_unproven(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    with closing(box.agent()) as agent:
        printer.bytes_per_s = 200
        body = b"line of a long slip\n" * 2000 + b"\x1dV\x00"
        printer.freeze()
        order(agent, body=body * 1)
        agent.fate("o1/main/1", "started")
        printer.thaw()
        printer.wait(lambda: b"line of a long slip" in bytes(printer.received))
        printer.unplug()
        fate = agent.event(lambda e: e["event"] == "fate" and e["fate"]["state"] in ("done", "failed"))["fate"]
        assert fate["state"] == "done" and fate["proof"] in ("", "L0")
        seen = len(printer.received)
        printer.bytes_per_s = 0
        printer.plug_in()
        pos.send(RECEIPT)
        printer.wait(lambda: bytes(printer.received).endswith(RECEIPT))
        assert b"line of" not in bytes(printer.received[seen:])  # never a second time, and no rest of it


@pytest.mark.covers("F4")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_never_prints_a_slip_twice(
    make_box: Callable[..., Box], printer: SimulatedPrinter, moment: str
) -> None:
    """Killed between intent and `started`: printed once, an original. Killed after `started`: not again."""
    box = make_box(start=False)
    box.start(first=CRASH.replace("MOMENT", moment))
    with closing(box.agent()) as agent:
        order(agent)
    assert box.process
    box.process.wait(LIMIT)
    box.start()
    with closing(box.agent()) as agent:
        fates = until(lambda: [f for f in agent.ask("fates", after=0)["fates"] if f["state"] == "done"])
    if moment == "before":
        assert fates[0]["proof"] == "L1" and printer.cuts == 1
    else:
        assert fates[0]["proof"] == "" and "stopped" in fates[0]["reason"] and printer.cuts == 0


@pytest.mark.covers("F46")
@pytest.mark.parametrize("answers", [True, False])
def test_the_printer_may_still_prove_a_slip_after_a_crash(make_box: Callable[..., Box], answers: bool) -> None:
    """It works through the slip while the relay is dead; its process id is waited for, and not asked for again."""
    with SimulatedPrinter("pty") as printer:
        box = make_box(printers={"main": printer.url}, model="epson-tm-t88", start=False)
        box.start(first="" if answers else "import relay.proof; relay.proof.PROOF_S = 1.0")
        with closing(box.agent()) as agent:
            printer.bytes_per_s = 1
            order(agent)
            agent.fate("o1/main/1", "started")
            printer.wait(lambda: b"\x1d(H" in bytes(printer.received) and bytes(printer.received)[-2:] != b"(H")
        box.kill()
        asked = printer.received.count(b"\x1d(H")
        box.start(first="" if answers else "import relay.proof; relay.proof.PROOF_S = 0.5")
        with closing(box.agent()) as agent:
            if answers:
                until(lambda: agent.ask("status")["printers"]["main"]["connected"])
                printer.bytes_per_s = 0
            fate = until(lambda: [f for f in agent.ask("fates", after=0)["fates"] if f["state"] == "done"])[0]
            assert fate["proof"] == ("L2" if answers else "") and "stopped" in fate["reason"]
            if not answers:  # and when it comes at last, it lands late
                printer.bytes_per_s = 0
                until(lambda: agent.ask("fates", after=fate["id"])["fates"])
                assert agent.ask("fates", after=fate["id"])["fates"][0]["proof"] == "L2"
        assert printer.received.count(b"\x1d(H") == asked


CRASH = """
import os
from relay.slips import Slips
checked, started = Slips._checked, Slips._started
def before(self):
    os.kill(os.getpid(), 9)
def after(self, fate):
    os.kill(os.getpid(), 9)
if "MOMENT" == "before":
    Slips._checked = before
else:
    Slips._started = after
"""


def test_a_file_as_printer_gives_no_proof(make_box: Callable[..., Box], tmp_path: Path) -> None:
    box = make_box(printers={"main": f"file://{tmp_path}/out.prn"})
    with closing(box.agent()) as agent:
        order(agent)
        assert agent.fate("o1/main/1", "done")["proof"] == "L0"
    assert SLIP in (tmp_path / "out.prn").read_bytes()


# ---------------------------------------------------------------------------------- what a slip may say


@pytest.mark.covers("A1", "A2", "A3", "A8")
@pytest.mark.parametrize(
    "bad",
    [
        b"\x1bp\x00\x19\xfa",  # opens the drawer
        b"\x10\x14\x01\x00\x05",  # the same, at once
        b"\x10\x04\x01",
        b"\x1dv0\x00\x03\x00\x01\x00\x10\x04\x01",  # a real-time command inside a picture
        b"\x1c\x71\x01\x01\x00\x01\x00" + bytes(8),  # FS q: the printer's memory
        b"\x1d(E\x03\x00\x01IN",
        b"\x1d(A\x02\x00\x00\x02",
        b"\x1b=\x02",
        b"\x1da\xff",
        b"\x1dr\x01",
        b"\x1dI\x01",
        b"\x1dv0\x00\x48\x00\xff\x00",  # not whole
        b"\x1dV\x00\x1dV\x00",
        b"",
    ],
)
def test_what_is_no_slip_is_refused(box: Box, printer: SimulatedPrinter, bad: bytes) -> None:
    body = b"text\n" + bad if bad else b""
    with closing(box.agent()) as agent:
        assert "error" in order(agent, body=body)
        assert agent.ask("fates", after=0)["fates"] == []
    assert bytes(printer.received) == b""


@pytest.mark.covers("A1")
def test_every_control_byte_alone_is_judged() -> None:
    allowed = {n for n in range(256) if not problem(b"x" + bytes([n]) + b"x")}
    assert allowed & set(range(32)) == {0, 9, 10, 13}
    assert set(range(32, 256)) <= allowed


def test_an_unknown_printer_or_request_is_refused(box: Box) -> None:
    with closing(box.agent()) as agent:
        assert "there are: main" in order(agent, printer="bar")["error"]["hint"]
        assert "error" in agent.ask("make_coffee")
        assert "error" in agent.ask("print")
        assert "error" in agent.ask("buzz", printer="main")


def test_a_probe_finds_out_what_the_printer_is(box: Box, printer: SimulatedPrinter) -> None:
    with closing(box.agent()) as agent:
        (found,) = agent.ask("probe")["devices"]
    assert (found["maker"], found["says"], found["model"]) == ("EPSON", "TM-T88V", "epson-tm-t88")
    assert found["process_id"] and found["answers"] and found["status"]["paper"] == "ok"


def test_sigterm_does_not_lose_a_queued_slip(box: Box, printer: SimulatedPrinter) -> None:
    printer.set(paper="out")
    with closing(box.agent()) as agent:
        order(agent)
    assert box.kill(signal.SIGTERM) == 0
    printer.set(paper="ok")
    box.start()
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("fates", after=0)["fates"][-1]["state"] == "done")
    assert printer.cuts == 1
