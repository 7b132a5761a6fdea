"""What became of slips: the table `slips` of capture.db. Used by the journal thread alone, inside its transactions.

queued -> started -> done, or -> expired | withdrawn | failed. `started` is committed before a slip's first byte.
Every change gives the row a new `fate`, a number that only rises: who asks for fates after the last one he knows gets
all that changed since.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from relay.clock import BOOT, mono_ms, trust, wall_ms

if TYPE_CHECKING:
    from relay.store import Store

COLUMNS = ("fate", "slip", "attempt", "copy", "printer", "state", "proof", "status", "reason",
           "boot", "mono_ms", "wall_ms", "trust")  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM slips"
KEEP_MS = 30 * 86_400_000
NEWEST = 20_000  # changes: so many stay whatever the clock says, since it may be wrong
MOST = 500_000  # and no more, where no clock can be believed
ON_PAPER_PERHAPS = ("started", "done")
Fate = dict[str, Any]


class NotNow(ValueError):
    """This slip may not be printed like that: tell who asked, with what would help."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


class Fates:
    def __init__(self, store: Store) -> None:
        self.store, self.db = store, store.db
        highest = self.db.execute("SELECT coalesce(max(fate), 0) FROM slips").fetchone()[0]
        self.last: int = max(int(store.meta("fate", 0)), highest)

    def find(self, slip: str, attempt: int) -> Fate | None:
        row = self.db.execute(f"{SELECT} WHERE slip = ? AND attempt = ?", (slip, attempt)).fetchone()
        return None if row is None else _fate(row)

    def after(self, last: int, limit: int = 200) -> list[Fate]:
        return [_fate(row) for row in self.db.execute(f"{SELECT} WHERE fate > ? ORDER BY fate LIMIT ?", (last, limit))]

    def intend(
        self, slip: str, attempt: int, printer: str, copy: int, valid_s: float, raw: bytes
    ) -> tuple[Fate, dict[str, Any] | None]:
        """The slip is to be printed -> its fate, and what to queue; None: this attempt is known already.

        Raises NotNow where another attempt may have reached paper, or still may, and this one bears no copy mark.
        """
        known = self.find(slip, attempt)
        if known is not None:
            return known, None
        for other, state in self.db.execute("SELECT attempt, state FROM slips WHERE slip = ?", (slip,)).fetchall():
            if state == "queued":
                raise NotNow(f"attempt {other} of {slip} is still queued", "withdraw it first")
            if state in ON_PAPER_PERHAPS and not copy:
                raise NotNow(f"attempt {other} of {slip} was {state}: it may be on paper", "print it with a copy mark")
        pid = (int(self.store.meta("pid", 0)) + 1) % 95**4
        self.store.set_meta("pid", pid)
        until = mono_ms() + int(valid_s * 1000)
        self.db.execute(
            "INSERT INTO slips (slip, attempt, printer, copy, raw, valid_boot, valid_mono_ms, pid, state, fate,"
            " boot, mono_ms, wall_ms, trust) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
            (slip, attempt, printer, copy, raw, BOOT, until, pid, self._next(), BOOT, mono_ms(), wall_ms(), trust()),
        )
        fate = self.find(slip, attempt)
        assert fate is not None
        return fate, self._queued(slip, attempt)

    def change(
        self,
        slip: str,
        attempt: int,
        state: str,
        proof: str = "",
        status: dict[str, Any] | None = None,
        reason: str = "",
    ) -> Fate:
        raw = "" if state in ("queued", "started") else ", raw = NULL"
        self.db.execute(
            f"UPDATE slips SET state = ?, proof = ?, status = ?, reason = ?, fate = ?, boot = ?, mono_ms = ?,"
            f" wall_ms = ?, trust = ?{raw} WHERE slip = ? AND attempt = ?",
            (state, proof, json.dumps(status or {}), reason, self._next(), BOOT, mono_ms(), wall_ms(), trust(),
             slip, attempt),
        )  # fmt: skip
        fate = self.find(slip, attempt)
        if fate is None:
            raise sqlite3.DataError(f"slip {slip} attempt {attempt} is not in the journal")
        return fate

    def withdraw(self, slip: str, attempt: int) -> tuple[str, Fate | None]:
        """-> withdrawn, too_late or unknown; and the fate where it changed."""
        known = self.find(slip, attempt)
        if known is None:
            return "unknown", None
        if known["state"] == "queued":
            return "withdrawn", self.change(slip, attempt, "withdrawn")
        return ("too_late" if known["state"] in ON_PAPER_PERHAPS else "withdrawn"), None

    def queued(self) -> list[dict[str, Any]]:
        """What waits to be printed, oldest first: asked once, when the relay starts."""
        rows = self.db.execute("SELECT slip, attempt FROM slips WHERE state = 'queued' ORDER BY fate").fetchall()
        return [self._queued(slip, attempt) for slip, attempt in rows]

    def late_proof(self, pid: int, printer: str) -> Fate | None:
        """The printer answers the process id of a slip whose proof nobody waits for any more."""
        row = self.db.execute(
            "SELECT slip, attempt, status FROM slips WHERE pid = ? AND printer = ? AND state IN ('started', 'done')"
            " AND proof != 'L2' ORDER BY fate DESC LIMIT 1",
            (pid, printer),
        ).fetchone()
        return None if row is None else self.change(row[0], row[1], "done", "L2", json.loads(row[2]), "late")

    def cut_short(self) -> list[dict[str, Any]]:
        """`started` and no end, when the relay starts: their bytes may be on paper, and proof may still come."""
        rows = self.db.execute("SELECT slip, attempt FROM slips WHERE state = 'started' ORDER BY fate").fetchall()
        return [self._queued(slip, attempt) for slip, attempt in rows]

    def answering(self) -> list[str]:
        """Printers that have answered behind a slip: one that then says nothing may be off."""
        return [row[0] for row in self.db.execute("SELECT DISTINCT printer FROM slips WHERE proof IN ('L1', 'L2')")]

    def forget_old(self) -> None:
        """What was told more than 30 days ago. A board that began in 1970 and was then set has lived no 50 years: what
        is forgotten could be printed once more without a mark."""
        self.store.set_meta("fate", self.last)
        before = wall_ms() - KEEP_MS if trust() == "ntp" else 0
        self.db.execute(
            "DELETE FROM slips WHERE state != 'queued' AND (fate < ? AND trust = 'ntp' AND wall_ms < ? OR fate < ?)",
            (self.last - NEWEST, before, self.last - MOST),
        )

    def _next(self) -> int:
        self.last += 1
        return self.last

    def _queued(self, slip: str, attempt: int) -> dict[str, Any]:
        row = self.db.execute(
            "SELECT printer, copy, raw, valid_boot, valid_mono_ms, pid FROM slips WHERE slip = ? AND attempt = ?",
            (slip, attempt),
        ).fetchone()
        printer, copy, raw, boot, until, pid = row
        valid_until = until / 1000 if boot == BOOT else 0.0  # another boot's clock says nothing: it has expired
        return {"slip": slip, "attempt": attempt, "printer": printer, "copy": copy, "raw": raw,
                "valid_until": valid_until, "pid": pid}  # fmt: skip


def _fate(row: tuple[Any, ...]) -> Fate:
    fate: Fate = dict(zip(COLUMNS, row, strict=True))
    fate["id"] = fate.pop("fate")
    fate["status"] = json.loads(fate["status"])
    fate["at"] = {name: fate.pop(name) for name in ("boot", "mono_ms", "wall_ms", "trust")}
    return fate
