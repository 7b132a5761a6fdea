"""Runs inside the guest: does what the machine outside asks over a virtio serial port. Standard library alone.

A request is a line of JSON, followed by `bytes` raw bytes where it says so; so is its answer:
    {"op": "run", "command": "...", "limit_s": 60}      -> {"code": 0, "bytes": N} and the output, errors among it
    {"op": "put", "path": "/x", "bytes": N, "mode": 420} -> {"code": 0}
    {"op": "get", "path": "/x"}                          -> {"code": 0, "bytes": N} and the content
What goes wrong is told: {"code": -1, "error": "..."}. After boot the first line is {"ready": true}.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

PORT = "/dev/virtio-ports/tillwire"


class Channel:
    def __init__(self, fd):
        self.fd, self.buffer = fd, b""

    def more(self):
        data = os.read(self.fd, 65536)
        if not data:  # nobody is connected outside
            time.sleep(0.05)
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def say(self, answer, data=b""):
        if data:
            answer["bytes"] = len(data)
        view = memoryview(json.dumps(answer).encode() + b"\n" + data)
        while view:
            view = view[os.write(self.fd, view[:32768]) :]


def run(request, data):
    """A command by sh, in a process group of its own that ends with it when its time is over."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", request["command"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=request["limit_s"])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        return {"code": 124, "error": f"not done within {request['limit_s']} s"}, out
    return {"code": process.returncode}, out


def put(request, data):
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(request.get("mode", 0o644))
    return {"code": 0}, b""


def get(request, data):
    return {"code": 0}, Path(request["path"]).read_bytes()


def main():
    while not Path(PORT).exists():
        time.sleep(0.05)
    channel = Channel(os.open(PORT, os.O_RDWR))
    channel.say({"ready": True})
    while True:
        request = json.loads(channel.line())
        body = channel.take(request.get("bytes", 0))
        try:
            answer, data = {"run": run, "get": get, "put": put}[request["op"]](request, body)
        except Exception as error:  # whatever it is, the machine outside must hear of it
            answer, data = {"code": -1, "error": f"{type(error).__name__}: {error}"}, b""
        channel.say(answer, data)


main()
