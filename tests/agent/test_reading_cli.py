"""`tillwire read`: files of captured bytes as JSON, text and pictures, through the program itself."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpus" / "escpos_corpus_dev.jsonl.gz"
SALE = (
    b"\x1b@SHOP\nBill no 9\n2026-03-01 10:00\n2 x Tea 2.00 4.00\nSUBTOTAL 4.00\nTOTAL 4.00\nCASH 10.00\nCHANGE 6.00\n"
)
VOUCHER = b"--------\nGUTSCHEIN\n10 % Rabatt\nCode 4711\n"
CUT = b"\x1dVB\x00"


def tillwire_read(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "read", *map(str, arguments)],
        input=stdin, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def objects(*arguments: object, stdin: bytes = b"") -> list[dict[str, Any]]:
    code, out, err = tillwire_read("--json", *arguments, stdin=stdin)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "two.bin"
    path.write_bytes(SALE + VOUCHER + CUT + b"\x10\x04\x01" + SALE.replace(b"no 9", b"no 10") + b"\n\n\n")
    return path


def test_every_key_of_the_contract(capture: Path) -> None:
    sale, voucher, last = objects(capture)
    for one in (sale, voucher, last):
        assert set(one) - {"part"} == {
            "file", "job", "start", "end", "boundary", "kind", "lines", "raster_only", "unknown", "receipt",
            "confidence",
        }  # fmt: skip
        assert one["file"] == str(capture) and one["raster_only"] is False and one["unknown"] == 0
        assert set(one["confidence"]) - {"kind"} <= set(one["receipt"])
        assert all(0 <= sure <= 1 for sure in one["confidence"].values())
    assert (sale["kind"], voucher["kind"], last["kind"]) == ("sale", "voucher", "sale")
    assert (sale["job"], voucher["job"], last["job"]) == (0, 0, 1)
    assert (sale["part"], voucher["part"], "part" in last) == (0, 1, False)
    raw = capture.read_bytes()
    cut = raw.index(CUT) + len(CUT)
    assert [(one["start"], one["end"], one["boundary"]) for one in (sale, voucher, last)] == [
        (0, cut, "cut"), (0, cut, "cut"), (cut + 3, len(raw), "close"),
    ]  # fmt: skip
    assert sale["receipt"] == {
        "merchant": "SHOP", "receipt_number": "9", "date_iso": "2026-03-01", "time": "10:00", "subtotal": "4.00",
        "total": "4.00", "change": "6.00", "payment_method": "cash",
        "items": [{"name": "Tea", "quantity": "2", "unit_price": "2.00", "amount": "4.00"}],
        "tenders": [{"method": "cash", "amount": "10.00", "name": "CASH"}],
    }  # fmt: skip
    assert sale["lines"][:2] == ["SHOP", "Bill no 9"]


def test_many_files_and_stdin_in_one_process(tmp_path: Path) -> None:
    files = []
    for number in range(30):
        files.append(tmp_path / f"{number:02}.bin")
        files[-1].write_bytes(SALE.replace(b"no 9", b"no %d" % number) + CUT)
    found = objects(*files, "-", stdin=SALE)
    assert [one["file"] for one in found] == [*map(str, files), "-"]
    assert [one["receipt"]["receipt_number"] for one in found] == [*map(str, range(30)), "9"]
    code, out, err = tillwire_read("--json", files[0], tmp_path / "gone.bin", files[1])
    assert code == 1 and "gone.bin" in err and len(out.splitlines()) == 2


def test_a_second_print_in_the_same_capture_is_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "copy.bin"
    path.write_bytes((SALE + CUT) * 2)
    assert [(one["kind"], one["receipt"].get("same_as")) for one in objects(path)] == [("sale", None), ("copy", "9")]


def test_a_picture_and_the_reasons(capture: Path, tmp_path: Path) -> None:
    target = tmp_path / "shown.png"
    code, out, err = tillwire_read("--png", target, "--explain", capture)
    assert code == 0, err
    assert target.read_bytes().startswith(b"\x89PNG") and (tmp_path / "shown-1.png").exists()
    why = out[out.index("=== why") :]
    assert "total = '400': line 5 'TOTAL 4.00', confidence" in why and "rule" in why


def test_bytes_that_no_command_explains_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(b"\x1b@\x1b\xf0SHOP\n" + CUT)
    (one,) = objects(path)
    assert one["unknown"] == 1
    code, out, _ = tillwire_read(path)
    assert code == 0 and "1b at byte 2" in out


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded streams are not here")
def test_the_jobs_of_recorded_streams_are_found(tmp_path: Path) -> None:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as file:
        streams = [record for record in map(json.loads, file) if record["kind"] == "stream"]
    for number, record in enumerate(streams):
        (tmp_path / f"{number:03}.bin").write_bytes(base64.b64decode(record["bytes_b64"]))
    starts: dict[str, set[int]] = {}
    for one in objects(*sorted(tmp_path.glob("*.bin"))):
        starts.setdefault(one["file"], set()).add(one["start"])
    right = total = 0
    for number, record in enumerate(streams):
        previous = 0
        for job in record["jobs"]:
            if job["type"] in ("receipt", "reprint", "kitchen_ticket", "test_print"):
                total += 1
                found = starts[str(tmp_path / f"{number:03}.bin")]
                right += any(previous <= start <= job["start"] for start in found)
                previous = job["end"]
    assert total > 200 and right / total >= 0.995
