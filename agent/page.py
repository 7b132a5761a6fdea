"""The local page: the state of the box for a technician with a phone. Off unless [page] listen is set.

It shows and changes nothing. On loopback it is open; elsewhere it asks for the set-up code of [page] code_file, once
for each browser, and takes five wrong ones a minute from everybody together. A foreign Host is refused, so that no page
of the internet reads it through the technician's browser (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import html
import ipaddress
import json
import logging
import secrets
import socket
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from agent.state import State
from config.box import LOOPBACK, Page

log = logging.getLogger("tillwire.agent")

MOST_HEAD, MOST_BODY = 8192, 1024
PATIENCE_S = 10.0
AT_ONCE = 16
WRONG_MOST, WRONG_S = 5, 60.0
SHORTEST_CODE = 6
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:40rem;padding:1rem;color:#1c1917;"
    "background:#fafaf9}h1{font-size:1.3rem}h2{font-size:1rem;margin:1.4rem 0 .3rem}"
    "dl{display:grid;grid-template-columns:7.5rem 1fr;"
    "gap:.2rem 1rem;margin:0}dt{color:#57534e}dd{margin:0;overflow-wrap:anywhere}.no{color:#b91c1c;font-weight:600}"
    ".yes{color:#15803d;font-weight:600}label{display:block}input,button{font:inherit;padding:.5rem;margin:.3rem 0}"
)
HEADERS = (
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Cache-Control: no-store\r\nConnection: close\r\n"
)


class LocalPage:
    def __init__(self, settings: Page, state: State) -> None:
        self.settings, self._state = settings, state
        self._cookie = secrets.token_urlsafe(24)  # of this run of the agent
        self._wrong: deque[float] = deque()
        self._busy = 0

    async def run(self) -> None:
        """Serve until cancelled; wait and try again where the address cannot be had."""
        host, _, port = self.settings.listen.rpartition(":")
        host = host.strip("[]")
        if host not in LOOPBACK and not self._code():
            log.error("page=%s stays closed: [page] code_file holds no code of %d signs", host, SHORTEST_CODE)
            return
        while True:
            try:
                server = await asyncio.start_server(self._serve, host, int(port), limit=MOST_HEAD)
            except OSError as error:
                log.warning("page=%s cannot listen: %s; tried again", self.settings.listen, error)
                await asyncio.sleep(30)
                continue
            log.info("page=http://%s", self.settings.listen)
            async with server:
                await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._busy >= AT_ONCE:
            writer.close()
            return
        self._busy += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *rest = head.split("\r\n")
                fields = {
                    name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
                }
                size = fields.get("content-length", "0")
                body = await reader.readexactly(min(int(size), MOST_BODY)) if size.isdigit() else b""
                status, kind, text, more = await self._answer(first, fields, body.decode("latin-1"))
                raw = text.encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(raw)}\r\n"
                    f"{HEADERS}{more}\r\n".encode()
                    + raw
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._busy -= 1
            writer.close()

    async def _answer(self, first: str, fields: dict[str, str], body: str) -> tuple[str, str, str, str]:
        """-> status, kind, text, more header lines."""
        words = first.split(" ")
        method, path = (words[0], words[1].partition("?")[0]) if len(words) == 3 else ("", "")
        if not _is_ours(fields.get("host", "")):
            return "421 Misdirected Request", "text/plain", "This is a Tillwire box; ask for it by its address.\n", ""
        if method == "POST" and path == "/code":
            return self._coded(parse_qs(body).get("code", [""])[0])
        if method not in ("GET", "HEAD") or path not in ("/", "/state.json"):
            return "404 Not Found", "text/plain", "There are / and /state.json\n", ""
        if not self._may(fields.get("cookie", "")):
            return ("401 Unauthorized" if path != "/" else "200 OK"), "text/html", _asks(""), ""
        state = await self._state()
        if path == "/state.json":
            return "200 OK", "application/json", json.dumps(state, ensure_ascii=False, indent=1), ""
        return "200 OK", "text/html", shown(state), "Refresh: 10\r\n"

    def _coded(self, given: str) -> tuple[str, str, str, str]:
        now = asyncio.get_running_loop().time()
        while self._wrong and now - self._wrong[0] > WRONG_S:
            self._wrong.popleft()
        if len(self._wrong) >= WRONG_MOST:
            return (
                "429 Too Many Requests",
                "text/html",
                _asks("Too many wrong codes: wait a minute."),
                "Retry-After: 60\r\n",
            )
        code = self._code()
        if not code or not hmac.compare_digest(given.strip().encode(), code.encode()):
            self._wrong.append(now)
            return "403 Forbidden", "text/html", _asks("That is not the code of this box."), ""
        cookie = f"Set-Cookie: box={self._cookie}; HttpOnly; SameSite=Strict; Path=/; Max-Age=28800\r\n"
        return "303 See Other", "text/plain", "", f"{cookie}Location: /\r\n"

    def _may(self, cookies: str) -> bool:
        if not self.settings.code_file:
            return True  # on loopback alone: config/box.py sees to that
        given = dict(part.strip().partition("=")[::2] for part in cookies.split(";")).get("box", "")
        return hmac.compare_digest(
            hashlib.sha256(given.encode()).digest(), hashlib.sha256(self._cookie.encode()).digest()
        )

    def _code(self) -> str:
        with contextlib.suppress(OSError):
            code = Path(self.settings.code_file).read_text(encoding="utf-8").partition("\n")[0].strip()
            return code if len(code) >= SHORTEST_CODE else ""
        return ""


def _is_ours(host: str) -> bool:
    """An address, this machine's own name, or NAME.local: no name that a stranger's DNS could point here."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and host.count(":") != 0 else host
    name = name.strip("[]").lower()
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    own = socket.gethostname().lower()
    return name in ("localhost", own, f"{own}.local")


def shown(state: dict[str, Any]) -> str:
    """The page. All that comes from outside is escaped."""

    def rows(pairs: list[tuple[str, Any, bool | None]]) -> str:
        kinds = {True: ' class="yes"', False: ' class="no"', None: ""}
        return (
            "<dl>"
            + "".join(
                f"<dt>{html.escape(name)}</dt><dd{kinds[good]}>{html.escape(str(value))}</dd>"
                for name, value, good in pairs
            )
            + "</dl>"
        )

    online = bool(state.get("online"))
    cloud: list[tuple[str, Any, bool | None]] = [
        ("Broker", "connected" if online else state.get("reason") or "not connected", online),
        ("Address", state.get("broker"), None),
        ("Waiting", f"{state.get('backlog')} receipts, safe on the box", None),
    ]
    if state.get("round_trip_ms") is not None:
        cloud.append(("There and back", f"{state['round_trip_ms']} ms", None))
    printers: list[tuple[str, Any, bool | None]] = []
    for printer in state.get("printers") or []:
        trouble = _trouble(printer)
        model = printer.get("model") or ""
        printers.append((str(printer.get("name")), trouble or f"ready {model}".strip(), not trouble))
    free = state.get("disk_free")
    board: list[tuple[str, Any, bool | None]] = [
        ("Print path", "runs" if state.get("relay") else "does not answer", bool(state.get("relay"))),
        ("Captured", state.get("last_seq"), None),
        ("Disk free", f"{free // 1_000_000} MB" if isinstance(free, int) else "unknown", None),
        ("Clock", state.get("clock"), None),
        ("Version", state.get("version"), None),
        *[("Link", link, None) for link in state.get("links") or []],
    ]
    alerts = state.get("alerts") or []
    return _page(
        f"<h1>{html.escape(str(state.get('box')))}</h1>"
        + ("<p class=no>Alert: " + html.escape(", ".join(map(str, alerts))) + "</p>" if alerts else "")
        + f"<h2>Printers</h2>{rows(printers)}<h2>Cloud</h2>{rows(cloud)}<h2>Box</h2>{rows(board)}"
    )


def _trouble(printer: dict[str, Any]) -> str:
    if not printer.get("connected"):
        return "not connected or switched off"
    if printer.get("paper") == "out":
        return "its paper is out"
    if printer.get("cover_open"):
        return "its cover is open"
    return "it reports an error" if printer.get("error") else "off-line" if printer.get("online") is False else ""


def _asks(problem: str) -> str:
    told = f"<p class=no>{html.escape(problem)}</p>" if problem else ""
    return _page(
        f"<h1>Tillwire box</h1>{told}<form method=post action=/code><label>Set-up code "
        "<input name=code type=password autocomplete=off autofocus></label> <button>Show</button></form>"
    )


def _page(inside: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Tillwire box</title><style>{STYLE}</style><body>{inside}</body></html>"
    )
