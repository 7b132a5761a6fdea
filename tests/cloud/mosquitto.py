"""A real mosquitto in a temporary folder, for the tests: config/mosquitto.conf as it is shipped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.cloud.conftest import free_port

SHIPPED = Path(__file__).parents[2] / "config" / "mosquitto.conf"


class Mosquitto:
    """On loopback. `users`: name -> password; or `files`: the passwords and acl that somebody else wrote."""

    def __init__(self, folder: Path, users: dict[str, str] | None = None, files: Path | None = None) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None or shutil.which("mosquitto_passwd") is None:
            pytest.skip("needs mosquitto (apt install mosquitto)")
        self.port, self._log = free_port(), folder / "mosquitto.log"
        passwords, rules = folder / "users", SHIPPED.with_name("acl")
        if files is not None:
            passwords, rules = files / "tillwire.passwd", files / "tillwire.acl"
        for user, password in (users or {}).items():
            flags = ["-b"] if passwords.exists() else ["-b", "-c"]
            subprocess.run(
                ["mosquitto_passwd", *flags, str(passwords), user, password], check=True, capture_output=True
            )
        secret = folder / "secret"
        if users is not None:
            passwords.chmod(0o644)
            secret.write_text(users["cloud"] + "\n")
        self.settings = f'url = "mqtt://127.0.0.1:{self.port}"\npassword_file = "{secret}"'
        config = folder / "mosquitto.conf"
        text = SHIPPED.read_text()
        for was, now in (
            ("listener 1883 ", f"listener {self.port} "),
            ("/etc/mosquitto/tillwire.passwd\nacl", f"{passwords}\nacl"),
            ("/etc/mosquitto/tillwire.acl\n\n", f"{rules}\n\n"),
            ("persistence true", f"persistence true\npersistence_location {folder}/"),
        ):
            assert was in text, was
            text = text.replace(was, now)
        config.write_text(text + ("\nuser root\n" if os.geteuid() == 0 else ""))
        self._command = [program, "-c", str(config)]
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self._log.read_text()[-2000:]
                time.sleep(0.02)

    def reload(self) -> None:
        """It reads its files again."""
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """What it held is gone."""
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
