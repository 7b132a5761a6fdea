"""Once a day: is the audit log what it was, and its end anchored outside the database (cloud/audit.py)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from cloud import audit, metrics
from cloud.store.database import Store

log = logging.getLogger("cloud.audit")


def daily(store: Store, path: Path) -> None:
    """To be called often; does something once a day (UTC). What is wrong is an error in the log, and in /metrics; then
    nothing is anchored. Raises what sqlalchemy raises."""
    try:
        anchors = audit.anchors_of(path)
        if anchors and anchors[-1].at[:10] == datetime.now(UTC).date().isoformat():
            return
        with store.read() as connection:
            wrong = audit.problem(connection, anchors[-1:], since=anchors[-1] if anchors else None)
            end = audit.end_of(connection)
        metrics.AUDIT_BROKEN.set(bool(wrong))
        if wrong:
            log.error("%s: compare with `tillwire-cloud audit check`, and with a backup", wrong)
        elif end is not None:
            audit.write_anchor(path, end)
            log.info("audit log anchored n=%d hash=%s", end.n, end.hash.hex())
    except (OSError, ValueError) as error:
        log.error("audit log not anchored: %s", error)
