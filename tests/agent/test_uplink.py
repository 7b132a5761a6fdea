"""agent/uplink.py with a real broker, relay and agent: what goes up when lines break, rows rot and brokers forget."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from agent import mqtt
from tests.agent.rig import Rig, receipt
from tests.simulators.proxy import Proxy
from wire import messages
from wire.messages import Acks, Want

Bench = Callable[..., Rig]


@pytest.fixture
def line() -> Iterator[Proxy]:
    made = Proxy(0)
    yield made
    made.close()


def behind(line: Proxy, bench: Bench) -> Rig:
    box = bench(cloud={"broker": f"mqtt://127.0.0.1:{line.port}"})
    line.target = ("127.0.0.1", box.mqtt_port)
    return box


def picture(number: int, size: int = 400_000) -> bytes:
    """A raster that travels in parts, with its own bytes."""
    rows = size // 72
    dots = random.Random(number).randbytes(rows * 72)
    return b"\x1b@\x1dv0\0" + (72).to_bytes(2, "little") + rows.to_bytes(2, "little") + dots + b"\n\x1dVB\0"


def ruin(box: Rig, seq: int) -> None:
    """A row of the outbox as a dying card leaves it."""
    with sqlite3.connect(box.folder / "box" / "agent.db") as connection:
        changed = connection.execute("UPDATE outbox SET body = x'c1' WHERE seq = ?", (seq,)).rowcount
    assert changed == 1


@pytest.mark.covers("F15")
def test_a_row_that_rots_in_the_outbox_is_taken_again_and_holds_up_no_other(bench: Bench) -> None:
    box = bench().start("relay", "agent").online()
    box.kill("broker")
    jobs = [receipt(1), receipt(2), picture(3), picture(4), receipt(5)]
    for count, job in enumerate(jobs, 1):
        box.print(job)
        box.wait_outbox(count)
    box.kill("agent")
    ruin(box, 2)
    ruin(box, 3)
    box.start("broker", "agent")
    keys = box.cloud.wait_jobs(5, within=60)
    assert box.cloud.raws[keys[3]] == jobs[3]
    box.wait_empty(30)


@pytest.mark.covers("F28")
def test_a_large_job_gets_there_on_a_line_that_never_lasts_long_enough(bench: Bench, line: Proxy) -> None:
    """Its pieces that a broker took are not sent once more with the next connection."""
    box = behind(line, bench)
    box.start("relay", "agent").online()
    line.delay_s = 0.1
    job = picture(1)
    box.print(job)
    for _ in range(12):
        sent = line.up
        box.cloud.wait(lambda sent=sent: box.cloud.jobs or line.up > sent + 100_000, "some of it went", 60)  # type: ignore[misc]
        if box.cloud.jobs:
            break
        line.reset()
    line.delay_s = 0.0
    (raw,) = box.cloud.raws.values()
    assert raw == job


@pytest.mark.covers("F37")
def test_a_want_for_what_is_on_its_way_in_parts_does_not_let_it_fall(bench: Bench, line: Proxy) -> None:
    box = behind(line, bench)
    cloud = box.cloud
    box.start("relay", "agent").online()
    line.delay_s = 0.1
    cloud.ack = False
    box.print(picture(1))
    cloud.wait(lambda: cloud._first, "the first piece came")
    (epoch, seq) = next(iter(cloud._first))
    cloud.say("acks", messages.new(Acks, want=[Want(epoch, seq, seq)]))
    cloud.wait_jobs(1, within=60)
    line.delay_s = 0.0
    cloud.ack = True
    cloud.wait(lambda: cloud.times[epoch, seq] > 1, "it is sent again, for nobody acknowledged it", 30)
    box.wait_empty(30)


@pytest.mark.covers("F33")
def test_a_broker_that_forgets_one_message_is_left(bench: Bench, line: Proxy) -> None:
    box = behind(line, bench)
    box.first["agent"] = "from agent import mqtt\nmqtt.PUBACK_S = 1.0"
    box.start("relay", "agent").online()
    line.pubacks = 1
    for number in range(1, 6):
        box.print(receipt(number))
        box.cloud.wait_jobs(number)
    box.wait_log("agent", "did not take a message")
    box.wait_log("agent", "connected", 3)
    box.wait_empty(30)
    assert mqtt.PUBACK_S > 30, "where lines are slow"
