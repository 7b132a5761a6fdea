"""tillwire doctor and tillwire slip, run as programs beside real relays, agents and brokers."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent import doctor_board, doctor_devices
from agent.doctor import LOOK, OK, WRONG, Finding, Tools, examine
from config.box import load_box
from drivers import DeviceGone, open_printer
from tests.agent.rig import Rig, receipt
from tests.simulators.printer import SimulatedPrinter

ROOT = Path(__file__).parents[2]


def tillwire(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *words], capture_output=True, timeout=100, cwd=ROOT, text=True
    )  # fmt: skip


def doctor(rig: Rig, *words: str) -> tuple[int, list[dict[str, str]]]:
    out = tillwire("doctor", "--json", "--config", str(rig.config), *words)
    assert "Traceback" not in out.stderr, out.stderr
    return out.returncode, [json.loads(line) for line in out.stdout.splitlines()]


def about(findings: list[dict[str, str]], what: str) -> dict[str, str]:
    return next(f for f in findings if f["what"].startswith(what))


@pytest.fixture
def printer() -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter() as made:
        yield made


@pytest.fixture
def with_printer(bench: Callable[..., Rig], printer: SimulatedPrinter) -> Rig:
    return bench(**{"printer.main": {"url": printer.url}})


def test_a_box_that_is_well(with_printer: Rig, printer: SimulatedPrinter) -> None:
    rig = with_printer.start("relay", "agent").online()
    rig.print(receipt(1))
    rig.wait_released(1)
    code, found = doctor(rig)
    assert code == 0 and not [f for f in found if f["level"] == WRONG]
    assert "EPSON TM-T88V, proves every slip (L2" in about(found, "printer main")["says"]
    assert "120 bytes have come in" in about(found, "POS till")["says"]
    assert "the agent is connected" in about(found, "broker")["says"]
    assert about(found, "cloud")["says"] == "this box belongs to nobody yet"
    assert about(found, "backlog")["says"].startswith("0 receipts")
    assert "not connected" not in rig.log("agent")  # the doctor has thrown nobody out
    shown = tillwire("status", "--config", str(rig.config))
    assert shown.returncode == 0


def test_it_prints_a_test_page_and_the_code_pages(with_printer: Rig, printer: SimulatedPrinter) -> None:
    rig = with_printer.start("relay", "agent")
    code, found = doctor(rig, "--print")
    assert code == 0
    assert (
        about(found, "test page")["says"].startswith("printed, proof L") and about(found, "code pages")["level"] == OK
    )
    assert printer.cuts == 2 and b"TEST PAGE" in printer.paper[0] and b"ESC t 19: cp858" in printer.paper[1]
    assert bytes(range(0x80, 0xA0)) in printer.paper[1]


def test_each_fault_is_told_with_what_helps(with_printer: Rig, printer: SimulatedPrinter) -> None:
    rig = with_printer.start("relay", "agent").online()
    printer.set(paper="out", online=False)
    code, found = doctor(rig)
    assert code == 1 and "its paper is out" in about(found, "printer main")["says"]
    printer.unplug()
    code, found = doctor(rig)
    assert code == 1 and about(found, "printer main")["level"] == WRONG
    assert "FEED" in about(found, "printer main")["helps"]
    assert about(found, "POS till")["level"] == LOOK and "nothing has ever come in" in about(found, "POS till")["says"]


def test_without_relay_agent_and_broker_it_looks_by_itself(with_printer: Rig) -> None:
    code, found = doctor(with_printer)  # only the broker runs
    assert code == 1 and "no till can print" in about(found, "relay")["says"]
    assert "EPSON TM-T88V, proves every slip (L2" in about(found, "printer main")["says"]
    assert about(found, "agent")["level"] == LOOK
    assert any("lets box bench-box-1 in; there and back" in f["says"] for f in found)
    with_printer.kill("broker")
    code, found = doctor(with_printer)
    assert code == 1
    refused = next(f for f in found if f["what"].startswith("broker") and f["level"] == WRONG)
    assert "no connection to port" in refused["says"] and "firewall" in refused["helps"]


def test_a_printer_on_a_line_that_answers_nothing(bench: Callable[..., Rig]) -> None:
    with SimulatedPrinter("pty") as silent:
        silent.silent = True
        rig = bench(**{"printer.main": {"url": silent.url}})
        _, found = doctor(rig)
        said = about(found, "printer main")
    assert said["level"] == LOOK and "answers nothing" in said["says"] and "null-modem" in said["helps"]


def test_wrong_settings_are_named_and_those_that_worked_are_used(with_printer: Rig) -> None:
    rig = with_printer.start("relay")
    rig._until((rig.folder / "box" / "last-good.toml").exists, "the relay has kept its settings")
    good = rig.config.read_text()
    rig.config.write_text(good + "[log]\nlevle = 'info'\n")
    code, found = doctor(rig)
    assert code == 1 and "did you mean 'level'?" in about(found, "settings")["says"]
    assert about(found, "printer main")["level"] == OK
    rig.config.unlink()
    code, found = doctor(rig)
    assert about(found, "settings")["level"] in (LOOK, WRONG)


def test_secrets_that_others_may_read(with_printer: Rig) -> None:
    rig = with_printer
    password = rig.folder / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    rig.config.write_text(rig.config.read_text().replace("[cloud]", f'[cloud]\npassword_file = "{password}"'))
    box = load_box(rig.config)
    (said,) = doctor_board.secrets(rig.config, box)
    assert said.level == WRONG and "mode 0644" in said.says and said.helps == f"`chmod 600 {password}`"
    password.chmod(0o600)
    (said,) = doctor_board.secrets(rig.config, box)
    assert said.level == OK
    password.unlink()
    (said,) = doctor_board.secrets(rig.config, box)
    assert said.level == WRONG and "claim" in said.helps


# ---------------------------------------------------------------------- a board, as its /sys, /proc and /dev tell it


@dataclass
class Plugged:
    vid: str
    pid: str
    product: str
    url: str


def board(root: Path, files: dict[str, str], usb: list[Plugged] | None = None, run: Any = None) -> Tools:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tools(
        lambda *_a, **_k: {"error": "no relay"},
        open_printer,
        DeviceGone,
        lambda: usb or [],
        run or (lambda _w: ""),
        root,
    )


def test_before_anything_is_set_up_it_finds_what_is_plugged_in(tmp_path: Path) -> None:
    tools = board(
        tmp_path,
        {
            "sys/class/tty/ttyUSB0/device/x": "", "dev/ttyUSB0": "", "sys/class/tty/ttyS0/device/x": "",
            "sys/class/tty/ttyS0/type": "0\n", "dev/ttyS0": "", "sys/class/tty/ttyAMA0/device/x": "", "dev/ttyAMA0": "",
            "sys/class/tty/console/active": "tty0 ttyAMA0\n",
        },
        [Plugged("04b8", "0e15", "TM-T20II", "usb://04b8:0e15/X1")],
    )  # fmt: skip
    found = list(examine(tmp_path / "agent.toml", tools))
    said = [str(f) for f in found if f.what == "found"]
    assert said[0] == "LOOK   found: USB printer TM-T20II, usb://04b8:0e15/X1  -> `tillwire setup` takes it in"
    assert said[1:] == ["OK     found: serial port /dev/ttyUSB0, in no setting"]
    assert next(f for f in found if f.what == "settings").helps == "`tillwire setup` writes it"


def test_a_gadget_that_no_till_sees(tmp_path: Path) -> None:
    assert [f.level for f in doctor_devices._gadget("POS", board(tmp_path, {}))] == [WRONG]
    tools = board(tmp_path, {"sys/class/udc/fe980000.usb/state": "not attached\n"})
    (said,) = doctor_devices._gadget("POS", tools)
    assert said.level == LOOK and "not attached" in said.says
    (tmp_path / "sys/class/udc/fe980000.usb/state").write_text("configured\n")
    assert [f.level for f in doctor_devices._gadget("POS", tools)] == [OK]


def test_wear_power_and_heat_are_told(tmp_path: Path) -> None:
    tools = board(
        tmp_path,
        {
            "sys/block/mmcblk0/device/life_time": "0x01 0x0a\n", "sys/fs/ext4/mmcblk0p2/errors_count": "3\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "sys/class/thermal/thermal_zone0/temp": "84000\n",
        },
    )  # fmt: skip
    said = [str(f) for f in [*doctor_board.wear(tmp_path), *doctor_board.power(tools)]]
    assert [line[:5].strip() for line in said] == [LOOK, WRONG, WRONG, LOOK]
    assert "100 % worn" in said[0] and "3 errors" in said[1] and "too weak now" in said[2] and "84 °C" in said[3]


@pytest.mark.parametrize(
    ("output", "level", "says"),
    [
        ("LoadState=loaded\nActiveState=active\nNRestarts=0\nStatusText=on\nUnitFileState=enabled\n", OK, "runs (on)"),
        ("LoadState=loaded\nActiveState=active\nNRestarts=9\nUnitFileState=enabled\n", LOOK, "9 restarts"),
        ("LoadState=loaded\nActiveState=active\nNRestarts=0\nUnitFileState=disabled\n", LOOK, "not after"),
        ("LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n", WRONG, "result exit-code"),
        ("LoadState=not-found\nActiveState=inactive\n", LOOK, "not installed"),
    ],
)  # fmt: skip
def test_units_as_systemctl_shows_them(output: str, level: str, says: str) -> None:
    (found,) = doctor_board.unit_of_systemctl("tillwire-relay", output)
    assert found.level == level and says in found.says


def test_sound_and_disk(tmp_path: Path, with_printer: Rig) -> None:
    text = with_printer.config.read_text().replace("sound = false", "sound = true")
    with_printer.config.write_text(text)
    box = load_box(with_printer.config)
    cards = " 0 [Device         ]: USB-Audio - USB Audio Device\n                      C-Media USB Audio Device\n"
    (said,) = doctor_board.sound(box, board(tmp_path, {"proc/asound/cards": cards}))
    assert said.level == OK and said.says.startswith("USB Audio Device;")
    (said,) = doctor_board.sound(box, board(tmp_path, {"proc/asound/cards": "--- no soundcards ---\n"}))
    assert said.level == LOOK and "buzzer" in said.helps
    assert next(iter(doctor_board.disk(box, board(tmp_path, {})))).what == "disk"


def test_certificates_and_their_dates(tmp_path: Path, with_printer: Rig) -> None:
    for name, days in (("long", "400"), ("soon", "5")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             days, "-subj", "/CN=test", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / name)],
            check=True, capture_output=True,
        )  # fmt: skip
    text = with_printer.config.read_text()
    levels = []
    for name in ("long", "soon", "key"):
        with_printer.config.write_text(text.replace("[cloud]", f'[cloud]\nca_file = "{tmp_path / name}"'))
        (said,) = doctor_board.certificates(load_box(with_printer.config))
        levels.append(said.level)
    assert levels == [OK, LOOK, WRONG]


def test_a_scan_finds_who_listens_and_has_a_bound(tmp_path: Path, printer: SimulatedPrinter, monkeypatch: Any) -> None:
    tools = board(tmp_path, {})
    (said,) = doctor_devices.in_the_network(None, tools, "10.0.0.0/16")
    assert "65536 addresses" in said.says
    monkeypatch.setattr(doctor_devices, "PORT", int(printer.url.rpartition(":")[2]))
    monkeypatch.setattr(doctor_devices.listening, "__defaults__", (int(printer.url.rpartition(":")[2]),))
    found = list(doctor_devices.in_the_network(None, tools, "127.0.0.1/32"))
    assert [f.says for f in found] == [f"network printer {printer.url}"]
    route = f"Iface\tDestination\tGateway\t...\nwlan0\t{'0' * 8}\t0101A8C0\t3\t0\t0\t600\t{'0' * 8}\t0\t0\t0\n"
    monkeypatch.setattr(doctor_devices, "address_of", {"wlan0": ipaddress.IPv4Interface("192.168.1.23/16")}.get)
    assert doctor_devices.own_network(board(tmp_path, {"proc/net/route": route})) == "192.168.1.0/24"


# ---------------------------------------------------------------------- the status slip


def test_the_slip_tells_how_the_box_is(with_printer: Rig, printer: SimulatedPrinter, tmp_path: Path) -> None:
    rig = with_printer
    rig.config.write_text(rig.config.read_text().replace("[cloud]", '[cloud]\nweb = "https://cloud.example.net"'))
    rig.start("relay", "agent").online()
    out = tillwire("slip", "--config", str(rig.config))
    assert out.returncode == 0, out.stdout
    slip = printer.paper[0]
    for word in (b"TILLWIRE", b"Box: bench-box-1", b"Version: ", b"Cloud: connected", b"main: TM-T88V, proof L2"):
        assert word in slip
    rig.kill("agent")
    (rig.folder / "box" / "claim-code").write_text("ABCD-EFGH\n")
    out = tillwire("slip", "--config", str(rig.config))
    assert out.returncode == 0 and b"Claim code: ABCD-EFGH" in printer.paper[1] and b"\x1d(k" in printer.paper[1]
    picture = tmp_path / "slip.png"
    assert tillwire("slip", "--config", str(rig.config), "--png", str(picture)).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    rig.kill("relay")
    out = tillwire("slip", "--config", str(rig.config))
    assert out.returncode == 1 and "is tillwire-relay running?" in out.stdout


def test_after_a_boot_it_is_printed_once(bench: Callable[..., Rig], printer: SimulatedPrinter) -> None:
    rig = bench(**{"printer.main": {"url": printer.url}, "box": {"status_slip": True}})
    rig.start("relay", "agent")
    printer.wait(lambda: printer.cuts == 1)
    rig.wait_value("agent.db", "SELECT count(*) FROM meta WHERE name = 'status_slip_boot'", 1)
    rig.kill("agent")
    rig.start("agent").online()
    rig.print(receipt(1))
    printer.wait(lambda: printer.cuts == 2)
    assert printer.paper[0].count(b"TILLWIRE") == 1 and b"HARBOUR COFFEE" in printer.paper[1]


def test_findings_are_one_line_each() -> None:
    line = str(Finding(WRONG, "clock", "is wrong", "set it"))
    assert line == "WRONG  clock: is wrong  -> set it" and os.linesep not in line
