"""Receipts put straight into a store, as ingest and reading leave them: for tests of what stands on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cloud import figures
from cloud.reading import receipt_row
from cloud.store.database import Store
from cloud.store.figures import shops
from cloud.store.schema import boxes, jobs, merchants, receipts
from receipt.model import Receipt
from wire.messages import uuid7

NOON = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def new_store(folder: Path, *merchant_ids: str) -> Store:
    store = Store("sqlite:///unused", folder / "cloud.db")
    with store.write() as connection:
        for merchant in merchant_ids:
            connection.execute(sa.insert(merchants).values(id=merchant, name=merchant, created_at=1))
            connection.execute(
                sa.insert(boxes).values(id=f"{merchant}-box-1", merchant_id=merchant, password_hash="-", created_at=1)
            )
    return store


def add_shop(connection: sa.Connection, merchant: str, shop: str = "", **values: Any) -> None:
    row = {"name": shop or merchant, "zone": "UTC", "day_starts": 0, "currency": ""} | values
    connection.execute(sa.insert(shops).values(merchant_id=merchant, id=shop, **row))


def job_row(merchant: str, job: str, **values: Any) -> dict[str, Any]:
    """A job of the merchant's first box that was read; `values` in place of what is usual."""
    started = values.get("started_ms", NOON)
    return {
        "merchant_id": merchant,
        "id": job,
        "box": f"{merchant}-box-1",
        "epoch": "e",
        "seq": 1,
        "sha256": b"",
        "size": 0,
        "boundary": "cut",
        "delivered": "all",
        "pos": "till",
        "printer": "main",
        "started_ms": started,
        "ended_ms": started,
        "trust": "ntp",
        "boot": "b",
        "mono_ms": 0,
        "received_at": started,
        "state": "read",
        "rules_version": "1",
        "lines": "",
    } | values


def add_job(
    connection: sa.Connection,
    merchant: str,
    *read: Receipt,
    job: str = "",
    count: bool = True,
    **values: Any,
) -> str:
    """-> the job's id."""
    job = job or uuid7()
    connection.execute(sa.insert(jobs).values(**job_row(merchant, job, **values)))
    read_as(connection, merchant, job, *read, count=count)
    return job


def read_as(connection: sa.Connection, merchant: str, job: str, *read: Receipt, count: bool = True) -> None:
    """What a (better) reading of a stored job says."""
    mine = (receipts.c.merchant_id == merchant, receipts.c.job_id == job)
    connection.execute(sa.delete(receipts).where(*mine))
    rows = [receipt_row(merchant, job, n, one) for n, one in enumerate(read)]
    if rows:
        connection.execute(sa.insert(receipts), rows)
    if count:
        figures.apply(connection, [(merchant, job)])
