"""What happens to a shop while it takes orders, at random: to its processes and its line, and to its printers.

Two threads hurt at once, so that faults overlap: one whose printer is out of paper loses its line too. A thread ends
each fault that it began; `calm` is set when both have. Most faults last a moment, one in ten longer than the 30 seconds
in which an order must be on paper or told.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.simulators.printer import SimulatedPrinter
from tests.simulators.proxy import Proxy
from tests.simulators.system import System

ORDER = ["broker", "cloud", "relay", "agent"]  # in which processes are started
DAY_S = 86_400.0
CLOCK = """
import time
from pathlib import Path
_offset, _boot = Path({offset!r}), Path({boot!r})
_ns, _time = time.time_ns, time.time
def _off():
    try:
        return float(_offset.read_text())
    except (OSError, ValueError):
        return 0.0
time.time_ns = lambda: _ns() + int(_off() * 1e9)
time.time = lambda: _time() + _off()
"""
BOOT = {
    "relay": "import relay.clock\nrelay.clock.BOOT = _boot.read_text()\n",
    "agent": "import agent.clock\nagent.clock.BOOT_ID = _boot\n",
}


class BoxClock:
    """The wall clock and the boot id that the box's processes see; put in before their own first line."""

    def __init__(self, folder: Path, system: System) -> None:
        self.offset, self.boot, self.boots = folder / "offset", folder / "boot", 0
        folder.mkdir(parents=True)
        self.step(0.0)
        self.reboot()
        for name, more in BOOT.items():
            (folder / name).mkdir()
            text = CLOCK.format(offset=str(self.offset), boot=str(self.boot)) + more
            (folder / name / "sitecustomize.py").write_text(text)
            path = os.pathsep.join(filter(None, [str(folder / name), os.environ.get("PYTHONPATH")]))
            system.inside[name] = ["env", f"PYTHONPATH={path}"]

    def step(self, offset: float) -> None:
        part = self.offset.with_suffix(".new")
        part.write_text(str(offset))
        part.rename(self.offset)

    def reboot(self) -> None:
        self.boots += 1
        self.boot.write_text(f"boot-{self.boots}")


class Faults:
    """`start()` once the system runs; `stop()` returns when every fault is over."""

    def __init__(
        self,
        system: System,
        printers: dict[str, SimulatedPrinter],
        line: Proxy,
        clock: BoxClock,
        seed: int,
        between_s: tuple[float, float],
        longest_s: float,
    ) -> None:
        self.system, self.printers, self.line, self.clock = system, printers, line, clock
        self.seed, self.between_s, self.longest_s = seed, between_s, longest_s
        self.counts: Counter[str] = Counter()
        self._stop, self._end = threading.Event(), threading.Event()
        self._calm = [threading.Event(), threading.Event()]
        self._heard: list[tuple[str, bytes]] = []
        self._failed: list[str] = []

    def start(self) -> None:
        self.tap = paho.Client(CallbackAPIVersion.VERSION2, client_id="tap", clean_session=True)
        leaves = ("down/orders", "up/reports")
        self.tap.on_connect = lambda c, *_: c.subscribe([(f"tillwire/1/+/+/{leaf}", 0) for leaf in leaves])
        self.tap.on_message = lambda _c, _d, message: self._heard.append((message.topic, bytes(message.payload)))
        self.tap.reconnect_delay_set(1, 1)
        self.tap.connect("127.0.0.1", self.system.mqtt_port)
        self.tap.loop_start()
        at_processes = [self._kill, self._kill, self._reboot, self._broker, self._hole, self._reset, self._replay]
        at_printers = [
            self._unplug, self._power, self._paper, self._cover, self._busy, self._mute, self._swallow, self._clock,
        ]  # fmt: skip
        for n, faults in enumerate((at_processes, at_printers)):
            rng = random.Random(f"{self.seed} {n}")
            threading.Thread(target=self._hurt, args=(faults, rng, self._calm[n]), daemon=True).start()

    def stop(self, within: float = 180.0) -> list[str]:
        """No new faults. -> what went wrong with those that there were: then the campaign says nothing."""
        self._stop.set()
        ended = [calm.wait(within) for calm in self._calm]
        return self._failed + ["a fault did not end" for one in ended if not one]

    def close(self) -> None:
        self._stop.set()
        self._end.set()
        if hasattr(self, "tap"):
            self.tap.loop_stop()

    def _hurt(self, faults: list[Callable[[random.Random], None]], rng: random.Random, calm: threading.Event) -> None:
        while not self._stop.wait(rng.uniform(*self.between_s)):
            fault = rng.choice(faults)
            name = fault.__name__.strip("_")
            self.counts[name] += 1
            try:
                fault(rng)
            except Exception as error:  # the campaign says so, and does not wait for this thread for ever
                self._failed.append(f"{name}: {error!r}")
                break
        calm.set()
        self._end.wait()  # what this thread has started dies with it (PR_SET_PDEATHSIG)

    def _last(self, rng: random.Random, usual_s: float) -> None:
        """Let it last: a moment, or one time in ten longer than an order may wait untold."""
        long = rng.random() < 0.1
        self._stop.wait(rng.uniform(0.5, 1.0) * self.longest_s if long else rng.uniform(0.05, 1.0) * usual_s)

    # ---- processes and the line

    def _restart(self, names: list[str], pause_s: float, between: Callable[[], None] = lambda: None) -> None:
        for name in names:
            self.system.kill(name)
        between()
        time.sleep(pause_s)
        self.system.start(*sorted(names, key=ORDER.index))

    def _kill(self, rng: random.Random) -> None:
        self._restart(rng.sample(ORDER, rng.choice([1, 1, 1, 2])), rng.uniform(0, 1.5))

    def _reboot(self, rng: random.Random) -> None:
        """The box loses its power: both processes at once, and no monotonic time from before means anything."""
        self._restart(["relay", "agent"], rng.uniform(0.2, 3), self.clock.reboot)

    def _broker(self, rng: random.Random) -> None:
        self._restart(["broker"], rng.uniform(1, 5))

    def _hole(self, rng: random.Random) -> None:
        """The line takes bytes and passes none: nobody is told."""
        self.line.hole = True
        self._last(rng, 8)
        self.line.reset()
        self.line.hole = False

    def _reset(self, rng: random.Random) -> None:
        self.line.closed = True
        self.line.reset()
        self._last(rng, 6)
        self.line.closed = False

    def _replay(self, rng: random.Random) -> None:
        """Messages of earlier come again, both ways, in any order."""
        for topic, payload in rng.sample(self._heard, min(30, len(self._heard))):
            self.tap.publish(topic, payload, qos=1)

    # ---- printers, and the box's clock

    def _one(self, rng: random.Random) -> SimulatedPrinter:
        return self.printers[rng.choice(list(self.printers))]

    def _unplug(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.unplug(reset=rng.random() < 0.5)
        self._last(rng, 3)
        printer.plug_in()

    def _power(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.power_cycle()
        self._last(rng, 2)
        printer.plug_in()

    def _paper(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.set(paper="out")
        self._last(rng, 4)
        printer.set(paper="ok")

    def _cover(self, rng: random.Random) -> None:
        printer = self._one(rng)
        printer.set(cover=True)
        self._last(rng, 3)
        printer.set(cover=False)

    def _busy(self, rng: random.Random) -> None:
        """It takes no more bytes, and says nothing."""
        printer = self._one(rng)
        printer.freeze()
        self._last(rng, 4)
        printer.thaw()

    def _mute(self, rng: random.Random) -> None:
        """It prints and answers nothing: no proof."""
        printer = self._one(rng)
        printer.silent = True
        self._last(rng, 4)
        printer.silent = False

    def _swallow(self, rng: random.Random) -> None:
        """A print server takes bytes for a printer that is off, until that is switched on again."""
        printer = self._one(rng)
        printer.swallowing = True
        self._last(rng, 4)
        printer.power_cycle()
        printer.swallowing = False
        printer.plug_in()

    def _clock(self, rng: random.Random) -> None:
        """The box's clock is set: back to 1970, by years, by summer time, by a second."""
        self.clock.step(rng.choice([-time.time() + 100, -DAY_S, -3600.0, -1.0, 1.0, 3600.0, DAY_S, 3650 * DAY_S, 0.0]))
