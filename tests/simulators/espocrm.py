"""A stand-in for EspoCRM's REST API, as its documentation describes the listing of records; with switches for faults.

GET api/v1/{entity}?where[n][type|attribute|value]&orderBy&order&offset&maxSize&select with X-Api-Key
-> {"total": n, "list": [...]}. An unknown key is 401, an entity that the role may not read 403, one that there is not
404, and a maxSize above 200 is 403, as in recordListMaxSizeLimit.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LIMIT = 200


class EspoCrm:
    """`records`: entity -> records. `asked`: the queries that came. `broken`: answer with this text instead."""

    def __init__(self) -> None:
        self.key = "key-of-an-api-user"
        self.records: dict[str, list[dict[str, Any]]] = {"Contact": []}
        self.forbidden: set[str] = set()
        self.asked: list[dict[str, str]] = []
        self.broken = ""
        crm = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = crm.answer(self.path, self.headers.get("X-Api-Key", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, path: str, key: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        query, entity = dict(parse_qsl(parts.query)), parts.path.removeprefix("/api/v1/")
        self.asked.append(query)
        if self.broken:
            return 200, self.broken.encode()
        if key != self.key:
            return 401, b""
        if entity not in self.records:
            return 404, b""
        if entity in self.forbidden or int(query.get("maxSize", 20)) > LIMIT:
            return 403, b""
        found = [one for one in self.records[entity] if all(_fits(one, query, n) for n in range(3))]
        found.sort(key=lambda one: str(one.get(query.get("orderBy", "id")) or ""), reverse=query.get("order") == "desc")
        start = int(query.get("offset", 0))
        page = found[start : start + int(query.get("maxSize", 20))]
        if "select" in query:
            names = {"id", *query["select"].split(",")}
            page = [{name: value for name, value in one.items() if name in names} for one in page]
        return 200, json.dumps({"total": len(found), "list": page}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _fits(one: dict[str, Any], query: dict[str, str], n: int) -> bool:
    kind = query.get(f"where[{n}][type]")
    value, wanted = str(one.get(query.get(f"where[{n}][attribute]", "")) or ""), query.get(f"where[{n}][value]", "")
    if kind is None:
        return True
    return {"greaterThanOrEquals": value >= wanted, "greaterThan": value > wanted, "equals": value == wanted}[kind]
