"""Slips of the box itself: how it is, a test page, a page of its code pages. Values in, ESC/POS bytes out.

They go to the printer as every slip does: by the relay, between two jobs of the till, checked against its allow-list.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from agent.printers import paper
from receipt.codepages import ESCPOS_PAGES
from receipt.slip import notice

log = logging.getLogger("tillwire.agent")

RULER = "123456789."
PAGES = (0, 2, 16, 17, 18, 19)  # code pages that nearly every printer has


def status(told: dict[str, Any], *, models: Sequence[str], claim: str = "", web: str = "", claimed: bool) -> bytes:
    """How the box is. `told`: agent/state.py's, or as much of it as is known. `claim`: a code that waits."""
    pairs: list[tuple[str, str]] = [("Box", str(told.get("box") or "")), ("Version", str(told.get("version") or ""))]
    for address in told.get("addresses") or ["none"]:
        pairs.append(("Address", address))
    for way in told.get("links") or []:
        pairs.append(("Link", way))
    if told.get("online"):
        ms = told.get("round_trip_ms")
        pairs.append(("Cloud", "connected" + (f", there and back {ms} ms" if ms is not None else "")))
    elif claimed:
        pairs.append(("Cloud", f"not connected: {told.get('reason') or 'the agent does not run'}"))
    if told.get("backlog"):
        pairs.append(("Waiting", f"{told['backlog']} receipts, safe on the box"))
    for printer in told.get("printers") or []:
        proof = f", proof {printer['proof']}" if printer.get("proof") else ""
        pairs.append(
            ("Printer", f"{printer.get('name')}: {printer.get('says') or printer.get('model') or 'unknown'}{proof}")
        )
    for alert in told.get("alerts") or []:
        pairs.append(("Alert", alert))
    code = web
    if not claimed and not told.get("online"):
        pairs += [("", ""), ("", "This box belongs to nobody yet.")]
        if claim:
            pairs.append(("Claim code", claim))
            code = claim
        else:
            pairs.append(
                ("", "The console makes a code; type here: tillwire claim CODE --cloud " + (web or "https://HOST"))
            )
    return notice("TILLWIRE", pairs, code, paper(*models))


def test_page(name: str, says: str, proof: str, models: Sequence[str]) -> bytes:
    """Width, letters and cut, to be judged by eye."""
    sheet = paper(*models)
    ruler = (RULER * 8)[: sheet.columns]
    pairs = [
        ("Printer", f"{name} {says}".strip()),
        ("Proof", proof or "unknown"),
        ("Columns", f"{sheet.columns}, dots {sheet.width}"),
        ("", ruler),
        ("", "The line above fits on one line, and reaches"),
        ("", "nearly both edges? Then the model is right."),
        ("", "ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz 0123456789"),
        ("", "äöüß éèçà ñ £ € Жук 中文 日本語 한국어"),
        ("", "The paper is cut behind this line."),
    ]
    return notice("TEST PAGE", pairs, "https://example.com/tillwire-test", sheet)


def code_pages(models: Sequence[str]) -> bytes:
    """The upper half of each code page, as the printer itself draws it: what does not look like its name it has not."""
    numbers = sorted({*PAGES, *paper(*models).script.pages})
    width = 32
    parts = [b"\x1b@\x1ba\x01\x1bE\x01CODE PAGES\x1bE\x00\x1ba\x00\n\x1c."]
    for number in numbers:
        parts.append(b"\x1bt\x00\nESC t %d: %s\n" % (number, ESCPOS_PAGES.get(number, "?").encode()))
        parts.append(b"\x1bt" + bytes([number]))
        parts += [bytes(range(start, start + width)) + b"\n" for start in range(0x80, 0x100, width)]
    return b"".join(parts) + b"\x1bt\x00\n\n\n\x1dV\x42\x00"
