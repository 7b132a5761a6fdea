"""The state on its socket, the local page, the ways out, and SIGHUP: beside real relays and agents."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import links, page, state
from config.box import load_box
from tests.agent.rig import Rig, receipt
from tests.simulators.ports import free_port

# ---------------------------------------------------------------------- the state


def test_the_agent_tells_its_state_to_root_and_its_group(box: Rig) -> None:
    folder = box.folder / "box"
    box.wait_log("agent", "connected mqtt=")
    box._until(lambda: bool((state.ask(folder) or {}).get("online")), "the state says on line")
    told = state.ask(folder)
    assert told and told["box"] == "bench-box-1" and told["relay"] and told["backlog"] == 0
    assert stat.S_IMODE((folder / state.NAME).stat().st_mode) == 0o660
    box.kill("agent")
    assert state.ask(folder) is None  # the socket's file is still there, nobody behind it
    box.start("agent")
    box._until(lambda: state.ask(folder) is not None, "the new agent tells")


def test_a_folder_with_a_long_path_has_a_socket_too(tmp_path: Path) -> None:
    import asyncio

    folder = tmp_path / ("x" * 120)
    folder.mkdir()

    async def facts() -> dict[str, object]:
        return {"box": "b"}

    async def both() -> object:
        serving = asyncio.create_task(state.serve(folder, facts))
        try:
            while (told := await asyncio.to_thread(state.ask, folder)) is None:
                assert not serving.done()
            return told
        finally:
            serving.cancel()

    assert asyncio.run(both()) == {"box": "b"}


# ---------------------------------------------------------------------- the page


def ask(
    port: int, path: str = "/", method: str = "GET", body: str = "", **fields: str
) -> tuple[int, str, dict[str, str]]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    line.request(method, path, body or None, {name.replace("_", "-"): value for name, value in fields.items()})
    answer = line.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


def with_page(bench: Callable[..., Rig], **keys: str) -> tuple[Rig, int]:
    port = free_port()
    rig = bench(page={"listen": f"127.0.0.1:{port}", **keys}).start("relay", "agent")
    rig.wait_log("agent", "page=http://")
    return rig, port


def test_the_page_shows_the_box_and_changes_nothing(bench: Callable[..., Rig]) -> None:
    rig, port = with_page(bench)
    rig.online()
    status, text, fields = ask(port)
    assert status == 200 and "bench-box-1" in text and "Printers" in text
    assert "default-src 'none'" in fields["Content-Security-Policy"] and fields["Cache-Control"] == "no-store"
    status, text, _ = ask(port, "/state.json")
    assert status == 200 and json.loads(text)["box"] == "bench-box-1"
    assert ask(port, "/etc/passwd")[0] == 404 and ask(port, "/", "DELETE")[0] == 404


@pytest.mark.covers("A37")
def test_a_stranger_gets_nothing(bench: Callable[..., Rig], tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.write_text("482913\n")
    _, port = with_page(bench, code_file=str(code))
    assert ask(port, Host="evil.example.net")[0] == 421  # DNS rebinding
    status, text, _ = ask(port)
    assert status == 200 and "Set-up code" in text and "bench-box-1" not in text
    assert ask(port, "/state.json")[0] == 401
    status, text, fields = ask(port, "/code", "POST", "code=482913")
    assert (
        status == 303 and "HttpOnly; SameSite=Strict" in fields["Set-Cookie"] and "482913" not in fields["Set-Cookie"]
    )
    cookie = fields["Set-Cookie"].partition(";")[0]
    assert "bench-box-1" in ask(port, Cookie=cookie)[1]
    assert "bench-box-1" not in ask(port, Cookie="box=guessed")[1]
    tries = [ask(port, "/code", "POST", f"code=00000{n}")[0] for n in range(7)]
    assert tries == [403] * 5 + [429] * 2
    assert ask(port, "/code", "POST", "code=482913")[0] == 429  # also the right one, for a minute


def test_beyond_loopback_it_needs_a_code(tmp_path: Path, bench: Callable[..., Rig]) -> None:
    from config.load import ConfigError

    rig = bench(page={"listen": "0.0.0.0:8090"})
    with pytest.raises(ConfigError, match="beyond loopback it needs a code_file"):
        load_box(rig.config)


def test_what_a_printer_says_of_itself_is_escaped() -> None:
    shown = page.shown(
        {"box": "b", "printers": [{"name": "<script>", "connected": True, "model": "<b>"}], "alerts": ["<i>"]}
    )
    assert "<script>" not in shown and "<b>" not in shown and "<i>" not in shown and "&lt;script&gt;" in shown


# ---------------------------------------------------------------------- the ways out, as the tools' manuals show them

NMCLI = "wlan0:*:67:Shop\\: guests\nwlan0: :40:Other\n"
MMCLI_LIST = "    /org/freedesktop/ModemManager1/Modem/0 [QUALCOMM INCORPORATED] QUECTEL Mobile Broadband Module\n"
MMCLI = """\
modem.dbus-path                                 : /org/freedesktop/ModemManager1/Modem/0
modem.generic.state                             : connected
modem.generic.state-failed-reason               : --
modem.generic.unlock-required                   : sim-pin2
modem.generic.access-technologies.length        : 1
modem.generic.access-technologies.value[1]      : lte
modem.generic.signal-quality.value              : 23
modem.generic.signal-quality.recent             : yes
modem.generic.primary-port                      : cdc-wdm0
modem.generic.ports.length                      : 2
modem.generic.ports.value[1]                    : cdc-wdm0 (qmi)
modem.generic.ports.value[2]                    : wwan0 (net)
modem.3gpp.operator-name                        : vodafone UK
"""
ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
    "wwan0\t00000000\t0101A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
    "wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n"
)


def a_board(root: Path) -> None:
    for name, text in {
        "sys/class/net/lo/type": "772", "sys/class/net/eth0/type": "1", "sys/class/net/eth0/operstate": "down",
        "sys/class/net/eth0/device/x": "", "sys/class/net/wlan0/type": "1", "sys/class/net/wlan0/operstate": "up",
        "sys/class/net/wlan0/wireless/x": "", "sys/class/net/wwan0/type": "65534",
        "sys/class/net/wwan0/operstate": "unknown", "sys/class/net/docker0/operstate": "down",
        "proc/net/route": ROUTES,
        "proc/net/wireless": "Inter-| sta-|\n face | tus |\n wlan0: 0000   35.  -75.  -256\n",
    }.items():  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_ways_out_with_and_without_network_manager(tmp_path: Path) -> None:
    a_board(tmp_path)
    bare = links.ways(tmp_path, lambda _words: "")
    assert [(w.device, w.kind, w.up, w.signal, w.used) for w in bare] == [
        ("wlan0", "wifi", True, 50, True), ("eth0", "ethernet", False, None, False), 
        ("wwan0", "mobile", False, None, False),
    ]  # fmt: skip

    def tools(words: list[str]) -> str:
        if words[0] == "nmcli":
            return NMCLI
        return MMCLI_LIST if "-L" in words else MMCLI

    full = {way.device: way for way in links.ways(tmp_path, tools)}
    assert str(full["wlan0"]) == "wifi wlan0 up Shop: guests signal 67 %, in use"
    assert str(full["wwan0"]) == "mobile wwan0 up vodafone UK signal 23 % lte"


def test_addresses_are_asked_of_the_kernel() -> None:
    loopback = links.address_of("lo")
    assert loopback is not None and str(loopback) == "127.0.0.1/8" and links.address_of("nope0") is None
    assert not [line for line in links.addresses() if line.startswith("127.")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("modem.generic.unlock-required : sim-pin", "the SIM wants its PIN"),
        ("modem.generic.unlock-required : sim-puk", "the SIM wants its PUK"),
        ("modem.generic.state : failed\nmodem.generic.state-failed-reason : sim-missing", "failed: sim-missing"),
    ],
)
def test_a_modem_that_cannot_says_why(line: str, says: str) -> None:
    found = links.modem_of_mmcli("modem.generic.state : locked\n" + line)
    assert found is not None and not found.up and found.detail == says
    assert links.modem_of_mmcli("error: couldn't find modem\n") is None


# ---------------------------------------------------------------------- SIGHUP


def hup(rig: Rig, program: str, old: str, new: str) -> None:
    rig.config.write_text(rig.config.read_text().replace(old, new))
    os.kill(rig.running[program].pid, signal.SIGHUP)


def test_a_reload_takes_what_is_safe_and_names_what_is_not(box: Rig) -> None:
    hup(
        box,
        "agent",
        "sound = false",
        'sound = false\nvolume = 40\nbutton = "/dev/input/event0"\n[log]\nlevel = "debug"',
    )
    box.wait_log("agent", "config=reloaded alerts.volume, log.level")
    box.wait_log("agent", "config=needs_restart alerts.button: systemctl restart tillwire-agent")
    os.kill(box.running["relay"].pid, signal.SIGHUP)
    box.wait_log("relay", "config=reloaded log.level")
    hup(box, "relay", "[printer.main]", '[printer.bar]\nurl = "file:///dev/null"\n[printer.main]')
    box.wait_log("relay", "config=needs_restart printer.bar: systemctl restart tillwire-relay")
    box.print(receipt(1))  # and neither has stopped
    box.wait_released(1)


@pytest.mark.covers("F59")
def test_a_wrong_file_is_said_and_what_runs_goes_on(box: Rig) -> None:
    good = box.config.read_text()
    for program in ("relay", "agent"):
        hup(box, program, "[cloud]", "[clowd]")
        box.wait_log(program, "did you mean 'cloud'?")
        box.wait_log(program, f"config=kept tillwire-{program} goes on")
    box.print(receipt(1))
    box.wait_released(1)
    told = state.ask(box.folder / "box")
    assert told and any(str(alert).startswith("config") for alert in told["alerts"])
    box.config.write_text(good)
    os.kill(box.running["agent"].pid, signal.SIGHUP)
    box.wait_log("agent", "config=unchanged")
    box._until(
        lambda: "config" not in str((state.ask(box.folder / "box") or {"alerts": "config"})["alerts"]), "no alert"
    )


# ---------------------------------------------------------------------- secrets as credentials of systemd


@pytest.mark.covers("A36")
def test_the_password_comes_as_a_credential(bench: Callable[..., Rig], tmp_path: Path) -> None:
    rig = bench(cloud={"password_file": "cloud-password"})
    given = tmp_path / "given"
    given.mkdir()
    rig.env["agent"] = {"CREDENTIALS_DIRECTORY": str(given)}
    rig.start("relay", "agent")
    rig.wait_log("agent", "password_file cannot be read")
    (given / "cloud-password").write_text("secret\n")
    rig.online()
