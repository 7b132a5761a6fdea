"""The page of a box, by a real box: each button is pressed in the console, and what the box answered stands there."""

from __future__ import annotations

import http.server
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent.test_player import FILE_CARD
from tests.cloud.test_sounds import tone
from tests.simulators.ports import free_port
from tests.simulators.printer import SimulatedPrinter
from tests.simulators.system import BOX, PASSWORD, USER, System, until

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
RELEASE = b"another release than was announced"


class Console:
    """A merchant's browser, on the page of the box."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.page = httpx.Client(base_url=system.url, timeout=60)
        assert self.page.post("/login", data={"name": USER, "password": PASSWORD}).status_code == 303

    def token(self) -> str:
        found = re.search(r'data-csrf="([^"]+)"', self.page.get("/").text)
        assert found
        return found[1]

    def press(self, name: str, **more: str) -> None:
        form = {"csrf": self.token(), "name": name} | more
        assert self.page.post(f"/boxes/{BOX}/ask", data=form).status_code == 303

    def shows(self, what: str) -> str:
        """The page, once that stands in it."""

        def look() -> str | None:
            text = self.page.get(f"/boxes/{BOX}").text
            return text if re.search(what, text) else None

        return until(look, 120, f"the box's page shows {what!r}")


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a release. -> its https address, its CA"""
    folder = tmp_path_factory.mktemp("releases")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "ca.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(RELEASE)))
            self.end_headers()
            self.wfile.write(RELEASE)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/release.tar.gz", folder / "ca.pem"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def printer() -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter() as printer:
        yield printer


@pytest.fixture(scope="module")
def console(
    tmp_path_factory: pytest.TempPathFactory, printer: SimulatedPrinter, releases: tuple[str, Path]
) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("boxpage")
    card = folder / "asound.conf"
    card.write_text(FILE_CARD % (folder / "heard.wav"), encoding="ascii")
    system = System(
        folder / "system",
        printers={"main": printer.url},
        pos={"till": f"tcp://127.0.0.1:{free_port()}"},
        box={"alerts": {"sound": True}, "cloud": {"ca_file": str(releases[1])}},
        env={"ALSA_CONFIG_PATH": str(card)},
    )
    system.set_up()
    system.start()
    console = Console(system)
    yield console
    console.page.close()
    system.close()


def test_a_test_slip_comes_out_and_its_proof_is_shown(console: Console, printer: SimulatedPrinter) -> None:
    console.press("test_slip", printer="main")
    console.shows("printed with proof L[12]")
    assert any(b"#TEST" in piece for piece in printer.paper)


def test_a_sound_is_played_and_somebody_is_asked_whether_it_was_heard(console: Console) -> None:
    console.press("play_sound")
    console.shows("played by (simpleaudio|aplay)")
    console.shows("Did you hear it")


def test_a_box_that_is_looked_for_makes_itself_heard(console: Console) -> None:
    played = "played by (simpleaudio|aplay)"
    before = len(re.findall(played, console.page.get(f"/boxes/{BOX}").text))
    console.press("identify")
    console.shows(f"(?s)({played}.*){{{before + 1}}}")


def test_the_log_of_the_box_is_shown(console: Console) -> None:
    console.press("send_logs")
    text = console.shows("lines of the agent&#39;s log|lines of the agent.s log")
    assert f"box={BOX} agent ready" in text


def test_an_update_that_is_not_what_was_announced_is_told_as_that(console: Console, releases: tuple[str, Path]) -> None:
    console.press("update", url=releases[0], sha256="0" * 64, version="99.0.0")
    console.shows("is not what was announced")


@pytest.mark.covers("A52")
def test_a_sound_of_the_shops_own_reaches_its_box(console: Console) -> None:
    """From the file on the page to the file that is played, and away again."""
    clips = console.system.folder / "box" / "clips"
    form = {"csrf": console.token(), "event": "test"}
    sent = console.page.post("/setup/sounds", data=form, files={"file": ("bell.wav", tone(1.5, 44_100, 2))})
    assert sent.status_code == 303, sent.text
    until(
        lambda: "on 1 of 1 boxes" in console.page.get("/setup/sounds").text, 120, "the box says that it has the sound"
    )
    (kept,) = clips.iterdir()
    assert kept.read_bytes() == console.page.get("/setup/sounds/test").content
    console.page.post("/setup/sounds", data=form | {"remove": "1"})
    until(lambda: not list(clips.iterdir()), 120, "the box has taken the sound away")
