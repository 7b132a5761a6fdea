"""The audit log's end is anchored outside the database each day: a chain that was made anew does not fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud import admin, anchors, audit
from cloud.admin_door import Refused
from cloud.store import schema
from cloud.store.database import Store
from tests.cloud.conftest import Cloud
from tests.cloud.test_batch import fresh_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(fresh_store(tmp_path)) as one:
        write(one, 8)
        yield one


def write(store: Store, count: int) -> None:
    for n in range(count):
        with store.write() as connection:
            audit.add(connection, "m", "user anna", "log-in", str(n))


def made_anew(store: Store) -> None:
    """Somebody who may write the database and knows how changes an entry, and every hash behind it."""
    with store.write() as connection:
        connection.execute(sa.update(schema.audit).where(schema.audit.c.n == 3).values(who="nobody"))
        last = b""
        for r in connection.execute(sa.select(schema.audit).order_by(schema.audit.c.n)).all():
            last = audit._hash(last, r.merchant_id, r.at, r.who, r.what, r.object, r.detail)
            connection.execute(sa.update(schema.audit).where(schema.audit.c.n == r.n).values(hash=last))
        assert audit.first_broken(connection) is None, "the chain alone does not show it"


def yesterday(file: Path) -> None:
    """As if what is anchored had been anchored long ago."""
    file.write_text("".join("2026-01-01" + line[10:] + "\n" for line in file.read_text().splitlines()))


@pytest.mark.covers("A53")
def test_a_chain_that_was_made_anew_or_cut_off_does_not_fit_its_anchors(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "held" / "anchors"
    anchors.daily(store, file)
    write(store, 3)
    assert "anchored 1 times" in admin.audit_check(store, str(file))["rows"][0]["anchors"]
    with store.write() as connection:
        connection.execute(sa.delete(schema.audit).where(schema.audit.c.n > 6))
    with pytest.raises(Refused, match=r"entry 8 .* cut off"):
        admin.audit_check(store, str(file))


@pytest.mark.covers("A53")
def test_the_service_itself_sees_it_the_next_day_and_anchors_no_more(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cloud.audit")
    file = tmp_path / "anchors"
    for _ in range(3):
        anchors.daily(store, file)
    assert len(file.read_text().splitlines()) == 1, "once a day"
    assert file.read_text().split()[2] in caplog.text, "it stands in the log too, that leaves the machine"
    yesterday(file)
    write(store, 2)
    anchors.daily(store, file)
    assert len(file.read_text().splitlines()) == 2
    made_anew(store)
    yesterday(file)
    anchors.daily(store, file)
    assert len(file.read_text().splitlines()) == 2
    assert "made anew" in caplog.text
    with pytest.raises(Refused, match="made anew"):
        admin.audit_check(store, str(file))


def test_what_a_restored_backup_does_not_have_is_excused_and_no_more(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "anchors"
    admin.audit_anchor(store, str(file))
    write(store, 4)
    admin.audit_anchor(store, str(file))
    with store.write() as connection:  # the backup is from before those four
        connection.execute(sa.delete(schema.audit).where(schema.audit.c.n > 9))
    with pytest.raises(Refused, match="entry 12"):
        admin.audit_check(store, str(file))
    admin.audit_anchor(store, str(file), restored=True)
    admin.audit_check(store, str(file))
    made_anew(store)
    with pytest.raises(Refused, match="entry 8"):
        admin.audit_check(store, str(file))


def test_a_file_that_cannot_be_read_or_written_is_told(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, folder = tmp_path / "bad", tmp_path / "folder"
    bad.write_text("nonsense\n")
    folder.mkdir()
    for place, says in ((bad, "line 1"), (folder, "Is a directory")):
        anchors.daily(store, place)
        assert says in caplog.text
        with pytest.raises(Refused, match=says):
            admin.audit_check(store, str(place))


def test_it_is_a_command_beside_the_database(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    cloud.merchant("Corner Cafe", "anna").close()
    assert cloud.command("audit", "check") == "the audit log is whole"
    line = cloud.command("audit", "anchor")
    assert (tmp_path / "audit.anchors").read_text() == line + "\n"
    assert (tmp_path / "audit.anchors").stat().st_mode & 0o777 == 0o600
    cloud.command("audit", "check")
    cloud.command("backup", str(tmp_path / "backup.db"))
    cloud.command("key", "add", "Corner Cafe")
    cloud.command("audit", "anchor")
    cloud.command("restore", str(tmp_path / "backup.db"))
    assert "whole" in cloud.command("audit", "check")
