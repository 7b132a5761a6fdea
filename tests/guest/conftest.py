"""One machine for all tests that run inside; those that cut the power make their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.vm import Guest

INSIDE = Path(__file__).with_name("inside")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """What stands in inside/ is collected in the machine, not here: it needs USB sockets that are not there."""
    in_the_machine = Path("/usr/local/lib/channel.py").exists()
    return True if collection_path == INSIDE and not in_the_machine else None


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no QEMU here: `make guest` installs it")
    with Guest() as guest:
        yield guest
