"""What a broker that is not our child needs to know of our boxes: mosquitto's password file and access rules, and the
users of a NATS server or cluster.

Written anew, whole, when something changed. mosquitto and NATS read them again at SIGHUP, and then drop whoever is not
in them any more, or has another password. `watch()` runs beside each broker, wherever that is: it asks the database.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import threading
from importlib.resources import files
from pathlib import Path

from cloud import admin
from cloud.admin_door import Refused
from cloud.broker import box_user, hash_password, service_user
from cloud.claims import mosquitto_hash
from cloud.store.database import Busy, StoreAway
from config.cloud import CloudConfig

log = logging.getLogger("cloud.broker")
PASSWORDS, RULES, USERS = "tillwire.passwd", "tillwire.acl", "tillwire-users.conf"
LOOK_S = 2.0
RELOAD_S = 30.0

Hashes = dict[str, list[str]]  # box id -> its password's bcrypt and PBKDF2 hash; "" or "-": none


def write(config: CloudConfig, folder: Path) -> str:
    """-> what to tell. Raises Refused, Busy, StoreAway, OSError."""
    users = _users(config)
    _write(config, folder, users)
    return f"{len(users)} boxes in {folder / PASSWORDS}; now reload mosquitto (or NATS: {folder / USERS})"


def watch(config: CloudConfig, folder: Path, reload: str, stopping: threading.Event) -> None:
    """Until `stopping` is set: a box that comes, goes or changes its password is known to the broker in seconds.

    `reload` is a command that makes the broker read its files again. Raises Refused, OSError at the first writing."""
    seen: Hashes | None = None
    while not stopping.is_set():
        try:
            now = _users(config)
            if now != seen:
                _write(config, folder, now)
                log.info("broker files written boxes=%d", len(now))
                if _reload(reload):
                    seen = now  # else again
        except (Busy, StoreAway) as error:
            log.warning("boxes not read: %s", error)
        except (Refused, OSError) as error:
            if seen is None:
                raise
            log.error("broker files not written: %s", error)
        stopping.wait(LOOK_S)


def _users(config: CloudConfig) -> Hashes:
    users: Hashes = admin.run(config, "box_hashes", {})["users"]
    return users


def _write(config: CloudConfig, folder: Path, users: Hashes) -> None:
    broker = config.broker
    if not broker.password_file:
        raise Refused("[broker] password_file is empty: the broker needs a password for the service too")
    own = Path(broker.password_file).read_text().splitlines()[0].strip()
    known = sorted(users.items())
    lines = [f"{broker.username}:{mosquitto_hash(own)}"]
    lines += [f"{box}:{pbkdf2}" for box, (_, pbkdf2) in known if pbkdf2]
    rules = (files("config") / "acl").read_text().replace("user cloud\n", f"user {broker.username}\n")
    nats = [service_user(broker.username, hash_password(own))]
    nats += [box_user(box, bcrypt) for box, (bcrypt, _) in known if bcrypt.startswith("$2")]
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / PASSWORDS, "\n".join(lines) + "\n", 0o640)
    _put(folder / RULES, rules, 0o644)
    text = "# include it in nats.conf: authorization { include tillwire-users.conf }\n"
    _put(folder / USERS, f"{text}timeout: 10\nusers: [\n" + "\n".join(nats) + "\n]\n", 0o640)
    for box, (bcrypt, pbkdf2) in known:
        if not pbkdf2 or not bcrypt.startswith("$2"):
            log.warning("box=%s has no password that every broker reads: `box add` gives it a new one", box)


def _reload(command: str) -> bool:
    if not command:
        return True
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=RELOAD_S, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        log.error("reload %r: %s", command, error)
        return False
    if done.returncode:
        log.error("reload %r: exit %d %s", command, done.returncode, done.stderr.strip()[-300:])
    return done.returncode == 0


def _put(file: Path, text: str, mode: int) -> None:
    """Whole or not at all; the owner of what was there stays, so that the broker's user can read it."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    if file.exists() and os.geteuid() == 0:
        os.chown(new, file.stat().st_uid, file.stat().st_gid)
        new.chmod(file.stat().st_mode & 0o777)
    new.replace(file)
