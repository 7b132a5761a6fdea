"""What a technician makes the box do on site: print its slips, show its findings. For agent/cli.py and set-up."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent import own_slips, state
from agent.credentials import claimed
from agent.doctor import OK, WRONG, Finding, Tools
from agent.links import addresses, ways
from agent.slips import LOCAL
from config.box import Box, box_id

PRINT_S = 30
PENDING = "claim-code"  # in state_dir: a code that could not be used yet
COLOURS = {"OK": "\x1b[32m", "LOOK": "\x1b[33m", "WRONG": "\x1b[31m"}


def show(finding: Finding, as_json: bool = False) -> None:
    """One line; on a terminal folded at its width, with the level in colour."""
    if as_json:
        print(json.dumps(finding.as_dict(), ensure_ascii=False), flush=True)
        return
    line = str(finding)
    if sys.stdout.isatty():
        width = max(40, shutil.get_terminal_size((80, 24)).columns - 1)
        line = textwrap.fill(line, width, subsequent_indent=" " * 7, break_on_hyphens=False, break_long_words=False)
        line = f"{COLOURS[finding.level]}{line[:5]}\x1b[0m{line[5:]}"
    print(line, flush=True)


def print_pages(box: Box, tools: Tools, printer: str) -> Iterator[Finding]:
    """The test page and the code pages, on one printer or ("") the first."""
    name = printer or next(iter(box.printer))
    known: dict[str, Any] = next((d for d in tools.ask("probe", url=name).get("devices") or []), {})
    models = _models(box, name, known)
    says = " ".join(filter(None, (known.get("maker"), known.get("says"))))
    yield printed("test page", own_slips.test_page(name, says, str(known.get("proof") or ""), models), tools, name)
    yield printed("code pages", own_slips.code_pages(models), tools, name)


def print_status(box: Box, tools: Tools, printer: str = "") -> Finding:
    name = printer or next(iter(box.printer))
    return printed("status slip", status_slip(box, tools, name), tools, name)


def status_slip(box: Box, tools: Tools, printer: str = "") -> bytes:
    """Of what the agent knows, where it runs; else of what can be seen without it."""
    told = state.ask(Path(box.box.state_dir)) or {
        "box": box_id(box),
        "links": list(map(str, ways(tools.root, tools.run))),
    }
    devices: list[dict[str, Any]] = tools.ask("probe").get("devices") or []
    if devices:
        told["printers"] = devices
    told["addresses"] = addresses(tools.root)
    told["version"] = told.get("version") or version()
    name = printer or next(iter(box.printer))
    known = next((d for d in devices if d.get("name") == name), {})
    return own_slips.status(
        told, models=_models(box, name, known), claim=pending(box), web=box.cloud.web, claimed=claimed(box.cloud)
    )


def printed(what: str, raw: bytes, tools: Tools, printer: str) -> Finding:
    """Have the relay print it, and wait for what becomes of it."""
    slip = f"{LOCAL}{what.replace(' ', '-')}-{secrets.token_hex(6)}/main/1"
    end = time.monotonic() + PRINT_S
    where = f"{what} on printer {printer}"
    while True:
        answer = tools.ask("print", raw, slip=slip, attempt=1, printer=printer, copy=0, valid_s=PRINT_S - 5)
        if "error" in answer:
            return Finding(
                WRONG, where, str(answer["error"]), "is tillwire-relay running? `systemctl start tillwire-relay`"
            )
        fate = answer["fate"]
        if fate["state"] not in ("queued", "started"):
            break
        if time.monotonic() > end:
            return Finding(WRONG, where, "waits: the printer does not take it", "`tillwire doctor` tells how it is")
        time.sleep(0.3)
    if fate["state"] == "done":
        proof = str(fate.get("proof") or "none")
        return Finding(OK, where, f"printed, proof {proof}" if proof != "L0" else "sent; this printer proves nothing")
    return Finding(
        WRONG, where, f"{fate['state']} {fate.get('reason') or ''}".strip(), "`tillwire doctor` tells how it is"
    )


def drawn(raw: bytes) -> bytes:
    """A slip as a PNG."""
    from receipt.picture import as_png  # Pillow: only where a picture is wanted

    return as_png(raw)


def pending(box: Box) -> str:
    """The claim code that waits for a network; "" where none does."""
    try:
        return Path(box.box.state_dir, PENDING).read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError:
        return ""


def version() -> str:
    from importlib import metadata

    try:
        return metadata.version("tillwire")
    except metadata.PackageNotFoundError:
        return ""


def _models(box: Box, printer: str, known: dict[str, Any]) -> list[str]:
    configured = box.printer[printer].model if printer in box.printer else "auto"
    return [configured, str(known.get("says") or known.get("model") or "")]
