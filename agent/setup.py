"""tillwire setup: from what is plugged in to a box that runs. Here what is done; agent/setup_dialogue.py asks.

The settings are checked before they replace the old ones, which stay beside them as agent.toml.old; whatever is cut off
leaves one of the two. The password is a file of its own (agent/claim.py makes it), never a line of agent.toml.
"""

from __future__ import annotations

import contextlib
import grp
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agent import claim as claiming
from agent import site
from agent.doctor import LOOK, OK, WRONG, Finding, Tools
from agent.doctor_devices import identify, serial_lines, usb
from config.box import Box, load_box
from config.durable import sync_folder
from config.edit import with_values
from config.load import ConfigError

GROUP = "tillwire"
HEAD = """\
# This box, as `tillwire setup` wrote it. docs/configuration.md lists every key there is.
# After a change: `tillwire check-config FILE`, then `systemctl reload tillwire-relay tillwire-agent`, which says in the
# log what a reload is not enough for.
"""
UP_S = 20.0
NETWORK_POS = "tcp://0.0.0.0:9100"


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be chosen: a url, and what it is."""

    url: str
    says: str


@dataclass(frozen=True, slots=True)
class Plan:
    printer: str = ""
    model: str = "auto"
    pos: str = ""
    cloud: str = ""
    claim: str = ""
    name: str = ""
    slip: bool | None = None  # at each boot; None: as it is

    def values(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {
            "printer.main": {"url": self.printer, "model": self.model},
            "pos.till": {"url": self.pos, "printer": "main"},
        }
        if self.name:
            found["box"] = {"id": self.name}
        if self.cloud:
            found["cloud"] = {"web": self.cloud}
        return found


class NotSetUp(Exception):
    """It did not work; the text says what was tried and what helps."""


def printers(tools: Tools) -> list[Choice]:
    return [Choice(found["url"], f"{found['name']} on USB") for found in usb(tools)]


def tills(tools: Tools, printer: str) -> list[Choice]:
    """Where a till may come in, the likeliest first."""
    found = []
    if any((tools.root / "sys/class/udc").glob("*")):
        found.append(Choice("gadget://", "USB: the till sees the board as a USB printer"))
    for path in serial_lines(tools):
        if path not in printer:
            found.append(Choice(f"serial://{path}?baud=9600", f"serial: {path}"))
    found.append(Choice(NETWORK_POS, "network: the till prints to this box, port 9100"))
    return found


def look_at(url: str, config: Path, tools: Tools) -> tuple[str, str]:
    """Ask the printer who it is -> (what it says, its model or "auto"). Raises NotSetUp where it cannot be reached."""
    known = [d for d in tools.ask("probe").get("devices") or [] if d["url"] == url]
    found = known[0] if known else identify("main", url, tools)
    if not found["connected"]:
        raise NotSetUp(f"{url}: {found.get('why') or 'cannot be reached'}")
    if url.startswith("file:"):
        return "a file", "auto"
    if not found["answers"]:
        return "it takes data and answers nothing: slips would stay unconfirmed", "auto"
    name = " ".join(filter(None, (found["maker"], found["says"]))) or "an unnamed printer"
    return f"{name}, proof {found.get('proof')}", str(found.get("model") or "auto")


def write(config: Path, plan: Plan) -> Box:
    """agent.toml, checked and whole; the old one stays as agent.toml.old. Raises ConfigError, OSError."""
    old = config.read_text(encoding="utf-8") if config.exists() else ""
    text = with_values(old or HEAD, plan.values())
    if plan.slip is not None:
        text = _with_flag(text, "box", "status_slip", plan.slip)
    config.parent.mkdir(parents=True, exist_ok=True)
    new = config.with_name(config.name + ".new")
    mode = config.stat().st_mode & 0o777 if old else 0o640
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    try:
        load_box(new)
    except ConfigError:
        new.unlink()
        raise
    _give_to_group(new)
    if old:
        kept = config.with_name(config.name + ".old")
        shutil.copy2(config, kept)
    new.replace(config)
    sync_folder(config.parent)
    return load_box(config)


def start(box: Box, tools: Tools) -> Finding:
    """Have systemd run it, where there is one and we may."""
    if not (tools.root / "run/systemd/system").exists():
        return Finding(
            LOOK, "services", "systemd does not run here", "start tillwire-relay and tillwire-agent yourself"
        )
    if os.geteuid() != 0:
        return Finding(
            LOOK, "services", "not started: that needs root", "`sudo systemctl restart tillwire-relay tillwire-agent`"
        )
    units = ["tillwire-relay", "tillwire-agent"]
    if any(pos.url.startswith("gadget:") for pos in box.pos.values()):
        units.insert(0, "tillwire-gadget")
    for words in (["systemctl", "enable", *units], ["systemctl", "restart", *units]):
        done = subprocess.run(words, capture_output=True, check=False, text=True, timeout=120)
        if done.returncode:
            return Finding(
                WRONG, "services", f"{' '.join(words)}: {done.stderr.strip()}", "`journalctl -u tillwire-relay -n 30`"
            )
    return Finding(OK, "services", f"{', '.join(units)} run, and start with the board")


def wait_for_relay(tools: Tools, within: float = UP_S) -> bool:
    end = time.monotonic() + within
    while "error" in tools.ask("hello"):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def claim(config: Path, plan: Plan, new_epoch: Callable[[Box], str]) -> Finding:
    """Give the box to its merchant. A code that cannot be used now is kept, and stands on the status slip."""
    box = load_box(config)
    pending = Path(box.box.state_dir, site.PENDING)
    try:
        done = claiming.claim(config, plan.cloud, plan.claim, wish=plan.name, new_epoch=new_epoch)
    except (claiming.NotClaimed, OSError) as error:
        with contextlib.suppress(OSError):
            pending.unlink(missing_ok=True)
            descriptor = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(plan.claim + "\n")
            _give_to_group(pending)
        again = f"`tillwire claim {plan.claim} --cloud {plan.cloud}` tries it again"
        return Finding(WRONG, "claim", str(error), again)
    pending.unlink(missing_ok=True)
    return Finding(OK, "claim", f"this is box {done.box} now, at {done.broker}; fingerprint {done.fingerprint}")


def carry_out(config: Path, plan: Plan, tools: Tools, new_epoch: Callable[[Box], str]) -> Iterator[Finding]:
    """Write, start, claim, print the status slip. Raises ConfigError, OSError."""
    kept = config.exists()
    box = write(config, plan)
    yield Finding(
        OK, "settings", f"{config} is written and right" + (f"; the old one is {config.name}.old" if kept else "")
    )
    services = start(box, tools)
    yield services
    if services.level == WRONG:
        return
    runs = wait_for_relay(tools, UP_S if services.level == OK else 0.0)
    if plan.claim:
        finding = claim(config, plan, new_epoch)
        yield finding
        if finding.level == OK and services.level == OK:  # it has a password now
            tools.run(["systemctl", "restart", "tillwire-agent"])
            _wait_online(Path(box.box.state_dir))
    if runs:
        yield site.print_status(load_box(config), tools, "main")
    else:
        yield Finding(LOOK, "status slip", "not printed: the relay does not run yet", "`tillwire slip` prints it")


def next_step(box: Box) -> str:
    url = box.pos["till"].url if "till" in box.pos else ""
    if url.startswith("tcp:"):
        what = "at the till, set its printer's address to this box, port 9100"
    elif url.startswith("serial:"):
        what = "put the till's serial cable into this box (crossed, null-modem)"
    else:
        what = "put the till's USB cable into the board's device port"
    return f"Next: {what}, and print a receipt. `tillwire doctor` shows whether it came."


def with_baud(url: str, baud: str) -> str:
    """
    >>> with_baud("serial:///dev/ttyS0?baud=9600", "19200")
    'serial:///dev/ttyS0?baud=19200'
    """
    return f"{url.partition('?')[0]}?baud={baud}"


def filled(plan: Plan, tools: Tools) -> Plan:
    """What is left open, as far as there is one answer. Raises NotSetUp."""
    if not plan.printer:
        found = printers(tools)
        if len(found) != 1:
            there = (
                "; ".join(f"{c.url} ({c.says})" for c in found)
                or "none on USB; a network printer's address is on its self-test"
            )
            raise NotSetUp(f"which printer? --printer URL. There are: {there}")
        plan = replace(plan, printer=found[0].url)
    if not plan.pos:
        plan = replace(plan, pos=next(c.url for c in tills(tools, plan.printer) if not c.url.startswith("serial:")))
    if plan.claim and not plan.cloud:
        raise NotSetUp("--claim CODE needs --cloud https://HOST: the console shows both")
    return plan


def _wait_online(state_dir: Path) -> None:
    from agent import state

    end = time.monotonic() + UP_S
    while time.monotonic() < end:
        if (state.ask(state_dir) or {}).get("online"):
            return
        time.sleep(0.3)


def _with_flag(text: str, section: str, key: str, value: bool) -> str:
    """with_values writes texts; a flag stands without quotes."""
    word = "true" if value else "false"
    return with_values(text, {section: {key: word}}).replace(f'{key} = "{word}"', f"{key} = {word}")


def _give_to_group(path: Path) -> None:
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            os.chown(path, 0, grp.getgrnam(GROUP).gr_gid)
