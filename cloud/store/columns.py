"""What all tables of the cloud are made of: their common metadata, names of keys and indexes, and columns of a kind."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Counter = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only INTEGER PRIMARY KEY


def a_text(name: str, **more: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **more)


def maybe_text(name: str, **more: Any) -> Column[str | None]:
    return Column(name, Text, nullable=True, **more)


def a_ms(name: str, **more: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **more)


def maybe_ms(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)
