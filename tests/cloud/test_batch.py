"""Ingest on a real SQLite file: exactly once, nothing lost, nothing bad stops what is good."""

from __future__ import annotations

import hashlib
import random
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import boxes as box_table
from cloud import journals
from cloud.batch import Intake
from cloud.mqtt import Publish
from cloud.statuses import REGRESS
from cloud.store import schema
from cloud.store.database import Store
from cloud.store.fleet import printer_since
from config.cloud import CloudConfig
from tests.simulators.box import in_parts, job
from wire import topics
from wire.messages import Message, PrinterState, Result, Status, Tombstone, decode, encode, new

BOX, OTHER = "cafe-front-1", "other-shop-1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = fresh_store(tmp_path)
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """For the many examples of a property: each uses keys of its own."""
    one = fresh_store(tmp_path_factory.mktemp("shared"))
    yield one
    one.close()


def fresh_store(folder: Path) -> Store:
    store = Store("sqlite:///unused", folder / "cloud.db")
    with store.write() as connection:
        for box, merchant in ((BOX, "cafe"), (OTHER, "other")):
            connection.execute(
                sa.insert(schema.boxes).values(id=box, merchant_id=merchant, password_hash="-", created_at=1)
            )
    return store


def packet(message: Message, box: str = BOX, leaf: str = "receipts", retain: bool = False) -> Publish:
    return Publish(topics.up(box, leaf), encode(message), 1, retain, 1)


def rows(store: Store, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as connection:
        chosen = [table.c[name] for name in columns] or list(table.columns)
        return [tuple(row) for row in connection.execute(sa.select(*chosen).order_by(*chosen))]


def digest(store: Store) -> str:
    """Everything about what came, but when it came and the ids we gave."""
    parts = [
        rows(store, schema.jobs, "merchant_id", "box", "epoch", "seq", "sha256", "size", "boundary"),
        rows(store, schema.papers, "raw"),
        rows(store, schema.epochs, "box", "epoch", "highest"),
        rows(store, schema.holes, "box", "epoch", "first", "last"),
        rows(store, schema.tombstones, "box", "epoch", "first", "last", "reason"),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@pytest.mark.covers("F34")
def test_a_campaign_replayed_three_times_in_any_order_leaves_the_same_database(tmp_path: Path) -> None:
    epochs = [str(uuid.uuid4()) for _ in range(3)]
    messages: list[Publish] = []
    for n, epoch in enumerate(epochs):
        box = OTHER if n == 2 else BOX
        messages += [packet(job(epoch, seq), box) for seq in range(1, 40)]
        messages.append(packet(new(Tombstone, epoch=epoch, first=40, last=44, reason="disk_full"), box))
        messages += [packet(m, box) for m in in_parts(job(epoch, 46, "x" * 150_000))]
    digests = set()
    for seed in range(3):
        (folder := tmp_path / str(seed)).mkdir()
        store = fresh_store(folder)
        intake, order = Intake(store, CloudConfig()), messages * 3
        random.Random(seed).shuffle(order)
        acked = set()
        for start in range(0, len(order), 50):
            outcome = intake.take(order[start : start + 50])
            acked |= {(a.epoch, a.seq) for answer in outcome.answers.values() for a in answer.acks}
        assert len(acked) == 3 * 41
        assert len(rows(store, schema.jobs, "seq")) == 3 * 40
        assert rows(store, schema.holes, "first", "last") == [(45, 45)] * 3
        assert rows(store, schema.parts, "seq") == []
        digests.add(digest(store))
        store.close()
    assert len(digests) == 1


def test_a_box_that_lost_its_copies_of_what_is_here_alarms_nobody(store: Store) -> None:
    """A damaged journal is told of as one range: what of it had come is not lost."""
    intake, epoch = Intake(store, CloudConfig()), str(uuid.uuid4())
    intake.take([packet(job(epoch, seq)) for seq in range(1, 6)])
    intake.take([packet(new(Tombstone, epoch=epoch, first=2, last=5, reason="corrupt"))])
    assert rows(store, schema.alarms, "kind") == []
    assert rows(store, schema.tombstones, "first", "last") == [(2, 5)]
    intake.take([packet(new(Tombstone, epoch=epoch, first=5, last=7, reason="corrupt"))])
    assert rows(store, schema.alarms, "kind", "text") == [
        ("lost", f"Box {BOX} lost receipts 5-7: corrupt (1 of them had come)")
    ]


@pytest.mark.covers("F6")
def test_a_job_that_comes_again_is_acknowledged_as_duplicate(store: Store) -> None:
    intake, message = Intake(store, CloudConfig()), packet(job(str(uuid.uuid4()), 1))
    assert [a.result for a in intake.take([message]).answers[BOX].acks] == ["stored"]
    assert [a.result for a in intake.take([message]).answers[BOX].acks] == ["duplicate"]
    assert [a.result for a in intake.take([message, message]).answers[BOX].acks] == ["duplicate"] * 2
    assert len(rows(store, schema.jobs)) == 1


@pytest.mark.covers("F34")
@pytest.mark.parametrize("size", [10, 150_000], ids=["in one message", "in parts"])
def test_a_job_that_came_without_its_bytes_gets_them_when_it_comes_again(store: Store, size: int) -> None:
    """Acknowledged means that all of it is stored: also where a box could tell the reading first, and the bytes later.
    What was erased here stays erased."""
    intake, epoch = Intake(store, CloudConfig()), str(uuid.uuid4())
    whole, bare = job(epoch, 1, "x" * size), job(epoch, 1, "x" * size)
    raw, bare.raw = whole.raw, None
    came = [packet(m) for m in in_parts(whole)]
    intake.take([packet(bare)])
    with store.write() as connection:
        connection.execute(sa.update(schema.jobs).values(state="read"))
    for _ in range(2):
        outcome = intake.take(came)
        assert {a.result for a in outcome.answers[BOX].acks} == {"duplicate"}
        assert rows(store, schema.papers, "raw") == [(raw,)]
    assert rows(store, schema.jobs, "state") == [("stored",)], "to be read"
    with store.write() as connection:
        connection.execute(sa.delete(schema.papers))
    intake.take(came)
    assert rows(store, schema.papers, "raw") == []


def test_another_hash_under_the_same_number_is_kept_apart_and_never_acknowledged(store: Store) -> None:
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    first, forged = job(epoch, 1, "TOTAL 1.00"), job(epoch, 1, "TOTAL 9.00")
    intake.take([packet(first)])
    for _ in range(2):
        assert not intake.take([packet(forged)]).answers[BOX].acks
    assert rows(store, schema.jobs, "sha256") == [(first.sha256,)]
    assert rows(store, schema.conflicts, "seq", "sha256") == [(1, forged.sha256)]
    assert [kind for (kind,) in rows(store, schema.alarms, "kind")] == ["conflict"]
    (payload,) = [p for (p,) in rows(store, schema.outbox, "payload")]  # told once to begin a new epoch
    command = decode("commands", payload)
    assert (command.name, command.args["epoch"]) == ("new_epoch", epoch)


def test_a_box_speaks_only_for_itself(store: Store) -> None:
    """The payload names no box: the same key from another box is another job, of another merchant."""
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    intake.take([packet(job(epoch, 1), BOX)])
    intake.take([packet(job(str(uuid.uuid4()), 1), OTHER)])
    assert [m for (m,) in rows(store, schema.jobs, "merchant_id")] == ["cafe", "other"]


def test_an_epoch_belongs_to_one_merchant_for_ever(store: Store) -> None:
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    intake.take([packet(job(epoch, 1))])
    with store.write() as connection:
        connection.execute(sa.update(schema.boxes).where(schema.boxes.c.id == BOX).values(merchant_id="other"))
    late = Intake(store, CloudConfig())
    outcome = late.take([packet(job(epoch, 2)), packet(new(Tombstone, epoch=epoch, first=3, last=3, reason="x"))])
    assert not outcome.answers[BOX].acks
    assert [m for (m,) in rows(store, schema.jobs, "merchant_id")] == ["cafe"]
    assert "another merchant" in rows(store, schema.set_aside, "problem")[0][0]


GOOD = encode(job(str(uuid.UUID(int=7)), 1))
BAD = {
    "empty": b"",
    "no format": b"\x09" + GOOD[1:],
    "not deflate": b"\x02garbage",
    "a bomb": b"\x02" + zlib.compress(b"\0" * (64 << 20), 9)[2:-4],
    "not MessagePack": b"\x01\xc1\xc1",
    "deep": b"\x01" + b"\x91" * 60_000,
    "another version": encode(job(str(uuid.UUID(int=7)), 1, v=99)),
    "epoch is no UUID": encode(job("../../etc", 1)),
    "seq is zero": encode(job(str(uuid.UUID(int=7)), 0)),
    "seq is huge": encode(job(str(uuid.UUID(int=7)), 1 << 62)),
    "hash is not that of the bytes": encode(job(str(uuid.UUID(int=7)), 1, sha256=b"\0" * 32)),
    "hash is short": encode(job(str(uuid.UUID(int=7)), 1, sha256=b"")),
    "NUL in a name": encode(job(str(uuid.UUID(int=7)), 1, pos="till\0")),
    "a status": encode(new(Status, online=True)),
    "too many parts": encode(job(str(uuid.UUID(int=7)), 1, parts=4000)),
}


@pytest.mark.covers("A30", "A29", "A27")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_set_aside_and_its_neighbours_go_on(store: Store, name: str) -> None:
    epoch = str(uuid.uuid4())
    bad = Publish(topics.up(BOX, "receipts"), BAD[name], 1, False, 2)
    outcome = Intake(store, CloudConfig()).take([packet(job(epoch, 1)), bad, packet(job(epoch, 2))])
    assert [a.seq for a in outcome.answers[BOX].acks] == [1, 2]
    assert outcome.aside == 1
    ((topic, problem, payload),) = rows(store, schema.set_aside, "topic", "problem", "payload")
    assert problem
    assert (topic, payload) == (bad.topic, bad.payload)


@pytest.mark.covers("A23", "A20")
@pytest.mark.parametrize(
    "topic",
    [
        "tillwire/1/00/cafe-front-1/up/receipts",
        "tillwire/1/ab/CAFE/up/receipts",
        "tillwire/1//up/receipts",
        "tillwire/1/ab/a+b/up/receipts",
        topics.up("nobody-knows", "receipts"),
        topics.down(BOX, "acks"),
        "x" * 5000 + "\0",
    ],
)
def test_a_topic_that_names_no_box_of_ours_is_set_aside(store: Store, topic: str) -> None:
    outcome = Intake(store, CloudConfig()).take([Publish(topic, GOOD, 1, False, 1)])
    assert (outcome.stored, outcome.aside, dict(outcome.answers)) == (0, 1, {})


@settings(max_examples=60, deadline=None)
@given(
    payload=st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"\x01" + b),
    leaf=st.sampled_from(topics.UP),
)
def test_any_bytes_are_survived(shared: Store, payload: bytes, leaf: str) -> None:
    message = Publish(topics.up(BOX, leaf), payload, 1, False, 1)
    assert Intake(shared, CloudConfig()).take([message]).stored == 0


@pytest.mark.covers("F37")
@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(5)), cut=st.integers(1, 5))
def test_parts_in_any_order_make_the_job(shared: Store, order: list[int], cut: int) -> None:
    whole = job(str(uuid.uuid4()), 1, "y" * 290_000)
    raw = whole.raw
    pieces = [packet(m) for m in in_parts(whole)]
    assert len(pieces) == 5
    intake = Intake(shared, CloudConfig())
    shuffled = [pieces[n] for n in order]
    early = intake.take(shuffled[:cut])
    late = intake.take([*shuffled[cut:], shuffled[0]])
    acks = early.answers[BOX].acks + late.answers[BOX].acks
    assert [a.result for a in acks if a.result == "stored"] == ["stored"]
    assert (raw,) in rows(shared, schema.papers, "raw")
    assert rows(shared, schema.parts) == []


def test_parts_that_are_not_what_their_hash_says_are_set_aside_and_can_come_again(store: Store) -> None:
    whole = job(str(uuid.uuid4()), 1, "z" * 150_000)
    pieces = in_parts(whole)
    damaged = in_parts(job(whole.epoch, 1, "z" * 150_000))
    damaged[1].raw = b"!" * len(damaged[1].raw or b"")
    intake = Intake(store, CloudConfig())
    assert not intake.take([packet(m) for m in damaged]).answers[BOX].acks
    assert [a.result for a in intake.take([packet(m) for m in pieces]).answers[BOX].acks] == ["stored"]


@pytest.mark.covers("F41")
def test_what_a_restored_database_lacks_is_missed_and_asked_for(store: Store) -> None:
    """The box says that 1..9 were acknowledged; here are none of them."""
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    status = new(Status, online=True, epoch=epoch, first_unacked=10, last_seq=12)
    intake.take([packet(status, leaf="status")])
    assert rows(store, schema.holes, "first", "last") == [(1, 9)]
    intake.take([packet(job(epoch, n)) for n in range(1, 13)])
    assert rows(store, schema.holes) == []
    assert rows(store, schema.epochs, "highest") == [(12,)]


def test_a_box_that_counts_backwards_is_told_to_begin_a_new_epoch(store: Store) -> None:
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    intake.take([packet(job(epoch, n)) for n in range(1, 6)])
    behind = new(Status, online=True, epoch=epoch, last_seq=3)
    intake.take([packet(behind, leaf="status", retain=True)])  # an old one the broker kept: no proof
    assert rows(store, schema.outbox) == []
    for _ in range(REGRESS):
        intake.take([packet(behind, leaf="status")])
    assert [what for (what,) in rows(store, schema.outbox, "what")] == ["command"]
    assert [kind for (kind,) in rows(store, schema.alarms, "kind")] == ["clone"]


def test_a_box_that_goes_on_while_its_status_travels_counts_not_backwards(store: Store) -> None:
    epoch = str(uuid.uuid4())
    intake = Intake(store, CloudConfig())
    for first in range(1, 50, 10):
        status = new(Status, online=True, epoch=epoch, first_unacked=first, last_seq=first)
        intake.take([packet(status, leaf="status"), *[packet(job(epoch, n)) for n in range(first, first + 10)]])
    assert rows(store, schema.outbox) == [] and rows(store, schema.alarms) == []


def test_a_status_is_kept_and_a_will_only_says_gone(store: Store) -> None:
    intake = Intake(store, CloudConfig())
    intake.take([packet(new(Status, online=True, version="1.2"), leaf="status")])
    intake.take([packet(new(Status, online=False), leaf="status", retain=True)])
    ((online, status),) = [r[1:] for r in rows(store, schema.boxes, "id", "online", "status") if r[0] == BOX]
    assert online in (False, 0)
    assert msgspec.json.decode(status)["version"] == "1.2"


@pytest.mark.covers("A31")
def test_a_box_that_says_everything_costs_nobody_else(store: Store) -> None:
    """A status of 8 MB in a message of 22 KB; sounds that nobody brought; a gap at every number."""
    intake, epoch = Intake(store, CloudConfig()), str(uuid.uuid4())
    swollen = packet(new(Status, online=True, alerts=["x" * 1000] * 8000), leaf="status")
    assert len(swollen.payload) < 30_000
    assert intake.take([swollen]).aside == 1
    made_up = {f"{n}/../..": "0" * 16 for n in range(1000)}
    assert intake.take([packet(new(Status, online=True, sounds=made_up), leaf="status")]).others == 1
    assert rows(store, schema.outbox, "what") == []
    gaps = list(range(1, 4401, 2))
    for start in range(0, len(gaps), 1000):
        assert intake.take([packet(job(epoch, seq)) for seq in gaps[start : start + 1000]]).stored == min(
            1000, 2200 - start
        )
    assert rows(store, schema.holes, "first", "last") == [(n, n) for n in range(2, 4399, 2)]
    with store.write() as connection:
        connection.execute(sa.insert(schema.holes).values(  # another box's, as old
            merchant_id="other", box=OTHER, epoch=epoch, first=1, last=9, since=1, asked=0))  # fmt: skip
        asked: list[str] = []
        while due := journals.due(connection, 0, None):
            journals.asked(connection, due)
            asked += [hole.box for hole in due]
            connection.execute(sa.update(schema.holes).where(schema.holes.c.asked > 0).values(asked=20))
    assert (len(asked), asked.count(OTHER)) == (2200, 1)
    assert intake.take([packet(job(epoch, seq)) for seq in range(2, 4399, 2)]).stored == 2199
    assert rows(store, schema.holes, "box") == [(OTHER,)]


UNKEPT = {
    "an extension": {"log": [msgspec.msgpack.Ext(5, b"x")]},
    "a nil key": {"log": {None: 1}},
    "too many levels": {"log": msgspec.json.decode("[" * 40 + "]" * 40)},
}


@pytest.mark.covers("A30")
@pytest.mark.parametrize("name", UNKEPT)
def test_an_answer_that_json_cannot_say_is_set_aside_alone(store: Store, name: str) -> None:
    with store.write() as connection:
        keys = [box_table.command(connection, "cafe", BOX, "send_logs", {}) for _ in range(2)]
    bad = packet(new(Result, command=keys[0], ok=True, data=UNKEPT[name]), leaf="results")
    good = new(Result, command=keys[1], ok=True, data={"log": ["line"]})
    outcome = Intake(store, CloudConfig()).take([bad, packet(good, leaf="results"), packet(job(str(uuid.uuid4()), 1))])
    assert (outcome.stored, outcome.aside, outcome.answers[BOX].ids) == (1, 1, [good.id])
    ((problem, payload),) = rows(store, schema.set_aside, "problem", "payload")
    assert "cannot be kept as JSON" in problem
    assert payload == bad.payload
    assert {key for key, done in rows(store, schema.outbox, "id", "done_at") if done} == {keys[1]}


@pytest.mark.covers("A30")
@pytest.mark.parametrize("error", [TypeError("a list"), ValueError(), KeyError("paper"), RecursionError()], ids=repr)
@pytest.mark.parametrize("where", ["check", "result_of"])
def test_a_message_on_which_our_own_code_fails_is_set_aside_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, where: str
) -> None:
    def fails(*args: Any) -> None:
        if any(isinstance(value, Result) for value in args):
            raise error

    monkeypatch.setattr(f"cloud.batch.{where}", fails)
    bad, epoch = packet(new(Result, command="x", ok=True), leaf="results"), str(uuid.uuid4())
    outcome = Intake(store, CloudConfig()).take([packet(job(epoch, 1)), bad, packet(job(epoch, 2))])
    assert (outcome.stored, outcome.aside, outcome.answers[BOX].ids) == (2, 1, [])
    ((problem, payload),) = rows(store, schema.set_aside, "problem", "payload")
    assert type(error).__name__ in problem
    assert payload == bad.payload
    assert f"set aside topic={bad.topic}" in caplog.text


@pytest.mark.covers("A30")
@pytest.mark.parametrize("name", ["p" * 65, "bar\0"])
def test_a_printers_name_that_is_no_key_is_refused(store: Store, name: str) -> None:
    named = [packet(new(Status, online=True, printers=[PrinterState(name=n)]), leaf="status") for n in ("bar", name)]
    outcome = Intake(store, CloudConfig()).take(named)
    assert (outcome.others, outcome.aside) == (1, 1)
    assert rows(store, printer_since, "printer") == [("bar",)]


def test_a_reading_that_is_damaged_does_not_block_its_job(store: Store) -> None:
    message = job(str(uuid.uuid4()), 1, reading=msgspec.Raw(b"\x93\x01\x02\x03"))
    outcome = Intake(store, CloudConfig()).take([packet(message)])
    assert outcome.stored == 1
