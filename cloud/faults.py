"""Since when a printer is as it is: "paper out at the kitchen since 12:04". Kept when a box's status changes."""

from __future__ import annotations

import sqlalchemy as sa

from cloud import words
from cloud.store.fleet import printer_since
from wire.messages import Status


def keep(connection: sa.Connection, merchant: str, box: str, status: Status, at: int) -> None:
    """The time of a state that goes on is left alone."""
    mine = (printer_since.c.merchant_id == merchant, printer_since.c.box == box)
    known = {row.printer: row.state for row in connection.execute(sa.select(printer_since).where(*mine))}
    now = {state.name: words.printer(state)[0] for state in status.printers}
    other = [name for name in known if now.get(name) != known[name]]
    if other:
        connection.execute(sa.delete(printer_since).where(*mine, printer_since.c.printer.in_(other)))
    rows = [
        {"merchant_id": merchant, "box": box, "printer": name, "state": state, "at": at}
        for name, state in now.items()
        if known.get(name) != state
    ]
    if rows:
        connection.execute(sa.insert(printer_since), rows)


def of(connection: sa.Connection, merchant: str) -> dict[tuple[str, str], int]:
    """(box, printer) -> ms."""
    rows = connection.execute(sa.select(printer_since).where(printer_since.c.merchant_id == merchant))
    return {(row.box, row.printer): row.at for row in rows}
