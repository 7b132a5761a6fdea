"""config/nats.conf, three nodes: one is killed while receipts and orders pass, and comes back; then another one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest

from cloud.broker import box_user, service_user
from tests.agent.rig import BIN, BOX, Rig, free_port, number_in, receipt
from tests.agent.test_orders import head, order
from tests.simulators.proxy import Proxy
from tests.simulators.system import listens, until

CONFIG = Path(__file__).parents[2] / "config" / "nats.conf"
NODES = ("one", "two", "three")


class Cluster:
    """Three nodes on this machine; the file as it is shipped, but for its addresses and folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mqtt = {name: free_port() for name in NODES}
        self.clients = {name: free_port() for name in NODES}
        self.cluster = {name: free_port() for name in NODES}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
        users = "\n".join([service_user("cloud", secret), box_user(BOX, secret)])
        folder.mkdir(parents=True)
        for name in NODES:
            home = folder / name
            home.mkdir()
            (home / "tillwire-users.conf").write_text(f"timeout: 10\nusers: [\n{users}\n]\n")
            text = CONFIG.read_text()
            routes = [f"nats://127.0.0.1:{port}" for port in self.cluster.values()]
            for was, now in (
                ("127.0.0.1:4222", f"127.0.0.1:{self.clients[name]}"),
                ("/var/lib/nats", str(home)),
                ("0.0.0.0:6222", f"127.0.0.1:{self.cluster[name]}"),
                ("0.0.0.0:1883", f"127.0.0.1:{self.mqtt[name]}"),
                *((f"nats://10.0.0.{n}:6222", route) for n, route in enumerate(routes, 1)),
            ):
                assert was in text, was
                text = text.replace(was, now)
            (home / "nats.conf").write_text(text)

    def start(self, *names: str) -> None:
        for name in names:
            home = self.folder / name
            with (home / "log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", str(BIN / "nats-server"), "-c", "nats.conf"],
                    cwd=home, env={**os.environ, "NODE": name}, stdout=log, stderr=log,
                )  # fmt: skip
        for name in names:
            until(lambda name=name: listens(self.mqtt[name]), 60, f"node {name} takes boxes")  # type: ignore[misc]

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait(20)

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    made.start(*NODES)
    yield made
    made.close()


@pytest.mark.slow  # three nodes that elect leaders are no work for a machine that is busy with other tests
@pytest.mark.covers("F38")
@pytest.mark.timeout(300)
def test_a_node_of_the_cluster_dies_and_nothing_is_lost(
    cluster: Cluster, bench: Callable[..., Rig], tmp_path: Path
) -> None:
    """The box goes by a balancer (the proxy), as boxes of a cluster do; the cloud stays at the second node."""
    way = Proxy(cluster.mqtt["one"])
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    box = bench(
        at=(cluster.mqtt["two"], "secret"),
        cloud={"broker": f"mqtt://127.0.0.1:{way.port}", "password_file": str(secret)},
    )
    try:
        box.start("relay", "agent").online()
        box.print(*[receipt(n) for n in range(1, 11)])
        box.cloud.wait_jobs(10, within=60)
        cluster.kill("one")
        box.print(*[receipt(n) for n in range(11, 31)])
        way.target = ("127.0.0.1", cluster.mqtt["three"])
        box.cloud.wait_jobs(30, within=90)
        box.cloud.order(order("o-1"))
        box.cloud.wait_state("o-1", "printed", within=90)
        cluster.start("one")
        cluster.kill("three")
        way.target = ("127.0.0.1", cluster.mqtt["one"])
        box.print(*[receipt(n) for n in range(31, 41)])
        box.cloud.wait_jobs(40, within=90)
        box.wait_empty(60)
        assert {number_in(raw) for raw in box.cloud.raws.values() if raw} == set(range(1, 41))
        assert box.printer.paper.count(head("o-1") + b"\n") == 1
    finally:
        way.close()
