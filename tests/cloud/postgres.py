"""A private PostgreSQL server in a temporary folder, for the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest


def binaries() -> Path:
    """The folder of initdb and postgres; skips the test where there is none."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for folder in [*([Path(found).parent] if found else []), *folders]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("needs the PostgreSQL server programs (apt install postgresql)")


class Postgres:
    """A server on loopback. As root it runs as the user postgres, for it refuses root."""

    def __init__(self) -> None:
        self._bin = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="tillwire-pg-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("root needs a user named postgres to run the server as")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [
            str(self._bin / "initdb"),
            "-D",
            str(self._folder / "data"),
            "-U",
            "tillwire",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        done = subprocess.run([*words, "--locale=C"], cwd=self._folder, capture_output=True, check=False, **self._as)
        assert done.returncode == 0, done.stderr.decode()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", "max_connections=60"]
        words = [str(self._bin / "postgres"), "-D", str(self._folder / "data")]
        for setting in settings:
            words += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd=self._folder, stdout=log, stderr=log, **self._as)
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._admin, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < end, (self._folder / "log").read_text()[
                    -2000:
                ]
                time.sleep(0.05)

    def database(self, name: str) -> str:
        """A new, empty one -> its URL for [store]."""
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        return f"postgresql://tillwire@127.0.0.1:{self.port}/{name}"

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT: at once but in order; SIGQUIT: like a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL to all of it: as a power cut ends it, but for the disk."""
        assert self.process is not None
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)  # so that it makes no more children
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for one in (pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self.process.wait(30)
        end = time.monotonic() + 30
        while any(_lives(one) for one in children):  # while one does, the next server does not start
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _admin(self) -> str:
        return f"postgresql://tillwire@127.0.0.1:{self.port}/postgres"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
