"""A till's USB cable, the box, the printer's USB cable: the whole way, and what happens to cables."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import usb.core
import usb.util

from drivers.printer_class import GET_DEVICE_ID, GET_PORT_STATUS, NOT_ERROR, PAPER_EMPTY, SELECTED, TO_HOST
from tests.guest.inside.devices import BOX_IDS, PRINTER_IDS, Node, UsbPrinter, find_node, until
from tests.relay.conftest import Box
from tests.simulators.till import receipt

pytestmark = pytest.mark.guest
READY = SELECTED | NOT_ERROR
CUT = b"\x1dV\x00"


def receipts(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [receipt(number, rng).raw for number in range(1, count + 1)]


def plain(count: int) -> bytes:
    """Receipts without settings: the box repeats those after a cut cable, which a bare comparison does not expect."""
    jobs = [b"".join(b"receipt %d line %d\n" % (n, line) for line in range(20)) + CUT for n in range(count)]
    return b"".join(jobs)


def test_a_till_prints_through_the_box_and_hears_the_printer(box: Box, printer: UsbPrinter, till: Node) -> None:
    jobs = receipts(3)
    for job in jobs:
        till.send(job)
    assert printer.printed(len(b"".join(jobs)), within=60) == b"".join(jobs)
    till.send(b"\x10\x04\x01")
    assert till.read(1) == b"\x16"
    printer.set(paper="out")
    till.send(b"\x10\x04\x04")
    assert till.read(1)[0] & 0x60
    assert [raw for _, raw in box.jobs(3, within=30)] == jobs


def test_a_till_with_libusb_prints_too(box: Box, printer: UsbPrinter) -> None:
    until(lambda: find_node(BOX_IDS))
    device = usb.core.find(idVendor=int(BOX_IDS[0], 16), idProduct=int(BOX_IDS[1], 16))
    device.detach_kernel_driver(0)
    try:
        job = receipts(1)[0]
        assert device.write(2, job, 30000) == len(job)
        assert printer.printed(len(job), within=60) == job
        device.write(2, b"\x1dI\x43", 5000)
        assert bytes(device.read(0x81, 512, 30000)) == b"_TM-T88V\0"
        assert device.ctrl_transfer(TO_HOST, GET_PORT_STATUS, 0, 0, 1)[0] == READY
        identity = bytes(device.ctrl_transfer(TO_HOST, GET_DEVICE_ID, 0, 0, 1024))
        assert int.from_bytes(identity[:2], "big") == len(identity) and b"CLS:PRINTER;" in identity
    finally:
        usb.util.dispose_resources(device)
        device.attach_kernel_driver(0)
    until(lambda: find_node(BOX_IDS))


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1024, 4096, 8192])
def test_no_length_waits_for_the_next_byte(box: Box, printer: UsbPrinter, till: Node, size: int) -> None:
    """f_printer holds back what is a multiple of 512."""
    data = b"\x1b@" * (size // 2) + b"A" * (size % 2)
    till.send(data)
    assert printer.printed(size, within=60) == data


@pytest.mark.covers("F55")
def test_a_printer_that_is_away_is_off_line_to_the_till_and_nothing_is_swallowed(
    box: Box, printer: UsbPrinter, till: Node
) -> None:
    job = receipts(1)[0]
    till.send(job)
    printer.printed(len(job), within=60)
    until(lambda: till.status() == READY)
    printer.pull()
    until(lambda: till.status() == NOT_ERROR)
    more = b"".join(receipts(40, seed=2))
    left = till.send_some(more, within=8.0)
    taken = len(more) - left
    assert taken < 48 * 1024, "the box and its line hold a little, and then hold the till"
    printer.plug_into(1)
    till.send(more[taken:])
    assert printer.printed(len(job + more), within=120) == job + more
    until(lambda: till.status() == READY)


@pytest.mark.covers("F44")
def test_paper_out_shows_in_the_port_status_of_the_till(box: Box, printer: UsbPrinter, till: Node) -> None:
    till.send(b"\x1da\xff")  # ASB: the printer tells of itself from now on
    till.read(4)
    until(lambda: till.status() == READY)
    printer.set(paper="out", online=False)
    until(lambda: till.status() == NOT_ERROR | PAPER_EMPTY)
    printer.set(paper="ok", online=True)
    until(lambda: till.status() == READY)


@pytest.mark.covers("F49")
def test_a_printer_plugged_into_another_socket_is_found_again_and_goes_on(
    box: Box, printer: UsbPrinter, till: Node
) -> None:
    stream = plain(60)
    half = len(stream) // 2
    till.send(stream[:half])
    printer.wait(lambda: len(printer.received) > half // 2, within=60)
    address = _address(PRINTER_IDS)
    printer.pull()
    printer.plug_into(2)
    began = time.monotonic()
    until(lambda: box.counters()["printer_opened"] >= 2)
    print(f"found again in {time.monotonic() - began:.1f} s")
    assert _address(PRINTER_IDS) != address, "another bus, another address"
    till.send(stream[half:])
    assert printer.printed(len(stream), within=120) == stream


def _address(ids: tuple[str, str]) -> tuple[int, int]:
    device = usb.core.find(idVendor=int(ids[0], 16), idProduct=int(ids[1], 16))
    return device.bus, device.address


def test_a_cable_cut_in_mid_job_loses_nothing_and_doubles_nothing(box: Box, printer: UsbPrinter, till: Node) -> None:
    """Five times, each at another byte."""
    stream = plain(50)
    step = len(stream) // 6
    for part in range(6):
        till.send(stream[part * step : (part + 1) * step if part < 5 else None])
        if part < 5:
            printer.pull()
            printer.plug_into(1)
            until(lambda: box.counters()["printer_opened"] == part + 2)  # noqa: B023
    assert printer.printed(len(stream), within=120) == stream


@pytest.mark.covers("F56")
def test_a_till_that_is_unplugged_in_mid_job_leaves_a_partial_job_and_may_come_back(
    box: Box, printer: UsbPrinter, till: Node
) -> None:
    first, second = receipts(2, seed=5)
    till.send(first[: len(first) // 2])
    printer.printed(len(first) // 2, within=60)
    device = till.device()
    (device / "authorized").write_text("0")  # the host lets go of it, as when it is reset or switched off
    until(lambda: box.agent().ask("status")["pos"]["till"]["connected"] is False)
    till.close()
    (device / "authorized").write_text("1")
    again = Node()
    again.send(second)
    printer.wait(lambda: bytes(printer.received).endswith(second), within=60)
    jobs = box.jobs(2, within=30)
    assert jobs[0][1] == first[: len(first) // 2] and jobs[0][0]["boundary"] in ("close", "partial")
    assert jobs[1][1] == second and jobs[1][0]["boundary"] == "cut"
    again.close()


@pytest.mark.covers("F56")
def test_a_till_that_sleeps_wakes_up_and_prints(box: Box, printer: UsbPrinter, till: Node) -> None:
    job = receipts(1)[0]
    till.send(job)
    printer.printed(len(job), within=60)  # a till that closes its printer earlier takes back what is under way
    device = till.device()
    till.close()
    (device / "power/autosuspend_delay_ms").write_text("0")
    (device / "power/control").write_text("auto")
    until(lambda: (device / "power/runtime_status").read_text().strip() == "suspended")
    awake = Node()
    awake.send(job)
    assert printer.printed(2 * len(job), within=60) == job + job
    assert len(box.jobs(2, within=30)) == 2
    awake.close()


def test_soft_reset_drops_nothing_that_the_till_has_sent(box: Box, printer: UsbPrinter, till: Node) -> None:
    job = receipts(1)[0]
    till.send(job)
    till.reset()
    till.send(job)
    assert printer.printed(2 * len(job), within=60) == job + job


@pytest.mark.covers("F5")
def test_a_relay_that_is_killed_takes_the_box_off_the_tills_usb_and_comes_back(
    box: Box, printer: UsbPrinter, till: Node
) -> None:
    job = receipts(1)[0]
    till.send(job)
    printer.printed(len(job), within=60)
    box.kill(signal.SIGKILL)
    until(lambda: find_node(BOX_IDS) is None)
    till.close()
    box.start()
    again = Node()
    again.send(job)
    assert printer.printed(2 * len(job), within=60) == job + job
    assert len(box.jobs(2, within=30)) == 2
    again.close()


def test_the_kernel_gets_its_printer_back(box: Box, printer: UsbPrinter) -> None:
    until(lambda: box.counters()["printer_opened"])
    until(lambda: find_node(PRINTER_IDS) is None)
    box.stop()
    until(lambda: find_node(PRINTER_IDS))


@pytest.mark.covers("F10")
def test_a_second_process_does_not_get_the_socket(box: Box, printer: UsbPrinter, till: Node) -> None:
    from drivers import DeviceGone, open_pos
    from tests.guest.inside.devices import BOX

    with pytest.raises(DeviceGone, match="another process"):
        open_pos(BOX)
    job = receipts(1)[0]
    till.send(job)
    assert printer.printed(len(job), within=60) == job


def test_the_journal_of_a_till_on_usb_is_whole(box: Box, printer: UsbPrinter, till: Node) -> None:
    jobs = receipts(20, seed=6)
    for job in jobs:
        till.send(job)
    printer.printed(sum(map(len, jobs)), within=120)
    kept = box.jobs(20, within=60)
    assert [raw for _, raw in kept] == jobs
    assert [header["key"][1] for header, _ in kept] == list(range(1, 21))
    assert Path("/dev/usb").exists() and os.getuid() == 0
