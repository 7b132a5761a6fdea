"""What cloud.toml says: the cloud service."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.load import Problem, key, load, section


def _listen(value: str) -> str | None:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        return "must be ADDRESS:PORT, for example 127.0.0.1:8080"
    return None


def _port(value: str) -> bool:
    """Whether an address has a port that can be one, or none."""
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def _broker(value: str) -> str | None:
    named = urlsplit(value).scheme in ("mqtt", "mqtts") and urlsplit(value).hostname and _port(value)
    if value == "embedded" or named:
        return None
    return "must be embedded, mqtt://HOST:PORT or mqtts://HOST:PORT"


def _store(value: str) -> str | None:
    if urlsplit(value).scheme in ("sqlite", "postgresql") and _port(value):
        return None
    return "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"


def _public(value: str) -> str | None:
    return None if not value or urlsplit(value).scheme in ("http", "https") else "must be http(s)://HOST, or empty"


@dataclass(frozen=True, slots=True)
class Web:
    listen: str = key("127.0.0.1:8080", "Address and port of the pages and the API.", check=_listen)
    public_url: str = key(
        "", "How customers and platforms reach it: https://HOST. Empty: http://<listen>.", check=_public
    )
    api_rate: int = key(
        100, "Requests that one API key may make, per second (bursts of twice that).", low=1, high=100_000
    )
    login_rate: int = key(
        5, "Wrong passwords that one account may try, per minute; an address, four times that.", low=1, high=1000
    )
    session_hours: int = key(168, "A log-in ends after this time, in hours.", low=1, high=8760)
    proxies: int = key(
        0, "Reverse proxies in front that add to X-Forwarded-For. 0: the header is not believed.", low=0, high=5
    )


@dataclass(frozen=True, slots=True)
class Broker:
    url: str = key(
        "embedded", "embedded: a NATS server of its own; else mqtt://HOST:PORT or mqtts://HOST:PORT.", check=_broker
    )
    listen: str = key("127.0.0.1:1883", "Where the embedded one takes MQTT.", check=_listen)
    public_url: str = key(
        "",
        "How boxes reach it, told to those that claim: mqtts://HOST:PORT. Empty: url, or listen.",
        check=lambda value: _broker(value) if value else None,
    )
    dir: str = key("", "Folder of the embedded one. Empty: beside the SQLite file, or /var/lib/tillwire-cloud/broker.")
    username: str = key("cloud", "Name at the broker.")
    password_file: str = key("", "File whose first line is the password. Empty: none (embedded: made by itself).")
    ca_file: str = key("", "Certificates that the broker's must come from (PEM). Empty: the system's.")
    cert_file: str = key("", "The embedded one's TLS certificate chain (PEM). Empty: no TLS, for loopback only.")
    key_file: str = key("", "The embedded one's TLS key (PEM).")
    insecure: bool = key(False, "true: passwords and receipts may cross a network unencrypted. For trying out only.")


@dataclass(frozen=True, slots=True)
class Store:
    url: str = key(
        "sqlite:///var/lib/tillwire-cloud/cloud.db",
        "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME.",
        check=_store,
    )


@dataclass(frozen=True, slots=True)
class Ingest:
    batch: int = key(1000, "Most messages in one transaction.", low=1, high=10000)
    batch_ms: int = key(
        10,
        "When busy, a transaction waits this long for more messages, in ms. A single one never waits.",
        low=0,
        high=1000,
    )
    box_rate: int = key(
        2000,
        "Messages that one box may send, per second (bursts of four times that). What is more it sends again, later.",
        low=10,
        high=100_000,
    )
    want_after_s: int = key(60, "A hole in a box's numbers is asked for when it is this old, in s.", low=1, high=86400)
    metrics: str = key(
        "",
        "Address and port of /metrics and /healthz in a process of the role ingest. Empty: none.",
        check=lambda value: _listen(value) if value else None,
    )
    reread: bool = key(True, "Read receipts again that a box read with other rules than ours, or not at all.")


@dataclass(frozen=True, slots=True)
class Orders:
    review_s: int = key(600, "An order nobody accepts or rejects expires after this time, in s.", low=10, high=86400)
    max_print_age_s: int = key(600, "An order that no box took expires after this time, in s.", low=10, high=86400)
    alert_s: int = key(25, "An accepted order not on paper after this time raises an alarm, in s.", low=5, high=3600)
    resend_s: int = key(
        5, "An order the box has not confirmed is sent again after this time, doubling, in s.", low=1, high=60
    )


@dataclass(frozen=True, slots=True)
class Webhooks:
    timeout_s: int = key(5, "A platform's server must have answered after this time, in s.", low=1, high=60)
    allow_private: bool = key(False, "true: webhooks may go to private addresses and without TLS. For trying out only.")


LEAST_RECEIPTS_DAYS = 30


@dataclass(frozen=True, slots=True)
class Keep:
    receipts_days: int = key(
        0,
        "What is on receipts is erased after this time, in days; their keys and hashes stay. 0: never. A merchant may"
        " have a shorter time.",
        low=0,
        high=36500,
    )
    raw_days: int = key(
        0,
        "The bytes of the paper are erased after this time, in days; what was read of them stays. 0: with the receipt."
        " A merchant may have a shorter time.",
        low=0,
        high=36500,
    )
    audit_anchors: str = key(
        "",
        "File to which the audit log's last hash is added each day; best where it can only grow."
        " Empty: audit.anchors beside the SQLite file, or in /var/lib/tillwire-cloud.",
    )
    events_days: int = key(
        30, "Events can be pulled, and deliveries looked at, for this long, in days.", low=7, high=3650
    )


@dataclass(frozen=True, slots=True)
class Log:
    level: str = key("info", "How much is logged.", one_of=("debug", "info", "warning", "error"))
    format: str = key("text", "How: a line of text, or a JSON object a line.", one_of=("text", "json"))


@dataclass(frozen=True, slots=True)
class CloudConfig:
    web: Web = section(Web, "Pages and API.")
    broker: Broker = section(Broker, "The MQTT broker.")
    store: Store = section(Store, "The database.")
    ingest: Ingest = section(Ingest, "Taking in what boxes send.")
    orders: Orders = section(Orders, "Orders, from the platform to paper.")
    webhooks: Webhooks = section(Webhooks, "Telling platforms what happened.")
    keep: Keep = section(Keep, "How long things are kept. Orders are kept until they are erased.")
    log: Log = section(Log, "The log.")

    @property
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite store, else None. sqlite:///a/b is /a/b; sqlite:////a/b too."""
        parts = urlsplit(self.store.url)
        return Path("/" + parts.path.lstrip("/")) if parts.scheme == "sqlite" else None

    @property
    def base(self) -> str:
        """What the addresses of our pages begin with, as others reach them."""
        return self.web.public_url.rstrip("/") or f"http://{self.web.listen}"

    @property
    def audit_anchors(self) -> Path:
        if self.keep.audit_anchors:
            return Path(self.keep.audit_anchors)
        path = self.sqlite_path
        return (path.parent if path else Path("/var/lib/tillwire-cloud")) / "audit.anchors"

    @property
    def broker_dir(self) -> Path:
        if self.broker.dir:
            return Path(self.broker.dir)
        path = self.sqlite_path
        return path.parent / "broker" if path else Path("/var/lib/tillwire-cloud/broker")


def _between(config: CloudConfig) -> list[Problem]:
    out: list[Problem] = []
    broker = config.broker
    if 0 < config.keep.receipts_days < LEAST_RECEIPTS_DAYS:
        says = f"must be 0 (for ever) or at least {LEAST_RECEIPTS_DAYS}: boxes send again what they keep"
        out.append((("keep", "receipts_days"), says))
    if bool(broker.cert_file) != bool(broker.key_file):
        given = "cert_file" if broker.cert_file else "key_file"
        out.append((("broker", given), "cert_file and key_file belong together: give both or none"))
    if broker.url == "embedded":
        host = broker.listen.rpartition(":")[0].strip("[]")
        plain, at, open_to = not broker.cert_file, "listen", f"= {broker.listen!r} is reached from other machines"
    else:
        host = urlsplit(broker.url).hostname or ""
        plain, at, open_to = urlsplit(broker.url).scheme == "mqtt", "url", f"= {broker.url!r} leaves this machine"
    if plain and not broker.insecure and not _loopback(host):
        cure = "set cert_file and key_file (or use mqtts://), or insecure = true to try out"
        out.append((("broker", at), f"{open_to} without TLS: {cure}"))
    return out


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_cloud(path: str | Path) -> CloudConfig:
    """The cloud's configuration. Raises ConfigError."""
    return load(path, CloudConfig, _between)
