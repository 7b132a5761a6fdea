"""Printers, as orders need them: what a model can do, why one cannot print now, and a slip for its paper."""

from __future__ import annotations

import functools
import logging
import tomllib
from pathlib import Path
from typing import Any

from agent.slips import Slip

log = logging.getLogger("tillwire.agent")

FOLDER = Path(__file__).parent.parent / "config" / "printers"
NO_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"  # ISO 4217
THREE_MINOR = "BHD IQD JOD KWD LYD OMR TND"
COLUMNS = 42  # where nobody knows: right on 80-mm paper, and on most of it


def columns(*models: str) -> int:
    """Of the first of these models that a file names: its file name, its `name`, or one of its `also`."""
    known = _known()
    return next((known[model.lower()] for model in models if model.lower() in known), COLUMNS)


@functools.cache
def _known() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            log.error("printer model %s cannot be read: %s", path, error)
            continue
        names = [path.stem, str(values.get("name", "")), *str(values.get("also", "")).split(",")]
        size = values.get("columns", COLUMNS)
        if isinstance(size, int) and 16 <= size <= 96:
            found |= {name.strip().lower(): size for name in names if name.strip()}
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


def render(slip: Slip, columns: int = 42) -> bytes:
    """The slip's bytes. Loads the encoder where it is not loaded yet: call it outside the loop."""
    from receipt import slip as paper

    content = slip.order_content()
    assert content is not None
    mark = {"stop": "STOP PREPARING", "copy": f"COPY {slip.copy}"}.get(slip.mark, "")
    digits = 0 if content.currency in NO_MINOR.split() else 3 if content.currency in THREE_MINOR.split() else 2
    value = paper.Slip(
        number=content.number,
        kind=content.kind,
        items=tuple(paper.SlipItem(i.name, i.quantity, i.unit_price, tuple(i.options), i.note) for i in content.items),
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
    return paper.render(value, mark, columns, digits)
