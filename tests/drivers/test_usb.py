"""The usb driver without a USB bus: which device it takes, and how it counts what the printer took.

libusb's transfers are simulated here; with real ones the driver's contract is tested in the guest (tests/guest/inside).
"""

from __future__ import annotations

import queue
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import drivers
from drivers import DeviceGone, open_pos, open_printer
from drivers.printer_class.devices import Found, find, parse, printers
from drivers.usb import ALL_WELL, UsbLink

NO_DEVICE = -4
FOUND = Found("1-1", "04b8", "0e15", "X1", "TM-T20II", 1, 5)


def device(sysfs: Path, port: str, ids: str, interface: str = "07", serial: str = "", address: int = 2) -> None:
    folder = sysfs / port
    (folder / f"{port}:1.0").mkdir(parents=True)
    vid, pid = ids.split(":")
    for name, value in {"idVendor": vid, "idProduct": pid, "busnum": port[0], "devnum": str(address)}.items():
        (folder / name).write_text(value + "\n")
    if serial:
        (folder / "serial").write_text(serial + "\n")
    (folder / f"{port}:1.0" / "bInterfaceClass").write_text(interface + "\n")


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    device(tmp_path, "1-1", "046d:c31c", interface="03")  # a keyboard
    device(tmp_path, "1-1.2", "0519:0003", serial="STAR1")
    device(tmp_path, "1-1.3", "04b8:0e15", serial="A/1")
    device(tmp_path, "2-1", "04b8:0e15", serial="B2", address=9)
    (tmp_path / "usb1").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("usb://auto", "1-1.2"),
        ("usb://04b8:0e15", "1-1.3"),
        ("usb://04B8:0E15/B2", "2-1"),
        ("usb://04b8:0e15/A%2F1", "1-1.3"),
        ("usb://04b8:0e15?port=2-1", "2-1"),
        ("usb://auto?port=2-1", "2-1"),
        ("usb://046d:c31c", None),
        ("usb://04b8:0e15/C3", None),
        ("usb://auto?port=3-1", None),
    ],
)
def test_a_printer_is_found_by_what_it_is(sysfs: Path, url: str, port: str | None) -> None:
    found = find(parse(url), sysfs)
    assert (found.port if found else None) == port


def test_only_printers_are_listed_each_with_the_url_that_finds_it_again(sysfs: Path) -> None:
    found = list(printers(sysfs))
    assert [one.url for one in found] == ["usb://0519:0003/STAR1", "usb://04b8:0e15/A%2F1", "usb://04b8:0e15/B2"]
    assert (found[2].bus, found[2].address) == (2, 9)
    assert list(printers(sysfs / "none")) == []


@pytest.mark.parametrize("url", ["usb://", "usb://04b8", "usb://04b8:0e15?prot=1", "usb://auto?port=x", "usb://lp0"])
def test_a_wrong_url_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"write usb://|the one option"):
        open_printer(url)


def test_a_printer_is_no_till() -> None:
    with pytest.raises(ValueError, match="gadget://"):
        open_pos("usb://auto")


def test_what_is_not_plugged_in_is_gone() -> None:
    with pytest.raises(DeviceGone, match="lsusb"):
        open_printer("usb://dead:beef")


class Cable(UsbLink):
    """A printer behind simulated transfers: takes what `room` allows, in packets of 64 bytes."""

    def __init__(self, *, opens: bool = True) -> None:
        self.took, self.answers = bytearray(), [b""]
        self.room, self.cut = 1 << 30, False
        self.port_status: int | None = ALL_WELL
        self.changed = threading.Condition()
        self.opens, self.given_back = opens, threading.Event()
        super().__init__(parse("usb://04b8:0e15"), FOUND)

    def _take_over(self) -> bool:
        if not self.opens:
            raise OSError(13, "Access denied")
        self._interface, self._out, self._into = 0, 2, 0x81
        self._device = self
        return True

    def ctrl_transfer(self, *request: int) -> bytes:
        if self.port_status is None:
            raise OSError(32, "Pipe error")
        return bytes([self.port_status])

    def _give_back(self, detached: bool) -> None:
        self.given_back.set()

    def _put(self, endpoint: int, data: memoryview, timeout_ms: int) -> tuple[int, int]:
        with self.changed:
            if endpoint & 0x80:
                self.changed.wait_for(lambda: self.cut or self.answers[0], 30)
                answer = self.answers[0]
                self.answers[0] = b""
                data[: len(answer)] = answer
                return len(answer), NO_DEVICE if self.cut and not answer else 0
            count = 0
            while count < len(data):
                self.changed.wait_for(lambda: self.cut or self.room > 0, 30)
                if self.cut:
                    return count, NO_DEVICE
                step = min(64, self.room, len(data) - count)
                self.took += data[count : count + step]
                self.room -= step
                count += step
                self.changed.notify_all()
            return count, 0

    def pull(self) -> None:
        with self.changed:
            self.cut = True
            self.changed.notify_all()

    @property
    def backend(self) -> Cable:
        return self

    lib = _ctx = property(lambda self: self)
    handle = None

    def release_interface(self, handle: object, interface: int) -> None:
        self.pull()

    def libusb_strerror(self, code: int) -> bytes:
        return b"No such device"


def opened(link: UsbLink) -> UsbLink:
    assert select.select([], [link], [], 30)[1]
    assert link.opened()
    return link


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()
    assert cable.given_back.wait(30)


def send(link: UsbLink, data: bytes) -> int:
    """As much as it takes. -> bytes."""
    sent = 0
    while sent < len(data) and select.select([], [link], [], 1.0)[1]:
        sent += link.write(data[sent : sent + 8192])
    return sent


def test_nothing_is_written_before_the_printer_is_open(cable: Cable) -> None:
    opened(cable)
    data = bytes(range(256)) * 40
    assert send(cable, data) == len(data)
    with cable.changed:
        assert cable.changed.wait_for(lambda: len(cable.took) == len(data), 30)
    assert bytes(cable.took) == data, "what filled the buffer before is not printed"


def test_taken_is_what_the_printer_took_when_the_cable_is_pulled(cable: Cable) -> None:
    """Every byte is either counted or not: the relay writes on at the first that is not."""
    opened(cable)
    cable.room = 10_000
    data = bytes(range(256)) * 400
    sent = send(cable, data)
    assert 10_000 < sent < len(data), "it is full, and takes no more"
    cable.pull()
    with pytest.raises(DeviceGone, match="No such device"):
        while True:
            select.select([cable], [], [], 30)
            cable.read()
    assert cable.taken == len(cable.took) == 10_000
    assert bytes(cable.took) == data[:10_000]


def test_answers_come_before_the_end(cable: Cable) -> None:
    opened(cable)
    with cable.changed:
        cable.answers[0] = b"\x16"
        cable.changed.notify_all()
    assert select.select([cable], [], [], 30)[0]
    assert cable.read() == b"\x16"
    assert cable.read() is None


def test_a_printer_that_may_not_be_opened_says_what_helps() -> None:
    cable = Cable(opens=False)
    select.select([cable], [], [], 30)
    with pytest.raises(DeviceGone, match="udev rules"):
        cable.opened()
    cable.close()


def test_closing_gives_it_back_while_it_takes_nothing(cable: Cable) -> None:
    opened(cable)
    cable.room = 0
    send(cable, bytes(100_000))
    cable.close()
    assert cable.given_back.wait(30)
    assert cable.taken == 0


class Late(Cable):
    """A transfer that was about to begin when the interface was released: the kernel lets it take it again."""

    def __init__(self) -> None:
        self.released, self.claimed = 0, True
        super().__init__()

    def claim_interface(self, handle: object, interface: int) -> None:
        self.claimed = True

    def release_interface(self, handle: object, interface: int) -> None:
        """As libusb does it: what it has not claimed itself it does not ask the kernel to release."""
        if not self.claimed:
            raise OSError(2, "Entity not found")
        with self.changed:
            self.released, self.claimed = self.released + 1, False
            self.changed.notify_all()

    def _put(self, endpoint: int, data: memoryview, timeout_ms: int) -> tuple[int, int]:
        with self.changed:
            self.changed.wait_for(lambda: self.released > 0, 60)
            before = self.released
            self.changed.wait_for(lambda: self.released > before, 60)
        return 0, NO_DEVICE


@pytest.mark.covers("F49")
def test_a_transfer_that_begins_too_late_does_not_keep_the_printer() -> None:
    """It would block for ever, and every later opening find the printer in use."""
    late = Late()
    opened(late)
    late.close()
    assert late.given_back.wait(30)


@pytest.mark.covers("F44", "F45")
def test_the_port_status_byte_tells_what_is_wrong(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "LOOK_S", 0.02)
    monkeypatch.setattr(drivers, "REST_S", 0.02)
    opened(cable)
    heard: queue.Queue[dict[str, object]] = queue.Queue()
    cable.watch(lambda **known: heard.put(known))
    well = {"online": True, "paper": "ok", "error": False}
    assert heard.get(timeout=30) == well
    cable.port_status = 0x28
    assert heard.get(timeout=30) == {"online": False, "paper": "out", "error": False}
    cable.port_status = 0x18
    assert heard.get(timeout=30) == well
    cable.port_status = None  # it does not answer for once: no news
    cable.port_status = 0x10
    assert heard.get(timeout=30) == well | {"error": True}


def test_a_printer_whose_status_byte_says_nothing_is_not_believed(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some print all the time and answer 0, or nothing."""
    monkeypatch.setattr(drivers, "LOOK_S", 0.001)
    monkeypatch.setattr(drivers, "REST_S", 0.001)
    opened(cable)
    looks = 0

    def answer(*request: int) -> bytes:
        nonlocal looks
        looks += 1
        return b"\0"

    cable.ctrl_transfer = answer  # type: ignore[method-assign]
    heard: list[dict[str, object]] = []
    cable.watch(lambda **known: heard.append(known))
    while looks < 20:
        select.select([], [], [], 0.01)
    assert not heard
