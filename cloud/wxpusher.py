"""WxPusher's codes: who scans one with WeChat may be written to from then on. Called in the notifier's child alone.

Source: WxPusher's HTTP API: POST /api/fun/create/qrcode {appToken, extra, validTime} gives {code, url, shortUrl}, where
both addresses are pictures of the code; GET /api/fun/scan-qrcode-uid?code=… gives the id of whoever scanned it, and is
asked no more than every ten seconds. `code` 1000 in an answer is a yes.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

HOST = "https://wxpusher.zjiecode.com"
PICTURES = [HOST, "https://mp.weixin.qq.com"]  # where pictures of codes are fetched from
YES = 1000
MOST_PICTURE = 300_000
STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Refused(Exception):
    """The provider did not do it; the text is its own, or says what was wrong with its answer."""


def token_of(url: str) -> str:
    """The shop's key, out of its sender's address wxpusher://TOKEN/{to}."""
    return urlsplit(url).netloc.rpartition("@")[2]


def invite(url: str, extra: str, valid_s: int) -> tuple[str, bytes]:
    """-> (the provider's name for the code, the code as PNG or JPEG). Raises Refused, OSError."""
    wish = {"appToken": token_of(url), "extra": extra[:64], "validTime": valid_s}
    data = _json("/api/fun/create/qrcode", json.dumps(wish).encode())
    if not isinstance(data, dict) or not data.get("code"):
        raise Refused("its answer names no code")
    return str(data["code"]), _picture([str(data.get(name) or "") for name in ("url", "shortUrl")])


def scanned(code: str) -> str:
    """The id of whoever scanned it, "" while nobody has. Raises OSError."""
    try:
        found = _json(f"/api/fun/scan-qrcode-uid?code={quote(code, safe='')}")
    except Refused:
        return ""
    return found if isinstance(found, str) else ""


def _json(path: str, body: bytes | None = None) -> Any:
    answer = json.loads(_fetch(HOST + path, body))
    if not isinstance(answer, dict) or answer.get("code") != YES:
        said = answer.get("msg") if isinstance(answer, dict) else ""
        raise Refused(str(said or "it did not say why"))
    return answer.get("data")


def _picture(addresses: list[str]) -> bytes:
    for address in addresses:
        safe = address.replace("http://", "https://", 1) if HOST.startswith("https") else address
        if any(safe.startswith(f"{place}/") for place in PICTURES):
            data = _fetch(safe)
            if data.startswith(STARTS):
                return data
    raise Refused("its answer has no picture of the code")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _fetch(address: str, body: bytes | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    headers = {"User-Agent": "Tillwire", **({"Content-Type": "application/json"} if body else {})}
    with opener.open(urllib.request.Request(address, body, headers)) as answer:  # the child's socket timeout holds
        data: bytes = answer.read(MOST_PICTURE + 1)
    if len(data) > MOST_PICTURE:
        raise Refused("its answer is too large")
    return data
