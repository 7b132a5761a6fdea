"""What a mosquitto needs to know of our boxes: its password file and its access rules.

Written anew, whole, on request; mosquitto reads them again at SIGHUP, and then drops whoever is not in them any more.
"""

from __future__ import annotations

import logging
import os
from importlib.resources import files
from pathlib import Path

from cloud import admin
from cloud.claims import mosquitto_hash
from config.cloud import CloudConfig

log = logging.getLogger("cloud.broker")
PASSWORDS, RULES = "tillwire.passwd", "tillwire.acl"


def write(config: CloudConfig, folder: Path) -> str:
    """-> what to tell. Raises Refused, Busy, StoreAway, OSError."""
    broker = config.broker
    if not broker.password_file:
        raise admin.Refused("[broker] password_file is empty: mosquitto needs a password for the service too")
    own = Path(broker.password_file).read_text().splitlines()[0].strip()
    users: dict[str, str] = admin.run(config, "box_hashes", {})["users"]
    without = sorted(box for box, hashed in users.items() if not hashed)
    lines = [f"{broker.username}:{mosquitto_hash(own)}"]
    lines += [f"{box}:{hashed}" for box, hashed in sorted(users.items()) if hashed]
    rules = (files("config") / "acl").read_text().replace("user cloud\n", f"user {broker.username}\n")
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / PASSWORDS, "\n".join(lines) + "\n", 0o640)
    _put(folder / RULES, rules, 0o644)
    for box in without:
        log.warning("box=%s has no password that mosquitto reads: `box add` gives it a new one", box)
    return f"{len(lines) - 1} boxes in {folder / PASSWORDS}; now reload mosquitto"


def _put(file: Path, text: str, mode: int) -> None:
    """Whole or not at all; the owner of what was there stays, so that mosquitto's user can read it."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    if file.exists() and os.geteuid() == 0:
        os.chown(new, file.stat().st_uid, file.stat().st_gid)
    new.replace(file)
