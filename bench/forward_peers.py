"""What others would build it from, fed by the same harness: a NATS server that syncs each message, a NATS leaf node
with its hub (bench/forward_leaf.py), and persist-queue with paho. Each takes one receipt at a time, as a till does, and
is asked for what it promises.

As a program it is the last of them: receipts on standard input (four bytes of length, then the receipt), a line back
for each that is safe on disk; paho carries them on, and what the broker took is let go of.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

NATS = """\
server_name: peer
listen: "127.0.0.1:$port5"
max_payload: 8MB
jetstream { store_dir: "$dir/nats", max_mem: 128MB, max_file: 2GB, sync_interval: always }
mqtt { listen: "127.0.0.1:$port3", ack_wait: "5s", max_ack_pending: 1000 }
"""


def specs(nats: str) -> list[dict[str, Any]]:
    from bench import forward_leaf

    broker = {"command": f"{nats} -c $dir/nats.conf", "files": {"nats.conf": NATS}, "settle": 1.0}
    at = "mqtt:127.0.0.1:$port3/receipts"
    found = [{"name": "NATS, sync always", "feed": at, "watch": at, "processes": {"broker": broker}}]
    found.append(forward_leaf.spec(nats))
    try:
        import persistqueue  # noqa: F401
    except ImportError:
        print("persist-queue is not installed (pip install persist-queue): without it")
        return found
    queue = {"command": f"{sys.executable} {__file__} $dir/queue 127.0.0.1 $port3", "settle": 1.0}
    found.append(
        {
            "name": "persist-queue and paho",
            "feed": "pipe:queue",
            "watch": at,
            "processes": {"broker": broker, "queue": queue},
        }
    )
    return found


def main(folder: str, host: str, port: str) -> None:
    import paho.mqtt.client as paho
    import persistqueue
    from paho.mqtt.enums import CallbackAPIVersion

    queue = persistqueue.SQLiteAckQueue(folder, multithreading=True, auto_commit=True)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="peer", clean_session=False)
    client.connect(host, int(port))
    client.loop_start()

    def carry() -> None:
        while True:
            receipt = queue.get()
            client.publish("receipts", receipt, qos=1).wait_for_publish(30)
            queue.ack(receipt)

    threading.Thread(target=carry, daemon=True).start()
    source, out = sys.stdin.buffer, sys.stdout
    while head := source.read(4):
        queue.put(source.read(int.from_bytes(head, "big")))
        out.write("safe\n")
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
