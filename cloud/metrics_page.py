"""/metrics and /healthz of a process that has no pages: the role ingest."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import generate_latest

from cloud import metrics


class MetricsPage:
    """Serves at `listen` (ADDRESS:PORT) until close(). Raises OSError."""

    def __init__(self, listen: str, works: Callable[[], dict[str, bool]]) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4", generate_latest(metrics.REGISTRY))
                elif self.path == "/healthz/live":
                    self._answer(200, "application/json", b'{"ok": true}')
                elif self.path in ("/healthz", "/healthz/ready"):
                    parts = works()
                    fine = all(parts.values())
                    self._answer(200 if fine else 503, "application/json", json.dumps({"ok": fine, **parts}).encode())
                else:
                    self._answer(404, "text/plain", b"/metrics, /healthz/live or /healthz/ready\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            raise OSError(f"[ingest] metrics = {listen!r}: {error}") from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
