"""What the files of config/printers/ say of a model's paper: how many characters a line has."""

from __future__ import annotations

import functools
import logging
import tomllib
from pathlib import Path

log = logging.getLogger("tillwire.agent")

FOLDER = Path(__file__).parent.parent / "config" / "printers"
COLUMNS = 42  # where nobody knows: right on 80-mm paper, and on most of it


def columns(*models: str) -> int:
    """Of the first of these models that a file names: its file name, its `name`, or one of its `also`."""
    known = _known()
    return next((known[model.lower()] for model in models if model.lower() in known), COLUMNS)


@functools.cache
def _known() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            log.error("printer model %s cannot be read: %s", path, error)
            continue
        names = [path.stem, str(values.get("name", "")), *str(values.get("also", "")).split(",")]
        size = values.get("columns", COLUMNS)
        if isinstance(size, int) and 16 <= size <= 96:
            found |= {name.strip().lower(): size for name in names if name.strip()}
    return found
