"""A stub of WxPusher on loopback: codes, who scanned them, messages. `sees(folder)` makes the notifier's child meet it
in place of the real one: its addresses are fixed, in our program as in Apprise."""

from __future__ import annotations

import io
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import segno

_picture = io.BytesIO()
segno.make_qr("https://example.com/a-code-of-the-push-service").save(_picture, kind="png", scale=6)
PNG = _picture.getvalue()
MEET = """
import sys
if "cloud.notifier" in sys.orig_argv:
    from cloud import wxpusher
    from apprise.plugins.wxpusher import NotifyWxPusher
    wxpusher.HOST = {host!r}
    wxpusher.PICTURES[:] = [{host!r}]
    NotifyWxPusher.notify_url = {host!r} + "/api/send/message"
"""


class WxPusher:
    """`asked`: what codes were wished for; `scans[code] = id`: somebody scanned; `sent`: messages."""

    def __init__(self) -> None:
        self.asked: Queue[dict[str, Any]] = Queue()
        self.sent: Queue[dict[str, Any]] = Queue()
        self.scans: dict[str, str] = {}
        self.broken = False
        self.refuses_messages = False
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/api/fun/create/qrcode" and not stub.broken:
                    stub.asked.put(body)
                    data = {"code": body["extra"], "url": f"{stub.host}/qr.png", "extra": body["extra"]}
                    self.answer({"code": 1000, "msg": "ok", "success": True, "data": data})
                elif self.path == "/api/send/message" and not stub.refuses_messages:
                    stub.sent.put(body)
                    self.answer({"code": 1000, "msg": "ok", "success": True, "data": []})
                else:
                    self.answer({"code": 1001, "msg": "not today", "success": False, "data": None})

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/qr.png":
                    self.answer(PNG)
                    return
                found = stub.scans.get(parse_qs(parts.query).get("code", [""])[0])
                self.answer({"code": 1000 if found else 1001, "msg": "", "success": bool(found), "data": found})

            def answer(self, what: Any) -> None:
                data = what if isinstance(what, bytes) else json.dumps(what).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def sees(self, folder: Path) -> str:
        """-> PYTHONPATH for the cloud."""
        (folder / "sitecustomize.py").write_text(MEET.format(host=self.host))
        return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
