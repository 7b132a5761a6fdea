"""A real NATS cluster in a temporary folder, for the tests: config/nats.conf as it is shipped, its users
from `tillwire-cloud broker-files`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.cloud.conftest import free_port

SHIPPED = Path(__file__).parents[2] / "config" / "nats.conf"
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Nats:
    """`nodes` servers on loopback; ports[n] is where node n takes MQTT. `files` holds tillwire-users.conf."""

    def __init__(self, folder: Path, files: Path, nodes: int = 3) -> None:
        self._folder = folder
        self.ports = [free_port() for _ in range(nodes)]
        routes = [free_port() for _ in range(nodes)]
        self.processes: list[subprocess.Popen[bytes]] = []
        named = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        shipped = SHIPPED.read_text()
        users = os.path.relpath(files / "tillwire-users.conf", folder)
        for n, (port, route) in enumerate(zip(self.ports, routes, strict=True)):
            text = shipped
            for was, now in (
                ("$NODE\n", f"n{n}\n"),
                ("127.0.0.1:4222", "127.0.0.1:-1"),
                ("/var/lib/nats", f"{folder}/js{n}"),
                ("0.0.0.0:6222", f"127.0.0.1:{route}"),
                ('"nats://10.0.0.1:6222", "nats://10.0.0.2:6222", "nats://10.0.0.3:6222"', named),
                ("0.0.0.0:1883", f"127.0.0.1:{port}"),
                ("stream_replicas: 3", f"stream_replicas: {nodes}"),
                ("tillwire-users.conf", users),
            ):
                assert was in text, was
                text = text.replace(was, now)
            (folder / f"n{n}.conf").write_text(text)
            self.processes.append(self._spawn(n))

    def _spawn(self, n: int) -> subprocess.Popen[bytes]:
        program = str(Path(sys.executable).with_name("nats-server"))
        with (self._folder / f"n{n}.log").open("ab") as log:
            command = [*DIE_WITH_PARENT, program, "-c", str(self._folder / f"n{n}.conf")]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self, within: float = 60) -> Nats:
        end = time.monotonic() + within
        for n, port in enumerate(self.ports):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 0.5).close()
                    break
                except OSError:
                    log = (self._folder / f"n{n}.log").read_text()[-2000:]
                    assert self.processes[n].poll() is None and time.monotonic() < end, log
                    time.sleep(0.05)
        return self

    def kill(self, n: int) -> None:
        self.processes[n].kill()
        self.processes[n].wait(10)

    def start(self, n: int) -> None:
        self.processes[n] = self._spawn(n)

    def reload(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(10)
