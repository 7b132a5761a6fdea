"""A whole system whose processes are killed at random moments, again and again, while a till prints.

At the end: every receipt whose cut was on paper is in the cloud; no key is there twice; of each journal every number
is accounted for; and no receipt is there twice but one that the till itself sent again, its line having broken.

As a program: python -m tests.rigs.campaign KILLS [SEED]
"""

from __future__ import annotations

import random
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.rigs.nursery import Grown, Nursery
from tests.simulators.system import System, free_port, listens, until

CUT = b"\x1dVB\x00"
NUMBER = re.compile(rb"R(\d{8})")
VICTIMS = ("relay", "relay", "agent", "agent", "broker", "cloud", "relay+agent", "broker+cloud", "agent+cloud")
# where computing time counts: who starts quickly dies more often
QUICK = ("relay",) * 15 + ("broker",) * 6 + ("agent", "relay+agent", "broker+cloud")


class Sink:
    """A printer that only keeps the numbers of what was cut, in order of their cuts."""

    def __init__(self) -> None:
        self.cut: set[int] = set()
        self.changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        paper = b""
        with link:
            while True:
                try:
                    data = link.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                *pieces, paper = (paper + data).split(CUT)
                if pieces:
                    with self.changed:
                        self.cut |= {int(n) for piece in pieces for n in NUMBER.findall(piece)[-1:]}
                        self.changed.notify_all()

    def close(self) -> None:
        self._server.close()


class Till(threading.Thread):
    """Prints one receipt behind the other; where its line breaks, it repeats the one that it was at."""

    def __init__(self, address: tuple[str, int], sink: Sink, pause_s: float) -> None:
        super().__init__(daemon=True, name="till")
        self.address, self.sink, self.pause_s = address, sink, pause_s
        self.number, self.repeated = 0, set[int]()
        self.most = float("inf")  # it rests when it has printed so many
        self.ending = threading.Event()

    def run(self) -> None:
        line: socket.socket | None = None
        while not self.ending.is_set():
            number = self.number + 1
            if number > self.most:
                self.ending.wait(0.02)
                continue
            raw = b"\x1b@HARBOUR COFFEE\nReceipt R%08d\n" % number + b"Flat white   3.40\n" * (number % 20 + 1) + CUT
            while not self.ending.is_set():
                try:
                    line = line or socket.create_connection(self.address, 5)
                    line.sendall(raw)
                    if self._is_cut(number, line):
                        break
                    raise ConnectionError
                except OSError:
                    if line is not None:
                        self.repeated.add(number)
                        line.close()
                        line = None
                    self.ending.wait(0.02)
            self.number = number
            self.ending.wait(self.pause_s)

    def _is_cut(self, number: int, line: socket.socket) -> bool:
        line.settimeout(0)
        while True:
            with self.sink.changed:
                if self.sink.changed.wait_for(lambda: number in self.sink.cut, 0.05):
                    line.settimeout(5)
                    return True
            try:
                if line.recv(64) == b"":
                    return False
            except BlockingIOError:
                pass


class Quickly(System):
    """Its commands are forked off a nursery too."""

    cloud: Nursery

    def cloud_command(self, *words: str, stdin: str = "") -> str:
        log = self.folder / "command.log"
        command = self.cloud.start(["--config", str(self.cloud_toml), *words], log, stdin)
        until(lambda: command.poll() is not None, 120, " ".join(words))
        said = log.read_text()
        if command.poll():
            raise RuntimeError(f"{' '.join(words)}: {said}")
        return said.strip().splitlines()[-1]


class Campaign:
    def __init__(
        self,
        folder: Path,
        seed: int,
        pause_s: float = 0.0,
        victims: tuple[str, ...] = VICTIMS,
        ahead: float = float("inf"),
    ) -> None:
        """`pause_s`: how long the till rests between two receipts. `victims`: who is killed, each as likely. `ahead`:
        so many more receipts than a kill waits for are printed meanwhile."""
        self.ahead = ahead
        self.rng, self.sink, self.victims = random.Random(seed), Sink(), victims
        self.port = free_port()
        self.system = Quickly(
            folder, broker="nats", printers={"main": self.sink.url}, pos={"till": f"tcp://127.0.0.1:{self.port}"},
            box={"printer.main": {"model": "one-way"}},
        )  # fmt: skip
        self.nurseries = {name: Nursery(name) for name in ("relay", "agent", "cloud")}
        self.system.cloud = self.nurseries["cloud"]
        self.system.set_up()
        self.grown: dict[str, Grown] = {}
        self.kills: Counter[str] = Counter()
        self.start("broker", "cloud", "relay", "agent")
        until(lambda: listens(self.port), 60, "the relay listens")
        self.till = Till(("127.0.0.1", self.port), self.sink, pause_s)
        self.till.start()

    def start(self, *names: str) -> None:
        system = self.system
        for name in names:
            if name == "broker":
                system.start("broker")
                continue
            config = system.cloud_toml if name == "cloud" else system.agent_toml
            more = ["all"] if name == "cloud" else []
            log = system.folder / f"{name}.log"
            self.grown[name] = self.nurseries[name].start(["--config", str(config), *more], log)

    def kill(self, names: list[str]) -> None:
        for name in names:
            if name == "broker":
                self.system.kill("broker")
            else:
                self.grown[name].kill()
            self.kills[name] += 1

    def run(self, kills: int) -> None:
        """So many kills; between them the till goes on by one to six receipts. Before every fourth the cloud gets some
        of them: else there would be kills of programs that have only just begun, and no others."""
        rounds = 0
        while sum(self.kills.values()) < kills:
            rounds += 1
            if rounds % 4 == 0:
                there = self.arrived()
                self.till.most += 1  # something that has not arrived
                until(lambda there=there: self.arrived() > there, 60, "receipts arrive")  # type: ignore[misc]
            have, more = self.till.number, self.rng.randint(1, 6)
            self.till.most = have + more + self.ahead
            until(lambda have=have, more=more: self.till.number >= have + more, 60, "the till prints on")  # type: ignore[misc]
            time.sleep(self.rng.random() * 0.02)  # not to wait for anything: to be killed at any moment
            names = self.rng.choice(self.victims).split("+")
            self.kill(names)
            self.start(*names)

    def finish(self, within: float = 120) -> str:
        """All of it arrives -> what it was, in one line. Raises AssertionError, TimeoutError."""
        self.till.ending.set()
        self.till.join(60)
        cut = set(self.sink.cut)
        until(lambda: cut <= set(self.stored()), within, "every receipt that was cut is in the cloud")
        until(lambda: not self.holes(), within, f"every number is accounted for; holes: {self.holes()}")
        stored = self.stored()
        twice = {n for n, count in stored.items() if count > 1} - self.till.repeated
        assert not twice, f"stored twice, though the till sent them once: {sorted(twice)[:10]}"
        rows = self.system.query(self.system.cloud_db, "SELECT count(*) FROM jobs GROUP BY box, epoch, seq")
        assert all(row[0] == 1 for row in rows), "one key, one row"
        return (
            f"{sum(self.kills.values())} kills ({dict(self.kills)}), {len(cut)} receipts cut, {len(rows)} jobs, 0 lost"
        )

    def arrived(self) -> int:
        return int(self.system.query(self.system.cloud_db, "SELECT count(*) FROM jobs")[0][0])

    def stored(self) -> Counter[int]:
        """How many whole jobs in the cloud carry each number."""
        rows = self.system.query(
            self.system.cloud_db, "SELECT p.raw FROM papers p JOIN jobs j ON p.job_id = j.id WHERE j.boundary = 'cut'"
        )
        assert all(raw for (raw,) in rows), "a receipt came without its bytes"
        return Counter(int(n) for (raw,) in rows for n in NUMBER.findall(raw)[-1:])

    def holes(self) -> list[tuple[str, int]]:
        """Numbers of a journal, up to its last, that are neither in the cloud nor buried."""
        out = []
        system = self.system
        for n, epoch in system.query(system.capture_db, "SELECT n, epoch FROM epochs"):
            last = system.query(system.capture_db, "SELECT max(id) FROM jobs WHERE id >> 40 = ?", (n,))[0][0] or 0
            seqs = {row[0] for row in system.query(system.cloud_db, "SELECT seq FROM jobs WHERE epoch = ?", (epoch,))}
            for first, end in system.query(
                system.cloud_db, "SELECT first, last FROM tombstones WHERE epoch = ?", (epoch,)
            ):
                seqs |= set(range(first, end + 1))
            out += [(epoch, seq) for seq in range(1, (last & (1 << 40) - 1) + 1) if seq not in seqs]
        return out

    def close(self) -> None:
        self.till.ending.set()
        for grown in self.grown.values():
            grown.kill()
        for nursery in self.nurseries.values():
            nursery.close()
        self.system.close()
        self.sink.close()


def main() -> int:
    kills, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder, "system"), seed)
        try:
            began = time.monotonic()
            campaign.run(kills)
            print(campaign.finish(within=600), f"in {time.monotonic() - began:.0f} s")
        finally:
            campaign.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
