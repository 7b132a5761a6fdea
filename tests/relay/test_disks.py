"""What goes wrong with the disk: full, slow, read-only, ruined. Receipts may be lost, paper never."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.relay.conftest import Box, until
from tests.relay.test_passing import RECEIPT
from tests.simulators.disk import small_file_system
from tests.simulators.printer import SimulatedPrinter


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "small", megabytes=4) as folder:
        yield folder


@pytest.mark.covers("F12", "F13")
def test_a_full_disk_costs_captures_and_never_paper(
    make_box: Callable[..., Box], printer: SimulatedPrinter, small_disk: Path
) -> None:
    box = make_box(state=small_disk)
    pos = box.pos()
    big = b"\x1dv0\x00\x48\x00\xff\x00" + bytes(72 * 255)
    job = big * 25 + b"\x1dV\x00"  # 460 KB
    for number in range(1, 16):
        pos.send(job)
        printer.wait(lambda number=number: printer.cuts == number)  # type: ignore[misc]
    with closing(box.agent()) as agent:
        kept: list[dict[str, Any]] = []
        tombs: list[dict[str, Any]] = []

        def accounted_for() -> bool:
            listed, _ = agent.jobs()
            tombs[:] = [header["tomb"] for header, _ in listed if "tomb" in header]
            kept[:] = [header for header, _ in listed if "tomb" not in header]
            return len(kept) + sum(tomb["last"] + 1 - tomb["first"] for tomb in tombs) == 15

        until(accounted_for)
        assert kept and tombs and {tomb["reason"] for tomb in tombs} == {"disk_full"}
        lost = [seq for tomb in tombs for seq in range(tomb["first"], tomb["last"] + 1)]
        assert sorted([job["key"][1] for job in kept] + lost) == list(range(1, 16))
        assert agent.ask("status")["capture"] == ("degraded" if lost[-1] == 15 else "ok")
        # what the cloud has makes room again, by itself
        epoch = tombs[0]["epoch"]
        released = agent.ask("release", jobs=[[*job["key"], job["sha256"]] for job in kept] + [[epoch, lost[0], ""]])
        assert released["released"] == len(kept) + 1
    assert box.process and box.process.poll() is None


@pytest.mark.covers("F12")
def test_no_folder_for_the_journal_still_prints(
    make_box: Callable[..., Box], printer: SimulatedPrinter, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    box = make_box(state=tmp_path / "file" / "state", start=False).start(wait=False)
    pos = box.pos()
    pos.send(RECEIPT * 3)
    assert printer.printed(3 * len(RECEIPT)) == RECEIPT * 3


@pytest.mark.covers("F17", "F18")
@pytest.mark.parametrize("ruin", ["garbage", "empty", "header"])
def test_a_ruined_journal_is_set_aside(make_box: Callable[..., Box], printer: SimulatedPrinter, ruin: str) -> None:
    box = make_box()
    pos = box.pos()
    pos.send(RECEIPT)
    with closing(box.agent()) as agent:
        epoch = agent.ask("hello")["epoch"]
    box.jobs(1)
    box.kill(signal.SIGTERM)
    file = box.state / "capture.db"
    content = file.read_bytes()
    file.write_bytes({"garbage": os.urandom(9000), "empty": b"", "header": b"x" * 100 + content[100:]}[ruin])
    box.start()
    with closing(box.agent()) as agent:
        assert agent.ask("hello")["epoch"] != epoch
    box.pos().send(RECEIPT)
    assert box.jobs(1)[0][1] == RECEIPT
    if ruin != "empty":
        assert list(box.state.glob("capture.db.bad-*"))


@pytest.mark.covers("F16")
def test_a_flipped_bit_is_found_and_told(box: Box, printer: SimulatedPrinter) -> None:
    pos = box.pos()
    for n in range(3):
        pos.send(b"\x1b@NUMBER %d MARKER\n\x1dV\x00" % n)
    box.jobs(3)
    box.kill(signal.SIGTERM)
    file = box.state / "capture.db"
    content = bytearray(file.read_bytes())
    at = content.find(b"NUMBER 1 MARKER")
    content[at] ^= 0x20
    file.write_bytes(bytes(content))
    box.start()
    with closing(box.agent()) as agent:
        listed, _ = agent.jobs()
        assert [header.get("tomb", header)["first" if "tomb" in header else "key"] for header, _ in listed][1] == 2
        assert listed[1][0]["tomb"]["reason"] == "corrupt"


@pytest.mark.covers("F19")
def test_a_slow_disk_holds_a_cut_no_longer_than_its_limit(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    box = make_box(capture={"hold_cut_ms": 100}, start=False)
    box.start(first=SLOW_DISK)
    pos = box.pos()
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 1)
    assert box.counters()["cut_released_unsafe"] == 1
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"


@pytest.mark.covers("F19")
def test_questions_among_held_bytes_are_lifted_out_and_nothing_else_is(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """A POS that asks right behind its cut, in the same write, while the disk is slow."""
    box = make_box(capture={"hold_cut_ms": 200}, start=False)
    box.start(first=SLOW_DISK)
    pos = box.pos()
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    asked = b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04"
    pos.send(RECEIPT + asked + b"\x1b@ MORE\x1bi AND MORE")
    assert len(pos.read(4)) == 4
    printer.wait(lambda: printer.received.endswith(b" AND MORE"))
    paper = bytes(printer.received)
    for n in range(1, 5):
        paper = paper.replace(bytes([0x10, 4, n]), b"")
    assert paper == RECEIPT + b"\x1b@ MORE\x1bi AND MORE"


def test_a_pos_that_asks_and_hangs_up_still_gets_all_its_bytes_printed(
    make_box: Callable[..., Box], printer: SimulatedPrinter
) -> None:
    """Its answers can be given from memory before its held bytes have passed."""
    box = make_box(capture={"hold_cut_ms": 200}, start=False)
    box.start(first=SLOW_DISK)
    pos = box.pos()
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    assert pos.sock is not None
    pos.send(RECEIPT + b"\x10\x04\x01\x10\x04\x02\x1b@ MORE\n")
    pos.sock.close()
    printer.wait(lambda: printer.received.endswith(b" MORE\n"))
    assert box.process is not None and box.process.poll() is None


SLOW_DISK = """
import time
from relay.store import Store
finish = Store.finish
def slow(self, *rest):
    time.sleep(2)
    return finish(self, *rest)
Store.finish = slow
"""


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A file system that turns read-only at an error, as those of boards do."""
    image, folder = tmp_path / "image", tmp_path / "ext4"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    make = ["mkfs.ext4", "-q", "-F", "-e", "remount-ro", str(image)]
    if os.geteuid() or not shutil.which("mkfs.ext4") or subprocess.run(make, check=False).returncode:
        pytest.skip("needs root and mkfs.ext4")
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=False).returncode:
        pytest.skip("needs a loop device")
    try:
        if not os.access(its_error(folder), os.W_OK):
            pytest.skip("needs to write into /sys/fs/ext4")
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def its_error(folder: Path) -> Path:
    """What is written here is an error that the kernel takes for its own."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", str(folder)], check=True, capture_output=True, text=True)
    return Path("/sys/fs/ext4", Path(found.stdout.strip()).name, "trigger_fs_error")


@pytest.mark.covers("F14", "F15")
def test_a_file_system_that_turns_read_only_costs_captures_and_never_paper(
    make_box: Callable[..., Box], printer: SimulatedPrinter, ext4: Path
) -> None:
    box = make_box(state=ext4 / "state")
    pos = box.pos()
    pos.send(RECEIPT)
    box.jobs(1)
    its_error(ext4).write_text("1")
    for number in range(2, 5):
        pos.send(RECEIPT)
        printer.wait(lambda number=number: printer.cuts == number)  # type: ignore[misc]
    pos.send(b"\x10\x04\x01")
    assert pos.read(1) == b"\x16"
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["capture"] == "degraded")
        until(lambda: agent.ask("status")["counters"]["jobs_lost"] == 3)
        assert agent.ask("status")["counters"]["journal_errors"] > 0
    assert bytes(printer.received).replace(b"\x10\x04\x01", b"") == RECEIPT * 4
    box.kill(signal.SIGTERM)
    image = ext4.parent / "image"
    subprocess.run(["umount", str(ext4)], check=True)
    until(lambda: not subprocess.run(["losetup", "-j", str(image)], capture_output=True).stdout)
    assert subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True).returncode < 4
    subprocess.run(["mount", "-o", "loop", str(image), str(ext4)], check=True)
    box.start()
    box.pos().send(RECEIPT)
    assert [raw for _, raw in box.jobs(2)] == [RECEIPT] * 2, "what was there before is there again"


@pytest.mark.covers("F15")
def test_a_disk_that_is_read_only_at_the_start_is_used_once_it_can_be(
    make_box: Callable[..., Box], printer: SimulatedPrinter, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    box = make_box(state=small_disk)
    pos = box.pos()
    pos.send(RECEIPT)
    printer.wait(lambda: printer.cuts == 1)
    with closing(box.agent()) as agent:
        until(lambda: agent.ask("status")["capture"] == "degraded")
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    def captured() -> bool:
        pos.send(RECEIPT)
        with closing(box.agent()) as agent:
            return any("tomb" not in header for header, _ in agent.jobs()[0])

    until(captured)
