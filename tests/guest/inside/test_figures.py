"""How fast the whole way over two USB buses is, here: software emulation, and a bus that ticks once a millisecond."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.guest.inside.devices import Node, UsbPrinter
from tests.relay.conftest import Box

pytestmark = pytest.mark.guest


def test_latency_and_throughput_are_recorded(box: Box, printer: UsbPrinter, till: Node) -> None:
    """Figures, not limits: bytes and answers are checked, time is told."""
    trips = []
    for _ in range(100):
        began = time.perf_counter()
        till.send(b"\x10\x04\x01")
        assert till.read(1) == b"\x16"
        trips.append((time.perf_counter() - began) * 1000)
    status = []
    for _ in range(100):
        began = time.perf_counter()
        assert till.status() == 0x18
        status.append((time.perf_counter() - began) * 1000)
    data = b"A" * 79 + b"\n"
    size = 200 * 1024
    began = time.perf_counter()
    till.send(data * (size // len(data)), within=120)
    printer.wait(lambda: len(printer.received) >= size - len(data), within=120)
    rate = size / 1e6 / (time.perf_counter() - began)
    print(
        f"figure: DLE EOT till-box-printer and back over two USB buses: p50 {statistics.median(trips):.1f} ms, "
        f"p95 {statistics.quantiles(trips, n=20)[-1]:.1f} ms; port status p50 {statistics.median(status):.1f} ms; "
        f"text {rate:.2f} MB/s"
    )
