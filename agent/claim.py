"""`tillwire claim CODE`: the box gets its place in a merchant's cloud. What it knows is the code, and nothing else.

The box makes its password itself and tells hashes of it; the answer says which id it has and where the broker is. Both
are written into agent.toml. Whatever is cut off in between: the same command again ends what was begun, because the
password waits in a file and the cloud answers the same box the same.

A claim starts a new epoch: what this box counted before is not taken for the new merchant's.
"""

from __future__ import annotations

import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from agent import credentials, tls
from config.box import LOOPBACK, Box, box_id, load_box
from config.durable import sync_folder
from config.edit import with_values
from config.load import ConfigError

TIMEOUT_S = 30.0
MAX_ANSWER = 65536


class NotClaimed(Exception):
    """It did not work; the text says what was tried and what helps."""


@dataclass(frozen=True, slots=True)
class Claimed:
    box: str
    broker: str
    fingerprint: str


def claim(
    config: Path,
    cloud: str,
    code: str,
    *,
    wish: str = "",
    take_along: bool = False,
    new_epoch: Callable[[Box], str],
) -> Claimed:
    """Ask the cloud at the URL `cloud`, then write agent.toml. `new_epoch` asks the relay, and says "" or what is
    wrong. Raises NotClaimed, ConfigError, OSError."""
    box = load_box(config)
    _safe(cloud, box.cloud.insecure)
    path = Path(box.cloud.password_file or Path(box.box.state_dir, "password"))
    if not take_along and path.exists() and (left := unsent(box.agent_db)):
        raise NotClaimed(
            f"{left} receipts have not reached the cloud that this box belongs to, and would go to the new one."
            " Let it send them first, or say --take-along"
        )
    staged = credentials.stage(path)
    answer = _ask(box, cloud, code, staged, wish or box_id(box))
    if problem := new_epoch(box):
        raise NotClaimed(f"{problem}. The cloud knows this box now: the same command again ends the claim")
    _write(config, answer, path)
    credentials.settle(path)
    return Claimed(answer["box"], answer["broker"], staged.fingerprint)


def unsent(agent_db: Path) -> int:
    """How many jobs wait in agent.db for their acknowledgement."""
    if not agent_db.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{agent_db}?mode=ro", uri=True, timeout=5) as connection:
            return int(connection.execute("SELECT count(*) FROM outbox WHERE kind = 'job'").fetchone()[0])
    except sqlite3.Error:
        return 0


def _safe(cloud: str, insecure: bool) -> None:
    parts = urlsplit(cloud)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise NotClaimed(f"--cloud {cloud!r} is no address: https://HOST, as the console shows it")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not insecure:
        raise NotClaimed(f"--cloud {cloud}: a claim code does not go over a network unencrypted; use https://")


def _ask(box: Box, cloud: str, code: str, staged: credentials.Staged, wish: str) -> dict[str, str]:
    """POST /v1/claims/CODE -> {"box", "broker"}."""
    body = {"bcrypt": staged.bcrypt, "pbkdf2_sha512": staged.pbkdf2, "box": wish}
    url = f"{cloud.rstrip('/')}/v1/claims/{quote(code.strip(), safe='')}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    context = tls.trusting(box.cloud.ca_file) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as line:
            answer = json.loads(line.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise NotClaimed(_why(error)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotClaimed(f"{cloud} does not answer: {reason}. Is the address right, and the network up?") from error
    if not isinstance(answer, dict) or not all(isinstance(answer.get(k), str) for k in ("box", "broker")):
        raise NotClaimed(f"{cloud} answered something else than a Tillwire cloud: is the address right?")
    return {"box": answer["box"], "broker": answer["broker"]}


def _why(error: urllib.error.HTTPError) -> str:
    try:
        told = str(json.loads(error.read(MAX_ANSWER)).get("detail", ""))
    except (OSError, ValueError, AttributeError):
        told = ""
    match error.code:
        case 404:
            return (
                "The cloud does not take this code: mistyped, used, or older than 24 hours. The console makes another"
            )
        case 429:
            return f"Too many tries from here: wait {error.headers.get('Retry-After', '60')} s, then type it carefully"
    return f"The cloud answered {error.code}. {told}".strip()


def _write(config: Path, answer: dict[str, str], password: Path) -> None:
    """agent.toml, whole or not at all; as it was but for three values."""
    values = {
        "box": {"id": answer["box"]},
        "cloud": {"broker": answer["broker"], "username": "", "password_file": str(password)},
    }
    new = config.with_name(config.name + ".new")
    text = with_values(config.read_text(encoding="utf-8"), values)
    there = config.stat()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, there.st_mode & 0o777)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    if os.geteuid() == 0:
        os.chown(new, there.st_uid, there.st_gid)
    try:
        load_box(new)
    except ConfigError as error:
        new.unlink()
        raise NotClaimed(f"{config} would not be right any more, so it stays as it was:\n{error}") from error
    new.replace(config)
    sync_folder(config.parent)
