"""make demo: the whole system on this machine, live in the terminal.

A simulated till prints through TCP and through a serial line onto one simulated printer; a box (relay and agent) stands
between; the cloud stores, acknowledges, and sends orders. What is shown is read from the real doors and databases.

--seconds N     run that long, over one month's past in place of six; exit 0 only if every receipt that was printed was
                stored, acknowledged and released, and every order from a table is on paper
--no-till       no simulated till (make run): print to the address it shows, from a real one
--printer URL   a real printer in place of the simulated one: tcp://192.168.1.50:9100, serial:///dev/ttyUSB0?baud=38400
--plain         one line per fact, no live view
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.demo_shop import fill
from tests.demo_view import STEPS, WORDS, Live, Plain, Slip
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import BOX, MERCHANT, PASSWORD, USER, System, free_port
from tests.simulators.till import Printed, SerialTill, TcpTill, connect, receipt

MENU = (
    ("Flat white", 340),
    ("Carrot cake", 450),
    ("Ham & cheese toastie", 695),
    ("牛肉拉面", 2800),
    ("Apfelkuchen", 310),
)


class Demo:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = Path(tempfile.mkdtemp(prefix="tillwire-demo-"))
        self.receipts: dict[bytes, Slip] = {}
        self.orders: dict[str, Slip] = {}
        self.recent: deque[Slip] = deque(maxlen=14)
        self.stop = threading.Event()
        self.trouble: list[str] = []
        self.printer = None if args.printer else SimulatedPrinter()
        self.tcp_url = f"tcp://{args.listen}:{_port(9100)}"
        pos = {"till": args.pos or self.tcp_url}
        self.serial: SerialTill | None = None
        if not args.no_till:
            self.serial = SerialTill(f"serial://{self.folder}/till-tty")
            pos["kiosk"] = f"serial://{self.serial.path}?baud=38400"
        self.system = System(
            self.folder / "system",
            printers={"main": args.printer or self.printer.url},
            pos=pos,
            box={"alerts": {"sound": True}, "capture": {"keep_days": 0, "quiet_ms": 1500}},
        )

    # ---- the shop's side

    def print_receipts(self, till: TcpTill | SerialTill, via: str, numbers: itertools.count[int], pace: float) -> None:
        rng = random.Random(via)
        while not self.stop.wait(rng.uniform(0.6, 1.4) * pace):
            sent = receipt(next(numbers), rng)
            self.note(sent, via)
            try:
                till.send(sent.raw)
                if rng.random() < 0.3:
                    till.ask(b"\x10\x04\x01")
            except OSError as error:
                self.trouble.append(f"the till on {via} could not print: {error}")
                return

    def note(self, sent: Printed, via: str) -> None:
        total = sent.shop.money(sent.total)
        slip = Slip(f"{sent.shop.name} {sent.number}", total, via, time.monotonic(), hashlib.sha256(sent.raw).digest())
        self.receipts[slip.digest] = slip
        self.recent.append(slip)

    def codes(self) -> dict[str, str]:
        """The shop's menu and its codes: open them on a phone, or here, and order."""
        import httpx

        from tests.cloud.guest import open_shop

        with httpx.Client(base_url=self.system.url, headers={"Authorization": f"Bearer {self.system.key}"}) as api:
            red, black = open_shop(api, timezone="Europe/London")
        return {"Red code, table 7 (prints at once)": red, "Black code, takeaway (you accept first)": black}

    def place_orders(self) -> None:
        rng = random.Random(3)
        for n in itertools.count(1):
            if self.stop.wait(2.0 if n == 1 else 6.0):
                return
            table = n % 4 != 0
            chosen = rng.sample(MENU, 2)
            body: dict[str, Any] = {
                "kind": "dine_in" if table else "takeaway",
                "items": [{"name": name, "quantity": rng.randint(1, 2), "unit_price": price} for name, price in chosen],
                "total": None,
                "note": rng.choice(("", "", "no sugar", "quick, please")),
            }
            body |= {"table": str(rng.randint(1, 20))} if table else {"table": "", "customer": "Lin"}
            try:
                order = self.system.order(**body)
            except (OSError, RuntimeError) as error:
                self.trouble.append(f"an order was refused: {error}")
                continue
            where = f"table {body['table']}" if table else "takeaway"
            self.orders[order] = Slip(where, ", ".join(name for name, _ in chosen), "API", time.monotonic())

    # ---- what is true

    def look(self) -> None:
        """Ask the databases and the cloud how far everything has come."""
        now = time.monotonic()
        journal: dict[bytes, tuple[bool, bool]] = {}
        for number, digest, acked_ran, held, pos, size in self.system.query(self.system.capture_db, JOURNAL):
            journal[digest] = (acked_ran is not None, held is not None)
            if self.args.no_till and digest not in self.receipts:
                self.receipts[digest] = Slip(f"job {number & 0xFFFFFFFF}", f"{size} bytes", pos, now, digest)
                self.recent.append(self.receipts[digest])
        stored = {bytes(r[0]): r[1] for r in self.system.query(self.system.cloud_db, STORED)}
        paper = self.printer.received if self.printer and not self.args.no_till else b""
        for digest, slip in list(self.receipts.items()):  # tills add to it meanwhile
            total = stored.get(digest)
            slip.read = "" if total is None else f"{total / 100:.2f}"
            if "gone" in slip.reached:
                continue
            acked, held = journal.get(digest, (False, True))
            facts = {
                "paper": digest in journal and (not paper or slip.label[-6:].encode() in paper),
                "safe": digest in journal,
                "acked": acked and digest in stored,
                "gone": acked and not held and digest in stored,
            }
            for step, true in facts.items():
                if true:
                    slip.reached.setdefault(step, now - slip.began)

    def ask_orders(self) -> None:
        """The cloud's word on every order that is not settled; the box's log on its alert."""
        for name, process in self.system.running.items():
            if process.poll() is not None and not any(name in text for text in self.trouble):
                self.trouble.append(f"{name} ended with {process.returncode}: {self.system.folder / name}.log says why")
        said = self.system.log("agent")
        for order, slip in list(self.orders.items()):
            if f"alert=new_order:{order} raised" in said:
                slip.alert = "♪ done" if f"alert=new_order:{order} resolved" in said else "♪ sounding"
            if slip.state not in ("printed", "failed", "unconfirmed"):
                answer = self.system.order_state(order)
                slip.state, slip.proof = answer.get("state", "?"), answer.get("proof", "")

    def unfinished(self) -> list[str]:
        """What has not come all the way yet, in words."""
        left = [
            f"receipt {slip.label}: not {WORDS[step]}"
            for slip in list(self.receipts.values())
            for step in STEPS
            if step not in slip.reached
        ]
        left += [
            f"order for {slip.label}: {slip.state or 'submitted'}"
            for slip in list(self.orders.values())
            if slip.state not in ("printed", "review")
        ]
        return left

    # ---- run

    def run(self) -> int:
        say = print
        say("Tillwire demo: starting the cloud, its broker and a box ...", flush=True)
        began = time.monotonic()
        try:
            self.system.set_up()
            if not self.args.no_till:
                fill(self.system.cloud_db, MERCHANT, BOX, months=1 if self.args.seconds else 6, per_day=35)
            self.system.start()
            say(f"Up after {time.monotonic() - began:.1f} s. Everything is in {self.folder} until this ends.")
            say(f"Console: {self.system.url}   name: {USER}   password: {PASSWORD}")
            for name, url in self.codes().items():
                say(f"{name}: {url}")
            threads = self.start_threads()
            plain = self.args.plain or not sys.stdout.isatty()
            view: Plain | Live = Plain(self) if plain else Live(self)
            end = time.monotonic() + self.args.seconds if self.args.seconds else float("inf")
            with view:
                self.watch(view, lambda: time.monotonic() > end)
                self.stop.set()
                for thread in threads:
                    thread.join(10)
                patience = time.monotonic() + 20
                self.watch(view, lambda: not self.unfinished() or time.monotonic() > patience)
        except KeyboardInterrupt:
            self.stop.set()
        finally:
            self.close()
        return self.verdict()

    def watch(self, view: Plain | Live, over: Callable[[], bool]) -> None:
        """Look 40 times a second, so that the times shown are those of the system; ask and draw 5 times."""
        for n in itertools.count():
            self.look()
            if n % 8 == 0:
                self.ask_orders()
                view.show()
                if over():
                    return
            time.sleep(0.025)

    def start_threads(self) -> list[threading.Thread]:
        if self.args.no_till:
            say = f"Print to {self.args.pos or self.tcp_url}; paper is shown here."
            print(say if self.printer else say.split(";")[0] + f"; it comes out of {self.args.printer}.")
            return []
        numbers = itertools.count(1)
        till = connect(self.tcp_url)
        jobs = [
            (self.print_receipts, (till, "TCP", numbers, 1.2)),
            (self.print_receipts, (self.serial, "serial", numbers, 2.0)),
            (self.place_orders, ()),
        ]
        threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in jobs]
        for thread in threads:
            thread.start()
        return threads

    def close(self) -> None:
        self.stop.set()
        self.system.close(keep=True)
        if self.printer:
            self.printer.close()
        if self.serial:
            self.serial.close()

    def verdict(self) -> int:
        counts = {step: sum(step in slip.reached for slip in self.receipts.values()) for step in STEPS}
        print(f"{len(self.receipts)} receipts: " + ", ".join(f"{n} {WORDS[step]}" for step, n in counts.items()) + ".")
        printed = [slip for slip in self.orders.values() if slip.state == "printed"]
        waiting = sum(slip.state == "review" for slip in self.orders.values())
        print(f"{len(self.orders)} orders: {len(printed)} printed with proof, {waiting} waiting for a person's yes.")
        problems = self.trouble + (self.unfinished() if self.args.seconds else [])
        for problem in problems[:20]:
            print("  !", problem)
        if problems:
            print(f"The logs are in {self.folder / 'system'}.")
            return 1
        shutil.rmtree(self.folder, ignore_errors=True)
        return 0


STORED = "SELECT j.sha256, r.total FROM jobs j LEFT JOIN receipts r ON r.job_id = j.id AND r.n = 0"
# key, hash, when it was released, whether its bytes are still there
JOURNAL = """
SELECT id, sha256, acked_ran, (SELECT 1 FROM pieces WHERE pieces.id BETWEEN capture * 128 AND capture * 128 + 127),
    pos, size
FROM jobs
"""


def _port(wanted: int) -> int:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--no-till", action="store_true")
    parser.add_argument("--printer", default="")
    parser.add_argument("--pos", default="", help="where a real POS comes in, in place of TCP: serial:///dev/ttyUSB0")
    parser.add_argument("--listen", default="127.0.0.1", help="address for TCP; 0.0.0.0 lets the shop's network in")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return Demo(parser.parse_args()).run()


if __name__ == "__main__":
    raise SystemExit(main())
