"""The receipt's path, with a real relay, broker and disk: captured, masked, read, carried, acknowledged, released."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.rig import Rig, number_in, receipt
from wire import messages
from wire.messages import Ack, Acks, Want

Bench = Callable[..., Rig]
FAILS_ONCE = """
import sqlite3, sys
from relay import listing
whole = listing.{what}
def once(*rest):
    listing.{what} = whole
    print("failed once", file=sys.stderr, flush=True)
    raise sqlite3.OperationalError("disk I/O error")
listing.{what} = once
"""


def test_a_receipt_arrives_masked_and_read_and_is_released(box: Rig) -> None:
    raw = receipt(1)
    box.print(raw)
    box.printer.wait(b"R00000001")
    (key,) = box.cloud.wait_jobs(1)
    job, got = box.cloud.jobs[key], box.cloud.raws[key]
    assert got is not None and len(got) == len(raw) == job.size
    assert job.sha256 == hashlib.sha256(got).digest()
    assert b"4111 1111 1111" not in got and got.replace(b"*", b"").count(b"HARBOUR COFFEE") == 1
    reading = messages.unpack_reading(job.reading)
    assert reading is not None and "HARBOUR COFFEE" in [line.strip() for line in reading.lines]
    assert not any("4111 1111 1111" in line for line in reading.lines)
    box.wait_released(1)
    box.wait_empty()


@pytest.mark.covers("F40")
def test_nothing_is_released_before_the_cloud_acknowledges(box: Rig) -> None:
    box.cloud.ack = False
    box.print(receipt(1), receipt(2))
    box.cloud.wait_jobs(2)
    assert box.query("capture.db", "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL") == [(0,)]
    box.wait_outbox(2)
    box.cloud.ack_all()
    box.wait_released(2)


@pytest.mark.covers("F40")
def test_an_ack_with_another_hash_or_epoch_or_of_the_future_frees_nothing(box: Rig) -> None:
    box.cloud.ack = False
    box.print(receipt(1))
    ((epoch, seq),) = box.cloud.wait_jobs(1)
    sha256 = box.cloud.jobs[(epoch, seq)].sha256
    forged = [
        Ack(epoch, seq, b"\0" * 32, "stored"),
        Ack("other", seq, sha256, "stored"),
        Ack(epoch, 99, sha256, "stored"),
    ]
    box.cloud.say("acks", messages.new(Acks, acks=forged))
    box.cloud.say("acks", messages.new(Acks, acks=forged, ids=["no-such-id"]))
    box.cloud.say_raw("acks", b"\x01garbage")
    box.wait_log("agent", "set aside")
    assert box.query("capture.db", "SELECT count(*) FROM jobs WHERE acked_ran IS NOT NULL") == [(0,)]
    box.cloud.ack_all()
    box.wait_released(1)


@pytest.mark.covers("F26", "F31")
def test_what_was_printed_while_the_broker_was_away_arrives_later(box: Rig) -> None:
    box.kill("broker")
    box.print(*[receipt(n) for n in range(1, 41)])
    box.printer.wait(b"\x1dVB\x00", 40)
    box.start("broker")
    keys = box.cloud.wait_jobs(40, within=40)
    assert sorted(number_in(box.cloud.raws[key] or b"") for key in keys) == list(range(1, 41))
    box.wait_released(40)


@pytest.mark.covers("F26")
def test_a_backlog_that_nobody_acknowledges_leaves_room_for_live_receipts(bench: Bench) -> None:
    box = bench()
    box.first["agent"] = "import agent.flights, agent.uplink\nagent.flights.WINDOW, agent.uplink.FOR_LIVE = 8, 3"
    box.cloud.ack = False
    box.start("relay")
    box.print(*[receipt(n) for n in range(1, 11)])
    box.printer.wait(b"\x1dVB\x00", 10)
    box.start("agent")
    box.cloud.wait_jobs(4)
    box.print(receipt(11))
    box.cloud.wait(lambda: 11 in {seq for _, seq in box.cloud.jobs}, "the live receipt passes the others")
    assert len(box.cloud.jobs) <= 8, "the window is full"
    box.cloud.ack = True
    box.cloud.ack_all()
    box.cloud.wait_jobs(11, within=60)
    box.wait_released(11, within=60)


@pytest.mark.covers("F14")
@pytest.mark.parametrize("what", ["due", "some"])
def test_jobs_that_could_not_be_read_once_are_asked_for_again(bench: Bench, what: str) -> None:
    """The journal fails at the first listing, or at the first job that was told of."""
    box = bench()
    box.first["relay"] = FAILS_ONCE.format(what=what)
    box.start("relay")
    if what == "due":
        box.print(receipt(1), receipt(2))
        box.printer.wait(b"\x1dVB\x00", 2)
        box.start("agent")
    else:
        box.start("agent").online()
        box.print(receipt(1), receipt(2))
    box.wait_log("relay", "failed once")
    box.cloud.wait_jobs(2, within=40)
    box.wait_released(2)


@pytest.mark.covers("F5", "F34")
def test_an_agent_killed_at_any_moment_loses_and_doubles_nothing(bench: Bench) -> None:
    box = bench().start("relay", "agent")
    rng = random.Random(7)
    total = 0
    for _ in range(6):
        for _ in range(5):
            total += 1
            box.print(receipt(total))
        box.printer.wait(b"\x1dVB\x00", total)
        box.cloud.ack = rng.random() < 0.7
        pause = rng.random() * 0.4
        try:
            box.cloud.wait(lambda: False, "a moment passes", within=pause)
        except TimeoutError:
            pass
        box.kill("agent")
        box.start("agent")
    box.cloud.ack = True
    keys = box.cloud.wait_jobs(total, within=60)
    box.cloud.ack_all()
    box.wait_released(total, within=60)
    assert [seq for _, seq in keys] == list(range(1, total + 1)), "each job under its own seq, none twice"
    assert sorted(number_in(box.cloud.raws[key] or b"") for key in keys) == list(range(1, total + 1))


@pytest.mark.covers("F5")
def test_a_relay_that_restarts_is_found_again(box: Rig) -> None:
    box.print(receipt(1))
    box.cloud.wait_jobs(1)
    box.kill("relay")
    box.hang_up()
    box.start("relay")
    box.print(receipt(2))
    keys = box.cloud.wait_jobs(2)
    assert sorted(number_in(box.cloud.raws[key] or b"") for key in keys) == [1, 2]
    box.wait_released(2)


@pytest.mark.covers("F18")
def test_a_lost_agent_db_is_made_again_from_the_relay(box: Rig) -> None:
    box.cloud.ack = False
    box.print(receipt(1), receipt(2))
    box.cloud.wait_jobs(2)
    box.kill("agent")
    for path in (box.folder / "box").glob("agent.db*"):
        path.unlink()
    box.start("agent")
    box.cloud.wait(lambda: all(n >= 2 for n in box.cloud.times.values()), "both came again")
    box.cloud.ack_all()
    box.wait_released(2)
    box.wait_empty()


@pytest.mark.covers("F41")
def test_a_cloud_that_was_restored_gets_acknowledged_jobs_again(bench: Bench) -> None:
    box = bench(capture={"keep_days": 7}).start("relay", "agent")
    box.print(receipt(1), receipt(2), receipt(3))
    keys = box.cloud.wait_jobs(3)
    box.wait_released(3)
    box.wait_empty()
    box.cloud.jobs.clear()
    odd = [
        Want("x" * 5000, 1, 9),
        Want(keys[0][0], -9, 0),
        Want(keys[0][0], 1 << 62, 1 << 63),
        Want("no-such-epoch", 1, 5),
    ]
    box.cloud.say("acks", messages.new(Acks, want=[*odd, Want(keys[0][0], -3, 1 << 50)]))
    assert box.cloud.wait_jobs(3) == keys
    box.wait_empty()


@pytest.mark.covers("F37")
def test_a_large_job_travels_in_parts_and_blocks_no_small_one(box: Rig) -> None:
    rng = random.Random(1)
    raster = b"\x1b@\x1dv0\x00" + (72).to_bytes(2, "little") + (9000).to_bytes(2, "little") + rng.randbytes(72 * 9000)
    box.print(raster + b"\x1dVB\x00", *[receipt(n) for n in range(1, 6)])
    keys = box.cloud.wait_jobs(6, within=40)
    assert box.cloud.raws[keys[0]] == raster + b"\x1dVB\x00"
    assert box.cloud.order_of_arrival[0] != keys[0], "small ones passed the large one"
    box.wait_released(6)


def test_with_send_reading_the_raw_job_stays_on_the_box(bench: Bench) -> None:
    box = bench(capture={"send": "reading"}).start("relay", "agent")
    box.print(receipt(1))
    (key,) = box.cloud.wait_jobs(1)
    assert box.cloud.raws[key] is None and messages.unpack_reading(box.cloud.jobs[key].reading) is not None
    box.wait_released(1)


def test_a_picture_stays_on_the_box_where_the_shop_says_so(bench: Bench) -> None:
    box = bench(capture={"send_raster": False}).start("relay", "agent")
    picture = b"\x1b@\x1dv0\x00\x02\x00\x10\x00" + b"\xaa" * 32 + b"\x1dVB\x00"
    box.print(picture, receipt(1))
    first, second = box.cloud.wait_jobs(2)
    assert box.cloud.raws[first] is None and box.cloud.raws[second] is not None


def test_the_cloud_is_told_how_the_box_is(box: Rig) -> None:
    box.print(receipt(1))
    box.cloud.wait_jobs(1)
    status = box.cloud.wait(
        lambda: next((s for s in reversed(box.cloud.statuses) if s.last_seq == 1), None), "last_seq 1"
    )
    assert status.online and status.epoch == box.cloud.order_of_arrival[0][0]
    assert [p.name for p in status.printers] == ["main"] and status.printers[0].connected
    assert status.clock is not None and status.disk_free
    box.kill("agent")
    box.cloud.wait(
        lambda: box.cloud.statuses and not box.cloud.statuses[-1].online, "the will says that it is gone", within=40
    )


def test_a_clean_end_says_offline(box: Rig) -> None:
    box.cloud.wait(lambda: box.cloud.statuses, "a status")
    box.running["agent"].terminate()
    assert box.running["agent"].wait(10) == 0
    box.cloud.wait(lambda: box.cloud.statuses and not box.cloud.statuses[-1].online, "it says that it goes")


def test_no_card_number_and_no_receipt_is_in_the_logs(box: Rig) -> None:
    box.print(receipt(1))
    box.cloud.wait_jobs(1)
    box.wait_released(1)
    for name in ("agent", "relay"):
        said = box.log(name)  # a port may be 41116: the card has more of them
        assert "4111 1111" not in said and "41111111" not in said and "HARBOUR" not in said


@pytest.mark.covers("F21", "A33")
def test_a_new_epoch_gives_unacknowledged_jobs_new_keys(bench: Bench) -> None:
    box = bench().start("relay", "agent").online()
    box.print(receipt(1))
    box.cloud.wait_jobs(1)
    box.wait_released(1)
    box.cloud.ack = False
    box.print(receipt(2), receipt(3))
    (old, *_) = {epoch for epoch, _ in box.cloud.wait_jobs(3)}
    box.cloud.say("commands", messages.new(messages.Command, name="new_epoch"))
    keys = [key for key in box.cloud.wait_jobs(5) if key[0] != old]
    assert [(box.cloud.jobs[key].was, number_in(box.cloud.raws[key] or b"")) for key in sorted(keys)] == [
        ((old, 2), 2),
        ((old, 3), 3),
    ]
    box.cloud.ack_all()
    box.wait_released(3)
    box.wait_empty()


@pytest.mark.covers("F16")
def test_a_job_that_went_bad_in_the_journal_becomes_a_tombstone(bench: Bench) -> None:
    import sqlite3

    box = bench().start("relay")
    box.print(receipt(1), receipt(2))
    box.printer.wait(b"\x1dVB\x00", 2)
    box.wait_journal(2)
    box.kill("relay")
    box.hang_up()
    with sqlite3.connect(box.folder / "box" / "capture.db") as connection:
        connection.execute("UPDATE pieces SET raw = zeroblob(length(raw)) WHERE id = (SELECT min(id) FROM pieces)")
    box.start("relay", "agent")
    box.cloud.wait(lambda: box.cloud.tombs, "a tombstone")
    assert [(t.first, t.last, t.reason) for t in box.cloud.tombs] == [(1, 1, "corrupt")]
    ((_, seq),) = box.cloud.wait_jobs(1)
    assert seq == 2
    box.wait_empty()


def test_a_lost_journal_leaves_the_readings(bench: Bench) -> None:
    """The agent had read the job; then the relay's disk lost it: what is known of it still reaches the cloud."""
    box = bench().start("relay", "agent").online()
    box.kill("broker")
    box.print(receipt(1))
    box.wait_outbox(1)
    box.kill("agent")
    box.kill("relay")
    box.hang_up()
    for path in (box.folder / "box").glob("capture.db*"):
        path.unlink()
    box.start("broker", "relay", "agent")
    (key,) = box.cloud.wait_jobs(1, within=40)
    assert box.cloud.raws[key] is None and messages.unpack_reading(box.cloud.jobs[key].reading) is not None
    box.wait_empty()


@pytest.mark.covers("F18")
def test_jobs_of_a_lost_journal_that_were_never_taken_are_told_as_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The relay told of jobs 2 and 3; before the agent could take them, the relay's disk lost its journal."""
    block = tmp_path / "sitecustomize.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    box = bench().start("relay", "agent").online()
    box.print(receipt(1))
    ((epoch, _),) = box.cloud.wait_jobs(1)
    box.wait_released(1)
    box.kill("agent")
    block.write_text(
        "import sys, time\nif sys.orig_argv[-1] == 'agent.reader':\n    time.sleep(600)\n", encoding="ascii"
    )
    box.start("agent")
    box.print(receipt(2), receipt(3))
    box.wait_value("agent.db", "SELECT last FROM journals WHERE epoch = ?", 3, (epoch,))
    box.kill("agent")
    box.kill("relay")
    box.hang_up()
    for path in (box.folder / "box").glob("capture.db*"):
        path.unlink()
    block.write_text("", encoding="ascii")
    box.start("relay", "agent")
    box.cloud.wait(lambda: box.cloud.tombs, "a tombstone")
    assert {(t.epoch, t.first, t.last, t.reason) for t in box.cloud.tombs} == {(epoch, 2, 3, "corrupt")}
    box.wait_empty()


@pytest.mark.covers("F9", "F42")
def test_without_a_reading_child_jobs_stay_with_the_relay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken installation is no job's fault: nothing is sent unread, nothing is lost."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif sys.orig_argv[-1] == 'agent.reader':\n    sys.exit('broken')\n", encoding="ascii"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    box = bench().start("relay", "agent").online()
    box.print(receipt(1))
    box.wait_log("agent", "the reading child does not start")
    assert box.query("agent.db", "SELECT count(*) FROM outbox WHERE kind = 'job'") == [(0,)]
    (tmp_path / "sitecustomize.py").write_text("", encoding="ascii")
    box.cloud.wait_jobs(1, within=40)
    box.wait_released(1)
