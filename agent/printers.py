"""Printers, as orders need them: what a model can do, why one cannot print now, and a slip for its paper."""

from __future__ import annotations

import functools
import logging
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.slips import Slip
from receipt.model import minor_digits
from receipt.script import Script

log = logging.getLogger("tillwire.agent")

FOLDER = Path(__file__).parent.parent / "config" / "printers"
COLUMNS = 42  # where nobody knows: right on 80-mm paper, and on most of it


@dataclass(frozen=True, slots=True)
class Paper:
    """What a printer puts on paper."""

    columns: int = COLUMNS
    script: Script = field(default_factory=Script)


def paper(*models: str) -> Paper:
    """Of the first of these models that a file names: its file name, its `name`, or one of its `also`."""
    known = _known()
    return next((known[model.lower()] for model in models if model.lower() in known), Paper())


@functools.cache
def _known() -> dict[str, Paper]:
    found: dict[str, Paper] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            pages = tuple(int(n) for n in str(values.get("code_pages", "")).split())
        except (OSError, ValueError) as error:
            log.error("printer model %s cannot be read: %s", path, error)
            continue
        names = [path.stem, str(values.get("name", "")), *str(values.get("also", "")).split(",")]
        size = values.get("columns", COLUMNS)
        script = Script(pages, bool(values.get("gbk", True)), bool(values.get("raster", True)))
        if isinstance(size, int) and 16 <= size <= 96:
            found |= {name.strip().lower(): Paper(size, script) for name in names if name.strip()}
    return found


def trouble(status: dict[str, Any] | None) -> str | None:
    """Why a printer cannot print now, in words; None where it can, or nobody knows better."""
    if not status:
        return None
    if status.get("connected") is False:
        return "it is not connected or switched off"
    if status.get("paper") == "out":
        return "its paper is out"
    if status.get("cover_open"):
        return "its cover is open"
    if status.get("error"):
        return "it reports an error (paper jam, cutter)"
    if status.get("online") is False:
        return "it is offline"
    return None


def render(slip: Slip, on: Paper | None = None) -> bytes:
    """The slip's bytes. Loads the encoder where it is not loaded yet: call it outside the loop."""
    from receipt import slip as slips

    content = slip.order_content()
    assert content is not None
    mark = {"stop": "STOP PREPARING", "copy": f"COPY {slip.copy}"}.get(slip.mark, "")
    digits = minor_digits(content.currency)
    value = slips.Slip(
        number=content.number,
        kind=content.kind,
        items=tuple(slips.SlipItem(i.name, i.quantity, i.unit_price, tuple(i.options), i.note) for i in content.items),
        channel=content.channel,
        table=content.table,
        customer=content.customer,
        note=content.note,
        currency=content.currency,
        total=content.total,
        placed_at=content.placed_at,
        due_at=content.due_at,
        shop=content.shop,
        part=slip.part.removesuffix(".stop"),
        copy_number=slip.copy_number,
        copies=slip.copies,
    )
    on = on or Paper()
    return slips.render(value, mark, on.columns, digits, on.script)
