"""What agent.toml says: one box. Read by the relay and by the agent."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.devices import pos_url, printer_url
from config.load import Problem, did_you_mean, key, load, named, required, section

BOX_ID = re.compile(r"^[a-z0-9][a-z0-9-]{7,35}$")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SERIALS = ("/proc/device-tree/serial-number", "/sys/class/dmi/id/product_serial", "/etc/machine-id")


def _box_id(value: str) -> str | None:
    return None if not value or BOX_ID.fullmatch(value) else "must be 8 to 36 small letters, digits and -, or empty"


def _broker(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        return f"is not an address: {error}"
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        return "must be mqtts://HOST:PORT, or mqtt://HOST:PORT on loopback"
    return None


def _model(value: str) -> str | None:
    models = sorted(path.stem for path in Path(__file__).parent.glob("printers/*.toml"))
    if value in ("auto", *models):
        return None
    return f"is not known: {did_you_mean(value, models) or 'auto, or one of ' + ', '.join(models)}"


def _web(value: str) -> str | None:
    parts = urlsplit(value)
    right = not value or (parts.scheme in ("https", "http") and parts.hostname)
    return None if right else "must be https://HOST, or empty"


def _listen(value: str) -> str | None:
    host, _, port = value.rpartition(":")
    right = not value or (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    return None if right else "must be ADDRESS:PORT, for example 127.0.0.1:8090, or empty"


def _clock(value: str) -> str | None:
    return None if not value or CLOCK.fullmatch(value) else "must be a time like 10:45, or empty"


def _hours(value: str) -> str | None:
    parts = value.split("-")
    right = not value or (len(parts) == 2 and all(CLOCK.fullmatch(part) for part in parts))
    return None if right else "must be two times like 22:00-07:00, or empty"


@dataclass(frozen=True, slots=True)
class BoxKeys:
    id: str = key(
        "", "The box's name, as the cloud knows it. Empty: made from the board's serial number.", check=_box_id
    )
    state_dir: str = key("/var/lib/tillwire", "Folder of capture.db (relay) and agent.db (agent).")
    control: str = key("/run/tillwire/relay.sock", "The socket between relay and agent.")
    status_slip: bool = key(
        False, "Print how the box is, once after each boot: name, addresses, link, version, printer, claim."
    )


@dataclass(frozen=True, slots=True)
class Printer:
    url: str = required(
        "Where the printer is, for example tcp://192.168.1.50:9100, usb://04b8:0e15, serial:///dev/ttyS0?baud=38400 or"
        " serial://usb/A50285BI?baud=38400 (the USB adapter with that serial number)",
        check=printer_url,
    )
    when_lost: str = key(
        "go-on",
        "A printer lost in mid-job is back: go on at the first byte it did not take, or reprint the whole job.",
        one_of=("go-on", "reprint"),
    )
    model: str = key(
        "auto", "A file of config/printers/ without its ending, or auto: what every printer can do.", check=_model
    )


@dataclass(frozen=True, slots=True)
class Pos:
    url: str = required(
        "Where the POS comes in, for example tcp://0.0.0.0:9100 or serial:///dev/ttyS0?baud=9600",
        check=pos_url,
    )
    printer: str = key("main", "The [printer.NAME] that prints what this POS sends.")
    when_gone: str = key(
        "hold", "While the printer is gone: hold the POS back, or hang up.", one_of=("hold", "hang-up")
    )


@dataclass(frozen=True, slots=True)
class Capture:
    hold_cut_ms: int = key(250, "How long a cut may wait for the job to be on disk, in ms.", low=0, high=5000)
    quiet_ms: int = key(3000, "A job without a cut ends after this silence, in ms.", low=100, high=60000)
    send: str = key(
        "raw",
        "raw: the reading and the masked raw job; reading: the raw job stays on the box.",
        one_of=("raw", "reading"),
    )
    send_raster: bool = key(True, "Send jobs that are pictures only: what stands in a picture cannot be masked.")
    keep_days: float = key(7.0, "How long an acknowledged job stays on the box, in days.", low=0, high=365)
    quota_mb: int = key(2048, "Most that the journal may hold, in MB; then only acknowledged jobs make room.", low=16)


@dataclass(frozen=True, slots=True)
class Cloud:
    broker: str = key(
        "mqtt://127.0.0.1:1883", "The cloud's MQTT broker: mqtts://HOST:PORT. mqtt:// only on loopback.", check=_broker
    )
    insecure: bool = key(False, "Allow mqtt:// to another host. For a test bench, never for a shop.")
    username: str = key("", "Name at the broker. Empty: the box's id.")
    web: str = key("", "The cloud's address for people, https://HOST: slips point there, doctor tries it.", check=_web)
    password_file: str = key(
        "", "File whose first line is the box's password. A name without / is a systemd credential."
    )
    cert_file: str = key("", "Client certificate (PEM), in place of a password.")
    key_file: str = key("", "Its private key (PEM). A name without / is a systemd credential.")
    ca_file: str = key("", "Certificates that the broker's must come from (PEM). Empty: the system's.")
    version: str = key("auto", "MQTT version: auto tries 5, then 3.1.1.", one_of=("auto", "5", "3.1.1"))


@dataclass(frozen=True, slots=True)
class Orders:
    max_print_age_s: int = key(600, "An order older than this prints only when the cloud says so again, in s.", low=10)
    unconfirmed: str = key(
        "ask", "A slip that may or may not be on paper: ask a person, or print one marked copy.", one_of=("ask", "copy")
    )


@dataclass(frozen=True, slots=True)
class Alerts:
    sound: bool = key(True, "Play sounds for new orders and faults.")
    repeat_s: int = key(20, "An alert sounds again after this time until it is acknowledged, in s.", low=5, high=600)
    volume: int = key(100, "How loud, in percent of what the sound card is set to.", low=0, high=100)
    sounds_dir: str = key(
        "", "Folder with the shop's own sounds (new_order.wav, ..., voice/table.wav, ...). Empty: the shipped ones."
    )
    voice: str = key(
        "", "Language of spoken announcements; empty: none.", one_of=("", "en", "zh", "yue", "es", "de", "fr", "ja")
    )
    quiet: str = key(
        "", "Hours without sounds, for example 22:00-07:00. Empty: none. Faults sound all the same.", check=_hours
    )
    quiet_faults: bool = key(False, "true: in those hours faults are silent too.")
    until: str = key(
        "printed", "A new order is repeated until it is printed, or until somebody acknowledged it.",
        one_of=("printed", "acknowledged"),
    )  # fmt: skip
    button: str = key(
        "", "A button that acknowledges: an input device such as /dev/input/event0 (overlay gpio-key). Empty: none."
    )
    feed_button: bool = key(
        True, "The printer's feed button, held for two seconds, acknowledges where the printer reports it."
    )
    test_at: str = key("", "Time of a daily test sound, for example 10:45. Empty: none.", check=_clock)


@dataclass(frozen=True, slots=True)
class Update:
    window: str = key(
        "03:00-05:00",
        "Hours in which the box may install updates that the cloud asked for. Empty: only by hand.",
        check=_hours,
    )


@dataclass(frozen=True, slots=True)
class Page:
    listen: str = key(
        "", "Where the local page of the box's state listens, for example 127.0.0.1:8090. Empty: nowhere.",
        check=_listen,
    )  # fmt: skip
    code_file: str = key("", "File whose first line is the code that the page asks for; needed beyond loopback.")


@dataclass(frozen=True, slots=True)
class Log:
    level: str = key("info", "How much is logged.", one_of=("debug", "info", "warning", "error"))


@dataclass(frozen=True, slots=True)
class Box:
    box: BoxKeys = section(BoxKeys, "This box.")
    printer: dict[str, Printer] = named("The printers, each under a name.")
    pos: dict[str, Pos] = named("The POS links, each under a name.")
    capture: Capture = section(Capture, "What is captured, and how long it stays.")
    cloud: Cloud = section(Cloud, "The way to the cloud.")
    orders: Orders = section(Orders, "Orders that come from the cloud.")
    alerts: Alerts = section(Alerts, "Sounds.")
    update: Update = section(Update, "Updates of this box.")
    page: Page = section(Page, "A page for a technician's phone. It shows the state of the box, and changes nothing.")
    log: Log = section(Log, "The log.")

    @property
    def capture_db(self) -> Path:
        return Path(self.box.state_dir, "capture.db")

    @property
    def agent_db(self) -> Path:
        return Path(self.box.state_dir, "agent.db")


def within(hours: str, now: time.struct_time) -> bool:
    """Is it in "22:00-07:00"? Nothing is in ""."""
    first, _, last = hours.partition("-")
    clock = f"{now.tm_hour:02}:{now.tm_min:02}"
    if not last:
        return False
    return first <= clock < last if first <= last else clock >= first or clock < last


def secret(name: str) -> str:
    """Where a secret file is: a name without / is a systemd credential, where systemd gives this program some."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return str(Path(folder, name)) if folder and name and "/" not in name else name


def load_box(path: str | Path) -> Box:
    """The box's configuration. Raises ConfigError."""
    return load(path, Box, _between)


def box_id(box: Box) -> str:
    """The configured id, else one made from the board's serial number: "box-" and 16 hex digits of its hash."""
    if box.box.id:
        return box.box.id
    import hashlib

    for path in SERIALS:
        try:
            serial = Path(path).read_text(encoding="ascii", errors="replace").strip(" \0\n")
        except OSError:
            continue
        if serial.strip("0"):
            return "box-" + hashlib.sha256(serial.encode()).hexdigest()[:16]
    return "box-" + hashlib.sha256(str(Path(box.box.state_dir).resolve()).encode()).hexdigest()[:16]


def _between(box: Box) -> list[Problem]:
    problems: list[Problem] = []
    if not box.printer:
        problems.append(((), "there is no printer: add a section [printer.main] with its url"))
    if not box.pos:
        problems.append(((), "there is no POS: add a section [pos.till] with its url"))
    for name, pos in box.pos.items():
        if pos.printer not in box.printer:
            known = ", ".join(box.printer) or "none"
            problems.append((("pos", name, "printer"), f"= {pos.printer!r}: no such printer; there are: {known}"))
    for one, other in _same_device(box):
        problems.append((one, f"is the same device as {'.'.join(other)}: each needs its own"))
    broker = urlsplit(box.cloud.broker)
    if broker.scheme == "mqtt" and broker.hostname not in LOOPBACK and not box.cloud.insecure:
        says = f"= {box.cloud.broker!r}: mqtt:// is not encrypted: use mqtts://, or insecure = true"
        problems.append((("cloud", "broker"), says))
    page = box.page.listen.rpartition(":")[0].strip("[]")
    if page and page not in LOOPBACK and not box.page.code_file:
        problems.append((("page", "listen"), f"= {box.page.listen!r}: beyond loopback it needs a code_file"))
    if bool(box.cloud.cert_file) != bool(box.cloud.key_file):
        given = "cert_file" if box.cloud.cert_file else "key_file"
        problems.append((("cloud", given), "cert_file and key_file belong together: one of them is empty"))
    return problems


def _same_device(box: Box) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Places that would open the same line or listen at the same address. Printers may share a network address."""
    seen: dict[str, tuple[str, ...]] = {}
    places = [(("printer", n, "url"), p.url) for n, p in box.printer.items() if urlsplit(p.url).scheme != "tcp"]
    places += [(("pos", n, "url"), p.url) for n, p in box.pos.items()]
    for at, url in places:
        device = url.split("?")[0].rstrip("/")
        if device in seen:
            yield at, seen[device]
        seen.setdefault(device, at)
