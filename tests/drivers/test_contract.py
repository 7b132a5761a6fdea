"""Every driver keeps the same contract: what the relay's loop relies on, run over each kind that can be made here."""

from __future__ import annotations

import os
import pty
import select
import socket
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drivers
from drivers import DeviceGone, Link, open_pos, open_printer


class Tcp:
    """The printer is a listening socket."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(5)

    def read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += self.sock.recv(size - len(out))
        return out

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def unplug(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()
        self.listener.close()


class Serial:
    """The printer is the master of a pseudo-terminal."""

    def __init__(self, folder: Path) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        self.path = os.ttyname(self.slave)
        self.url = f"serial://{self.path}?baud=115200&flow=none"

    def accept(self) -> None:
        pass

    def read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += os.read(self.master, size - len(out))
        return out

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        os.close(self.slave)
        os.close(self.master)


class SerialPaced(Serial):
    """The same where a thread of ours does the flow control."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = self.url.replace("flow=none", "flow=dsrdtr")


class File:
    """The printer is a file; it never says anything."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "out.prn"
        self.url = f"file://{self.path}"
        self.at = 0

    def accept(self) -> None:
        pass

    def read(self, size: int) -> bytes:
        self.at += size
        return self.path.read_bytes()[self.at - size : self.at]

    write = None

    def unplug(self) -> None:
        pytest.skip("a file cannot be unplugged")


KINDS: dict[str, type[Any]] = {"tcp": Tcp, "serial": Serial, "serial, paced": SerialPaced, "file": File}


@pytest.fixture(params=sorted(KINDS))
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return KINDS[request.param](tmp_path)


@pytest.fixture
def link(device: Any) -> Iterator[Link]:
    link = open_printer(device.url)
    device.accept()
    assert select.select([], [link], [], 5)[1]
    assert link.opened()
    yield link
    link.close()


def test_every_driver_is_tested_here() -> None:
    """A driver without a device in this file must say in its own test file why."""
    elsewhere = {name for name in drivers.schemes() if (Path(__file__).with_name(f"test_{name}.py")).exists()}
    assert set(drivers.schemes()) - elsewhere <= set(KINDS)


def test_bytes_go_out_unchanged(device: Any, link: Link) -> None:
    data = bytes(range(256)) * 4
    view = memoryview(data)
    while view:
        sent = link.write(view)
        assert 0 <= sent <= len(view)
        view = view[sent:]
        if view:
            select.select([], [link], [], 5)
    assert device.read(len(data)) == data


def test_bytes_come_in_unchanged(device: Any, link: Link) -> None:
    if device.write is None:
        assert link.read() is None
        return
    assert link.read() is None  # nothing is there yet, and it does not wait
    data = bytes(range(256))
    device.write(data)
    out = b""
    while len(out) < len(data):
        assert select.select([link], [], [], 5)[0]
        out += link.read() or b""
    assert out == data


def test_taken_counts_what_the_device_has(device: Any, link: Link) -> None:
    assert link.taken == 0
    assert link.write(b"x" * 100) == 100
    assert device.read(100) == b"x" * 100
    for _ in range(1000):
        if link.taken == 100:
            break
        select.select([], [], [], 0.002)
    assert link.taken == 100


def test_a_full_device_takes_no_more_and_does_not_block(device: Any, link: Link) -> None:
    if isinstance(device, File):
        pytest.skip("a file is never full here")
    total = empty = 0
    while empty < 20:  # a pseudo-terminal takes a little more once its other end has moved what it had
        sent = link.write(b"x" * 65536)
        total += sent
        empty = 0 if sent else empty + 1
        select.select([], [], [], 0.005)
    assert link.taken <= total
    assert device.read(4096) == b"x" * 4096


def test_an_unplugged_device_is_gone(device: Any, link: Link) -> None:
    device.unplug()
    with pytest.raises(DeviceGone):
        for _ in range(100):
            select.select([link], [], [], 0.05)
            if link.read() == b"":
                raise DeviceGone("hung up")
            link.write(b"x")
    with pytest.raises(DeviceGone):
        again = open_printer(device.url)
        select.select([], [again], [], 5)
        again.opened()


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DeviceGone):
        open_printer(f"serial://{tmp_path}/ttyNone")
    with pytest.raises(DeviceGone):
        open_printer(f"file://{tmp_path}/no/folder.prn")
    with pytest.raises(DeviceGone):
        open_pos(f"file://{tmp_path}/none.prn")


@pytest.mark.parametrize(
    "url",
    ["gopher://x", "tcp://host", "serial:///dev/null?baud=fast", "serial:///dev/null?colour=red", "file://"],
)
def test_a_wrong_url_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"write|must be|options|baud"):
        open_printer(url)


def test_a_listening_port_gives_links(tmp_path: Path) -> None:
    port = open_pos("tcp://127.0.0.1:0?limit=1")
    sock = socket.create_connection(port._sock.getsockname())  # type: ignore[attr-defined]
    assert select.select([port], [], [], 5)[0]
    link = port.accept()
    assert link is not None and link.opened()
    sock.sendall(b"hello")
    assert select.select([link], [], [], 5)[0] and link.read() == b"hello"
    sock.close()
    assert select.select([link], [], [], 5)[0] and link.read() == b""
    link.close()
    port.close()


def test_a_name_that_must_be_looked_up_blocks_nobody() -> None:
    with pytest.raises(DeviceGone, match="looked up"):
        open_printer("tcp://no-such-host.invalid:9100")
