"""Coverage-guided fuzzing of the reading code (tests/receipt/fuzz.py): a glance in CI, ten minutes in `make soak`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="the fuzz extra is not installed")
ROOT = Path(__file__).parents[2]


def fuzz(folder: Path, seconds: int, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.receipt.fuzz", str(folder), str(seconds), str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 600, check=False,
    )  # fmt: skip
    found = [f"{path.name}: {path.read_bytes().hex()}" for path in folder.glob("*-*")]
    assert done.returncode == 0 and not found, (seed, found, done.stderr[-3000:])
    assert "DONE" in done.stderr or "Done" in done.stderr, done.stderr[-3000:]


@pytest.mark.covers("A13")
@pytest.mark.timeout(900)
def test_a_glance_finds_nothing(tmp_path: Path) -> None:
    fuzz(tmp_path, 5, 7)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.covers("A13")
def test_ten_minutes_find_nothing(tmp_path: Path) -> None:
    """Ten minutes of CPU time; the machine may be busy."""
    seed = int(os.environ.get("TILLWIRE_SEED", time.time()))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    while resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - spent < float(os.environ.get("TILLWIRE_SOAK", 600)):
        fuzz(tmp_path, 120, seed)
        seed += 1
