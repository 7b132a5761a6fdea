"""What the relay costs, beside socat and beside bare Python loops that do as little as can be done.

raster    1 MB of pictures without a cut, as it flows; the same with a cut that is held until all of it is on disk; CPU
          for each. `bare` copies, hashes and inserts it into SQLite in one process (bench/relay_bare.py).
cut       how long a cut is held, beside an append and fdatasync of the same bytes on the same disk
start     from starting the program to the first byte on paper
idle      memory, and wake-ups a second with a till connected and systemd's watchdog at 30 s
endless   1 GB that never ends: memory at its beginning and at its end

Rounds are interleaved, and each starts afresh; the median counts. BENCH_DIR: the disk to be measured.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.harness import ROOT
from tests.simulators.ports import free_port
from tests.simulators.system import BIN, DIE_WITH_PARENT

MB = 1 << 20
CUT = b"\x1dV\x00"
CONFIG = """\
[box]
id = "bench-box"
state_dir = "{folder}"
control = "{folder}/relay.sock"
[printer.main]
url = "tcp://127.0.0.1:{printer}"
[pos.till]
url = "tcp://127.0.0.1:{pos}"
"""


def main(quick: bool = False, parts: tuple[str, ...] = ()) -> int:
    rounds = 1 if quick else 5
    for part in parts or PARTS:
        print(f"\n== {part}", flush=True)
        PARTS[part](rounds, quick)
    return 0


# ---------------------------------------------------------------------- what is measured


def commands(folder: Path, pos: int, printer: int) -> dict[str, list[str]]:
    (folder / "agent.toml").write_text(CONFIG.format(folder=folder, pos=pos, printer=printer))
    bare = [sys.executable, "-m", "bench.relay_bare", str(pos), str(printer)]
    return {
        "socat": ["socat", f"TCP-LISTEN:{pos},reuseaddr,nodelay,fork", f"TCP:127.0.0.1:{printer},nodelay"],
        "bare epoll": bare,
        "bare, hashed and inserted": [*bare, str(folder / "bare.db")],
        "tillwire": [str(BIN / "tillwire-relay"), "--config", str(folder / "agent.toml")],
    }


class Running:
    """A device, its till and its printer."""

    def __init__(self, name: str, folder: Path, env: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pos = free_port()
            command = commands(folder, pos, listener.getsockname()[1])[name]
            self.began = time.perf_counter()
            self.process = subprocess.Popen(
                [*DIE_WITH_PARENT, *command], stderr=subprocess.DEVNULL, env=os.environ | env, cwd=ROOT,
                start_new_session=True,
            )  # fmt: skip
            self.till = self._reached(pos)
            self.till.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.settimeout(60)
            self.printer, _ = listener.accept()

    def _reached(self, port: int) -> socket.socket:
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.perf_counter() - self.began > 60:
                    raise
                time.sleep(0.001)

    def pump(self, data: bytes | memoryview, total: int = 0) -> float:
        """From the till to the printer, once, or again and again until it is `total` bytes. -> seconds."""
        left = total or len(data)
        come, at, view = 0, 0, memoryview(data)
        self.till.setblocking(False)
        self.printer.setblocking(False)
        began = time.perf_counter()
        end = left
        while come < end:
            ready, room, _ = select.select([self.printer], [self.till] if left else [], [], 60)
            if room:
                sent = self.till.send(view[at : at + min(MB // 16, left)])
                at, left = (at + sent) % len(view), left - sent
            if ready:
                come += len(self.printer.recv(1 << 18))
            if not (ready or room):
                raise TimeoutError(f"{come} of {end} bytes came within 60 s")
        return time.perf_counter() - began

    def usage(self) -> tuple[float, int, int]:
        """CPU seconds, Pss in KiB and voluntary switches of the device, its children included."""
        cpu = pss = switches = 0
        for task in Path("/proc").glob("[0-9]*"):
            try:
                if int((task / "stat").read_text().rsplit(")", 1)[1].split()[3]) != self.process.pid:
                    continue
                pss += sum(int(line.split()[1]) for line in (task / "smaps_rollup").read_text().splitlines()
                           if line.startswith("Pss:"))  # fmt: skip
                for thread in (task / "task").iterdir():
                    cpu += int((thread / "schedstat").read_text().split()[0])
                    switches += next(int(line.split()[1]) for line in (thread / "status").read_text().splitlines()
                                     if line.startswith("voluntary"))  # fmt: skip
            except OSError:
                continue
        return cpu / 1e9, pss, switches

    def stop(self) -> None:
        for sock in (self.till, self.printer):
            sock.close()
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


@contextmanager
def device(name: str, **env: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        running = Running(name, Path(folder), env)
        try:
            yield running
        finally:
            running.stop()


def picture(size: int) -> bytes:
    """About so many bytes of GS v 0, in bands of 18 KB as drivers print them."""
    rng = random.Random(1)
    return b"".join(b"\x1dv0\0\x48\0\xff\0" + rng.randbytes(72 * 255) for _ in range(size // (72 * 255)))


def told(rows: dict[str, dict[str, list[float]]], base: str) -> None:
    """Medians, and the median of each round's ratio to the base."""
    for name, row in rows.items():
        cells = []
        for what, values in row.items():
            other = rows[base].get(what)
            ratio = statistics.median(a / b for a, b in zip(values, other, strict=True)) if other and all(other) else 0
            cells.append(
                f"{what} {statistics.median(values):.4g}" + (f" ({ratio:.2f}x)" if name != base and ratio else "")
            )
        print(f"{name:28} " + "   ".join(cells), flush=True)


def rounds_of(
    names: list[str], rounds: int, each: Callable[[str], dict[str, float]]
) -> dict[str, dict[str, list[float]]]:
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            for what, value in each(name).items():
                rows[name].setdefault(what, []).append(value)
    return rows


# ---------------------------------------------------------------------- the parts


def raster_round(name: str) -> dict[str, float]:
    flow = picture(MB)
    cut = flow + CUT
    with device(name) as running:
        running.pump(picture(MB // 8) + CUT)  # its first
        time.sleep(0.3)
        found: dict[str, list[float]] = {"flows, MB/s": [], "cut held, MB/s": [], "CPU, ms/MB": []}
        for _ in range(5):
            before = running.usage()[0]
            found["flows, MB/s"].append(len(flow) / running.pump(flow) / 1e6)
            running.pump(CUT)
            time.sleep(0.3)  # what is still to be done for it counts
            found["cut held, MB/s"].append(len(cut) / running.pump(cut) / 1e6)
            time.sleep(0.3)
            found["CPU, ms/MB"].append((running.usage()[0] - before) * 1e3 / (2 * len(flow) / 1e6))
    return {what: statistics.median(values) for what, values in found.items()}


def raster(rounds: int, quick: bool) -> None:
    names = ["socat", "bare epoll", "bare, hashed and inserted", "tillwire"]
    rows = rounds_of(names, rounds, raster_round)
    told(rows, "socat")
    ours, bare = rows["tillwire"]["CPU, ms/MB"], rows["bare, hashed and inserted"]["CPU, ms/MB"]
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    print(f"CPU beside bare, hashed and inserted: {ratio:.2f}x")


def cut(rounds: int, quick: bool) -> None:
    receipt = b"\x1b@" + b"Flat white               3.40\n" * 80
    count = 20 if quick else 50

    def each(name: str) -> dict[str, float]:
        if name == "append, fdatasync":
            with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
                fd = os.open(Path(folder, "floor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                times = [timed(lambda: append(fd, receipt)) for _ in range(count)]
                os.close(fd)
        else:
            with device(name) as running:
                running.pump(receipt + CUT)
                times = []
                for _ in range(count):
                    time.sleep(0.02)
                    running.pump(receipt)
                    times.append(timed(lambda: running.pump(CUT)))
        times.sort()
        return {"p50, ms": times[len(times) // 2] * 1e3, "p99, ms": times[int(0.99 * len(times))] * 1e3}

    told(rounds_of(["append, fdatasync", "socat", "tillwire"], rounds, each), "append, fdatasync")


def append(fd: int, data: bytes) -> None:
    os.write(fd, data)
    os.fdatasync(fd)


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def start(rounds: int, quick: bool) -> None:
    def each(name: str) -> dict[str, float]:
        with device(name) as running:
            running.pump(b"x\n")
            return {"ms to the first byte": (time.perf_counter() - running.began) * 1e3}

    told(rounds_of(["socat", "bare epoll", "tillwire"], rounds, each), "bare epoll")


def idle(rounds: int, quick: bool) -> None:
    seconds = 5 if quick else 20

    def each(name: str) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(f"{folder}/notify")
            with device(name, NOTIFY_SOCKET=f"{folder}/notify", WATCHDOG_USEC="30000000") as running:
                running.pump(b"\x1b@Tea 2.50\n" + CUT)
                time.sleep(3)  # the receipt is settled, and its checkpoint made
                before = running.usage()
                time.sleep(seconds)
                after = running.usage()
        wakes = (after[2] - before[2]) / seconds
        return {"Pss, MB": after[1] / 1024, "wake-ups/s": wakes, "CPU, ms/s": (after[0] - before[0]) * 1e3 / seconds}

    told(rounds_of(["bare epoll", "tillwire"], 1, each), "bare epoll")


def endless(rounds: int, quick: bool) -> None:
    total = 64 * MB if quick else 1024 * MB
    data = picture(MB)
    with device("tillwire") as running:
        took, biggest = running.pump(data, 16 * MB), running.usage()[1]
        print(f"Pss after 16 MB {biggest / 1024:.1f} MB", end="", flush=True)
        for _ in range(total // (64 * MB)):
            took += running.pump(data, 64 * MB)
            biggest = max(biggest, running.usage()[1])
        now, rate = running.usage()[1], total / took / 1e6
    print(f", most of all {biggest / 1024:.1f} MB, after {total >> 20} MB {now / 1024:.1f} MB; {rate:.0f} MB/s")


PARTS = {"raster": raster, "cut": cut, "start": start, "idle": idle, "endless": endless}


if __name__ == "__main__":
    raise SystemExit(main("--quick" in sys.argv, tuple(word for word in sys.argv[1:] if not word.startswith("--"))))
