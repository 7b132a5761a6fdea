"""agent/tls.py: certificates are held against a floor while the box does not know the time. Real TLS, a local CA."""

from __future__ import annotations

import configparser
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import tls
from config.box import Cloud

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

CONF = """\
[ca]
default_ca = x
[x]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, and server.crt for localhost, valid through 2025 alone."""
    folder = tmp_path_factory.mktemp("ca")
    (folder / "ca.cnf").write_text(CONF)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    key = ("-newkey", "rsa:2048", "-nodes")
    openssl(
        folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=shop ca", "-days", "3650"
    )
    openssl(
        folder, "req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost",
    )  # fmt: skip
    openssl(
        folder, "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key", "-in", "server.csr",
        "-out", "server.crt", "-startdate", "20250101000000Z", "-enddate", "20260101000000Z", "-notext",
    )  # fmt: skip
    return folder


@pytest.fixture
def server(ca: Path) -> Iterator[int]:
    """Says hello to whoever comes through the handshake. -> its port"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca / "server.crt", ca / "server.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
                    sock.sendall(b"hello")
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def hello(port: int, ca: Path, floor: str, now: str, name: str = "localhost") -> bytes:
    context = tls.context(Cloud(ca_file=str(ca / "ca.crt")), at(floor), at(now))
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as sock:
            return sock.recv(5)


@pytest.mark.covers("F25")
def test_a_clock_before_the_floor_does_not_keep_the_box_off(server: int, ca: Path) -> None:
    assert hello(server, ca, floor="2025-06-01", now="1970-01-01") == b"hello"


@pytest.mark.covers("F25")
def test_what_had_expired_at_the_floor_is_refused(server: int, ca: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        hello(server, ca, floor="2026-02-01", now="1970-01-01")


def test_with_a_right_clock_the_certificate_is_held_against_it(server: int, ca: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        hello(server, ca, floor="2025-06-01", now="2025-06-02")  # OpenSSL goes by the real clock: 2026 or later


def test_names_and_issuers_are_checked_without_a_clock_too(server: int, ca: Path, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        hello(server, ca, floor="2025-06-01", now="1970-01-01", name="elsewhere")
    openssl(
        tmp_path, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
        "-subj", "/CN=other", "-days", "9",
    )  # fmt: skip
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        hello(server, tmp_path, floor="2025-06-01", now="1970-01-01")


def test_the_floor_was_raised_with_the_release() -> None:
    """Whoever raises the version sets tls.BUILT to that day, and BUILT_FOR to the version."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert setup["metadata"]["version"] == tls.BUILT_FOR
    assert time.time() + 86_400 >= tls.BUILT, "a floor in the future would refuse certificates that are good"
