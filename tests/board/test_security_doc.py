"""docs/security.md answers every provision of the standard, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROVISIONS = {  # ETSI EN 303 645 V2.1.1: section -> how many it has
    "5.1": 5, "5.2": 3, "5.3": 16, "5.4": 4, "5.5": 8, "5.6": 9, "5.7": 2, "5.8": 3, "5.9": 3, "5.10": 1, "5.11": 4,
    "5.12": 3, "5.13": 1, "6": 5,
}  # fmt: skip
ROW = re.compile(r"^\| ([\d.]+)-(\d+)((?:, -\d+)*)(?: to [\d.]+-(\d+))? (.+?) \| ([MR, ]+) \| (.+) \|$", re.M)


def test_every_test_that_the_checklist_names_exists() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(test_[a-z0-9_]+))?`", TEXT)
    assert len(named) > 30
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or re.search(rf"^(async )?def {test}\(", source, re.M), f"{path}::{test}"


def test_every_provision_is_answered_once() -> None:
    answered: list[str] = []
    for section, first, more, last, _, _, how in ROW.findall(TEXT):
        numbers = [int(first), *map(int, re.findall(r"\d+", more))]
        numbers += range(int(first) + 1, int(last) + 1) if last else ()
        answered += [f"{section}-{number}" for number in numbers]
        assert len(how) >= 8, f"{section}-{first}: neither a test nor a reason"
    wanted = [f"{section}-{number}" for section, count in PROVISIONS.items() for number in range(1, count + 1)]
    assert sorted(answered) == sorted(wanted)
