"""Every seq accounted for: what the relay's journal and the agent's outbox say of each job ever captured here.

Reads both files read-only, beside the running programs.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Report:
    lines: list[str] = field(default_factory=list)
    missing: int = 0


def audit(capture_db: Path, agent_db: Path) -> Report:
    """One line an epoch, and one for each hole. Raises OSError where the journal cannot be read."""
    report = Report()
    waiting = _waiting(agent_db)
    try:
        with sqlite3.connect(f"file:{capture_db}?mode=ro", uri=True, timeout=5) as connection:
            for number, epoch in connection.execute("SELECT n, epoch FROM epochs ORDER BY n").fetchall():
                _epoch(connection, number, epoch, waiting, report)
    except sqlite3.Error as error:
        raise OSError(f"journal {capture_db} cannot be read: {error}") from error
    return report


def _epoch(
    connection: sqlite3.Connection, number: int, epoch: str, waiting: set[tuple[str, int]], report: Report
) -> None:
    low, high = number << 40, (number + 1) << 40
    jobs = connection.execute(
        "SELECT id - ?, acked_ran IS NOT NULL, coalesce(reason, '') FROM jobs WHERE id > ? AND id < ? ORDER BY id",
        (low, low, high),
    ).fetchall()
    tombs = connection.execute(
        "SELECT first, last, trim(reason), acked_ran IS NOT NULL FROM tombs WHERE epoch = ? ORDER BY first", (number,)
    ).fetchall()
    was = connection.execute("SELECT was - ? FROM jobs WHERE was > ? AND was < ?", (low, low, high)).fetchall()
    known = {seq for seq, _, _ in jobs} | {seq for (seq,) in was}
    known |= {seq for first, last, _, _ in tombs for seq in range(first, last + 1)}
    last = max(known, default=0)
    acked = sum(1 for _, is_acked, _ in jobs if is_acked)
    due = sum(1 for seq, is_acked, _ in jobs if not is_acked and (epoch, seq) in waiting)
    buried = sum(last - first + 1 for first, last, _, _ in tombs)
    report.lines.append(
        f"epoch {epoch}: last {last}, acknowledged {acked}, on their way {len(jobs) - acked}"
        f" (in the outbox {due}), moved to another epoch {len(was)}, tombstones {buried}"
    )
    for first, end, reason, is_acked in tombs:
        report.lines.append(
            f"  {first}..{end} tombstone: {reason}{'' if is_acked else ' (the cloud does not know yet)'}"
        )
    holes = [seq for seq in range(1, last + 1) if seq not in known]
    report.missing += len(holes)
    for seq in holes[:100]:
        report.lines.append(f"  {seq} MISSING: neither a job nor a tombstone")


def _waiting(agent_db: Path) -> set[tuple[str, int]]:
    if not agent_db.exists():
        return set()
    try:
        with sqlite3.connect(f"file:{agent_db}?mode=ro", uri=True, timeout=5) as connection:
            return set(connection.execute("SELECT epoch, seq FROM outbox WHERE kind != 'message'").fetchall())
    except sqlite3.Error:
        return set()  # the agent makes a new one; the relay's journal is what counts
