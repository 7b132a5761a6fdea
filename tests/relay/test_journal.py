"""The journal over the control socket: pull, mask, release, delete; keys that are never used twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relay.control import Client, Refused, RelayGone
from relay.journal import Journal
from relay.loop import Loop
from relay.recording import Recording
from relay.store import Store
from tests.relay.conftest import LIMIT, Box, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.printer import SimulatedPrinter

CARD = b"\x1b@PAN 4111111111111111\n\x1dV\x00"
MASKED = b"\x1b@PAN ************1111\n\x1dV\x00"


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_masked_bytes_take_the_place_of_captured_ones_once(box: Box, printer: SimulatedPrinter) -> None:
    box.pos().send(CARD)
    ((job, _),) = box.jobs(1)
    with closing(box.agent()) as agent:
        assert "error" in agent.ask("replace", MASKED, key=job["key"], sha256_raw=sha(MASKED))
        assert "error" in agent.ask("replace", MASKED[:-1], key=job["key"], sha256_raw=job["sha256"])
        for _ in range(2):  # asked again, it is the same answer
            answer = agent.ask("replace", MASKED, key=job["key"], sha256_raw=job["sha256"])
            assert answer["sha256"] == sha(MASKED)
        assert "error" in agent.ask("replace", CARD, key=job["key"], sha256_raw=job["sha256"])
        ((again, raw),), more = agent.jobs()
        assert raw == MASKED and again["sha256"] == sha(MASKED) and again["replaced"] and not more
    printer.wait(lambda: printer.paper == [CARD])  # paper is untouched
    until(lambda: b"4111111111111111" not in _on_disk(box))


def test_only_what_the_cloud_has_is_deleted(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(capture={"keep_days": 0})
    pos = box.pos()
    for _ in range(3):
        pos.send(RECEIPT)
    jobs = box.jobs(3)
    with closing(box.agent()) as agent:
        (e, s), good = jobs[0][0]["key"], jobs[0][0]["sha256"]
        answer = agent.ask("release", jobs=[[e, s, good], [e, 2, sha(b"other")], [e, 9, good], ["no epoch", 1, good]])
        assert answer["released"] == 1 and len(answer["refused"]) == 3
        assert agent.ask("release", jobs=[[e, s, good]])["released"] == 1  # a second ack does no harm
        until(lambda: box.sql("SELECT reason FROM jobs WHERE id & 1099511627775 = 1") == [("released",)])
        assert [job["key"][1] for job, _ in agent.jobs()[0]] == [2, 3]
    assert box.sql("SELECT count(*) FROM pieces") == [(2,)]


def test_released_jobs_can_be_asked_for_while_they_are_kept(box: Box, printer: SimulatedPrinter) -> None:
    box.pos().send(RECEIPT)
    ((job, _),) = box.jobs(1)
    with closing(box.agent()) as agent:
        agent.ask("release", jobs=[[*job["key"], job["sha256"]]])
        assert agent.jobs() == ([], False)
        ((again, raw),), _ = agent.jobs(keys=[job["key"], [job["key"][0], 77]])
        assert again["key"] == job["key"] and raw == RECEIPT


def test_nothing_of_a_deleted_job_stays_on_the_disk(make_box: Callable[..., Box], printer: SimulatedPrinter) -> None:
    box = make_box(capture={"keep_days": 0})
    box.pos().send(b"\x1b@WELL-KNOWN CUSTOMER\n\x1dV\x00")
    ((job, _),) = box.jobs(1)
    assert b"WELL-KNOWN" in _on_disk(box)
    with closing(box.agent()) as agent:
        agent.ask("release", jobs=[[*job["key"], job["sha256"]]])
    until(lambda: b"WELL-KNOWN" not in _on_disk(box))


def test_pulling_goes_in_pages_and_in_order(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    for n in range(30):
        pos.send(b"\x1b@%d\n\x1dV\x00" % n)
    box.jobs(20)
    until(lambda: box.sql("SELECT count(*) FROM jobs") == [(30,)])
    printer.wait(lambda: printer.cuts == 30)
    with closing(box.agent()) as agent:
        until(lambda: len(agent.jobs(limit=50)[0]) == 30)
        seen, after, more = [], None, True
        while more:
            jobs, more = agent.jobs(after=after, limit=7)
            seen += [job["key"][1] for job, _ in jobs]
            after = jobs[-1][0]["key"]
        assert seen == list(range(1, 31))
        assert agent.ask("hello")["last_seq"] == 30


def test_a_new_epoch_gives_new_keys_and_remembers_the_old(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    for _ in range(3):
        pos.send(RECEIPT)
    jobs = box.jobs(3)
    with closing(box.agent()) as agent:
        agent.ask("release", jobs=[[*jobs[0][0]["key"], jobs[0][0]["sha256"]]])
        old = jobs[0][0]["key"][0]
        new = agent.ask("new_epoch")["epoch"]
        again, _ = agent.jobs()
        assert [(job["key"], job["was"]) for job, _ in again] == [([new, 1], [old, 2]), ([new, 2], [old, 3])]
        hello = agent.ask("hello")
        assert (hello["epoch"], hello["last_seq"], hello["epochs"]) == (new, 2, [old, new])
    pos.send(RECEIPT)
    assert box.jobs(3)[2][0]["key"] == [new, 3]


def test_a_full_quota_takes_released_jobs_first_and_never_others(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(capture={"quota_mb": 16})
    pos = box.pos()
    job = b"\x1dv0\x00\x48\x00\xff\x00" * 1 + bytes(72 * 255)
    job = job * 200 + b"\x1dV\x00"  # 3.7 MB
    for n in range(4):
        pos.send(job)
        printer.wait(lambda n=n: printer.cuts == n + 1)  # type: ignore[misc]
    first = box.jobs(4)[0][0]
    pos.send(job)
    printer.wait(lambda: printer.cuts == 5)
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("hello")["last_seq"] == 5)
        until(lambda: any("tomb" in header for header, _ in agent.jobs()[0]))
        agent.ask("release", jobs=[[*first["key"], first["sha256"]]])
        pos.send(job)
        printer.wait(lambda: printer.cuts == 6)
        listed = until(lambda: (rows := agent.jobs()[0]) and len(rows) == 5 and rows)
        assert next(header["tomb"] for header, _ in listed if "tomb" in header)["first"] == 5
        assert [header["key"][1] for header, _ in listed if "key" in header] == [2, 3, 4, 6]


def test_the_settings_that_make_it_durable_are_in_force(box: Box) -> None:
    from relay.store import Store

    store = Store(box.folder / "other.db", 0, 1 << 30)
    assert store.db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.db.execute("PRAGMA secure_delete").fetchone() == (1,)
    store.close()


@pytest.mark.covers("A36")
def test_files_and_socket_are_for_their_owner_and_group(box: Box) -> None:
    from pathlib import Path

    assert (box.state / "capture.db").stat().st_mode & 0o077 == 0
    assert Path(box.control).stat().st_mode & 0o777 == 0o660


# ---------------------------------------------------------------------------------- the socket itself


@pytest.mark.parametrize("junk", [b"no json\n", b"[1]\n", b'{"op": 5}\n', b'{"op":"hello","bytes":-1}\n', b"x" * 5000])
def test_junk_on_the_socket_closes_it_and_harms_nobody(box: Box, printer: SimulatedPrinter, junk: bytes) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(box.control)
    sock.settimeout(45)
    sock.sendall(junk)
    while sock.recv(4096):
        pass
    sock.close()
    box.pos().send(RECEIPT)
    assert printer.printed(len(RECEIPT)) == RECEIPT


def test_an_agent_that_does_not_read_is_let_go(box: Box, printer: SimulatedPrinter) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(box.control)
    pos = box.pos()
    big = b"\x1dv0\x00\x48\x00\xff\x00" + bytes(72 * 255)
    pos.send(big * 150 + b"\x1dV\x00")
    box.jobs(1)
    for n in range(20):
        sock.sendall(json.dumps({"n": n, "op": "jobs"}).encode() + b"\n")
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 2)
    assert box.process and box.process.poll() is None
    sock.close()


def test_the_client_of_the_agent(box: Box, printer: SimulatedPrinter) -> None:
    async def story() -> None:
        client = await Client.connect(box.control)
        assert (await client.ask("hello"))["last_seq"] == 0
        await asyncio.to_thread(lambda: box.pos().send(RECEIPT))
        while True:
            event = await asyncio.wait_for(client.events.get(), 45)
            assert event is not None
            if event["event"] == "captured":
                break
        jobs, more = await client.jobs()
        assert jobs[0][0]["key"] == event["key"] and jobs[0][1] == RECEIPT and not more
        with pytest.raises(Refused, match="hash or size"):
            await client.ask("replace", b"x", key=event["key"], sha256_raw="00")
        many = await asyncio.gather(*(client.ask("status") for _ in range(20)))
        assert all("main" in answer["printers"] for answer in many)
        box.kill()
        while await asyncio.wait_for(client.events.get(), 45) is not None:
            pass
        with pytest.raises(RelayGone):
            await client.ask("hello")
        await client.close()
        with pytest.raises(RelayGone):
            await Client.connect(box.control + ".not")

    asyncio.run(story())


def _on_disk(box: Box) -> bytes:
    return b"".join(path.read_bytes() for path in box.state.glob("capture.db*"))


def test_deleted_bytes_leave_the_wal_in_a_pause_and_not_between_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint behind each receipt would hold the cut of the next one on a slow card."""
    loop = Loop()
    threading.Thread(target=loop.run, daemon=True).start()
    journal = Journal(tmp_path, loop, keep_days=0, quota=1 << 30)
    kinds: list[str] = []
    real = journal._checkpoint
    monkeypatch.setattr(journal, "_checkpoint", lambda kind: (kinds.append(kind), real(kind)))
    monkeypatch.setattr("relay.journal.CALM_S", 3600.0)
    journal.lock()
    journal.start()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def let_go(store: Store, key: list[Any], sha256: str) -> int:
        assert store.release([[*key, sha256]])[0] == 1
        return store.expire(0, 1 << 30)[0]

    wal = tmp_path / "capture.db-wal"
    for number in range(5):
        recording = Recording("till", "main")
        recording.hand(b"SECRET %d\n" % number)
        journal.finish(recording, "cut", "all", done.put)
        key, sha256 = done.get(timeout=LIMIT), recording.hash.hexdigest()
        journal.do(lambda store, key=key, sha256=sha256: let_go(store, key, sha256), done.put)  # type: ignore[misc]
        assert done.get(timeout=LIMIT) == 1
    assert not kinds and b"SECRET" in wal.read_bytes()
    monkeypatch.setattr("relay.journal.CALM_S", 0.01)
    journal.do(lambda store: None)
    until(lambda: kinds == ["TRUNCATE"] and wal.stat().st_size == 0)
    journal.stop(LIMIT)
    loop.stop()
    assert b"SECRET" not in (tmp_path / "capture.db").read_bytes()
