"""What crosses the network: there and back again, and nothing but BadMessage from whatever else arrives."""

from __future__ import annotations

import zlib
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt.model import Finding, Item, Kind, Pay, Receipt, Tax, Tender
from wire import messages as w
from wire import topics

CLOCK = w.Clock("5f0c", 1_000, 1_790_000_000_000, w.Trust.NTP)
READING = w.Reading(
    rules_version="1",
    lines=["HARBOUR COFFEE", "TOTAL  4.50"],
    receipts=[
        Receipt(
            kind=Kind.SALE,
            total=450,
            currency="GBP",
            items=(Item("Espresso", Decimal("1"), 450, 450),),
            taxes=(Tax(75, Decimal("20")),),
            tenders=(Tender(Pay.CARD, 450, "VISA", "4242"),),
            findings={"total": Finding("4.50", 1, 0.98, "total")},
        )
    ],
)


def captured(**fields: object) -> w.Captured:
    return w.new(
        w.Captured,
        epoch="e",
        seq=1,
        sha256=b"\1" * 32,
        size=3,
        boundary=w.Boundary.CUT,
        pos="till",
        printer="main",
        started=CLOCK,
        ended=CLOCK,
        reading=w.pack_reading(READING),
        **fields,
    )


EVERY = {
    "receipts": [
        captured(raw=b"\x1b@abc"),
        captured(raw=b"x" * w.MAX_PART, parts=3),
        w.new(w.Part, epoch="e", seq=1, sha256=b"\1" * 32, part=1, parts=3, raw=b"y" * 10),
        w.new(w.Tombstone, epoch="e", first=3, last=9, reason="disk_full"),
    ],
    "acks": [w.new(w.Acks, acks=[w.Ack("e", 1, b"\1" * 32, "stored")], want=[w.Want("e", 2, 4)], ids=["a"])],
    "orders": [
        w.new(
            w.PrintOrder, order="o", content=w.OrderContent(number="7", kind="dine_in", items=[w.OrderItem("面", 2)])
        ),
        w.new(w.CancelOrder, order="o"),
        w.new(w.GoOrder, order="o", go=False),
    ],
    "reports": [w.new(w.Report, order="o", state=w.OrderState.PRINTED, proof=w.Proof.L1), w.new(w.Held, orders=["o"])],
    "status": [w.new(w.Status, online=True, printers=[w.PrinterState("main", paper="near")])],
    "commands": [w.new(w.Command, name="identify")],
    "results": [w.new(w.Result, command="c", ok=True)],
}


@pytest.mark.parametrize("leaf", sorted(EVERY))
def test_every_message_comes_back_as_it_went(leaf: str) -> None:
    for message in EVERY[leaf]:
        payload = w.encode(message)
        assert w.decode(leaf, payload) == message
        assert len(payload) <= w.MAX_MESSAGE


def test_the_reading_inside_a_job_comes_back_too() -> None:
    back = w.decode("receipts", w.encode(captured(raw=b"")))
    assert w.unpack_reading(back.reading) == READING


def test_a_job_without_a_reading_is_a_whole_message() -> None:
    job = captured(raw=b"abc")
    job.reading = w.NO_READING
    back = w.decode("receipts", w.encode(job))
    assert back == job
    assert w.unpack_reading(back.reading) is None


def test_a_bad_reading_does_not_spoil_the_job_it_came_with() -> None:
    """P5: a job is stored, whatever its reading is."""
    job = captured(raw=b"abc")
    job.reading = msgspec.Raw(msgspec.msgpack.encode({"lines": 3}))
    back = w.decode("receipts", w.encode(job))
    assert back.raw == b"abc"
    with pytest.raises(w.BadMessage):
        w.unpack_reading(back.reading)


def test_a_receipt_costs_less_on_the_wire_than_its_raw_bytes() -> None:
    raw = b"".join(b"%-34s%8s\n" % (b"%d x Flat white" % n, b"%d.40" % n) for n in range(50))
    assert len(raw) > 2000
    assert len(w.encode(captured(raw=raw))) < 0.8 * len(raw)


@pytest.mark.covers("A27", "A29")
@given(payload=st.binary(max_size=200), leaf=st.sampled_from(sorted(w.BY_LEAF)))
def test_any_bytes_at_all_are_a_bad_message_at_worst(payload: bytes, leaf: str) -> None:
    for start in (b"", b"\x01", b"\x02"):
        with pytest.raises(w.BadMessage):
            w.decode(leaf, start + payload)


@pytest.mark.covers("A30")
def test_a_deflated_bomb_is_refused_without_being_inflated() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"\x02" + packer.compress(bytes(64 << 20)) + packer.flush()
    assert len(bomb) < w.MAX_MESSAGE
    with pytest.raises(w.BadMessage, match="larger than"):
        w.decode("receipts", bomb)


def test_an_unknown_version_is_set_aside_and_an_unknown_field_kept_out() -> None:
    later = msgspec.msgpack.encode({"t": "command", "v": 2, "id": "i", "at": 1, "name": "identify"})
    with pytest.raises(w.BadMessage, match="version 2"):
        w.decode("commands", b"\x01" + later)
    more = msgspec.msgpack.encode({"t": "command", "v": 1, "id": "i", "at": 1, "name": "identify", "merchant": "m"})
    assert not hasattr(w.decode("commands", b"\x01" + more), "merchant")


def test_ids_sort_by_time_and_are_version_7() -> None:
    first, second = w.uuid7(), w.uuid7()
    assert first[14] == "7" and first[19] in "89ab"
    assert first[:13] <= second[:13]
    assert len({w.uuid7() for _ in range(1000)}) == 1000


@pytest.mark.covers("A20", "A23")
@pytest.mark.parametrize(
    "box", ["", "short", "UPPERCASE1", "a/b-c-d-e-f", "box+12345", "box#12345", "x" * 37, "ünicode-box", "box12345\0"]
)
def test_a_box_id_that_could_leave_its_topics_is_refused(box: str) -> None:
    assert not topics.is_box(box)
    with pytest.raises(ValueError, match="box id"):
        topics.up(box, "receipts")
    with pytest.raises(ValueError):
        topics.parse(f"tillwire/1/{topics.shard_of(box)}/{box}/up/receipts")


def test_a_topic_names_its_box_and_only_in_its_own_shard() -> None:
    topic = topics.up("shop42-front", "receipts")
    assert topics.parse(topic) == ("shop42-front", "up", "receipts")
    wrong = topic.replace("/50/", "/51/")
    with pytest.raises(ValueError, match="belong together"):
        topics.parse(wrong)
    with pytest.raises(ValueError):
        topics.parse(topics.up("shop42-front", "receipts").replace("/up/", "/down/"))
