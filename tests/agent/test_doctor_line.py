"""The doctor's look at the way to the cloud, by real TLS: each kind of certificate that does not do is told apart."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import clock, doctor_board, doctor_line
from agent.doctor import LOOK, OK, WRONG, Finding
from config.box import Box, load_box
from tests.agent.test_doctor import board
from wire.messages import Trust

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
LONG = ("20250101000000Z", "20600101000000Z")
TIMES = {
    "good": LONG,
    "expired": ("20250101000000Z", "20250201000000Z"),
    "future": ("20590101000000Z", "20600101000000Z"),
}
CONF = """\
[ca]
default_ca = x
[x]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, other.pem, and for localhost: good.pem, expired.pem, future.pem, all with key.pem."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ca.cnf").write_text(CONF)
    (folder / "index.txt").touch()

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                "-days", "9000")  # fmt: skip
    openssl("req", *key, "-keyout", "key.pem", "-out", "csr", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    for name, (begins, ends) in TIMES.items():
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", "csr",
                "-out", f"{name}.pem", "-startdate", begins, "-enddate", ends, "-notext")  # fmt: skip
    return folder


@pytest.fixture
def listen(certificates: Path) -> Iterator[Callable[[str], int]]:
    """A TLS server with that certificate, as a broker has one. -> its port"""
    listeners: list[socket.socket] = []

    def make(name: str) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / "key.pem")
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    plain = listener.accept()[0]
                except OSError:
                    return
                try:
                    plain.settimeout(30)
                    with context.wrap_socket(plain, server_side=True) as sock:
                        sock.recv(1)  # a CONNECT, which is answered by hanging up
                except OSError:
                    plain.close()

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def box(folder: Path, broker: str, ca: Path) -> Box:
    path = folder / "agent.toml"
    path.write_text(
        f'[box]\nid = "bench-box-1"\nstate_dir = "{folder}"\n[printer.main]\nurl = "tcp://127.0.0.1:9"\n'
        f'[pos.till]\nurl = "tcp://127.0.0.1:9100"\n[cloud]\nbroker = "{broker}"\nca_file = "{ca}"\n'
    )
    return load_box(path)


def encrypted(found: list[Finding]) -> Finding:
    return next(f for f in found if "certificate" in f.says)


@needs_openssl
@pytest.mark.covers("F30", "F35")
@pytest.mark.parametrize(
    ("name", "ca", "host", "says", "helps"),
    [
        ("expired", "ca", "localhost", "has expired", "the operator must renew it"),
        ("future", "ca", "localhost", "not yet valid", "clock right?"),
        ("good", "other", "localhost", "unable to get local issuer", "needs ca_file"),
        ("good", "ca", "127.0.0.1", "mismatch", "must be the name that the certificate is for"),
    ],
)
def test_a_certificate_that_does_not_do_is_told_by_its_kind(
    certificates: Path, listen: Callable[[str], int], tmp_path: Path, name: str, ca: str, host: str, says: str,
    helps: str,
) -> None:  # fmt: skip
    broker = f"mqtts://{host}:{listen(name)}"
    found = list(doctor_line.broker(box(tmp_path, broker, certificates / f"{ca}.pem"), None))
    told = encrypted(found)
    assert told.level == WRONG and says in told.says and helps in told.helps
    assert found[-1] is told, "no password goes to whom the box does not trust"


@needs_openssl
def test_a_certificate_that_does_is_told_with_its_days(
    certificates: Path, listen: Callable[[str], int], tmp_path: Path
) -> None:
    broker = f"mqtts://localhost:{listen('good')}"
    found = list(doctor_line.broker(box(tmp_path, broker, certificates / "ca.pem"), None))
    told = encrypted(found)
    assert told.level == OK and told.says.startswith("TLS: TLSv1.3 in ") and "certificate good for 1" in told.says
    assert found[-1].level == WRONG and "MQTT broker" in found[-1].helps, "it only hangs up"


@needs_openssl
@pytest.mark.covers("F25")
def test_a_clock_that_stands_in_the_past_is_told_and_keeps_nobody_off(
    certificates: Path, listen: Callable[[str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a battery: 1970. The certificate is held against the release's date (agent/tls.py)."""
    monkeypatch.setattr(clock, "wall_ms", lambda: 0)
    told = encrypted(
        list(doctor_line.broker(box(tmp_path, f"mqtts://localhost:{listen('good')}", certificates / "ca.pem"), None))
    )
    assert told.level == OK
    told = encrypted(
        list(doctor_line.broker(box(tmp_path, f"mqtts://localhost:{listen('expired')}", certificates / "ca.pem"), None))
    )
    assert told.level == WRONG and "has expired" in told.says


@needs_openssl
def test_a_plain_port_under_mqtts_is_told(certificates: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with plain.accept()[0] as sock:
                sock.sendall(b"\x20\x02\x00\x00")  # a CONNACK

        threading.Thread(target=answer, daemon=True).start()
        broker = f"mqtts://localhost:{plain.getsockname()[1]}"
        found = list(doctor_line.broker(box(tmp_path, broker, certificates / "ca.pem"), None))
    assert found[-1].level == WRONG and "is this the TLS port" in found[-1].helps


@pytest.mark.parametrize(
    ("trust", "running", "level", "says", "helps"),
    [
        (Trust.NTP, "chrony", OK, "set by NTP (chrony)", ""),
        (Trust.NTP, "systemd-timesyncd", OK, "set by NTP (systemd-timesyncd)", ""),
        (Trust.RTC, "", LOOK, "not set by NTP since the boot", "no program keeps the time"),
        (Trust.RTC, "chrony", OK, "not set by NTP since the boot", "chronyc sources"),
        (Trust.NONE, "systemd-timesyncd", LOOK, "nobody vouches for", "timedatectl timesync-status"),
        (Trust.NONE, "", LOOK, "nobody vouches for", "apt install systemd-timesyncd"),
    ],
)
def test_who_keeps_the_time_and_what_to_do_where_nobody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: Trust, running: str, level: str, says: str, helps: str
) -> None:
    monkeypatch.setattr(clock, "trust", lambda: trust)
    tools = board(tmp_path, {}, run=lambda words: "active\n" if words[-1] == running else "")
    (found,) = doctor_board.clocks(tools)
    assert found.level == level and says in found.says and helps in found.helps
    assert bool(found.helps) == bool(helps)


MMCLI = """\
modem.generic.state                             : {state}
modem.generic.primary-port                      : cdc-wdm0
modem.generic.ports.value[1]                    : cdc-wdm0 (qmi)
modem.generic.ports.value[2]                    : wwan0 (net)
modem.generic.access-technologies.value[1]      : lte
modem.generic.signal-quality.value              : {signal}
modem.generic.unlock-required                   : {lock}
modem.3gpp.operator-name                        : Tele9
"""


@pytest.mark.parametrize(
    ("state", "signal", "lock", "level", "says", "helps"),
    [
        ("connected", "71", "none", OK, "mobile wwan0 up Tele9 signal 71 % lte, in use", ""),
        ("connected", "12", "none", LOOK, "signal 12 %", "move the box or its antenna"),
        ("locked", "0", "sim-pin", WRONG, "the SIM wants its PIN", "gsm.pin"),
        ("locked", "0", "sim-puk", WRONG, "the SIM wants its PUK", "--puk"),
    ],
)
def test_a_modem_shows_how_well_it_hears_and_what_its_card_wants(
    tmp_path: Path, state: str, signal: str, lock: str, level: str, says: str, helps: str
) -> None:
    """As ModemManager tells of a modem (mmcli -K), with the default route over it where it is connected."""

    def run(words: list[str]) -> str:
        if words == ["mmcli", "-L"]:
            return "    /org/freedesktop/ModemManager1/Modem/0 [QUALCOMM] EC25\n"
        return MMCLI.format(state=state, signal=signal, lock=lock) if words[:2] == ["mmcli", "-m"] else ""

    route = f"Iface\tDestination\nwwan0\t{'0' * 8}\t0101A8C0\t3\t0\t0\t700\t{'0' * 8}\t0\t0\t0\n"
    files = {"sys/class/net/wwan0/type": "519\n", "sys/class/net/wwan0/operstate": "unknown\n"}
    if state == "connected":
        files |= {"proc/net/route": route, "sys/class/net/wwan0/carrier": "1\n"}
    found = list(doctor_line.ways_out(board(tmp_path, files, run=run)))
    assert found[0].level == level and says in found[0].says and helps in found[0].helps, found
