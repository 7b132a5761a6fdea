"""Coverage-guided fuzzing of the reading code: python -m tests.receipt.fuzz FOLDER SECONDS [SEED]

Needs atheris (the `fuzz` extra). Every job is read in all ways: tokens at any chunking, masked, parted, laid out, read.
FOLDER gets the seeds, keeps what reaches new code, and, where a job crashes, takes too long or breaks a promise, that
job as crash-… or timeout-…; the process then ends with another code than 0.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from itertools import pairwise
from pathlib import Path

import atheris

LONGEST = 4096  # bytes of a job
SLOWEST_S = 5.0  # CPU time of one job: a hang, or worse than linear


def load() -> None:
    """The receipt package, instrumented: also what it would load later."""
    with atheris.instrument_imports(include=["receipt"]):
        import receipt

        for module in pkgutil.walk_packages(receipt.__path__, "receipt."):
            if module.name not in ("receipt.slip", "receipt.script", "receipt.imaging"):  # they print, and need more
                importlib.import_module(module.name)


def one(data: bytes) -> None:
    import receipt
    from receipt.redact import mask
    from receipt.split import split
    from receipt.tokens import Tokenizer

    begun = time.process_time()
    whole, parted = Tokenizer(), Tokenizer()
    tokens = whole.feed(data)
    assert b"".join(token.raw for token in tokens) + whole.pending == data
    size = 1 + len(data) % 7
    pieces = [token for at in range(0, len(data), size) for token in parted.feed(data[at : at + size])]
    assert b"".join(token.raw for token in pieces) + parted.pending == data
    hidden = mask(data)
    assert len(hidden) == len(data) and mask(hidden) == hidden
    parts = split(data)
    assert all(one.end <= two.start for one, two in pairwise(parts))
    reading = receipt.read(data)
    for found in reading.receipts:
        assert all(0 <= finding.confidence <= 1 for finding in found.findings.values())
        assert all(0 <= finding.line < len(reading.lines) for finding in found.findings.values())
    assert time.process_time() - begun < SLOWEST_S


def main() -> None:
    from tests.receipt.test_hostile import seeds

    folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
    load()
    jobs = folder / "jobs"
    jobs.mkdir(exist_ok=True)
    for number, job in enumerate(seeds()):
        (jobs / f"{number:04}").write_bytes(job[:LONGEST])
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-rss_limit_mb=1024",
        "-timeout=120",
        "-report_slow_units=600",
    ]
    seed = [f"-seed={sys.argv[3]}"] if len(sys.argv) > 3 else []
    atheris.Setup([sys.argv[0], str(jobs), *options, *seed, f"-artifact_prefix={folder}/"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
