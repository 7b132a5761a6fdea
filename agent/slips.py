"""The slips of agent.db: a row for each (order, part, copy number), and what is told of it. SQL and values.

Each function takes the connection and is called through `Store.run`; a change of state and the report of it are written
in the same transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

import msgspec

from agent import clock, outbox
from agent.outbox import Row
from wire import messages
from wire.messages import CancelOrder, OrderContent, OrderState, PrintOrder, Proof, Report, SlipStyle

KEEP_DAYS = 30
LOCAL = "@"  # begins the names of slips that are no order's: nothing is stored or reported of them
OPEN = (
    OrderState.RECEIVED,
    OrderState.QUEUED,
    OrderState.PRINTING,
    OrderState.FAILED,
    OrderState.UNCONFIRMED,
    OrderState.CANCELLING,
    OrderState.EXPIRED,
)


class What(msgspec.Struct, omit_defaults=True):
    """What a slip says and where else it may be printed: the column `content`, as MessagePack."""

    content: OrderContent
    label: str = ""
    style: SlipStyle | None = None
    instead: list[str] = []


_what = msgspec.msgpack.Decoder(What).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Slip:
    order_id: str
    part: str
    copy_number: int
    copies: int
    printer: str
    asked: int
    attempt: int
    mark: str  # "" | "copy" | "stop"
    copy: int
    state: OrderState
    held: bool
    proof: Proof
    reason: str
    on_paper: int
    max_age_s: int
    boot: str
    mono_ms: int
    wall_ms: int
    content: bytes

    @property
    def name(self) -> str:
        """How the relay knows it."""
        return f"{self.order_id}/{self.part}/{self.copy_number}"

    def age_s(self) -> float | None:
        """Seconds since it was received, or got its go; None when that was before this boot."""
        return clock.age_s(self.boot, self.mono_ms)

    def what(self) -> What | None:
        """None where agent.db was lost, and with it what the slip says."""
        return _what(self.content) if self.content else None

    def order_content(self) -> OrderContent | None:
        what = self.what()
        return what.content if what else None

    def report(self, cancelled: bool = False) -> Report:
        return messages.new(
            Report,
            order=self.order_id,
            part=self.part,
            copy_number=self.copy_number,
            state=OrderState.RECEIVED if self.state is OrderState.QUEUED else self.state,
            attempt=self.asked,
            copy=self.copy,
            proof=self.proof,
            reason=self.reason,
            printer=self.printer,
            clock=clock.now(),
            tries=self.attempt,
            cancelled=cancelled,
        )


COLUMNS = (
    "order_id, part, copy_number, copies, printer, asked, attempt, mark, copy, state, held, proof, reason, on_paper,"
    " max_age_s, boot, mono_ms, wall_ms, content"
)


def _slip(row: tuple[object, ...]) -> Slip:
    values = list(row)
    values[9], values[10], values[11] = OrderState(str(row[9])), bool(row[10]), Proof(str(row[11]))
    return Slip(*values)  # type: ignore[arg-type]


def received(order: PrintOrder, printer: str, held: bool) -> Slip:
    """A new order's slip, as it is first stored."""
    now = clock.now()
    what = What(order.content, order.label, order.style, order.instead)
    return Slip(
        order.order, order.part, order.copy_number, order.copies, printer, order.attempt, 0,
        "copy" if order.copy else "", order.copy, OrderState.RECEIVED, held, Proof.NONE,
        "held: it is older than it may be printed without a go" if held else "",
        0, order.max_age_s, now.boot, now.mono_ms, now.wall_ms, _encode(what),
    )  # fmt: skip


def get(connection: sqlite3.Connection, order_id: str, part: str, copy_number: int) -> Slip | None:
    row = connection.execute(
        f"SELECT {COLUMNS} FROM slips WHERE order_id = ? AND part = ? AND copy_number = ?",
        (order_id, part, copy_number),
    ).fetchone()
    return _slip(row) if row else None


def of_order(connection: sqlite3.Connection, order_id: str) -> list[Slip]:
    return [_slip(r) for r in connection.execute(f"SELECT {COLUMNS} FROM slips WHERE order_id = ?", (order_id,))]


def unfinished(connection: sqlite3.Connection) -> list[Slip]:
    """Oldest first."""
    return [
        _slip(r)
        for r in connection.execute(
            f"SELECT {COLUMNS} FROM slips WHERE state NOT IN ('printed', 'cancelled', 'closed') ORDER BY rowid"
        )
    ]


def put(connection: sqlite3.Connection, slip: Slip, tell: bool = True) -> Row | None:
    """Write a slip, and with `tell` its report. -> the report's outbox row."""
    values = (
        slip.order_id, slip.part, slip.copy_number, slip.copies, slip.printer, slip.asked, slip.attempt, slip.mark,
        slip.copy, str(slip.state), int(slip.held), str(slip.proof), slip.reason, slip.on_paper, slip.max_age_s,
        slip.boot, slip.mono_ms, slip.wall_ms, slip.content,
    )  # fmt: skip
    connection.execute(
        f"INSERT INTO slips ({COLUMNS}) VALUES ({', '.join('?' * len(values))})"
        " ON CONFLICT (order_id, part, copy_number) DO UPDATE SET copies = excluded.copies,"
        " printer = excluded.printer, asked = excluded.asked, attempt = excluded.attempt, mark = excluded.mark,"
        " copy = excluded.copy, state = excluded.state, held = excluded.held, proof = excluded.proof,"
        " reason = excluded.reason, on_paper = excluded.on_paper, max_age_s = excluded.max_age_s,"
        " boot = excluded.boot, mono_ms = excluded.mono_ms, wall_ms = excluded.wall_ms, content = excluded.content",
        values,
    )
    if not tell or slip.mark == "stop":  # a STOP PREPARING slip belongs to the box: the cloud knows no such part
        return None
    return outbox.put_message(connection, "reports", slip.report(_knows_its_cancel(connection, slip)))


def _knows_its_cancel(connection: sqlite3.Connection, slip: Slip) -> bool:
    found = connection.execute(
        "SELECT 1 FROM cancels WHERE order_id = ? AND (part = '' OR part = ? AND copy_number = ? AND attempt >= ?)",
        (slip.order_id, slip.part, slip.copy_number, slip.asked),
    )
    return found.fetchone() is not None


def hold(slip: Slip) -> Slip:
    """It waited while the board was off, nobody knows how long: the cloud is asked whether it may still be printed.

    A STOP PREPARING slip is the box's own, and wanted however late."""
    if slip.mark == "stop":
        return young_again(replace(slip, state=OrderState.RECEIVED))
    why = "held: the box was restarted while it waited; the cloud is asked whether it is still wanted"
    return replace(slip, state=OrderState.RECEIVED, held=True, reason=why)


def young_again(slip: Slip) -> Slip:
    """Its age counts from now: it got its go."""
    now = clock.now()
    return replace(slip, boot=now.boot, mono_ms=now.mono_ms, wall_ms=now.wall_ms, held=False)


def cancel(connection: sqlite3.Connection, cancel: CancelOrder) -> None:
    """Of the whole order: for ever. Of one slip of it: up to that attempt, since another printer takes it."""
    connection.execute(
        "INSERT INTO cancels (order_id, part, copy_number, attempt, reason, wall_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (order_id, part, copy_number) DO UPDATE SET attempt = max(attempt, excluded.attempt)",
        (cancel.order, cancel.part, cancel.copy_number, cancel.attempt, cancel.reason, clock.wall_ms()),
    )


def cancelled(connection: sqlite3.Connection, order_id: str) -> str | None:
    """The reason of an order's cancel, None where it was not cancelled."""
    row = connection.execute("SELECT reason FROM cancels WHERE order_id = ? AND part = ''", (order_id,)).fetchone()
    return str(row[0]) if row else None


def not_wanted(connection: sqlite3.Connection, order: PrintOrder) -> str | None:
    """Why this slip is not to be printed: the order, or this attempt of the slip, was cancelled. None: it is."""
    row = connection.execute(
        "SELECT reason FROM cancels WHERE order_id = ?"
        " AND (part = '' AND (attempt = 0 OR attempt >= ?) OR part = ? AND copy_number = ? AND attempt >= ?)",
        (order.order, order.attempt, order.part, order.copy_number, order.attempt),
    ).fetchone()
    return str(row[0]) if row else None


def held_orders(connection: sqlite3.Connection, waiting: bool = False) -> list[str]:
    """Orders that the box holds and has not printed; `waiting`: of these the ones that only wait for a go."""
    found = connection.execute(
        "SELECT DISTINCT order_id FROM slips WHERE mark != 'stop'"
        " AND state IN ('received', 'queued', 'failed', 'expired') AND (NOT ? OR held AND state = 'received')"
        " ORDER BY rowid",
        (waiting,),
    )
    return [str(row[0]) for row in found]


def forget(connection: sqlite3.Connection, newest: int = 5000) -> None:
    """Finished slips older than KEEP_DAYS go; the newest stay whatever the clock says, since it may be wrong."""
    before = clock.wall_ms() - KEEP_DAYS * 86_400_000
    connection.execute(
        "DELETE FROM slips WHERE state IN ('printed', 'cancelled', 'closed') AND wall_ms < ?"
        " AND rowid <= (SELECT max(rowid) FROM slips) - ?",
        (before, newest),
    )
    connection.execute(
        "DELETE FROM cancels WHERE wall_ms < ? AND rowid <= (SELECT max(rowid) FROM cancels) - ?", (before, newest)
    )
