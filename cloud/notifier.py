"""A child process that hands notices to providers through Apprise: `python -m cloud.notifier [private]`.

A line of JSON in, {do: tell, url, title, body} or what cloud/wxpusher.py does; a line out, {ok, problem, ...}. Apprise
speaks to servers that merchants name, so this process is the fence (A49): it connects to public addresses alone,
whatever a name resolves to and wherever a provider would send it on; redirects are not followed; it has no secrets but
the URL in hand, and its parent kills it when it takes too long.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import socket
import sys
from typing import Any
from urllib.parse import unquote, urlsplit

from cloud import wxpusher
from cloud.webhooks import is_public

TIMEOUT_S = 10.0


class Said(logging.Handler):
    """What Apprise logs of a failure: its calls answer yes or no alone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): seen before every connect, and not to be taken off."""
    if event not in ("socket.connect", "socket.sendto"):
        return
    line, address = arguments[0], arguments[1]
    if line.family not in (socket.AF_INET, socket.AF_INET6):
        raise PermissionError("only the internet is called")
    host = ipaddress.ip_address(str(address[0]).split("%")[0])
    if not is_public(host):
        raise PermissionError(f"{host} is not a public address")


def tell(apprise: Any, request: dict[str, str], said: Said) -> dict[str, Any]:
    said.lines.clear()
    asset = apprise.AppriseAsset(http_redirects=False, async_mode=False, secure_logging=True)
    one = apprise.Apprise(asset=asset)
    try:
        if not one.add(request["url"]):
            return {"ok": False, "problem": "this is no address that can be used"}
        ok = one.notify(
            body=request["body"],
            title=request["title"],
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
        )
    except Exception as error:  # a fence: what a provider's answer does to a plugin is told, not suffered
        return {"ok": False, "problem": without_secrets(f"{type(error).__name__}: {error}", request["url"])}
    problem = "" if ok else " ".join(said.lines) or "the provider did not take it"
    return {"ok": bool(ok), "problem": without_secrets(problem, request["url"])}


def link(request: dict[str, Any]) -> dict[str, Any]:
    """A code to scan, or who scanned it."""
    try:
        if request["do"] == "invite":
            code, picture = wxpusher.invite(request["url"], request["extra"], request["valid_s"])
            return {"ok": True, "code": code, "picture": base64.b64encode(picture).decode()}
        return {"ok": True, "id": wxpusher.scanned(request["code"])}
    except (wxpusher.Refused, OSError, ValueError) as error:
        problem = str(error) or type(error).__name__
        return {"ok": False, "problem": without_secrets(problem, request.get("url", ""))}


def without_secrets(text: str, url: str) -> str:
    """No piece of the sender's address may stand in what people read."""
    parts = urlsplit(url)
    pieces = [parts.netloc, parts.username or "", parts.password or "", *parts.path.split("/"), parts.query]
    for piece in sorted({unquote(p) for p in pieces} | set(pieces), key=len, reverse=True):
        if len(piece) > 5 and piece != parts.hostname:
            text = text.replace(piece, "…")
    return text[:300]


def main() -> int:
    import apprise

    socket.setdefaulttimeout(TIMEOUT_S)
    if "private" not in sys.argv[1:]:
        sys.addaudithook(guard)
    said = Said()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    for line in sys.stdin:
        request = json.loads(line)
        answer = tell(apprise, request, said) if request["do"] == "tell" else link(request)
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
