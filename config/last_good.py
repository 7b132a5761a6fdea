"""A wrong agent.toml must not stop a shop: the settings that last worked stay in use, loudly, until it is put right.

The relay keeps a copy beside the journal each time it has started on a file that is right; relay and agent both turn
to it when the file is wrong. A box that never ran has none, and says what is wrong (exit 78).
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

from config.box import Box, BoxKeys, load_box
from config.load import ConfigError

NAME = "last-good.toml"
log = logging.getLogger("tillwire.config")


class InUse(NamedTuple):
    box: Box
    wrong: ConfigError | None  # why `box` is not what the file says


def load_or_last_good(path: str | Path) -> InUse:
    """The file's settings, or the last good ones. Raises ConfigError where both are of no use."""
    try:
        return InUse(load_box(path), None)
    except ConfigError as error:
        try:
            return InUse(load_box(_state_dir(Path(path)) / NAME), error)
        except ConfigError:
            raise error from None


def keep(path: str | Path, box: Box) -> None:
    """The relay has started on this file: it is good. Losing the copy must not cost the start."""
    kept = Path(box.box.state_dir) / NAME
    try:
        text = Path(path).read_bytes()
        if kept.exists() and kept.read_bytes() == text:
            return
        fresh = kept.with_suffix(".new")
        with open(fresh, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o640)
        if load_box(fresh) != box:  # it was changed since it was read: what runs is no longer there to be kept
            fresh.unlink()
            return
        fresh.rename(kept)
    except ConfigError:
        fresh.unlink()
    except OSError as error:
        log.warning("last_good=not_kept file=%s error=%s", kept, error)


def say(path: str | Path, wrong: ConfigError) -> None:
    for problem in wrong.problems:
        log.error("config=wrong file=%s %s", path, problem)
    log.error("config=last_good the settings that last worked are in use; put %s right, then restart", path)


def _state_dir(path: Path) -> Path:
    """Where the copy is: the file may be wrong in every other line."""
    try:
        found = re.search(r"""^\s*state_dir\s*=\s*["']([^"']+)["']""", path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    return Path(found[1] if found else BoxKeys().state_dir)
