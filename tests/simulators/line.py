"""A network namespace whose one way out is a bad line: slow, far, lossy. For kernels without netem; needs root and tun.

What runs behind `line.inside` reaches this machine at `line.address` and nothing else. Packets of each direction go one
behind the other at so many kbit/s, wait `delay_ms` (give or take `jitter_ms`, never overtaking), and some are lost; a
queue that is full drops what comes. The switches may be turned while it runs.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
QUEUE = 60  # packets: at 40 kbit/s and 1,500 bytes they are 18 s


class NoLine(Exception):
    """This machine cannot have one: no root, no tun, no ip."""


class Line:
    def __init__(
        self, kbit: float = 0, delay_ms: float = 0, jitter_ms: float = 0, loss: float = 0, seed: int = 1
    ) -> None:
        """`kbit`: per second, 0 for no limit. `loss`: 0 to 1. Raises NoLine."""
        self.kbit, self.delay_ms, self.jitter_ms, self.loss = kbit, delay_ms, jitter_ms, loss
        self.passed = self.lost = self.bytes_up = self.bytes_down = 0
        self._rng = random.Random(seed)
        number = os.getpid() % 200 + 20
        self.name = f"tillwire{os.getpid()}"
        self.address, far = f"10.77.{number}.1", f"10.77.{number}.2"
        self.inside = ["ip", "netns", "exec", self.name]
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise NoLine("needs root and ip")
        try:
            self._near, self._far = _tun("twnear"), _tun("twfar")
            _ip("netns", "add", self.name)
            _ip("link", "set", "twfar", "netns", self.name)
            for where, device, address in (([], "twnear", self.address), (["-n", self.name], "twfar", far)):
                _ip(*where, "addr", "add", f"{address}/24", "dev", device)
                _ip(*where, "link", "set", device, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self._forget()
            raise NoLine(str(error)) from error
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._carry, args=way, name="line", daemon=True)
            for way in ((self._far, self._near, True), (self._near, self._far, False))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(5)
        self._forget()

    def _forget(self) -> None:
        for fd in (getattr(self, "_near", None), getattr(self, "_far", None)):
            if fd is not None:
                os.close(fd)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def _carry(self, source: int, drain: int, up: bool) -> None:
        """One direction."""
        waiting: deque[tuple[float, bytes]] = deque()  # when each comes out
        free_at = 0.0
        while not self._ending.is_set():
            pause = min(0.2, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.2
            if select.select([source], [], [], pause)[0]:
                packet = os.read(source, 65536)
                now = time.monotonic()
                if self._rng.random() < self.loss or len(waiting) >= QUEUE:
                    self.lost += 1
                else:
                    free_at = max(now, free_at) + (len(packet) / (self.kbit * 125) if self.kbit else 0)
                    delay = self.delay_ms + self._rng.uniform(-self.jitter_ms, self.jitter_ms)
                    out = max(free_at + max(0.0, delay) / 1000, waiting[-1][0] if waiting else 0.0)
                    waiting.append((out, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                packet = waiting.popleft()[1]
                self.passed += 1
                if up:
                    self.bytes_up += len(packet)
                else:
                    self.bytes_down += len(packet)
                try:
                    os.write(drain, packet)
                except OSError:  # the other end is not up (any more)
                    self.lost += 1


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
