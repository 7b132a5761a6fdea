"""The box's password at the broker: made here, 256 random bits, and only hashes of it ever leave the box.

It is the first line of a file (`[cloud] password_file`). A new one waits in FILE.new, with the hashes that were told,
until the broker was seen to take it; only then it becomes FILE. So a change survives a power cut and a lost answer at
any point: until it is settled both are tried in turn.

Source: bcrypt for NATS; PBKDF2-HMAC-SHA512 as mosquitto_passwd of mosquitto 2 writes it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from config.box import Cloud, secret
from config.durable import sync_folder

ROUNDS, ITERATIONS = 4, 101  # nobody guesses 256 random bits, at any cost
AGENT = "tillwire-agent"  # who reads the file, where a technician as root writes it


@dataclass(frozen=True, slots=True)
class Staged:
    """A password that is not settled, and its hashes as brokers read them."""

    password: str
    bcrypt: str
    pbkdf2: str

    @property
    def fingerprint(self) -> str:
        """What box and console both show, to compare by eye."""
        return fingerprint(self.pbkdf2)


class Passwords:
    """For one connection after another: which password to try. `path` empty: none."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._tries_new = False

    def next(self) -> str:
        """Raises OSError when the file cannot be read."""
        if self._path is None:
            return ""
        new = _new(self._path)
        if (self._tries_new or not self._path.exists()) and new.exists():
            return _first_line(new)
        self._tries_new = False
        return _first_line(self._path)

    def refused(self) -> None:
        """The broker does not take it: the other one, where there is one."""
        self._tries_new = not self._tries_new and self._path is not None and _new(self._path).exists()

    def taken(self, password: str) -> None:
        """The broker took it. Raises OSError."""
        if self._path is not None and (new := _new(self._path)).exists() and _first_line(new) == password:
            settle(self._path)
        self._tries_new = False


def claimed(cloud: Cloud) -> bool:
    """Has the box what lets it into a merchant's cloud? Not whether the cloud still takes it."""
    name = cloud.password_file
    return bool(cloud.cert_file) or (bool(name) and Path(secret(name)).exists())


def stage(path: Path) -> Staged:
    """The password that waits in FILE.new; a fresh one where none does. Durable when it returns. Raises OSError."""
    new = _new(path)
    if new.exists():
        lines = new.read_text(encoding="utf-8").splitlines()
        if len(lines) == 3:
            return Staged(*lines)
    import bcrypt

    password = secrets.token_urlsafe(32)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS, prefix=b"2b")).decode()
    staged = Staged(password, hashed, _pbkdf2(password))
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("\n".join((staged.password, staged.bcrypt, staged.pbkdf2)) + "\n")
        out.flush()
        os.fsync(out.fileno())
    _give_away(new)
    sync_folder(path.parent)
    return staged


def settle(path: Path) -> None:
    """FILE.new becomes FILE. Raises OSError."""
    _new(path).replace(path)
    sync_folder(path.parent)


def fingerprint(pbkdf2: str) -> str:
    """
    >>> fingerprint("$7$101$abc$def")
    'a47f-7c23-2439-71b0'
    """
    digest = hashlib.sha256(pbkdf2.encode()).hexdigest()
    return "-".join(digest[n : n + 4] for n in range(0, 16, 4))


def _pbkdf2(password: str) -> str:
    salt = os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].strip()


def _give_away(path: Path) -> None:
    """A file that root made is the agent's."""
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam(AGENT)
        except KeyError:
            return
        os.chown(path, user.pw_uid, user.pw_gid)
