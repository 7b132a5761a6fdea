"""Claim codes: how a box comes to a merchant. One use, 24 hours; the database keeps the hash alone.

A code is 80 random bits as 16 characters of Crockford's base32, and one that tells a slip of the hand, in groups:
`7N3F-K2QX-9WVD-M0TB-C`. The box makes its password itself and sends only hashes of it, in the forms that brokers read.
The same box may ask again with the same code: an answer can get lost.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from cloud import audit
from cloud.store.schema import boxes, claims
from config.cloud import CloudConfig
from wire.messages import now_ms
from wire.topics import is_box

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS = ALPHABET + "*~$=U"  # the check character is the number modulo 37
READ_AS = str.maketrans("OIL", "011", "- ")  # what people type for what
LIFE_MS = 86_400_000
BCRYPT = re.compile(r"^\$2[aby]\$(0[4-9]|10)\$[./A-Za-z0-9]{53}$")
PBKDF2 = re.compile(r"^\$7\$[1-9][0-9]{2,5}\$[A-Za-z0-9+/]{16,88}={0,2}\$[A-Za-z0-9+/]{86}==$")  # mosquitto's own form
ITERATIONS = 101  # of PBKDF2, mosquitto's own number: the secrets are 256 random bits


@dataclass(frozen=True, slots=True)
class Hashes:
    """Of a box's password. Empty: not given."""

    bcrypt: str = ""  # $2b$…: the embedded broker, NATS
    pbkdf2: str = ""  # $7$…: mosquitto's password file


def spell(number: int) -> str:
    """80 bits -> the code.

    >>> spell(0), spell(2**80 - 1)
    ('0000-0000-0000-0000-0', 'ZZZZ-ZZZZ-ZZZZ-ZZZZ-C')
    """
    text = "".join(ALPHABET[number >> 5 * n & 31] for n in range(15, -1, -1))
    return "-".join([*(text[n : n + 4] for n in range(0, 16, 4)), CHECKS[number % 37]])


def number_of(code: str) -> int | None:
    """What was typed -> the number; None where it cannot be a code.

    >>> number_of("zzzz zzzz-zzzz-zzzz c") == 2**80 - 1, number_of("ZZZZ-ZZZZ-ZZZZ-ZZZZ-D"), number_of("")
    (True, None, None)
    """
    text = code[:64].upper().translate(READ_AS)
    if len(text) != 17 or any(c not in ALPHABET for c in text[:16]):
        return None
    number = 0
    for c in text[:16]:
        number = number << 5 | ALPHABET.index(c)
    return number if text[16] == CHECKS[number % 37] else None


def new(connection: sa.Connection, merchant: str, who: str, box: str = "") -> str:
    """-> the code, shown once. With `box`, one of this merchant's, it is a new password for that one, nothing else."""
    number, at = secrets.randbits(80), now_ms()
    connection.execute(sa.delete(claims).where(claims.c.expires_at < at - 30 * LIFE_MS))
    connection.execute(
        sa.insert(claims).values(
            code_hash=_hash(number), merchant_id=merchant, created_at=at, expires_at=at + LIFE_MS, answer="", box=box
        )
    )
    audit.add(connection, merchant, who, "claim.new", box or "-")
    return spell(number)


def use(connection: sa.Connection, code: str, hashes: Hashes, wish: str = "") -> str | None:
    """-> the id of the box; None for a code that is wrong, used or over, and nothing tells which.

    The wish is granted where no box has that id, of whatever merchant; else it gets one of ours."""
    number, at = number_of(code), now_ms()
    digest = _hash(-1 if number is None else number)
    row = connection.execute(sa.select(claims).where(claims.c.code_hash == digest).with_for_update()).first()
    if row is None or row.expires_at < at:
        return None
    if row.used_at is not None:
        same = connection.execute(
            sa.select(boxes.c.id).where(
                boxes.c.id == row.answer,
                boxes.c.password_hash == _bcrypt(hashes),
                boxes.c.file_hash == hashes.pbkdf2,
                boxes.c.revoked_at.is_(None),
            )
        ).first()
        return str(row.answer) if same else None
    box = str(row.box) or _free_id(connection, wish)
    values = {"password_hash": _bcrypt(hashes), "file_hash": hashes.pbkdf2}
    if row.box:
        mine = (boxes.c.id == box, boxes.c.merchant_id == row.merchant_id)
        connection.execute(sa.update(boxes).where(*mine).values(revoked_at=None, **values))
    else:
        connection.execute(sa.insert(boxes).values(id=box, merchant_id=row.merchant_id, created_at=at, **values))
    connection.execute(sa.update(claims).where(claims.c.code_hash == digest).values(used_at=at, answer=box))
    audit.add(connection, row.merchant_id, f"box {box}", "box.claim", box, fingerprint(hashes.pbkdf2))
    return box


def _free_id(connection: sa.Connection, wish: str) -> str:
    box = wish if is_box(wish) else ""
    while not box or connection.execute(sa.select(boxes.c.id).where(boxes.c.id == box)).first():
        box = "box-" + base64.b32encode(os.urandom(10)).decode().lower()
    return box


def rotated(connection: sa.Connection, merchant: str, box: str, data: dict[str, Any]) -> str:
    """The box answered a `rotate`: from now on the broker knows the new password -> "", or why not."""
    hashes = Hashes(str(data.get("bcrypt", "")), str(data.get("pbkdf2_sha512", "")))
    if not (BCRYPT.fullmatch(hashes.bcrypt) and PBKDF2.fullmatch(hashes.pbkdf2)):
        return "the box sent no hashes that brokers read"
    mine = (boxes.c.id == box, boxes.c.merchant_id == merchant, boxes.c.revoked_at.is_(None))
    connection.execute(sa.update(boxes).where(*mine).values(password_hash=_bcrypt(hashes), file_hash=hashes.pbkdf2))
    audit.add(connection, merchant, f"box {box}", "box.rotate", box, fingerprint(hashes.pbkdf2))
    return ""


def fingerprint(pbkdf2: str) -> str:
    """What `tillwire claim` shows on the box, to compare by eye: of the password's hash; empty where there is none."""
    digest = hashlib.sha256(pbkdf2.encode()).hexdigest()
    return "-".join(digest[n : n + 4] for n in range(0, 16, 4)) if pbkdf2 else ""


def broker_url(config: CloudConfig) -> str:
    """How boxes reach the broker."""
    broker = config.broker
    if broker.public_url:
        return broker.public_url
    if broker.url != "embedded":
        return broker.url
    host, _, port = broker.listen.rpartition(":")
    if host in ("0.0.0.0", "[::]"):
        host = urlsplit(config.web.public_url).hostname or host
    return f"{'mqtts' if broker.cert_file else 'mqtt'}://{host}:{port}"


def mosquitto_hash(secret: str) -> str:
    """What mosquitto_passwd of mosquitto 2 writes: PBKDF2-HMAC-SHA512, 12 bytes of salt."""
    salt = os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def _bcrypt(hashes: Hashes) -> str:
    """2a, 2b and 2y are one thing for a password below 72 bytes, and older brokers know 2a alone."""
    return f"$2a${hashes.bcrypt[4:]}" if hashes.bcrypt else "-"


def _hash(number: int) -> bytes:
    return hashlib.sha256(b"claim %d" % number).digest()
