"""`tillwire card`: what a technician wrote into tillwire.toml on the card's first partition, before the first start.

The file is agent.toml and, besides, [wifi], [ethernet], [mobile] and [claim], which become connections of
NetworkManager and a claim. It is taken once: what `tillwire setup` or a claim changes later stays, until the file is
edited again.
Secrets do not stay on a partition that any computer opens: they are taken out once they have arrived. What is wrong is
written beside it, where the next computer shows it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import shutil
import subprocess
import tomllib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.box import Box, load_box
from config.load import ConfigError

SECTIONS: dict[str, tuple[str, ...]] = {
    "wifi": ("name", "password"),
    "ethernet": ("address", "gateway", "dns"),
    "mobile": ("apn", "pin", "username", "password"),
    "claim": ("cloud", "code"),
}
SECRET = re.compile(r'^(\s*(?:password|pin|code)\s*=\s*)("(?:[^"\\]|\\.)*"|\'[^\']*\')', re.M)
KEPT = re.compile(r"^\[wifi-security\]\nkey-mgmt=.*\npsk=.*\n\n|^(?:pin|password)=.*\n", re.M)
HEADER = re.compile(r"^\s*\[+\s*([A-Za-z0-9_-]+)")
SPACE = uuid.UUID("74113717-e000-4000-8000-000000000000")  # names of connections


@dataclass(frozen=True, slots=True)
class Places:
    card: Path = Path("/boot/firmware")
    etc: Path = Path("/etc/tillwire")
    connections: Path = Path("/etc/NetworkManager/system-connections")
    ssh: Path = Path("/data/ssh")
    keys: Path = Path("/root/.ssh/authorized_keys")


class Wrong(Exception):
    """What is wrong with the file, for the technician, one line each."""


def take(places: Places, run: Callable[[list[str]], object]) -> list[str]:
    """Everything but the claim. -> what was done, in words. Raises Wrong; what is right is taken all the same."""
    path = places.card / "tillwire.toml"
    problems: list[str] = []
    try:
        text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Wrong(f"tillwire.toml cannot be read: {error}") from error
    done: list[str] = []
    for name, keys in SECTIONS.items():
        table = tree.get(name, {})
        bad = [key for key, value in table.items() if key not in keys or not isinstance(value, str)]
        problems += [f"[{name}] {key}: there are {', '.join(keys)}, each a text in quotes" for key in bad]
    if not problems:
        for name, make in (("wifi", _wifi), ("ethernet", _ethernet), ("mobile", _mobile)):
            try:
                done += _connect(places, name, make(tree[name])) if name in tree else []
            except Wrong as error:
                problems.append(str(error))
    try:
        done += _settings(places, _without(text))
    except ConfigError as error:
        problems.append(str(error).replace(str(places.etc / "agent.toml.new"), "tillwire.toml"))
    done += _ssh(places, run)
    if problems:
        raise Wrong("\n".join(problems))
    blank(places, "password", "pin")
    return done


def claim_of(places: Places) -> tuple[str, str]:
    """-> cloud and code, empty where there are none (any more)."""
    try:
        table = tomllib.loads((places.card / "tillwire.toml").read_text(encoding="utf-8-sig")).get("claim", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return "", ""
    return str(table.get("cloud", "")), str(table.get("code", ""))


def blank(places: Places, *keys: str) -> None:
    """Take these secrets out of the file: their values become empty."""
    path = places.card / "tillwire.toml"
    text = path.read_text(encoding="utf-8-sig")
    section = ""
    lines = []
    for line in text.splitlines(keepends=True):
        if header := HEADER.match(line):
            section = header[1]
        found = SECRET.match(line)
        if found and section in SECTIONS and found[1].split("=")[0].strip() in keys and len(found[2]) > 2:
            line = f'{found[1]}""{line[found.end() :]}'
        lines.append(line)
    if "".join(lines) != text:
        write(places, "tillwire.toml", "".join(lines))


def write(places: Places, name: str, text: str) -> None:
    """Onto the card, which is mounted for reading alone; text = "": gone. As whole as FAT allows."""
    path = places.card / name
    if not text and not path.exists():
        return
    mounted = os.path.ismount(places.card)
    if mounted:
        subprocess.run(["mount", "-o", "remount,rw", places.card], check=True)
    try:
        if text:
            fresh = path.with_name(name + ".new")
            with fresh.open("w", encoding="utf-8", newline="\n") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(path)
        else:
            path.unlink()
    finally:
        if mounted:
            os.sync()
            subprocess.run(["mount", "-o", "remount,ro", places.card], check=True)


def _without(text: str) -> str:
    """agent.toml: the file without the sections that are ours."""
    lines, section = [], ""
    for line in text.splitlines(keepends=True):
        if header := HEADER.match(line):
            section = header[1]
        if section not in SECTIONS:
            lines.append(line)
    return "".join(lines)


def _settings(places: Places, text: str) -> list[str]:
    target, mark = places.etc / "agent.toml", places.etc / "card.sha256"
    digest = hashlib.sha256(text.encode()).hexdigest()
    if target.exists() and mark.exists() and mark.read_text() == digest:
        return []
    fresh = target.with_name("agent.toml.new")
    _durable(fresh, text, 0o640)
    load_box(fresh)
    shutil.chown(fresh, group=places.etc.stat().st_gid)
    fresh.replace(target)
    _durable(mark, digest, 0o640)
    return ["agent.toml was taken from tillwire.toml"]


def _connect(places: Places, name: str, text: str) -> list[str]:
    path = places.connections / f"tillwire-{name}.nmconnection"
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text or text == kept:
        return []
    if text == KEPT.sub("", kept):
        return []  # the same network; its secrets were taken before
    _durable(path, text, 0o600)
    return [f"the connection {name} was set up"]


def _wifi(table: dict[str, str]) -> str:
    name, password = table.get("name", ""), table.get("password", "")
    if not name:
        return ""
    if password and not 8 <= len(password) <= 63:
        raise Wrong(f"[wifi] password: has {len(password)} signs; a Wi-Fi password has 8 to 63")
    security = f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={_plain(password)}\n\n" if password else ""
    network = f"[wifi]\nmode=infrastructure\nssid={_plain(name)}\n\n"
    return f"{_head('wifi')}{network}{security}[ipv4]\nmethod=auto\nroute-metric=600\n"


def _ethernet(table: dict[str, str]) -> str:
    address, gateway, dns = (table.get(key, "") for key in ("address", "gateway", "dns"))
    if not address:
        return f"{_head('ethernet')}[ipv4]\nmethod=auto\nroute-metric=100\n"
    try:
        net = ipaddress.ip_interface(address)
        names = [str(ipaddress.ip_address(one.strip())) for one in dns.split(",") if one.strip()]
        via = f",{ipaddress.ip_address(gateway)}" if gateway else ""
    except ValueError as error:
        raise Wrong(f"[ethernet] {error}: address is like 192.168.1.30/24, gateway and dns like 192.168.1.1") from error
    if "/" not in address:
        raise Wrong(f"[ethernet] address = {address!r} has no length: {address}/24 in most shops")
    lines = [f"[ipv{net.version}]", "method=manual", f"address1={net}{via}", f"dns={';'.join(names)}"]
    return _head("ethernet") + "\n".join([*lines, "route-metric=100", ""])


def _mobile(table: dict[str, str]) -> str:
    lines = [f"{key}={_plain(table[key])}" for key in ("apn", "pin", "username", "password") if table.get(key)]
    if not table.get("apn"):
        raise Wrong("[mobile] apn: is missing; it is on the paper that came with the SIM card")
    return f"{_head('gsm')}[gsm]\n" + "\n".join(lines) + "\n\n[ipv4]\nmethod=auto\nroute-metric=900\n"


def _head(kind: str) -> str:
    name = f"tillwire-{kind}"
    return f"[connection]\nid={name}\nuuid={uuid.uuid5(SPACE, name)}\ntype={kind}\nautoconnect=true\n\n"


def _plain(text: str) -> str:
    """As a key file wants it. Raises Wrong for what no key file holds."""
    if any(ord(sign) < 32 for sign in text):
        raise Wrong("a control character in a name or password")
    text = text.replace("\\", "\\\\").replace(";", "\\;")
    return "\\s" + text[1:] if text.startswith(" ") else text


def _ssh(places: Places, run: Callable[[list[str]], object]) -> list[str]:
    """authorized_keys on the card switches ssh on, for keys alone; without it, it is off."""
    source = places.card / "authorized_keys"
    if not source.exists():
        return []
    places.keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _durable(places.keys, source.read_text(encoding="utf-8-sig"), 0o600)
    places.ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = places.ssh / "ssh_host_ed25519_key"
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    run(["systemctl", "--no-block", "start", "ssh.service"])
    return ["ssh is on, for the keys in authorized_keys"]


def _durable(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(path.name + "~")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.chmod(mode)
    fresh.replace(path)


def command(claiming: bool, new_epoch: Callable[[Box], str], places: Places | None = None) -> int:
    """What `tillwire card` does -> exit code."""
    import click

    places = places or Places()
    if not claiming:
        try:
            for line in take(places, lambda words: subprocess.run(words, check=False)):
                click.echo(line)
            write(places, "tillwire-problems.txt", "")
        except Wrong as error:
            click.echo(str(error), err=True)
            write(places, "tillwire-problems.txt", f"{error}\n")
        return 0  # the till prints with what there is
    from agent import claim

    cloud, code = claim_of(places)
    if not code:
        return 0
    try:
        made = claim.claim(places.etc / "agent.toml", cloud, code, new_epoch=new_epoch)
    except (claim.NotClaimed, ConfigError, OSError) as error:
        click.echo(str(error), err=True)
        write(places, "tillwire-problems.txt", f"claim: {error}\n")
        return 1
    click.echo(f"This is box {made.box} now, at {made.broker}; fingerprint {made.fingerprint}")
    blank(places, "code")
    write(places, "tillwire-problems.txt", "")
    subprocess.run(["systemctl", "--no-block", "try-restart", "tillwire-agent"], check=False)
    return 0
