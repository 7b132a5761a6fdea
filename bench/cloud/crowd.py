"""Ten thousand connected boxes: how long they take to come, and what each costs the cloud's process in memory.

The boxes are raw sockets of this one process, with packets built beforehand: CONNECT, a subscription, a status.
"""

from __future__ import annotations

import resource
import socket
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path

from bench.cloud import rig
from cloud.mqtt import CONNACK, SUBACK, SUBSCRIBE, _connect, _length, _string
from wire import topics
from wire.messages import Status, encode, new

BOXES = 10_000
AT_ONCE = 200  # that have connected and not been answered


def main(quick: bool = False) -> None:
    count = 500 if quick else BOXES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        print(f"skipped: only {hard} files may be open (ulimit -n)")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    names = [f"crowd-{n:06d}" for n in range(count)]
    with (
        tempfile.TemporaryDirectory() as base,
        closing(rig.broker(Path(base))) as one,
        rig.clouds(Path(base), one, None, ["all"]) as ((cloud,), _),
    ):
        rig.add_boxes(cloud, None, names)
        cloud.start()
        rig.wait(lambda: rig.metric(cloud, "tillwire_cloud_boxes_known") == count, 60)
        before, cpu, began = rig.memory_of(cloud), rig.cpu_of(cloud), time.monotonic()
        lines: list[socket.socket] = []
        try:
            for start in range(0, count, AT_ONCE):
                lines += connect(one.port, names[start : start + AT_ONCE])
            rig.wait(lambda: rig.metric(cloud, "tillwire_cloud_boxes_online") == count, 120)
            took, spent = time.monotonic() - began, rig.cpu_of(cloud) - cpu
            time.sleep(5)  # what was only needed to take them in goes
            after = rig.memory_of(cloud)
            each = (after - before) * 1024 / count
            broker = resident(one.process.pid)
            print(
                f"{count} boxes are connected and known as online after {took:.0f} s ({spent:.1f} s CPU of the cloud)\n"
                f"memory: the cloud {before:.0f} -> {after:.0f} MB, {each:.1f} KB a box; mosquitto {broker:.0f} MB"
            )
        finally:
            for line in lines:
                line.close()


def connect(port: int, names: list[str]) -> list[socket.socket]:
    """They connect, listen to what is for them, and say how they are."""
    lines = []
    for name in names:
        line = socket.create_connection(("127.0.0.1", port), 30)
        line.sendall(_connect(name, "crowd", "crowd", 600))
        lines.append(line)
    for line, name in zip(lines, names, strict=True):
        answer(line, CONNACK, 4)
        body = b"\x00\x01" + _string(f"tillwire/1/{topics.shard_of(name)}/{name}/down/#") + b"\x01"
        status = encode(new(Status, online=True, version="0.1.0", boot=name, epoch=str(uuid.uuid4())))
        told = _string(topics.up(name, "status")) + b"\x00\x02" + status
        subscribe = bytes([SUBSCRIBE]) + _length(len(body)) + body
        line.sendall(subscribe + bytes([0x33]) + _length(len(told)) + told)  # QoS 1, retained
    for line in lines:
        answer(line, SUBACK, 5)
    return lines


def answer(line: socket.socket, kind: int, size: int) -> None:
    """Raises RuntimeError where the broker says another thing."""
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise RuntimeError("the broker hung up")
        data += piece
    if data[0] != kind:
        raise RuntimeError(f"the broker answered {data.hex()}")


def resident(pid: int) -> float:
    """MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
