"""The technician's command, run as a program."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.rig import Rig, receipt
from wire import messages
from wire.messages import Acks, Reading

ROOT = Path(__file__).parents[2]
NO_CARD = "</usr/share/alsa/alsa.conf>\npcm.!default { type hw card 7 }\n"


def tillwire(*words: str, given: bytes = b"", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *words], input=given, capture_output=True, timeout=60, cwd=ROOT,
        env=os.environ | (env or {}),
    )  # fmt: skip


def test_a_right_file_is_right() -> None:
    out = tillwire("check-config", "config/agent.toml")
    assert out.returncode == 0 and b"right" in out.stdout


def test_a_wrong_file_names_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[printer.main]\nurl = "usb:nonsense"\n[capture]\nquiet = 3\n', encoding="ascii")
    out = tillwire("check-config", str(path))
    assert out.returncode == 78
    assert b"quiet" in out.stderr and b"quiet_ms" in out.stderr and b"usb:nonsense" in out.stderr


@pytest.mark.parametrize("program", ["agent", "relay"])
def test_programs_end_with_78_on_a_wrong_file(program: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[box]\nname = 1\n", encoding="ascii")
    out = subprocess.run(
        [sys.executable, "-m", program, "--config", str(path)], capture_output=True, timeout=30, cwd=ROOT
    )
    assert out.returncode == 78 and b"no key 'name'" in out.stderr


def test_read_says_what_stands_on_the_paper(tmp_path: Path) -> None:
    path = tmp_path / "two.bin"
    path.write_bytes(receipt(1) + b"\x10\x04\x01" + receipt(2) + b"\x1b@half")
    out = tillwire("read", "--json", str(path))
    assert out.returncode == 0, out.stderr
    jobs = [json.loads(line) for line in out.stdout.splitlines()]
    by_job = {job["job"]: job for job in jobs}
    assert [(j["start"], j["end"], j["boundary"]) for j in by_job.values()] == [
        (0, len(receipt(1)), "cut"),
        (len(receipt(1)) + 3, len(receipt(1)) + 3 + len(receipt(2)), "cut"),
        (len(receipt(1)) + 3 + len(receipt(2)), path.stat().st_size, "close"),
    ]
    assert "HARBOUR COFFEE" in [line.strip() for line in by_job[0]["lines"]] and by_job[2]["lines"] == ["half"]
    shown = tillwire("read", str(path))
    assert b"HARBOUR COFFEE" in shown.stdout and b"ended by close" in shown.stdout


def test_read_goes_through_many_files_and_past_those_it_cannot_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "empty.bin").touch()
    (tmp_path / "noise.bin").write_bytes(random.Random(5).randbytes(60_000))
    files = [folder, tmp_path / "missing.bin", tmp_path / "empty.bin", tmp_path / "noise.bin"]
    for number in range(30):
        files.append(tmp_path / f"{number}.bin")
        files[-1].write_bytes(receipt(number))
    out = tillwire("read", "--json", *map(str, files))
    assert out.returncode == 1 and b"Traceback" not in out.stderr
    assert b"folder" in out.stderr and b"missing.bin" in out.stderr
    shown = [json.loads(line) for line in out.stdout.splitlines()]
    for value in shown:
        assert {"file", "job", "start", "end", "boundary", "kind", "lines", "raster_only", "unknown"} <= value.keys()
        assert isinstance(value["receipt"], dict) and isinstance(value["confidence"], dict)
    assert [value["file"] for value in shown[-30:]] == [str(file) for file in files[-30:]]


def test_read_shows_two_receipts_of_one_job_as_parts(tmp_path: Path) -> None:
    path = tmp_path / "two.bin"
    sale = b"\x1b@SHOP ONE\nTea  4.50\nCake  3.00\nTOTAL  7.50\n"
    path.write_bytes(sale + b"GIFT VOUCHER\nVALUE 5.00\n\x1dVA\x00" + b"\x1dv0\x00\x01\x00\x01\x00\xff\x1dVA\x00")
    shown = [json.loads(line) for line in tillwire("read", "--json", str(path)).stdout.splitlines()]
    assert shown[-1]["raster_only"] is True and shown[-1]["receipt"] == {} and shown[-1]["lines"] == []
    parts = [value for value in shown if value["job"] == 0]
    assert [value.get("part") for value in parts] == ([None] if len(parts) == 1 else [*range(len(parts))])
    assert parts[0]["receipt"]["total"] == "7.50" and 0 < parts[0]["confidence"]["total"] <= 1


def test_read_names_unknown_commands_and_explains(tmp_path: Path) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(b"\x1b@SHOP\n\x1e\x1eTOTAL  7.50\n\x1dVA\x00")
    shown = tillwire("read", "--explain", str(path)).stdout.decode()
    assert "1e at byte 7 and 1 times more" in shown
    assert "total = '750': line 1 'TOTAL  7.50'" in shown
    picture = tmp_path / "paper.png"
    assert tillwire("read", "--png", str(picture), str(path)).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_message_is_shown_as_json(tmp_path: Path) -> None:
    acks = messages.new(Acks, acks=[messages.Ack("e", 1, b"\xab" * 32, "stored")])
    shown = json.loads(tillwire("wire", "decode", given=messages.encode(acks)).stdout)
    assert shown["leaf"] == "acks" and shown["acks"] == [["e", 1, "ab" * 32, "stored"]]
    clock = messages.Clock("b", 1, 2)
    job = messages.new(
        messages.Captured, epoch="e", seq=1, sha256=b"", size=1, boundary=messages.Boundary.CUT, pos="till",
        printer="main", started=clock, ended=clock, reading=messages.pack_reading(Reading("1", ["TOTAL"])),
    )  # fmt: skip
    path = tmp_path / "payload"
    path.write_bytes(messages.encode(job))
    assert json.loads(tillwire("wire", "decode", str(path)).stdout)["reading"]["lines"] == ["TOTAL"]
    wrong = tillwire("wire", "decode", given=b"\x09")
    assert wrong.returncode == 1 and b"format byte 9" in wrong.stderr


def test_status_and_audit_of_a_box_that_runs(box: Rig) -> None:
    box.print(receipt(1), receipt(2))
    box.wait_released(2)
    box.wait_empty()
    status = json.loads(tillwire("status", "--config", str(box.config), "--json").stdout)
    assert status["last_seq"] == 2 and status["printers"]["main"]["connected"]
    plain = tillwire("status", "--config", str(box.config))
    assert plain.returncode == 0
    assert any(line.startswith(b"printer main: ") and b"connected=True" in line for line in plain.stdout.splitlines())
    audit = tillwire("audit", "--config", str(box.config))
    assert audit.returncode == 0 and b"last 2, acknowledged 2, on their way 0" in audit.stdout


def test_audit_finds_a_missing_job(box: Rig) -> None:
    import sqlite3

    box.print(receipt(1), receipt(2), receipt(3))
    box.wait_released(3)
    box.kill("agent")
    box.kill("relay")
    with sqlite3.connect(box.folder / "box" / "capture.db") as connection:
        connection.execute("DELETE FROM jobs WHERE id & 0xff = 2")
    audit = tillwire("audit", "--config", str(box.config))
    assert audit.returncode == 1 and b"2 MISSING" in audit.stdout


def test_status_without_a_relay_says_what_helps(box: Rig) -> None:
    box.kill("relay")
    out = tillwire("status", "--config", str(box.config))
    assert out.returncode == 1 and b"is tillwire-relay running?" in out.stderr


def test_alert_test_tells_what_played(box: Rig, tmp_path: Path) -> None:
    conf = tmp_path / "asound.conf"
    conf.write_text(
        "</usr/share/alsa/alsa.conf>\npcm.!default { type file slave.pcm { type null } file /dev/null format raw }\n",
        encoding="ascii",
    )
    out = tillwire("alert", "test", "--config", str(box.config), env={"ALSA_CONFIG_PATH": str(conf)})
    assert out.returncode == 0 and b"played by simpleaudio" in out.stdout
    conf.write_text(NO_CARD, encoding="ascii")
    out = tillwire("alert", "test", "--config", str(box.config), env={"ALSA_CONFIG_PATH": str(conf)})
    assert (out.returncode == 0 and b"buzzer" in out.stdout) or (out.returncode == 1 and b"aplay:" in out.stderr)


def test_migrate_leaves_a_fresh_box_alone(box: Rig) -> None:
    out = tillwire("migrate", "--config", str(box.config))
    assert out.returncode == 0 and out.stdout.count(b"nothing to do") == 2


def test_migrate_brings_up_an_agent_db_of_version_1(box: Rig) -> None:
    import sqlite3

    box.kill("agent")
    path = box.folder / "box" / "agent.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TABLE journals; DROP TABLE taken; ALTER TABLE alerts DROP COLUMN say; DROP TABLE cancels;"
            " CREATE TABLE cancels (order_id TEXT PRIMARY KEY, reason TEXT NOT NULL, wall_ms INTEGER NOT NULL);"
            " INSERT INTO cancels VALUES ('o-7', 'customer', 1); PRAGMA user_version = 1"
        )
    box.start("agent")  # runs the migration by itself
    box.print(receipt(1))
    box.cloud.wait_jobs(1)
    assert box.query("agent.db", "SELECT first, last FROM taken") == [(1, 1)]
    assert box.query("agent.db", "SELECT order_id, part, attempt FROM cancels") == [("o-7", "", 0)]
    assert path.with_name("agent.db.before-3").exists()


@pytest.mark.covers("F62")
def test_migrate_refuses_a_newer_file(box: Rig) -> None:
    import sqlite3

    box.kill("agent")
    path = box.folder / "box" / "agent.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    out = tillwire("migrate", "--agent-db", str(path))
    assert out.returncode == 1 and b"has schema 9" in out.stderr
