"""Orders under mixed faults (tests/scenes/orders_faults.py). What counts is the paper: it is watched all the time, and
`judge` compares it with what the cloud says in the end.

    python -m tests.scenes.orders_campaign --orders 10000 --seed 1        one JSON line with what was found
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.scenes.orders_faults import BoxClock, Faults
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.proxy import Proxy
from tests.simulators.system import System, free_port, until

PARTS = {"kitchen": "main", "bar": "bar"}  # part -> printer; the bar's stands in for the kitchen's
ENDED = ("printed", "unconfirmed", "failed", "cancelled", "expired", "rejected", "closed")
HEAD = re.compile(rb"#(N\d{5})\n(?:[^\n]{0,20}?(Kitchen|Bar)\n)?")
MARKS = (b"** COPY", b"** STOP", b"** REPRINT")
SAID = re.compile(rb"alert=((?:waiting|failed|unconfirmed|held|cancelled):\S+) (raised|resolved)")
PROMISE_S = 30.0
GRACE_S = 6.0  # whoever is to raise the alert may just be dead: the time of a restart
LOOKS_S = 1.0


@dataclass
class Found:
    """What a campaign found; its lists must stay empty."""

    duplicates: list[str] = field(default_factory=list)  # a part with more than one slip without a mark
    silent: list[str] = field(default_factory=list)  # a part of an accepted order: neither paper nor alert ever
    untrue: list[str] = field(default_factory=list)  # the state says something else than the paper
    late: list[str] = field(default_factory=list)  # a part without paper after PROMISE_S, and no alert stood for it
    broken: list[str] = field(default_factory=list)  # faults that could not be made, or did not end
    orders: int = 0
    states: dict[str, int] = field(default_factory=dict)
    slips: int = 0
    marked: int = 0
    alerted: int = 0  # orders
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def bad(self) -> bool:
        return bool(self.duplicates or self.silent or self.untrue or self.late or self.broken)


@dataclass(frozen=True)
class OnPaper:
    number: str
    part: str
    marked: bool
    whole: bool


class Paper:
    """What stands on the printers' paper, read on as it grows."""

    def __init__(self, printers: dict[str, SimulatedPrinter]) -> None:
        self._printers = printers
        self._read = dict.fromkeys(printers, 0)
        self._cut: list[OnPaper] = []

    def slips(self) -> list[OnPaper]:
        uncut = []
        for name, printer in self._printers.items():
            pieces = printer.paper[self._read[name] :]
            self._read[name] += len(pieces)
            for piece in pieces:
                self._cut += _slips(piece, name, cut=True)
            uncut += _slips(bytes(printer._piece), name, cut=False)
        return self._cut + uncut


def _slips(piece: bytes, printer: str, *, cut: bool) -> list[OnPaper]:
    """A piece of paper holds several where one was not finished."""
    own = next(part for part, name in PARTS.items() if name == printer)
    segments, found = piece.split(b"\x1b@"), []
    for n, segment in enumerate(segments):
        if head := HEAD.search(segment):
            part = head.group(2).decode().lower() if head.group(2) else own
            marked = any(mark in segment for mark in MARKS)
            found.append(OnPaper(head.group(1).decode(), part, marked, cut and n == len(segments) - 1))
    return found


class Campaign:
    def __init__(
        self,
        folder: Path,
        orders: int,
        seed: int,
        rate: float,
        fault_s: tuple[float, float],
        longest_s: float = 45.0,
    ) -> None:
        self.rng, self.count, self.rate = random.Random(seed), orders, rate
        self.printers = {name: SimulatedPrinter() for name in PARTS.values()}
        self.line = Proxy(0)
        self.system = System(
            folder,
            broker="nats",
            printers={name: printer.url for name, printer in self.printers.items()},
            pos={"till": f"tcp://127.0.0.1:{free_port()}"},
            box={
                "orders": {"unconfirmed": "copy"},
                "cloud": {"broker": f"mqtt://127.0.0.1:{self.line.port}"},
            },
        )
        self.line.target = ("127.0.0.1", self.system.mqtt_port)
        clock = BoxClock(folder / "clock", self.system)
        self.faults = Faults(self.system, self.printers, self.line, clock, seed, fault_s, longest_s)
        self.paper = Paper(self.printers)
        self.ids: dict[str, str] = {}  # number -> id
        self.wanted: dict[tuple[str, str], float] = {}  # number, part -> when it was accepted
        self.cancelled: set[str] = set()  # numbers that their customer cancelled
        self.late: dict[tuple[str, str], str] = {}
        self._open: set[tuple[str, str]] = set()  # not on paper
        self._alone: dict[tuple[str, str], float] = {}  # since when: overdue, and no alert stands
        self._log_at = 0
        self._on_box: set[str] = set()  # alerts that stand there
        self._ever: set[str] = set()  # ids of orders that had an alert
        self._over = threading.Event()

    def run(self) -> Found:
        began = time.monotonic()
        try:
            self._start()
            threading.Thread(target=self._watch, daemon=True).start()
            self._order_all()
            broken = self.faults.stop()
            self._settle()
            found = self.judge()
            found.broken = broken
            found.seconds = round(time.monotonic() - began, 1)
            return found
        finally:
            self._over.set()
            self.faults.close()
            self.system.close(keep=True)
            self.line.close()
            for printer in self.printers.values():
                printer.close()

    def _start(self) -> None:
        self.system.set_up()
        self.system.start()
        parts: list[dict[str, Any]] = [
            {"part": "kitchen", "categories": ["kitchen", "*"], "place": ["", "main"], "instead": [["", "bar"]]},
            {"part": "bar", "categories": ["bar"], "place": ["", "bar"]},
        ]
        status, answer = self.system.api("PUT", "/v1/shop/routing", {"parts": parts})
        if status != 200:
            raise RuntimeError(f"routing: {status} {answer}")
        self.faults.start()

    # ---- orders

    def _order_all(self) -> None:
        rng = random.Random(self.rng.random())
        items = [{"name": "Soup", "category": "kitchen"}, {"name": "Beer", "category": "bar"}]
        for n in range(1, self.count + 1):
            number = f"N{n:05d}"
            chosen = rng.choice([items, items[:1], items[1:]])
            body = {"number": number, "items": chosen, "external_id": number, "total": None}
            self.ids[number] = self._sure(functools.partial(self.system.order, **body))
            now = time.monotonic()
            self.wanted |= {(number, item["category"]): now for item in chosen}
            self._open |= {(number, item["category"]) for item in chosen}
            if rng.random() < 0.05:
                self._sure(functools.partial(self.system.order, **body))
            if rng.random() < 0.08:
                victim = f"N{rng.randint(max(1, n - 5), n):05d}"
                self.cancelled.add(victim)
                path = f"/v1/orders/{self.ids[victim]}/cancel"
                self._sure(functools.partial(self.system.api, "POST", path, {"reason": "customer"}))
            time.sleep(rng.expovariate(self.rate))

    def _sure(self, ask: Callable[[], Any]) -> Any:
        """Again, while the cloud is down: as a platform does it."""

        def once() -> Any:
            with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
                return (ask(),)
            time.sleep(0.2)
            return None

        return until(once, 120, "the cloud takes an order")[0]

    # ---- looking

    def alerted(self) -> set[str]:
        """Ids of orders for which an alert stands now: in the cloud, or on the box, where one survives its process."""
        with contextlib.suppress(FileNotFoundError), (self.system.folder / "agent.log").open("rb") as log:
            log.seek(self._log_at)
            new = log.read()
            whole = new.rfind(b"\n") + 1
            self._log_at += whole
            for alert, what in SAID.findall(new[:whole]):
                (self._on_box.add if what == b"raised" else self._on_box.discard)(alert.decode())
        sql = "SELECT object FROM alarms WHERE kind LIKE 'order_%' AND cleared_at IS NULL"
        rows = self.system.query(self.system.cloud_db, sql)
        standing = {str(row[0]) for row in rows} | {alert.partition(":")[2] for alert in self._on_box}
        self._ever |= standing
        return standing

    def _watch(self) -> None:
        while not self._over.wait(LOOKS_S):
            self._look()

    def _look(self) -> None:
        now, alerted = time.monotonic(), self.alerted()
        self._open -= {(slip.number, slip.part) for slip in self.paper.slips()}
        for key in list(self._open):
            waited = now - self.wanted[key]
            if waited < PROMISE_S or self.ids[key[0]] in alerted:
                self._alone.pop(key, None)
                continue
            alone = now - self._alone.setdefault(key, now)
            if alone > GRACE_S and key not in self.late and key[0] not in self.cancelled:
                state = self._states().get(self.ids[key[0]])
                self.late[key] = f"{'/'.join(key)} {state} after {waited:.0f} s"

    def _states(self) -> dict[str, str]:
        return dict(self.system.query(self.system.cloud_db, "SELECT id, state FROM orders"))  # type: ignore[arg-type]

    def _settle(self) -> None:
        """The faults are over: every order comes to its end."""

        def over() -> bool:
            states = self._states()
            time.sleep(0.5)
            return all(states.get(order) in ENDED for order in self.ids.values())

        with contextlib.suppress(TimeoutError):
            until(over, 240 + self.count / 20, "every order ends")
        self._over.set()
        time.sleep(2 * LOOKS_S)
        self._look()

    def judge(self) -> Found:
        states = self._states()
        paper: dict[tuple[str, str], list[OnPaper]] = {}
        for slip in self.paper.slips():
            paper.setdefault((slip.number, slip.part), []).append(slip)
        said = {
            (str(order), str(part)): str(state)
            for order, part, state in self.system.query(self.system.cloud_db, "SELECT order_id, part, state FROM slips")
        }
        found = Found(orders=len(self.ids), faults=dict(self.faults.counts), late=list(self.late.values()))
        for number, order in self.ids.items():
            if states.get(order) not in ENDED:
                found.untrue.append(f"{number} is still {states.get(order, 'lost')}")
        for number, part in self.wanted:
            order, slips = self.ids[number], paper.get((number, part), [])
            state, name = said.get((order, part), "lost"), f"{number}/{part}"
            unmarked = sum(not slip.marked for slip in slips)
            if unmarked > 1:
                found.duplicates.append(f"{name}: {unmarked}")
            found.slips += len(slips)
            found.marked += len(slips) - unmarked
            if not slips and order not in self._ever and number not in self.cancelled:
                found.silent.append(f"{name} {state}")
            if state == "printed" and not any(slip.whole for slip in slips):
                found.untrue.append(f"{name} is printed, and not on paper")
            if state == "cancelled" and number not in self.cancelled:
                found.untrue.append(f"{name} is cancelled, and nobody cancelled it")
            if state in ("cancelled", "failed", "expired") and any(s.whole and not s.marked for s in slips):
                found.untrue.append(f"{name} is {state}, and on paper")
            if state == "lost" and slips:
                found.untrue.append(f"{name} is on paper, and unknown to the cloud")
        found.alerted = len(self._ever)
        found.states = dict(Counter(states.get(order, "lost") for order in self.ids.values()))
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=6.0, help="orders a second, on average")
    parser.add_argument("--fault-s", type=float, nargs=2, default=(1.0, 6.0), help="between two faults")
    parser.add_argument("--keep", type=Path, help="a folder for the databases and logs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = args.keep or Path(folder)
        found = Campaign(where / "system", args.orders, args.seed, args.rate, tuple(args.fault_s)).run()
    print(json.dumps(asdict(found)))
    return 1 if found.bad() else 0


if __name__ == "__main__":
    sys.exit(main())
