"""Stubs of those who carry notices: an SMS gateway (SMSEagle's API v2), a mail server, a webhook. On loopback."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any


class Gateway:
    """Answers what `says` has next, then 200; `got` holds (path, headers, body)."""

    def __init__(self) -> None:
        self.got: Queue[tuple[str, dict[str, str], Any]] = Queue()
        self.says: list[int] = []
        self.moved = ""  # where a 302 sends to
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                gateway.got.put((self.path, dict(self.headers), json.loads(body or b"{}")))
                status = gateway.says.pop(0) if gateway.says else 200
                answer = b'{"status": "ok", "result": {"status": "ok"}}'
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", gateway.moved)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer:
    """Takes every letter (RFC 5321, as far as smtplib speaks it); `got` holds (recipients, text)."""

    def __init__(self) -> None:
        self.got: Queue[tuple[list[str], str]] = Queue()
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                to: list[str] = []
                self.wfile.write(b"220 stub\r\n")
                while line := self.rfile.readline():
                    word = line[:4].upper()
                    if word == b"RCPT":
                        to.append(line.decode().split("<")[1].split(">")[0])
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        text = b""
                        while (piece := self.rfile.readline()) not in (b".\r\n", b""):
                            text += piece
                        mail.got.put((to, text.decode()))
                    if word == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    self.wfile.write(b"250 ok\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
