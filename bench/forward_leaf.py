"""A NATS leaf node on the box and a hub in the cloud, as a peer in bench/forward_peers.py.

The leaf keeps each receipt in a stream of its own and syncs it before it answers; the hub sources that stream into its
own, syncs too, and says each message again under `arrived` once it stands there: that is what the harness watches.

As a program it is the till's side: receipts on standard input (four bytes of length, then the receipt), a line back for
each that the leaf's stream has acknowledged.
Source: NATS protocol (PUB, SUB, MSG) and JetStream's API subjects, docs.nats.io.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import Any, BinaryIO

STORE = "max_mem: 128MB, max_file: 2GB, sync_interval: always"
HUB = f"""\
server_name: hub
listen: "127.0.0.1:$port4"
max_payload: 8MB
jetstream {{ store_dir: "$dir/hub", domain: hub, {STORE} }}
leafnodes {{ listen: "127.0.0.1:$port6" }}
mqtt {{ listen: "127.0.0.1:$port3", ack_wait: "5s", max_ack_pending: 1000 }}
"""
LEAF = f"""\
server_name: leaf
listen: "127.0.0.1:$port5"
max_payload: 8MB
jetstream {{ store_dir: "$dir/leaf", domain: leaf, {STORE} }}
leafnodes {{ reconnect: 1, remotes: [ {{ urls: ["nats-leaf://127.0.0.1:$port6"] }} ] }}
"""


def spec(nats: str) -> dict[str, Any]:
    return {
        "name": "NATS leaf and hub",
        "feed": "pipe:till",
        "watch": "mqtt:127.0.0.1:$port3/arrived",
        "processes": {
            "hub": {"command": f"{nats} -c $dir/hub.conf", "files": {"hub.conf": HUB}, "settle": 1.0},
            "leaf": {"command": f"{nats} -c $dir/leaf.conf", "files": {"leaf.conf": LEAF}, "settle": 2.0},
            "till": {"command": f"{sys.executable} {__file__} $port5", "settle": 2.0},
        },
    }


class Nats:
    """One connection; one question at a time."""

    def __init__(self, port: int) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), 10)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.came: BinaryIO = self.line.makefile("rb")
        self.line.sendall(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n')

    def ask(self, subject: str, payload: bytes) -> dict[str, Any]:
        self.line.sendall(f"PUB {subject} answer {len(payload)}\r\n".encode() + payload + b"\r\n")
        while True:
            words = self.came.readline().split()
            if words[:1] == [b"PING"]:
                self.line.sendall(b"PONG\r\n")
            elif words[:1] == [b"MSG"]:
                answer: dict[str, Any] = json.loads(self.came.read(int(words[-1]) + 2))
                return answer
            elif not words or words[0].startswith(b"-ERR"):
                raise ConnectionError(f"NATS: {words}")

    def stream(self, domain: str, name: str, **config: Any) -> None:
        """Make a stream; raises TimeoutError where the server does not take it within 10 s."""
        asked = {"name": name, "storage": "file", "retention": "limits", "num_replicas": 1, **config}
        end = time.monotonic() + 10
        while True:
            answer = self.ask(f"$JS.{domain}.API.STREAM.CREATE.{name}", json.dumps(asked).encode())
            if "error" not in answer:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"stream {name}: {answer['error']}")
            time.sleep(0.1)


def main(port: str) -> None:
    nats = Nats(int(port))
    nats.stream("leaf", "RECEIPTS", subjects=["receipts"])
    source = {"name": "RECEIPTS", "external": {"api": "$JS.leaf.API"}}
    nats.stream("hub", "ARRIVED", sources=[source], republish={"src": "receipts", "dest": "arrived"})
    receipts = sys.stdin.buffer
    while head := receipts.read(4):
        answer = nats.ask("receipts", receipts.read(int.from_bytes(head, "big")))
        if "error" in answer:
            raise SystemExit(f"not kept: {answer['error']}")
        sys.stdout.write("safe\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
