"""Which model a printer is, where the technician left it to us: by the kind of device, by its USB ids, or by what it
said of itself when it was asked once, which is remembered in the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config.load import ConfigError
from config.models import find_by_usb, load_model
from relay.clock import wall_ms
from relay.store import Store

if TYPE_CHECKING:
    from relay.printer import PrinterLink

FIELDS = ("name", "url", "maker", "says", "model", "proof", "process_id")


def by_device(url: str, model: str) -> str:
    """The model that the settings name; where they say auto, what the kind of device or its USB ids tell."""
    parts = urlsplit(url)
    if model != "auto":
        return model
    if parts.scheme == "usb":
        return find_by_usb(parts.netloc)
    return "one-way" if parts.scheme == "file" else model


def remember(store: Store, told: dict[str, Any]) -> None:
    """What a printer answered to a probe."""
    store.db.execute(
        "INSERT OR REPLACE INTO printers (name, url, maker, says, model, proof, process_id, asked_wall_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*(told[field] for field in FIELDS), wall_ms()),
    )


def recall(store: Store) -> list[dict[str, Any]]:
    """What printers answered when they were asked last."""
    rows = store.db.execute(f"SELECT {', '.join(FIELDS)} FROM printers")
    return [dict(zip(FIELDS, row, strict=True)) for row in rows]


def apply(printer: PrinterLink, told: dict[str, Any]) -> None:
    """This printer said so: from now on it is that model, where nobody has said another. One that no file knows may
    still prove what it printed."""
    printer.says = told["says"]
    if not printer.model_is_ours:
        return
    try:
        model = load_model(told["model"] or "auto")
    except ConfigError:  # of a release that knew more models
        return
    printer.model = replace(model, process_id=model.process_id or bool(told["process_id"]))
