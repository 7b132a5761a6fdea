"""A full disk below a running cloud: nothing is acknowledged that is not stored, it is told, and it ends by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cloud.conftest import Cloud, until
from tests.simulators.disk import small_file_system


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "small", megabytes=24) as folder:
        yield folder


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    out.write(bytes(size))
            except OSError:
                continue
    return file


@pytest.mark.covers("F12", "F13")
@pytest.mark.parametrize("whole", [False, True], ids=["the database's", "the broker's too"])
def test_a_full_disk_stops_acknowledging_is_told_and_ends_by_itself(
    tmp_path: Path, small_disk: Path, whole: bool
) -> None:
    cloud = Cloud(tmp_path, store=f"sqlite://{small_disk}/cloud.db")
    if whole:
        cloud.config.write_text(cloud.config.read_text().replace(f"{tmp_path}/broker", f"{small_disk}/broker"))
    cloud.start()
    try:
        client, page = cloud.merchant("Corner Cafe", "anna"), cloud.log_in("anna")
        box = cloud.box("Corner Cafe", "cafe-front-1")
        box.status()
        for _ in range(5):
            box.capture()
        box.acked(range(1, 6))
        until(lambda: len(client.get("/v1/receipts").json()["receipts"]) == 5)
        secret = cloud.command("box", "add", "Corner Cafe", "late-box-01")  # the broker's file may not be written
        filler = fill(small_disk)
        late = [box.capture(text=f"{n} " + "late " * 4000) for n in range(20)]
        if not whole:  # else the broker itself may take nothing
            until(lambda: httpx.get(f"{cloud.url}/healthz").status_code == 503)
            assert httpx.get(f"{cloud.url}/healthz").json()["ingest"] is False
            assert "tillwire_cloud_ingest_stuck 1.0" in httpx.get(f"{cloud.url}/metrics").text
            assert "disk is full" in cloud.log.read_text()
        order = {"kind": "takeaway", "items": [{"name": "Soup" * 40}] * 50}
        refused = until(lambda: (a := client.post("/v1/orders", json=order)).status_code == 503 and a)
        assert "Nothing was stored" in refused.json()["detail"]
        assert page.get("/receipts").status_code == 200  # what is there can be read
        assert client.get("/v1/receipts").json()["receipts"]
        assert httpx.get(f"{cloud.url}/healthz/live").status_code == 200
        assert len(box.acks) < 5 + len(late)
        filler.unlink()
        until(lambda: httpx.get(f"{cloud.url}/healthz").status_code == 200, 90)
        if whole:
            until(lambda: "the broker's disk was full" in cloud.log.read_text())
            cloud.connect("late-box-01", secret)

        def again() -> bool:
            """As a box does with what nobody acknowledged."""
            missing = [message for message in late if (message.epoch, message.seq) not in box.acks]
            for message in missing:
                box.publish("receipts", message)
            return not missing

        until(again, 90, every=3)
        until(lambda: len(client.get("/v1/receipts").json()["receipts"]) == 25)
        assert client.post("/v1/orders", json=order).status_code == 201
        client.close()
        page.close()
    finally:
        cloud.close()
