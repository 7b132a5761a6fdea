"""Brokers that are not ours: a mosquitto and a NATS cluster learn of boxes from the database, and lose none of their
receipts when a node dies."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from cloud.mqtt import Address, Mqtt, Offline
from tests.cloud.conftest import Cloud, until
from tests.cloud.mosquitto import Mosquitto
from tests.cloud.nats import Nats
from tests.simulators.box import SimulatedBox, job
from wire import topics
from wire.messages import encode


@contextmanager
def watched(cloud: Cloud, files: Path, reload: str) -> Iterator[None]:
    """`tillwire-cloud broker-files --watch` beside the broker."""
    words = ["broker-files", str(files), "--watch", "--reload", reload]
    command = [sys.executable, "-m", "cloud", "--config", str(cloud.config), *words]
    with (cloud.folder / "watch.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0


def prepared(tmp_path: Path) -> tuple[Cloud, Path, httpx.Client]:
    (tmp_path / "secret").write_text(secrets.token_urlsafe(16) + "\n")
    cloud = Cloud(tmp_path, broker=f'url = "mqtt://127.0.0.1:1"\npassword_file = "{tmp_path / "secret"}"')
    client = cloud.merchant("Corner Cafe", "anna")
    files = tmp_path / "files"
    cloud.command("broker-files", str(files))
    for file in files.iterdir():
        file.chmod(0o644)
    return cloud, files, client


def use(cloud: Cloud, port: int) -> None:
    cloud.config.write_text(cloud.config.read_text().replace('127.0.0.1:1"', f'127.0.0.1:{port}"'))
    cloud.start()
    until(lambda: httpx.get(f"{cloud.url}/healthz").json()["broker"], within=60)


def comes(name: str, secret: str, port: int, within: float = 60) -> SimulatedBox:
    """The broker hears of a new box in seconds."""
    end = time.monotonic() + within
    while True:
        box = SimulatedBox(name, secret, "127.0.0.1", port)
        try:
            return box.ready(3)
        except AssertionError:
            box.close()
            if time.monotonic() > end:
                raise


def is_cut_off(line: Mqtt, within: float = 60) -> None:
    end = time.monotonic() + within
    with pytest.raises(Offline):
        while time.monotonic() < end:
            line.receive(0.5)


@pytest.mark.covers("A34")
def test_a_watched_mosquitto_follows_the_database(tmp_path: Path) -> None:
    cloud, files, client = prepared(tmp_path)
    broker = Mosquitto(tmp_path, files=files)
    box = None
    try:
        use(cloud, broker.port)
        with watched(cloud, files, f"kill -HUP {broker.process.pid}"):
            secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            box = comes("cafe-front-1", secret, broker.port)
            box.capture()
            box.acked([1])
            box.close()
            line = Mqtt(Address("127.0.0.1", broker.port, "cafe-front-1", secret), "cafe-front-1")
            cloud.command("box", "revoke", "cafe-front-1")
            is_cut_off(line)
            with pytest.raises(Offline):
                Mqtt(Address("127.0.0.1", broker.port, "cafe-front-1", secret), "cafe-front-1")
    finally:
        client.close()
        cloud.close()
        broker.close()


@pytest.mark.covers("A20", "A22", "A34", "F6")
def test_a_nats_cluster_confines_boxes_and_loses_nothing_with_a_node(tmp_path: Path) -> None:
    cloud, files, client = prepared(tmp_path)
    broker = Nats(tmp_path, files)
    boxes: list[SimulatedBox] = []
    try:
        broker.ready()
        use(cloud, broker.ports[0])
        with watched(cloud, files, f"kill -HUP {' '.join(str(p.pid) for p in broker.processes)}"):
            first = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            evil = cloud.command("box", "add", "Corner Cafe", "evil-box-01")
            boxes.append(box := comes("cafe-front-1", first, broker.ports[1]))
            boxes.append(comes("evil-box-01", evil, broker.ports[2]))
            with closing(Mqtt(Address("127.0.0.1", broker.ports[2], "evil-box-01", evil), "evil")) as line:
                line.publish(topics.up("cafe-front-1", "receipts"), encode(job(box.epoch, 1, "forged")))
                with pytest.raises(Offline):
                    line.subscribe(["tillwire/1/+/cafe-front-1/down/#"], timeout_s=3)
                    assert line.receive(0.5) == []
                    raise Offline("granted, and nothing was delivered")
            total = 60
            for _ in range(total):
                box.capture()
            box.wait(lambda: len(box.acks) > 5, 60)
            broker.kill(1)  # the box's own node
            boxes.append(again := comes("cafe-front-1", first, broker.ports[2]))
            again.epoch = box.epoch

            def all_acked() -> bool:
                acked = {seq for _, seq in (*box.acks, *again.acks)}
                for seq in {*range(1, total + 1)} - acked:
                    again.publish("receipts", job(box.epoch, seq))
                return len(acked) == total

            until(all_acked, within=90, every=1)
            found = client.get("/v1/receipts", params={"limit": 200}).json()["receipts"]
            assert sorted(r["seq"] for r in found) == list(range(1, total + 1))
            assert {r["box"] for r in found} == {"cafe-front-1"}
            broker.start(1)
            broker.ready()
        live = [p.pid for p in broker.processes]
        with watched(cloud, files, f"kill -HUP {' '.join(map(str, live))}"):
            cut = Mqtt(Address("127.0.0.1", broker.ports[2], "evil-box-01", evil), "evil")
            cloud.command("box", "revoke", "evil-box-01")
            is_cut_off(cut)
    finally:
        for one in boxes:
            one.close()
        client.close()
        cloud.close()
        broker.close()


def test_a_reload_that_fails_is_tried_again(tmp_path: Path) -> None:
    cloud, files, client = prepared(tmp_path)
    client.close()
    marks = tmp_path / "marks"
    script = tmp_path / "reload.sh"
    script.write_text(f"#!/bin/sh\necho x >> {marks}\ntest $(wc -l < {marks}) -ge 2\n")
    script.chmod(0o755)
    with watched(cloud, files, str(script)):
        until(lambda: marks.exists() and marks.read_text().count("x") == 2)
    log = (tmp_path / "watch.log").read_text()
    assert log.count("exit 1") == 1
