"""An update from the cloud's command to its result: fetched over a line that breaks, handed to root at a good time.

Root is played by the real switch, in a folder of its own; what systemd does with it is tested in tests/board.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.fetch import Gone, fetch
from config.box import within
from tests.agent.rig import Rig
from tests.board.test_switch import Top
from wire import messages
from wire.messages import Command, Result

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("dpkg", "openssl")), reason="the switch is for Debian: needs dpkg, openssl"
)


class Host:
    """Where releases lie: serves ranges, and breaks off after `most` bytes as often as told."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks, self.most = 0, 20_000
        self.asked: list[tuple[str, str]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                host.asked.append((self.path, wanted))
                data = host.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                start = int(wanted[6:].rstrip("-")) if wanted else 0
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                if host.breaks:
                    host.breaks -= 1
                    self.wfile.write(data[start : start + host.most])
                    self.wfile.flush()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.wfile.write(data[start:])

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def offer(self, release: Path, path: str = "/r.tar.gz") -> dict[str, str]:
        """-> the command's arguments"""
        self.files[path], self.files[path + ".sig"] = release.read_bytes(), Path(f"{release}.sig").read_bytes()
        version = release.name.split("_")[1]
        return {"url": self.url(path), "sha256": hashlib.sha256(self.files[path]).hexdigest(), "version": version}


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture
def top(tmp_path: Path) -> Top:
    top = Top(tmp_path / "board")
    top.switch("install", top.release("1.0.0"))
    return top


def box_with(bench: Callable[..., Rig], top: Top, window: str = "00:00-23:59") -> Rig:
    rig = bench(update={"window": window})
    rig.env["agent"] = {"TILLWIRE_TOP": str(top.top), "TZ": "UTC"}
    return rig.start("relay", "agent").online()


def tell(rig: Rig, args: dict[str, str]) -> str:
    command = messages.new(Command, name="update", args=args)
    rig.cloud.say("commands", command)
    return command.id


def result(rig: Rig, command: str) -> Result:
    return rig.cloud.wait(
        lambda: next((m for m in rig.cloud.others if isinstance(m, Result) and m.command == command), None),
        "the result of the update", within=60,
    )  # fmt: skip


def asked_root(rig: Rig) -> Path:
    """Until root is asked -> the folder with what it is asked for."""
    folder = rig.folder / "box" / "update"
    end = time.monotonic() + 60
    while not (folder / "go").exists():
        assert time.monotonic() < end, f"root was never asked; the box says {rig.cloud.statuses[-1].update!r}"
        time.sleep(0.05)
    return folder


@pytest.mark.covers("F60")
def test_from_the_command_to_its_result(bench: Callable[..., Rig], host: Host, top: Top) -> None:
    """Over a line that breaks twice; the agent is killed while root works, and tells all the same."""
    rig = box_with(bench, top)
    host.breaks, host.most = 2, 100
    command = tell(rig, host.offer(top.release("1.1.0")))
    folder = asked_root(rig)
    assert host.asked[:3] == [("/r.tar.gz", ""), ("/r.tar.gz", "bytes=100-"), ("/r.tar.gz", "bytes=200-")]
    rig.cloud.wait(lambda: rig.cloud.statuses[-1].update == "1.1.0 is being installed", "the status tells of it")
    rig.kill("agent")
    assert top.switch("apply", folder).returncode == 0
    rig.start("agent")
    told = result(rig, command)
    assert told.ok, told.text
    assert told.text == "1.1.0 runs"
    assert top.runs() == "1.1.0"
    rig.cloud.wait(lambda: rig.cloud.statuses[-1].update == "", "the status has nothing to tell any more")
    assert not folder.exists()


@pytest.mark.covers("A54")
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("other bytes", "its sha256 differs"), ("somebody else's signature", "its signature is not that of"),
        ("older", "is not newer than 1.0.0"), ("nothing there", "404"), ("no hash", "needs url"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told(
    bench: Callable[..., Rig], host: Host, top: Top, tmp_path: Path, what: str, says: str
) -> None:
    rig = box_with(bench, top)
    sign = Top(tmp_path / "other").key if what == "somebody else's signature" else None
    args = host.offer(top.release("0.9.0" if what == "older" else "1.1.0", sign=sign))
    if what == "other bytes":
        host.files["/r.tar.gz"] += b"more"
    elif what == "nothing there":
        host.files.clear()
    elif what == "no hash":
        args["sha256"] = ""
    command = tell(rig, args)
    if what in ("older", "somebody else's signature"):
        top.switch("apply", asked_root(rig))
    told = result(rig, command)
    assert not told.ok
    assert says in told.text
    assert top.runs() == "1.0.0"


@pytest.mark.covers("F60")
def test_never_in_opening_hours_and_never_during_a_job(bench: Callable[..., Rig], host: Host, top: Top) -> None:
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 12) % 24:02}:00-{(hour + 13) % 24:02}:00"
    rig = box_with(bench, top, closed)
    tell(rig, host.offer(top.release("1.1.0")))
    rig.cloud.wait(lambda: rig.cloud.statuses[-1].update == f"1.1.0 waits for {closed}", "it waits for its hours", 60)
    rig.kill("agent")
    rig.config.write_text(rig.config.read_text().replace(closed, "00:00-23:59"))
    with socket.create_connection(("127.0.0.1", rig.pos_port)) as till:
        till.sendall(b"\x1b@half a receipt\n")
        rig.printer.wait(b"half a receipt")
        beating = threading.Event()

        def beat() -> None:  # a job ends by silence: this one goes on
            while not beating.wait(0.5):
                till.sendall(b"one more line\n")

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            rig.start("agent")
            rig.cloud.wait(
                lambda: rig.cloud.statuses[-1].update == "1.1.0 waits until nothing prints", "it waits for the job", 60
            )
            assert not (rig.folder / "box/update/go").exists()
        finally:
            beating.set()
            thread.join()
        till.sendall(b"\x1dV\x00")
    asked_root(rig)


def test_hours() -> None:
    def at(clock: str) -> time.struct_time:
        return time.strptime(clock, "%H:%M")

    assert within("03:00-05:00", at("03:00"))
    assert not within("03:00-05:00", at("05:00"))
    assert within("22:00-07:00", at("23:30"))
    assert within("22:00-07:00", at("06:59"))
    assert not within("22:00-07:00", at("12:00"))
    assert not within("", at("00:00"))


def test_what_is_too_large_is_not_fetched(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.fetch.MOST", 1000)
    host.files["/big"] = bytes(1001)
    with pytest.raises(Gone, match="at most 1000"):
        fetch(host.url("/big"), tmp_path / "big", threading.Event())
    assert not (tmp_path / "big").exists()
