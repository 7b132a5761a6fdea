"""tillwire doctor: looks at everything between the till and the cloud, and says in plain words what is wrong.

Gives   Findings one after the other, each OK, LOOK (works, but...) or WRONG, with what was looked at and what helps.
Never   changes a setting, stops printing, or waits without a limit. Devices are asked through the relay where it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent import state
from config import last_good
from config.box import Box
from config.load import ConfigError

OK, LOOK, WRONG = "OK", "LOOK", "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    level: str
    what: str  # what was looked at: "printer main", "clock"
    says: str
    helps: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5}  {self.what}: {self.says}" + (f"  -> {self.helps}" if self.helps else "")

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tools:
    """How the doctor reaches the box; agent/cli.py puts it together."""

    ask: Callable[..., dict[str, Any]]  # (op, **fields) of the relay; {"error": why} where it does not answer
    open_printer: Callable[[str], Any]  # drivers.open_printer, which raises
    gone: type[Exception]  # drivers.DeviceGone
    usb_printers: Callable[[], Iterable[Any]]  # drivers.printer_class.devices.printers
    run: Callable[[list[str]], str]  # a program's output, "" where it fails
    root: Path = Path("/")  # of /sys, /proc, /dev


def examine(config: Path, tools: Tools, scan: str | None = None) -> Iterator[Finding]:
    """`scan`: also look for printers in this network, "" for the one that the box is in."""
    from agent import doctor_board, doctor_devices, doctor_line

    box, findings = _settings(config)
    yield from findings
    yield from doctor_board.units(tools)
    told: dict[str, Any] | None = None
    if box is not None:
        yield from doctor_devices.printers(box, tools)
        yield from doctor_devices.tills(box, tools)
    yield from doctor_devices.not_configured(box, tools)
    if scan is not None:
        yield from doctor_devices.in_the_network(box, tools, scan)
    yield from doctor_line.ways_out(tools)
    if box is not None:
        told = state.ask(Path(box.box.state_dir))
        yield from doctor_line.broker(box, told)
        yield from doctor_line.web(box)
        yield from doctor_board.backlog(box, told)
        yield from doctor_board.sound(box, tools)
        yield from doctor_board.disk(box, tools)
        yield from doctor_board.secrets(config, box)
        yield from doctor_board.certificates(box)
    yield from doctor_board.clocks(tools)
    yield from doctor_board.power(tools)


def _settings(config: Path) -> tuple[Box | None, list[Finding]]:
    try:
        box, wrong = last_good.load_or_last_good(config)
    except ConfigError as error:
        if not config.exists():
            return None, [Finding(LOOK, "settings", f"{config}: there is no such file", "`tillwire setup` writes it")]
        return None, [Finding(WRONG, "settings", f"{config}: {problem}", error.hint) for problem in error.problems]
    if wrong is None:
        return box, [Finding(OK, "settings", f"{config} is right")]
    helps = "the settings that last worked are in use; correct the file, then `systemctl restart tillwire-relay`"
    return box, [Finding(WRONG, "settings", f"{config}: {problem}", helps) for problem in wrong.problems]
