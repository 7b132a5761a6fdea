"""Backup and restore of the SQLite file: consistent while it is written to, and boxes bring what it lacks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cloud.conftest import Cloud, until
from tests.simulators.box import SimulatedBox


@pytest.mark.covers("F41")
def test_what_a_backup_lacks_the_boxes_bring_again(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, extra="[ingest]\nwant_after_s = 1\nreread = false\n")
    client = cloud.merchant("Corner Cafe", "anna")
    secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
    file = tmp_path / "cloud.backup"
    try:
        cloud.start()
        box = cloud.connect("cafe-front-1", secret)
        for _ in range(20):
            box.capture()
        box.acked(range(1, 21))
        cloud.command("backup", str(file))
        for _ in range(20):
            box.capture()
        box.acked(range(21, 41))
        until(lambda: len(client.get("/v1/events", params={"limit": 200}).json()["events"]) >= 40)
        last_event = client.get("/v1/events", params={"limit": 200}).json()["last"]
        assert "held by another tillwire-cloud" in cloud.command("restore", str(file), fails=True)
        box.close()
        cloud.stop()
        assert "restored" in cloud.command("restore", str(file))
        cloud.start()
        assert len(client.get("/v1/receipts", params={"limit": 200}).json()["receipts"]) == 20
        again = cloud.connect("cafe-front-1", secret)
        again.epoch, again.seq, again.kept = box.epoch, box.seq, box.kept
        again.status(first_unacked=41)
        again.acked(range(21, 41))
        assert {(w.epoch, w.first, w.last) for w in again.wanted} == {(box.epoch, 21, 40)}
        found = client.get("/v1/receipts", params={"limit": 200}).json()["receipts"]
        assert sorted(r["seq"] for r in found) == list(range(1, 41))
        (journal,) = client.get("/v1/boxes/cafe-front-1").json()["journals"]
        assert (journal["watermark"], journal["missing"]) == (40, [])
        new = until(lambda: client.get("/v1/events", params={"after": last_event}).json()["events"])
        assert min(e["n"] for e in new) > last_event  # who pulls events misses none: no number is given twice
        assert cloud.command("audit", "check") == "the audit log is whole"
        assert [file.name.split(".before-")[0] for file in tmp_path.glob("*.before-*Z")] == ["cloud.db"]
    finally:
        cloud.close()


def test_a_backup_taken_under_load_is_whole(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.merchant("Corner Cafe", "anna").close()
    secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
    file = tmp_path / "cloud.backup"
    try:
        cloud.start()
        box: SimulatedBox = cloud.connect("cafe-front-1", secret)
        for _ in range(600):
            box.capture()
        box.acked([1])
        cloud.command("backup", str(file))
        box.acked(range(1, 601))
    finally:
        cloud.close()
    with closing(sqlite3.connect(file)) as copy:
        ((count, highest),) = copy.execute("SELECT count(*), max(seq) FROM jobs")
        assert 1 <= count == highest  # what came in order is there without a gap
        assert copy.execute("SELECT count(*) FROM papers").fetchone() == (count,)
        assert copy.execute("SELECT highest FROM epochs").fetchone() == (highest,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert file.stat().st_mode & 0o077 == 0


def test_what_is_no_backup_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.merchant("Corner Cafe", "anna").close()
    before = cloud.database.read_bytes()
    wrong = tmp_path / "wrong"
    assert "no file" in cloud.command("restore", str(wrong), fails=True)
    wrong.write_bytes(b"not a database" * 1000)
    assert "is no backup" in cloud.command("restore", str(wrong), fails=True)
    sqlite3.connect(wrong.with_suffix(".db")).close()
    assert "is no backup" in cloud.command("restore", str(wrong.with_suffix(".db")), fails=True)
    assert cloud.database.read_bytes() == before
    assert not list(tmp_path.glob("*.before-*"))
