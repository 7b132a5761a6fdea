"""Bad networks between a box and its broker: every receipt arrives, whole and once, as soon as anything passes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.rig import Rig, number_in, receipt
from tests.agent.test_orders import head, order
from tests.simulators.proxy import Proxy

Bench = Callable[..., Rig]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy(0)
    yield made
    made.close()


@pytest.fixture
def box(bench: Bench, proxy: Proxy) -> Rig:
    """A box whose broker is behind the proxy; the cloud is not."""
    rig = bench(cloud={"broker": f"mqtt://127.0.0.1:{proxy.port}"})
    proxy.target = ("127.0.0.1", rig.mqtt_port)
    return rig


def arrived(box: Rig, count: int, within: float = 60) -> None:
    """All of the receipts 1..count, each under one key."""
    numbers = set(range(1, count + 1))
    box.cloud.wait(
        lambda: {number_in(raw) for raw in box.cloud.raws.values() if raw} >= numbers, f"{count} receipts", within
    )
    assert len(box.cloud.jobs) == count
    box.wait_empty(within)


@pytest.mark.covers("F27")
def test_a_link_that_is_reset_again_and_again_gets_everything_through(box: Rig, proxy: Proxy) -> None:
    box.start("relay", "agent").online()
    for number in range(1, 31):
        box.print(receipt(number))
        box.printer.wait(b"\x1dVB\x00", number)
        if number % 5 == 0:
            proxy.reset()
    arrived(box, 30)
    assert proxy.connections > 1
    assert "connection ended" in box.log("agent")


@pytest.mark.covers("F29")
def test_a_connection_that_only_seems_open_is_given_up(box: Rig, proxy: Proxy) -> None:
    """As it is with the real interval, in a tenth of the time: test_mqtt.py waits for the 45 s."""
    box.first["agent"] = "import agent.mqtt\nagent.mqtt.KEEPALIVE_S = 2"
    box.start("relay", "agent").online()
    proxy.hole = True
    box.print(receipt(1))
    box.wait_log("agent", "not connected")
    proxy.hole = False
    arrived(box, 1)


@pytest.mark.covers("F30")
def test_a_captive_portal_is_not_taken_for_the_broker(box: Rig, proxy: Proxy) -> None:
    proxy.portal = b"HTTP/1.1 302 Found\r\nLocation: http://hotel.example/login\r\n\r\n"
    box.start("relay", "agent")
    box.print(receipt(1), receipt(2))
    box.printer.wait(b"\x1dVB\x00", 2)
    box.wait_log("agent", "not connected")
    proxy.portal = b""
    arrived(box, 2)


@pytest.mark.covers("F30")
def test_a_name_that_cannot_be_resolved_is_told_and_printing_goes_on(bench: Bench) -> None:
    box = bench(cloud={"broker": "mqtt://broker.invalid:1883", "insecure": True}).start("relay", "agent")
    box.wait_log("agent", "not connected")
    box.print(receipt(1))
    box.printer.wait(b"\x1dVB\x00", 1)
    box.wait_outbox(1)


@pytest.mark.covers("F34", "A25")
def test_packets_in_another_order_and_twice_do_no_harm(box: Rig, proxy: Proxy) -> None:
    proxy.shuffle = random.Random(3)
    box.start("relay", "agent").online()
    for start in range(1, 81, 20):
        box.print(*[receipt(number) for number in range(start, start + 20)])
        box.printer.wait(b"\x1dVB\x00", start + 19)
    arrived(box, 80)


@pytest.mark.covers("A25", "F34")
def test_an_order_that_comes_again_days_later_prints_nothing(box: Rig) -> None:
    box.start("relay", "agent").online()
    one = order("o-1")
    box.cloud.order(one)
    box.cloud.wait_state("o-1", "printed", within=40)
    for _ in range(2):
        box.cloud.order(one)
        box.kill("agent")
        box.start("agent")
        box.cloud.order(one)
    box.cloud.order(order("o-2"))
    box.cloud.wait_state("o-2", "printed", within=40)
    assert box.printer.paper.count(head("o-1") + b"\n") == 1


@pytest.mark.covers("F28")
def test_a_slow_way_is_only_slow(box: Rig, proxy: Proxy) -> None:
    proxy.delay_s = 0.5
    box.start("relay", "agent").online()
    box.print(*[receipt(number) for number in range(1, 41)])
    arrived(box, 40)


LOSSY = shutil.which("nft") is not None and shutil.which("ip") is not None and os.geteuid() == 0


@pytest.mark.covers("F28")
@pytest.mark.slow
@pytest.mark.skipif(not LOSSY, reason="needs root, ip and nft, to lose packets")
def test_a_third_of_all_packets_lost(box: Rig) -> None:
    """Packets between the box and its proxy are dropped at random, both ways."""
    port = box.config.read_text().partition("mqtt://127.0.0.1:")[2].partition('"')[0]
    table = f"tillwire{port}"
    rules = f"add table inet {table}; add chain inet {table} in {{ type filter hook input priority 0; }};"
    for side in ("dport", "sport"):
        rules += f" add rule inet {table} in tcp {side} {port} numgen random mod 10 < 3 drop;"
    box.start("relay", "agent").online()
    if subprocess.run(["nft", rules], capture_output=True).returncode:
        pytest.skip("nft may not be used here")
    try:
        for number in range(1, 41):
            box.print(receipt(number))
        arrived(box, 40, 300)
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=False)


def test_the_proxy_itself(tmp_path: Path) -> None:
    """Shuffled packets are the same packets, whole."""
    from tests.simulators.proxy import Packets

    packets = [bytes([0x32, 5, 0, 1, 65 + n, 0, n]) for n in range(9)] + [b"\xc0\x00"]
    stream, way, out = b"".join(packets), Packets(), b""
    for at in range(0, len(stream), 4):
        out += way.shuffled(stream[at : at + 4], random.Random(at))
    assert set(packets) == {out[at : at + 7] for at in range(0, len(out) - 2, 7)} | {b"\xc0\x00"}
