"""The box as it is installed: its units, its users, its sandbox, a till on USB; and its plug pulled while it prints."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.guest.vm import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(7200)]
CUT = b"\x1dV\x00"
CUTS = int(os.environ.get("TILLWIRE_CUTS", "10"))  # minutes each, without KVM
CONFIG = """
[box]
id = "guest-box"
[printer.main]
url = "serial:///dev/ttyS1?baud=115200"
model = "one-way"
[pos.till]
url = "gadget://till?udc=dummy_udc.0"
[capture]
hold_cut_ms = 5000
"""
TILL = """
import os
node = os.open("/dev/usb/lp0", os.O_WRONLY)
number = 0
while True:
    number += 1
    lines = b"".join(b"receipt %d line %d\\n" % (number, line) for line in range(12))
    data = lines + b"\\x1dV\\x00"
    while data:
        data = data[os.write(node, data):]
"""
JOURNAL = """
from tests.relay.conftest import Agent
agent, after, more = Agent("/run/tillwire/relay.sock"), {}, True
while more:
    jobs, more = agent.jobs(limit=100, **after)
    for header, raw in jobs:
        print(raw.hex())
        after = {"after": header["key"]}
"""


class Paper:
    """The printer: what comes out of the machine's second serial port. It outlives the machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, bytearray()
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            with socket.socket(socket.AF_UNIX) as sock:
                try:  # a machine that is just dying may still take a connection, and reset it
                    sock.connect(str(self.path))
                    while data := sock.recv(65536):
                        with self._changed:
                            self.data += data
                            self._changed.notify_all()
                except OSError:
                    time.sleep(0.05)

    def wait(self, what: Callable[[bytes], Any], within: float = 1200) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: what(bytes(self.data)), within), bytes(self.data[-200:])

    def receipts(self) -> list[bytes]:
        """Those that were cut."""
        return [piece + CUT for piece in bytes(self.data).split(CUT)[:-1]]


def start(guest: Guest) -> None:
    guest.run("modprobe dummy_hcd num=1 && modprobe usblp && systemctl start tillwire-relay")
    guest.run("for i in $(seq 3000); do [ -e /dev/usb/lp0 ] && exit; sleep 0.1; done; journalctl -u 'tillwire*'; false")


@pytest.mark.covers("F1")
def test_every_receipt_that_was_cut_is_in_the_journal_after_a_power_cut(tmp_path: Path) -> None:
    port = tmp_path / "ttyS1"
    paper = Paper(port)
    with Guest(more=["-serial", f"unix:{port},server=on,wait=off"]) as guest:
        guest.install(CONFIG)
        start(guest)
        assert "tillwire-relay" in guest.run("ps -o user= -C python3 || stat -c %U /dev/tillwire-gadget/till")
        guest.put("/root/till.py", TILL.encode())
        guest.run("sync")  # else the first cut leaves an empty file of it
        for turn in range(1, CUTS + 1):
            before = len(paper.receipts())
            guest.run("systemd-run --unit till python3 /root/till.py")
            try:
                paper.wait(lambda data, most=before + 30: data.count(CUT) >= most)  # type: ignore[misc]
            except AssertionError as error:
                log = guest.run("journalctl --no-pager -o short-monotonic -n 60; cat /proc/tty/driver/serial; ps ax")
                raise AssertionError(f"turn {turn}: {error}\n{log}") from None
            guest.cut_power()
            receipts = paper.receipts()
            guest.boot()
            start(guest)
            kept = {bytes.fromhex(line) for line in guest.python(JOURNAL).split()}
            missing = [receipt for receipt in receipts if receipt.split(CUT)[0] and not _kept(receipt, kept)]
            assert not missing, (
                f"cut {turn}: {len(missing)} of {len(receipts)} receipts on paper are not in the journal"
            )
            print(f"figure: power cut {turn}: {len(receipts)} receipts on paper, all in the journal")


def _kept(receipt: bytes, kept: set[bytes]) -> bool:
    """Is it in the journal? The first after a cut may stand behind what was torn before it on the paper."""
    return any(receipt.endswith(raw) for raw in kept)
