"""`make image-test`: the image boots, prints, is acknowledged by a cloud outside; the power is cut; nothing is lost."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.rig import BOX, Cloud, Rig
from tests.image.board import BOOT_S, Board, image, missing

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600), pytest.mark.skipif(bool(missing()), reason=missing())]
SETTINGS = """\
[box]
id = "{box}"
[ethernet]
[printer.main]
url = "tcp://10.0.2.2:{printer}"
[pos.till]
url = "tcp://0.0.0.0:9100"
[cloud]
broker = "mqtt://10.0.2.2:{broker}"
insecure = true
[alerts]
sound = false
"""


def receipt(number: int) -> bytes:
    return b"\x1b@CORNER BAKERY\nReceipt %d\nTOTAL 2.40\n\x1dV\x00" % number


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Rig]:
    """A broker, a cloud and a printer; no box."""
    rig = Rig(tmp_path / "outside")
    yield rig
    rig.close()


@pytest.mark.covers("F60", "A32")
def test_from_the_card_to_the_acknowledged_receipt_and_over_a_power_cut(tmp_path: Path, outside: Rig) -> None:
    cloud: Cloud = outside.cloud
    settings = SETTINGS.format(box=BOX, printer=outside.printer.port, broker=outside.mqtt_port)
    board = Board(tmp_path, settings)
    figures: dict[str, str] = {}
    try:
        board.boot()
        board.print(receipt(1))
        outside.printer.wait(b"Receipt 1\n", within=120)
        figures["first boot to printing"] = f"{time.monotonic() - board.began:.0f} s"
        cloud.wait(lambda: any(s.online for s in cloud.statuses), "the box is online", BOOT_S)
        figures["first boot to online"] = f"{time.monotonic() - board.began:.0f} s"
        (key,) = cloud.wait_jobs(1, within=BOOT_S)
        assert b"Receipt 1" in (cloud.raws[key] or b"")

        cloud.ack = False  # what comes now stays on the box
        for number in (2, 3, 4):
            board.print(receipt(number))
        outside.printer.wait(b"Receipt 4\n", within=300)
        cloud.wait_jobs(4, within=BOOT_S)
        board.cut_power()
        seen = len(cloud.statuses)
        cloud.jobs.clear()
        cloud.ack = True

        board.boot()
        board.print(receipt(5))
        outside.printer.wait(b"Receipt 5\n", within=120)
        figures["next boot to printing"] = f"{time.monotonic() - board.began:.0f} s"
        cloud.wait(lambda: any(s.online for s in cloud.statuses[seen:]), "the box is online again", BOOT_S)
        figures["next boot to online"] = f"{time.monotonic() - board.began:.0f} s"
        keys = cloud.wait_jobs(4, within=BOOT_S)
        assert [seq for _, seq in keys] == [2, 3, 4, 5]
        assert {epoch for epoch, _ in keys} == {key[0]}, "the same journal"
        cloud.wait(lambda: cloud.statuses[-1].backlog == 0, "all is acknowledged", BOOT_S)
        free = cloud.statuses[-1].disk_free or 0
        assert free > 512 << 20, f"the data partition did not grow: {free >> 20} MiB free"
    finally:
        board.cut_power()
    said = board.said()
    assert "Failed to start" not in said, [line for line in said.splitlines() if "Failed" in line]
    found = image()
    assert found is not None
    figures["image"] = f"{found.stat().st_size >> 20} MiB"
    packed = found.with_suffix(".img.zst")
    figures["image, packed"] = f"{packed.stat().st_size >> 20} MiB" if packed.exists() else "not packed"
    for name, value in figures.items():
        print(f"figure: {name}: {value}")


@pytest.mark.covers("A32", "A35")
def test_nobody_has_a_password_and_nothing_is_shared_by_all_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the image, without booting it: debugfs reads the root file system."""
    found = image()
    assert found is not None
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/usr/sbin:/sbin")
    root = tmp_path / "root.ext4"
    with found.open("rb") as card:
        entry = card.read(512)[446 + 16 : 446 + 32]  # the second of the MBR
    start, size = struct.unpack("<II", entry[8:])
    subprocess.run(
        ["dd", f"if={found}", f"of={root}", "bs=512", f"skip={start}", f"count={size}", "conv=sparse"], check=True,
        capture_output=True,
    )  # fmt: skip

    def read(path: str) -> str:
        return subprocess.run(["debugfs", "-R", f"cat {path}", root], capture_output=True, text=True, check=True).stdout

    def listed(path: str) -> str:
        return subprocess.run(["debugfs", "-R", f"ls {path}", root], capture_output=True, text=True, check=True).stdout

    passwords = [line.split(":")[1] for line in read("/etc/shadow").splitlines()]
    assert passwords
    assert all(password[:1] in ("*", "!") for password in passwords)
    wanted = listed("/etc/systemd/system/multi-user.target.wants")
    assert "tillwire-relay.service" in wanted
    assert "ssh.service" not in wanted
    assert "ssh_host" not in listed("/etc/ssh"), "a key that all boxes would share"
    assert read("/etc/machine-id") == ""
