"""Orders under mixed faults: every process is killed, printers are off, empty, busy or swallow bytes, messages come
again, the line is cut. What counts is the paper: `judge` compares it with what the cloud says in the end.

    python -m tests.scenes.orders_campaign --orders 10000 --seed 1        one JSON line with what was found
"""

from __future__ import annotations

import argparse
import contextlib
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

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import System, free_port, until

PARTS = {"kitchen": "main", "bar": "bar"}  # part -> printer
ENDED = ("printed", "unconfirmed", "failed", "cancelled", "expired", "rejected", "closed")
HEAD = re.compile(rb"#(N\d{5})\n")
MARKS = (b"** COPY", b"** STOP", b"** REPRINT")
PROMISE_S = 30.0


@dataclass
class Found:
    """What a campaign found; the first three lists must stay empty."""

    duplicates: list[str] = field(default_factory=list)  # order/part with more than one slip without a mark
    silent: list[str] = field(default_factory=list)  # accepted, and neither paper nor alert ever
    untrue: list[str] = field(default_factory=list)  # the state says something else than the paper
    late: list[str] = field(default_factory=list)  # neither paper nor alert within PROMISE_S
    orders: int = 0
    states: dict[str, int] = field(default_factory=dict)
    marked: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Campaign:
    def __init__(self, folder: Path, orders: int, seed: int, rate: float, fault_s: tuple[float, float]) -> None:
        self.rng, self.count, self.rate, self.fault_s = random.Random(seed), orders, rate, fault_s
        self.printers = {name: SimulatedPrinter() for name in ("main", "bar")}
        self.system = System(
            folder,
            broker="nats",
            printers={name: printer.url for name, printer in self.printers.items()},
            pos={"till": f"tcp://127.0.0.1:{free_port()}"},
            box={"orders": {"unconfirmed": "copy"}},
        )
        self.ids: dict[str, str] = {}  # number -> id
        self.accepted: dict[str, float] = {}
        self.seen: dict[str, float] = {}  # number -> when paper or alert was first seen
        self.faults: Counter[str] = Counter()
        self._stop, self._calm, self._end = threading.Event(), threading.Event(), threading.Event()
        self._replayed: list[tuple[str, bytes]] = []

    def run(self) -> Found:
        began = time.monotonic()
        try:
            self._start()
            threads = [threading.Thread(target=work, daemon=True) for work in (self._hurt, self._watch)]
            for thread in threads:
                thread.start()
            self._order_all()
            self._stop.set()
            if not self._calm.wait(120):
                raise RuntimeError("a fault did not end: a process did not start again")
            self._settle()
            found = self.judge()
            found.seconds = round(time.monotonic() - began, 1)
            return found
        finally:
            self._stop.set()
            self._end.set()
            self.system.close(keep=True)
            for printer in self.printers.values():
                printer.close()

    def _start(self) -> None:
        self.system.set_up()
        self.system.start()
        places = [
            {"part": part, "categories": [part, *(["*"] if part == "kitchen" else [])], "place": ["", printer]}
            for part, printer in PARTS.items()
        ]
        status, answer = self.system.api("PUT", "/v1/shop/routing", {"parts": places})
        if status != 200:
            raise RuntimeError(f"routing: {status} {answer}")
        self.tap = paho.Client(CallbackAPIVersion.VERSION2, client_id="tap", clean_session=True)
        self.tap.on_connect = lambda client, *_: client.subscribe("tillwire/1/+/+/down/orders", 0)
        self.tap.on_message = lambda _c, _d, message: self._replayed.append((message.topic, bytes(message.payload)))
        self.tap.reconnect_delay_set(1, 1)
        self.tap.connect("127.0.0.1", self.system.mqtt_port)
        self.tap.loop_start()

    # ---- orders

    def _order_all(self) -> None:
        rng = random.Random(self.rng.random())
        for n in range(1, self.count + 1):
            number = f"N{n:05d}"
            items = [{"name": "Soup", "category": "kitchen"}, {"name": "Beer", "category": "bar"}]
            chosen = rng.choice([items, items[:1], items[1:]])
            body = {"number": number, "items": chosen, "external_id": number, "total": None}
            self.ids[number] = self._sure(lambda body=body: self.system.order(**body))  # type: ignore[misc]
            self.accepted[number] = time.monotonic()
            if rng.random() < 0.05:
                self._sure(lambda body=body: self.system.order(**body))  # type: ignore[misc]
            if rng.random() < 0.08:
                victim = self.ids[f"N{rng.randint(max(1, n - 5), n):05d}"]
                self._sure(lambda v=victim: self.system.api("POST", f"/v1/orders/{v}/cancel", {"reason": "customer"}))  # type: ignore[misc]
            self._stop.wait(rng.expovariate(self.rate))

    def _sure(self, ask: Callable[[], Any]) -> Any:
        """Again, while the cloud is down: as a platform does it."""

        def once() -> Any:
            with contextlib.suppress(OSError, RuntimeError):
                return (ask(),)
            time.sleep(0.2)
            return None

        return until(once, 120, "the cloud takes an order")[0]

    # ---- faults

    def _hurt(self) -> None:
        rng = random.Random(self.rng.random())
        faults: list[Callable[[random.Random], None]] = [
            self._kill, self._kill, self._unplug, self._paper, self._cover, self._freeze, self._swallow, self._replay,
            self._power, self._cut_line,
        ]  # fmt: skip
        while not self._stop.wait(rng.uniform(*self.fault_s)):
            fault = rng.choice(faults)
            self.faults[fault.__name__.strip("_")] += 1
            fault(rng)
        self._calm.set()
        self._end.wait()  # what this thread has started dies with it (PR_SET_PDEATHSIG)

    def _kill(self, rng: random.Random) -> None:
        names = rng.sample(["cloud", "relay", "agent", "broker"], rng.choice([1, 1, 1, 2]))
        for name in names:
            self.system.kill(name)
        time.sleep(rng.uniform(0, 1.5))
        self.system.start(*sorted(names, key=["broker", "cloud", "relay", "agent"].index))

    def _cut_line(self, rng: random.Random) -> None:
        self.system.kill("broker")
        time.sleep(rng.uniform(1, 5))
        self.system.start("broker")

    def _one(self, rng: random.Random) -> SimulatedPrinter:
        return self.printers[rng.choice(list(self.printers))]

    def _unplug(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.unplug(reset=rng.random() < 0.5)
        time.sleep(rng.uniform(0.2, 3))
        printer.plug_in()

    def _power(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.power_cycle()
        time.sleep(rng.uniform(0.2, 2))
        printer.plug_in()

    def _paper(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.set(paper="out")
        time.sleep(rng.uniform(0.5, 4))
        printer.set(paper="ok")

    def _cover(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.set(cover=True)
        time.sleep(rng.uniform(0.5, 3))
        printer.set(cover=False)

    def _freeze(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.freeze()
        time.sleep(rng.uniform(0.5, 4))
        printer.thaw()

    def _swallow(self, rng: random.Random) -> None:
        """It prints and says nothing: no proof."""
        printer = self._one(rng)
        printer.silent = True
        time.sleep(rng.uniform(1, 4))
        printer.silent = False

    def _replay(self, rng: random.Random) -> None:
        """Yesterday's messages come again, in any order."""
        for topic, payload in rng.sample(self._replayed, min(20, len(self._replayed))):
            self.tap.publish(topic, payload, qos=1)

    # ---- looking

    def slips(self) -> dict[str, list[tuple[str, bool, bool]]]:
        """Number -> (printer, marked, whole) for each slip that stands on paper."""
        out: dict[str, list[tuple[str, bool, bool]]] = {}
        for name, printer in self.printers.items():
            pieces = [(piece, True) for piece in list(printer.paper)] + [(bytes(printer._piece), False)]
            for piece, cut in pieces:
                segments = piece.split(b"\x1b@")
                for n, segment in enumerate(segments):
                    found = HEAD.search(segment)
                    if found:
                        whole = cut and n == len(segments) - 1
                        marked = any(mark in segment for mark in MARKS)
                        out.setdefault(found.group(1).decode(), []).append((name, marked, whole))
        return out

    def alerted(self) -> set[str]:
        """Ids of orders that raised an alert: in the cloud, or on the box."""
        rows = self.system.query(self.system.cloud_db, "SELECT object FROM alarms WHERE kind LIKE 'order_%'")
        said = re.findall(r"alert=(?:waiting|failed|unconfirmed|held|cancelled):(\S+) raised", self.system.log("agent"))
        return {str(row[0]) for row in rows} | set(said)

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            self._look()

    def _look(self) -> None:
        now, paper, alerted = time.monotonic(), self.slips(), self.alerted()
        for number, order in list(self.ids.items()):
            if number not in self.seen and (number in paper or order in alerted):
                self.seen[number] = now

    def _states(self) -> dict[str, str]:
        return dict(self.system.query(self.system.cloud_db, "SELECT id, state FROM orders"))  # type: ignore[arg-type]

    def _settle(self) -> None:
        """The faults are over: every order comes to its end."""

        def over() -> bool:
            self._look()
            states = self._states()
            time.sleep(0.5)
            return all(states.get(order) in ENDED for order in self.ids.values())

        with contextlib.suppress(TimeoutError):
            until(over, 120 + self.count / 20, "every order ends")
        time.sleep(1)
        self._look()

    def judge(self) -> Found:
        paper, states, alerted = self.slips(), self._states(), self.alerted()
        rows = self.system.query(self.system.cloud_db, "SELECT order_id, part, state FROM slips")
        parts: dict[str, dict[str, str]] = {}
        for order, part, state in rows:
            parts.setdefault(str(order), {})[str(part)] = str(state)
        found = Found(orders=len(self.ids), faults=dict(self.faults))
        for number, order in self.ids.items():
            slips, state = paper.get(number, []), states.get(order, "lost")
            by_printer = Counter(name for name, marked, _ in slips if not marked)
            found.duplicates += [f"{number} on {name}: {n}" for name, n in by_printer.items() if n > 1]
            found.marked += sum(marked for _, marked, _ in slips)
            if not slips and order not in alerted and state != "cancelled":
                found.silent.append(f"{number} {state}")
            if state not in ENDED:
                found.untrue.append(f"{number} is still {state}")
            for part, said in parts.get(order, {}).items():
                here = [(marked, whole) for name, marked, whole in slips if name == PARTS.get(part)]
                if said == "printed" and not any(whole for _, whole in here):
                    found.untrue.append(f"{number}/{part} is printed, and not on paper")
                if said in ("cancelled", "failed", "expired") and any(not marked and whole for marked, whole in here):
                    found.untrue.append(f"{number}/{part} is {said}, and on paper")
            waited = self.seen.get(number, float("inf")) - self.accepted[number]
            if waited > PROMISE_S + 1 and state != "cancelled":
                found.late.append(f"{number} {waited:.0f} s")
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
    return 1 if found.duplicates or found.silent or found.untrue else 0


if __name__ == "__main__":
    sys.exit(main())
