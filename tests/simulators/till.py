"""A simulated till: prints believable receipts of a few small shops, and knows what stands on each.

Bytes are built here, by hand, and not by the library that our own slips are made with, so that the reading side
cannot agree with itself by accident.
"""

from __future__ import annotations

import os
import random
import select
import socket
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

INIT, CUT, PULSE = b"\x1b@", b"\x1dVB\x00", b"\x1bp\x00\x19\xfa"
LEFT, CENTRE = b"\x1ba\x00", b"\x1ba\x01"
BOLD, PLAIN, LARGE, NORMAL = b"\x1bE\x01", b"\x1bE\x00", b"\x1d!\x11", b"\x1d!\x00"


@dataclass(frozen=True)
class Shop:
    name: str
    street: str
    codec: str
    select: bytes  # selects the code page
    columns: int
    labels: dict[str, str]
    goods: tuple[tuple[str, int], ...]  # name, price in minor units
    money: Callable[[int], str]
    date: str  # strftime
    tax: int  # per cent, contained in the prices


def point(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def comma(amount: int) -> str:
    return point(amount).replace(".", ",")


SHOPS = (
    Shop(
        "HARBOUR COFFEE", "12 Quay Street", "cp437", b"\x1bt\x00", 42,
        {"no": "Receipt No", "total": "TOTAL", "tax": "VAT 20% incl.", "cash": "Cash", "card": "Card",
         "change": "Change", "thanks": "Thank you, see you soon"},
        (("Espresso", 260), ("Flat white", 340), ("Almond croissant", 385), ("Porridge, honey", 520),
         ("Ham & cheese toastie", 695), ("Orange juice", 410), ("Carrot cake", 450), ("Still water", 220)),
        point, "%d/%m/%Y %H:%M", 20,
    ),
    Shop(
        "Bäckerei Löwe", "Marktplatz 3, 79098 Freiburg", "cp858", b"\x1bt\x13", 42,
        {"no": "Bon-Nr.", "total": "SUMME EUR", "tax": "MwSt 7%", "cash": "Bar", "card": "EC-Karte",
         "change": "Rückgeld", "thanks": "Vielen Dank für Ihren Einkauf"},
        (("Laugenbrezel", 95), ("Käsestange", 185), ("Roggenbrot 1 kg", 465), ("Nussschnecke", 240),
         ("Cappuccino groß", 390), ("Apfelkuchen", 310), ("Müsliweckle", 110)),
        comma, "%d.%m.%Y %H:%M", 7,
    ),
    Shop(
        "老城面馆", "中山路88号", "gb18030", b"\x1c&", 32,
        {"no": "单号", "total": "合计", "tax": "税额", "cash": "现金", "card": "支付宝",
         "change": "找零", "thanks": "谢谢惠顾"},
        (("牛肉拉面", 2800), ("小笼包", 1600), ("酸辣汤", 1200), ("凉拌黄瓜", 900), ("豆浆", 500), ("煎饺", 1800)),
        point, "%Y-%m-%d %H:%M:%S", 6,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Printed:
    """One receipt that was sent: its bytes, and the truth about it."""

    raw: bytes
    number: str
    total: int
    shop: Shop
    lines: tuple[str, ...]


def width(text: str) -> int:
    """Columns on paper: an ideograph takes two."""
    return sum(2 if ord(c) > 0x2E7F else 1 for c in text)


def receipt(number: int, rng: random.Random, shop: Shop | None = None, when: datetime | None = None) -> Printed:
    shop = shop or rng.choice(SHOPS)
    when = when or datetime.now()
    label, money, columns = shop.labels, shop.money, shop.columns
    out, lines = bytearray(INIT + shop.select), []

    def write(text: str, *, before: bytes = b"", after: bytes = b"") -> None:
        out.extend(before + text.encode(shop.codec) + b"\n" + after)
        lines.append(text)

    def row(left: str, right: str, **look: bytes) -> None:
        write(left + " " * max(1, columns - width(left) - width(right)) + right, **look)

    tag = f"{number:06}"
    write(shop.name, before=CENTRE + LARGE, after=NORMAL)
    write(shop.street)
    write(f"{label['no']}: {tag}", before=LEFT)
    write(when.strftime(shop.date))
    write("-" * columns)
    total = 0
    for name, price in rng.sample(shop.goods, rng.randint(2, min(6, len(shop.goods)))):
        count = rng.choice((1, 1, 1, 2, 3))
        total += count * price
        row(f"{count} x {name}" if count > 1 else name, money(count * price))
    write("-" * columns)
    row(label["total"], money(total), before=BOLD, after=PLAIN)
    row(label["tax"], money(round(total * shop.tax / (100 + shop.tax))))
    if rng.random() < 0.5:
        given = -(-total // 500) * 500
        row(label["cash"], money(given))
        row(label["change"], money(given - total))
        drawer = PULSE
    else:
        row(label["card"], money(total))
        drawer = b""
    out += CENTRE
    write(label["thanks"])
    out += LEFT + b"\x1bd\x04" + CUT + drawer
    return Printed(bytes(out), tag, total, shop, tuple(lines))


def connect(where: str, timeout: float = 5.0) -> TcpTill | SerialTill:
    """A till at tcp://HOST:PORT, or at a new pseudo-terminal whose other end gets the name serial://PATH."""
    return TcpTill(where.removeprefix("tcp://"), timeout) if where.startswith("tcp://") else SerialTill(where)


class TcpTill:
    def __init__(self, address: str, timeout: float = 5.0) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.socket.fileno()

    def send(self, data: bytes, chunk: int = 0) -> None:
        for at in range(0, len(data), chunk or len(data) or 1):
            self.socket.sendall(data[at : at + (chunk or len(data))])

    def ask(self, request: bytes, timeout: float = 5.0) -> bytes:
        self.send(request)
        return os.read(self.fd, 64) if select.select([self.fd], [], [], timeout)[0] else b""

    def close(self) -> None:
        self.socket.close()


class SerialTill:
    """Plays a serial line: makes a pseudo-terminal, and links its far end to a path that the relay opens."""

    def __init__(self, where: str) -> None:
        self.path = Path(where.removeprefix("serial://").split("?")[0])
        self.fd, self.far = os.openpty()
        tty.setraw(self.fd)
        tty.setraw(self.far)
        os.set_blocking(self.fd, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.far))

    def send(self, data: bytes, chunk: int = 0, timeout: float = 30.0) -> None:
        view, end = memoryview(data), time.monotonic() + timeout
        while view:
            if not select.select([], [self.fd], [], max(0.0, end - time.monotonic()))[1]:
                raise TimeoutError(f"{self.path} took nothing for {timeout} s")
            view = view[os.write(self.fd, view[: chunk or 4096]) :]

    def ask(self, request: bytes, timeout: float = 5.0) -> bytes:
        self.send(request)
        return os.read(self.fd, 64) if select.select([self.fd], [], [], timeout)[0] else b""

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.fd)
        os.close(self.far)
