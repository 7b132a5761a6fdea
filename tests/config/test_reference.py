"""docs/configuration.md says what the programs read."""

from __future__ import annotations

from pathlib import Path

from config.reference import markdown

DOC = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_reference_is_what_the_programs_read() -> None:
    assert DOC.read_text(encoding="utf-8") == markdown(), (
        "make it anew: python -m config.reference > docs/configuration.md"
    )
