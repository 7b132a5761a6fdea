"""`tillwire update FILE|URL` and `tillwire quiet`: an update from where the box stands."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from agent.fetch import Gone, fetch
from agent.update import is_busy

SWITCH = "/usr/lib/tillwire/switch"
QUIET_S = 3.0


def wait_quiet(status: Callable[[], dict[str, Any]], within_s: float) -> bool:
    """Until no printer has had anything to do for some seconds. `status`: the relay's, {} where it is away: it prints
    nothing then."""
    end = time.monotonic() + within_s
    since = time.monotonic()
    while True:
        now = status()
        if now and is_busy(now):
            since = time.monotonic()
        elif not now or time.monotonic() - since >= QUIET_S:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.3)


def update(source: str, status: Callable[[], dict[str, Any]], ca_file: str = "") -> int:
    """Fetch where it is an address, wait until nothing prints, and let the switch do it. -> exit code."""
    with tempfile.TemporaryDirectory(prefix="tillwire-update-") as folder:
        file = Path(source)
        if "://" in source:
            file = Path(folder, "release.tar.gz")
            try:
                for url, path in ((source, file), (source + ".sig", Path(f"{file}.sig"))):
                    click.echo(f"fetching {url}")
                    _fetch(url, path, ca_file)
            except (Gone, OSError) as error:
                raise click.ClickException(f"{source}: {error}") from error
        elif not file.exists():
            raise click.ClickException(f"{file} is not there")
        if not wait_quiet(status, 300):
            raise click.ClickException("the till has printed for five minutes on end: try again in a quiet moment")
        try:
            return subprocess.run([SWITCH, "update", str(file.resolve())], check=False).returncode
        except FileNotFoundError:
            raise click.ClickException(f"{SWITCH} is not there: was Tillwire installed from its package?") from None


def _fetch(url: str, path: Path, ca_file: str) -> None:
    for left in range(9, -1, -1):
        try:
            fetch(url, path, threading.Event(), ca_file)
            return
        except OSError as error:
            if not left:
                raise
            click.echo(f"{error}; going on")
            time.sleep(2)


def quiet(status: Callable[[], dict[str, Any]], within_s: float) -> None:
    sys.exit(0 if wait_quiet(status, within_s) else 1)
