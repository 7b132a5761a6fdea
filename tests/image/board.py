"""The boards' image in an emulated board: QEMU's `virt` machine, not a Pi (no firmware stage, no USB device side).

The image is booted as it is flashed. Only what a technician does is done to it: tillwire.toml is written onto its first
partition. The till comes in through a forwarded port; the printer and the broker stand outside, at 10.0.2.2.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.simulators.ports import free_port

OUT = Path(__file__).parents[2] / "out" / "board"
CARD_AT = 1 << 20  # the first partition begins at 1 MiB
BOOT_S = 900.0  # software emulation, perhaps on a busy machine
KERNEL_LINE = "root=LABEL=root ro console=ttyAMA0 panic=-1 systemd.show_status=1"


def image() -> Path | None:
    """The newest image that was built."""
    return max(OUT.glob("tillwire_*.img"), key=lambda path: path.stat().st_mtime, default=None)


def missing() -> str:
    gone = [tool for tool in ("qemu-system-aarch64", "mcopy") if not shutil.which(tool)]
    if gone:
        return f"needs {', '.join(gone)}"
    return "" if image() else "no image: `make image` builds it"


class Board:
    """Its card is a copy that is its own, larger than the image as cards are, and kept over power cuts."""

    def __init__(self, folder: Path, settings: str, card_bytes: int = 2 << 30) -> None:
        found = image()
        assert found is not None
        self.folder, self.card = folder, folder / "card.img"
        subprocess.run(["cp", "--sparse=always", found, self.card], check=True)
        with self.card.open("r+b") as card:
            card.truncate(card_bytes)
        (folder / "tillwire.toml").write_text(settings)
        self.mtools("mcopy", "-o", folder / "tillwire.toml", "::tillwire.toml")
        self.till_port = free_port()
        self.console = folder / "console.log"
        self.began = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def mtools(self, tool: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [tool, "-i", f"{self.card}@@{CARD_AT}", *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def boot(self) -> None:
        self.began = time.monotonic()
        with self.console.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "qemu-system-aarch64", "-M", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a53",
                    "-smp", "2", "-m", "1024", "-nodefaults", "-nographic", "-no-reboot",
                    "-kernel", str(OUT / "image-vmlinuz"), "-initrd", str(OUT / "image-initrd"), "-append", KERNEL_LINE,
                    "-drive", f"file={self.card},format=raw,if=none,id=card,cache=writeback",
                    "-device", "virtio-blk-pci,drive=card",
                    "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.till_port}-:9100",
                    "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci", "-serial", "stdio",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def cut_power(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def print(self, data: bytes, within: float = BOOT_S) -> None:
        """As a till that tries until the port is there. QEMU accepts before the guest does: a connection that is closed
        at once was none."""
        end = time.monotonic() + within
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.till_port), timeout=30) as till:
                    till.sendall(b"\x10\x04\x01")  # DLE EOT 1: the relay or its printer answers
                    if till.recv(1):
                        till.sendall(data)
                        till.shutdown(socket.SHUT_WR)
                        while till.recv(4096):
                            pass
                        return
            except OSError:
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"the till was not let in within {within:g} s:\n{self.said()[-3000:]}")
            time.sleep(0.5)
