"""The doctor's look at printers and tills: those of the settings, those that are plugged in, those in the network."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.doctor import LOOK, OK, WRONG, Finding, Tools
from agent.links import address_of, default_device
from agent.printers import trouble
from config.box import Box
from config.models import find_by_usb, find_model
from receipt.status import Answers, Form, ask_process_id, info_text, process_id

OPEN_S, ANSWER_S = 5.0, 1.5
QUESTIONS = b"\x1dI\x42\x1dI\x43" + ask_process_id(b"TILL") + b"\x1dr\x01\x10\x04\x01"
PORT = 9100
SCAN_MOST, SCAN_AT_ONCE, SCAN_S = 256, 64, 0.7
PROOFS = {
    "L2": "proves every slip (L2: it says when it is printed)",
    "L1": "proves slips (L1: it says when it has worked through them)",
    "L0": "proves nothing (L0): slips stay unconfirmed",
}
LINES = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS*", "serial0")


def printers(box: Box, tools: Tools) -> Iterator[Finding]:
    answer = tools.ask("probe")
    if "error" not in answer:
        for device in answer.get("devices") or []:
            yield from _judged(device, box.printer[device["name"]].model if device["name"] in box.printer else "auto")
        return
    helps = "`systemctl start tillwire-relay`; `journalctl -u tillwire-relay -n 30` tells why it ended"
    yield Finding(WRONG, "relay", f"the print path does not answer ({answer['error']}): no till can print", helps)
    for name, printer in box.printer.items():
        yield from _judged(identify(name, printer.url, tools), printer.model)


def identify(name: str, url: str, tools: Tools) -> dict[str, Any]:
    """Ask a printer without the relay, in the form of the relay's `probe`."""
    found: dict[str, Any] = {
        "name": name, "url": url, "connected": False, "asked": False, "answers": False, "maker": "", "says": "",
        "model": "", "proof": "L0", "status": {}, "why": "",
    }  # fmt: skip
    link = None
    try:
        link = tools.open_printer(url)
        end = time.monotonic() + OPEN_S
        while not link.opened():
            if time.monotonic() > end:
                raise TimeoutError(f"no answer within {OPEN_S:.0f} s")
            select.select([], [link], [], 0.2)
        found["connected"] = True
        if urlsplit(url).scheme != "file":
            found["asked"] = True
            _conversation(link, found)
    except (OSError, ValueError, ImportError, tools.gone) as error:
        found["why"] = str(error)
    finally:
        if link is not None:
            link.close()
    return found


def _conversation(link: Any, found: dict[str, Any]) -> None:
    left = memoryview(QUESTIONS)
    answers, texts = Answers(), []
    end = time.monotonic() + ANSWER_S
    while (now := time.monotonic()) < end:
        readable, _, _ = select.select([link], [link] if left else [], [], end - now)
        if left:
            left = left[link.write(left) :]
        if not readable:
            continue
        for form, raw in answers.feed(link.read() or b""):
            found["answers"] = found["answers"] or form is not Form.NOISE
            if form is Form.BYTE and found["proof"] == "L0":
                found["proof"] = "L1"
            elif process_id(raw):
                found["proof"] = "L2"
            elif (text := info_text(raw)) is not None:
                texts.append(text)
        if len(texts) == 2 and found["proof"] == "L2":
            break
    if len(texts) == 2:
        found["maker"], found["says"] = texts
    elif texts:
        found["says"] = texts[0]
    known = find_model(found["says"]) if found["says"] else None
    found["model"] = known[0] if known else ""


def _judged(device: dict[str, Any], configured: str) -> Iterator[Finding]:
    what = f"printer {device['name']} ({device['url']})"
    scheme = urlsplit(device["url"]).scheme
    if not device.get("connected"):
        yield Finding(WRONG, what, device.get("why") or "cannot be reached", _reach(scheme))
        return
    if scheme == "file":
        yield Finding(LOOK, what, "a file: nothing comes on paper", "for tests; give it a printer's url")
        return
    problem = trouble(device.get("status"))
    if problem:
        yield Finding(WRONG, what, problem, "put that right at the printer; it prints on by itself")
    if not device.get("asked"):
        yield Finding(OK, what, "is printing, and was not asked now")
        return
    if not device.get("answers"):
        yield Finding(LOOK, what, "takes data and answers nothing", _silent(scheme, configured))
        return
    name = " ".join(filter(None, (device.get("maker"), device.get("says")))) or "an unnamed printer"
    model = device.get("model") or ""
    proof = PROOFS.get(str(device.get("proof")), "")
    if configured != "auto" and model and model != configured:
        yield Finding(LOOK, what, f"{name}, {proof}; its settings say {configured}", f'model = "{model}" fits it')
    elif not model and configured == "auto" and device.get("says"):
        helps = "it is used as generic; a file in config/printers/ tells what more it can do"
        yield Finding(LOOK, what, f"{name}, {proof}; no such model is known", helps)
    else:
        helps = f'model = "{model}" in its section gets all out of it' if configured == "auto" and model else ""
        yield Finding(OK, what, f"{name}, {proof}" + (f", model {model}" if model else ""), helps)


def _reach(scheme: str) -> str:
    if scheme == "tcp":
        return (
            "is it switched on and in this network? Switch it on with FEED held: it prints its address."
            " `tillwire doctor --scan` looks for it"
        )
    if scheme == "usb":
        return "is it switched on, and its cable in? The lines `found` below show what is plugged in"
    if scheme == "serial":
        return "is the adapter plugged in? The lines `found` below show the serial ports there are"
    return "is the path right, and may the relay write there?"


def _silent(scheme: str, configured: str) -> str:
    if configured == "one-way":
        return "as its model says; slips stay unconfirmed"
    if scheme == "serial":
        return "do baud and flow fit its DIP switches? Is the cable a null-modem (crossed) one?"
    return 'is it ready (paper, cover)? Where its line has no way back, set model = "one-way"'


def tills(box: Box, tools: Tools) -> Iterator[Finding]:
    status = tools.ask("status")
    known = status.get("pos") or {}
    for name, pos in box.pos.items():
        what = f"POS {name} ({pos.url})"
        scheme = urlsplit(pos.url).scheme
        if scheme == "gadget":
            yield from _gadget(what, tools)
        elif scheme == "serial":
            path = tools.root / urlsplit(pos.url).path.lstrip("/")
            if not path.exists():
                yield Finding(WRONG, what, "there is no such port", "is the adapter plugged in? See `found` below")
                continue
        if "error" in status:
            continue
        told = known.get(name) or {}
        came = int((told.get("counters") or {}).get("bytes_down", 0))
        if came:
            yield Finding(
                OK, what, f"{came} bytes have come in, {'connected' if told.get('connected') else 'quiet'} now"
            )
        else:
            yield Finding(
                LOOK, what, "nothing has ever come in", f"print a test page at the till; {_till_helps(scheme)}"
            )


def _till_helps(scheme: str) -> str:
    if scheme == "tcp":
        return "its printer's address must be the box's, port as in the url"
    if scheme == "serial":
        return "baud and parity as its printer had them; a null-modem (crossed) cable"
    return "the cable goes into the board's device port (on a Pi 4: USB-C; Zero 2 W: the inner one)"


def _gadget(what: str, tools: Tools) -> Iterator[Finding]:
    controllers = sorted((tools.root / "sys/class/udc").glob("*"))
    if not controllers:
        helps = "this board cannot be a USB printer, or dtoverlay=dwc2 is missing in config.txt: see docs/technician.md"
        yield Finding(WRONG, what, "there is no USB device controller", helps)
        return
    states = {c.name: _text(c / "state") for c in controllers}
    if "configured" in states.values():
        yield Finding(OK, what, "the till sees the board as a USB printer")
    else:
        said = ", ".join(f"{name}: {state or 'unknown'}" for name, state in states.items())
        yield Finding(
            LOOK, what, f"no till is on the USB cable ({said})", "plug it in; a charging cable has no data lines"
        )


def not_configured(box: Box | None, tools: Tools) -> Iterator[Finding]:
    """What is plugged in and stands in no setting."""
    urls = [*(p.url for p in box.printer.values()), *(p.url for p in box.pos.values())] if box else []
    for printer in usb(tools):
        if not any(u.startswith(("usb://auto", f"usb://{printer['ids']}")) for u in urls):
            yield Finding(
                LOOK, "found", f"USB printer {printer['name']}, {printer['url']}", "`tillwire setup` takes it in"
            )
    used = {urlsplit(url).path for url in urls if url.startswith("serial:")}
    for path in serial_lines(tools):
        if not used & {path, str(Path(path).resolve())}:
            yield Finding(OK, "found", f"serial port {path}, in no setting")


def usb(tools: Tools) -> list[dict[str, str]]:
    """USB printers: ids, url, name, model."""
    found = []
    for printer in tools.usb_printers():
        ids = f"{printer.vid}:{printer.pid}"
        model = find_by_usb(ids)
        name = printer.product or (model if model != "auto" else ids)
        found.append({"ids": ids, "url": printer.url, "name": name, "model": model})
    return found


def serial_lines(tools: Tools) -> list[str]:
    """Serial ports with a device behind them, by the path that stays the same where there is one; not the console."""
    found: dict[str, str] = {}
    consoles = _text(tools.root / "sys/class/tty/console/active").split()
    for pattern in LINES:
        for device in sorted((tools.root / "sys/class/tty").glob(pattern)):
            name = device.name
            real = (device / "device").exists() and _text(device / "type") != "0"  # an 8250 that is not there
            if real and name not in consoles and (tools.root / "dev" / name).exists():
                found[name] = f"/dev/{name}"
    for stable in sorted((tools.root / "dev/serial/by-id").glob("*")):
        name = stable.resolve().name
        if name in found:
            found[name] = f"/dev/serial/by-id/{stable.name}"
    return list(found.values())


def in_the_network(box: Box | None, tools: Tools, network: str) -> Iterator[Finding]:
    """Who listens on port 9100: at most 256 addresses, in some seconds. It connects and says nothing."""
    where = network or own_network(tools)
    try:
        net = ipaddress.ip_network(where, strict=False)
    except ValueError:
        helps = "write it as --scan 192.168.1.0/24"
        yield Finding(LOOK, "scan", f"{where!r} is no network" if where else "the box is in no network", helps)
        return
    if net.num_addresses > SCAN_MOST:
        yield Finding(
            LOOK, "scan", f"{net} has {net.num_addresses} addresses", f"{SCAN_MOST} are looked at: name a /24"
        )
        return
    there = asyncio.run(listening([str(host) for host in net.hosts()] or [str(net[0])]))
    known = " ".join(p.url for p in box.printer.values()) if box else ""
    for host in there:
        url = f"tcp://{host}:{PORT}"
        if url in known:
            yield Finding(OK, "found", f"network printer {url}, in the settings")
        else:
            yield Finding(LOOK, "found", f"network printer {url}", "`tillwire setup` takes it in")
    if not there:
        yield Finding(
            LOOK, "scan", f"nobody in {net} listens on port {PORT}", "is the printer on, and in this network?"
        )


def own_network(tools: Tools) -> str:
    """The /24 around the box's own address on its way out; "" where it has none."""
    address = address_of(default_device(_text(tools.root / "proc/net/route")))
    if address is None:
        return ""
    return str(ipaddress.ip_network((address.ip, max(24, address.network.prefixlen)), strict=False))


async def listening(hosts: list[str], port: int = PORT) -> list[str]:
    """Those that take a connection."""
    turn = asyncio.Semaphore(SCAN_AT_ONCE)

    async def tried(host: str) -> str | None:
        async with turn:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(SCAN_S):
                    _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return host
        return None

    return [host for host in await asyncio.gather(*map(tried, hosts)) if host]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
