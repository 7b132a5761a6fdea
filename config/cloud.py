"""What cloud.toml says: the cloud service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.load import key, load, section


def _listen(value: str) -> str | None:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        return "must be ADDRESS:PORT, for example 127.0.0.1:8080"
    return None


def _broker(value: str) -> str | None:
    if value == "embedded" or (urlsplit(value).scheme in ("mqtt", "mqtts") and urlsplit(value).hostname):
        return None
    return "must be embedded, mqtt://HOST:PORT or mqtts://HOST:PORT"


def _store(value: str) -> str | None:
    if urlsplit(value).scheme in ("sqlite", "postgresql"):
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


@dataclass(frozen=True, slots=True)
class Broker:
    url: str = key(
        "embedded", "embedded: a NATS server of its own; else mqtt://HOST:PORT or mqtts://HOST:PORT.", check=_broker
    )
    listen: str = key("127.0.0.1:1883", "Where the embedded one takes MQTT.", check=_listen)
    dir: str = key("", "Folder of the embedded one. Empty: beside the SQLite file, or /var/lib/tillwire-cloud/broker.")
    username: str = key("cloud", "Name at the broker.")
    password_file: str = key("", "File whose first line is the password. Empty: none (embedded: made by itself).")
    ca_file: str = key("", "Certificates that the broker's must come from (PEM). Empty: the system's.")


@dataclass(frozen=True, slots=True)
class Store:
    url: str = key(
        "sqlite:///var/lib/tillwire-cloud/cloud.db",
        "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME.",
        check=_store,
    )


@dataclass(frozen=True, slots=True)
class Ingest:
    batch: int = key(200, "Most messages in one transaction.", low=1, high=10000)
    batch_ms: int = key(10, "A transaction waits this long for more messages, in ms.", low=0, high=1000)


@dataclass(frozen=True, slots=True)
class Log:
    level: str = key("info", "How much is logged.", one_of=("debug", "info", "warning", "error"))


@dataclass(frozen=True, slots=True)
class CloudConfig:
    web: Web = section(Web, "Pages and API.")
    broker: Broker = section(Broker, "The MQTT broker.")
    store: Store = section(Store, "The database.")
    ingest: Ingest = section(Ingest, "Taking in what boxes send.")
    log: Log = section(Log, "The log.")

    @property
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite store, else None. sqlite:///a/b is /a/b; sqlite:////a/b too."""
        parts = urlsplit(self.store.url)
        return Path("/" + parts.path.lstrip("/")) if parts.scheme == "sqlite" else None

    @property
    def broker_dir(self) -> Path:
        if self.broker.dir:
            return Path(self.broker.dir)
        path = self.sqlite_path
        return path.parent / "broker" if path else Path("/var/lib/tillwire-cloud/broker")


def load_cloud(path: str | Path) -> CloudConfig:
    """The cloud's configuration. Raises ConfigError."""
    return load(path, CloudConfig)
