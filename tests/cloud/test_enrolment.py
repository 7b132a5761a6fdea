"""A box claims itself with the technician's command, changes its password, and is cut off: relay, agent, broker and
cloud as they run in a shop."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent import credentials
from agent.claim import NotClaimed, claim
from cloud.mqtt import Address, Mqtt, Offline
from config.box import load_box
from config.edit import with_values
from tests.simulators.system import BIN, MERCHANT, PASSWORD, USER, System, free_port, until
from tests.simulators.till import connect, receipt


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[System]:
    """A cloud with a merchant, and a box that belongs to nobody: its file names no password and another broker."""
    folder = tmp_path / "shop"
    system = System(
        folder,
        printers={"main": f"file://{tmp_path}/paper.prn"},
        pos={"till": f"tcp://127.0.0.1:{free_port()}"},
        box={"box": {"id": ""}, "cloud": {"broker": "mqtt://127.0.0.1:9", "password_file": ""}},
    )
    try:
        system.start("cloud", "relay")
        system.cloud_command("merchant", "add", MERCHANT, "--user", USER, "--password-stdin", stdin=PASSWORD + "\n")
        system.key = system.cloud_command("key", "add", MERCHANT)
        yield system
    finally:
        system.close(keep=True)


def tillwire(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "tillwire"), *words, "--config", str(system.agent_toml)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def prints(system: System, number: int) -> None:
    till = connect(load_box(system.agent_toml).pos["till"].url)
    till.send(receipt(number, random.Random(number)).raw)
    until(lambda: stored(system) >= number, 60, f"receipt {number} in the cloud")


def stored(system: System) -> int:
    return int(system.query(system.cloud_db, "SELECT count(*) FROM jobs")[0][0])


@pytest.mark.covers("A21", "A32", "A34")
def test_a_box_claims_itself_works_changes_its_password_and_is_cut_off(shop: System) -> None:
    before = shop.agent_toml.read_text()
    wrong = tillwire(shop, "claim", "7N3F-K2QX-9WVD-M0TB-C", "--cloud", shop.url)
    assert wrong.returncode == 1
    assert "does not take this code" in wrong.stderr
    assert shop.agent_toml.read_text() == before

    code = shop.cloud_command("claim", "new", MERCHANT)
    words = ("claim", code.lower(), "--cloud", shop.url, "--name", "corner-cafe-1")
    done = tillwire(shop, *words)
    assert done.returncode == 0, done.stderr
    assert "box corner-cafe-1 now" in done.stdout
    shown = re.search(r"Fingerprint ([0-9a-f-]{19})", done.stdout)
    box = load_box(shop.agent_toml)
    assert (box.box.id, box.cloud.broker) == ("corner-cafe-1", f"mqtt://127.0.0.1:{shop.mqtt_port}")
    password_file = Path(box.cloud.password_file)
    assert password_file.stat().st_mode & 0o777 == 0o600
    first = password_file.read_text().split()[0]
    audit = shop.query(shop.cloud_db, "SELECT detail FROM audit WHERE what = 'box.claim'")
    assert shown is not None and audit == [(shown[1],)]
    for file in shop.folder.glob("cloud/*"):
        assert not file.is_file() or first.encode() not in file.read_bytes(), file

    shop.start("agent")
    prints(shop, 1)

    # another box, with good credentials of its own, tries to throw this one off the broker by its name
    evil = shop.cloud_command("box", "add", MERCHANT, "evil-box-1")
    for name in ("corner-cafe-1", "corner-cafe-1-0000000000000000"):
        line = Mqtt(Address("127.0.0.1", shop.mqtt_port, "evil-box-1", evil), name)
        with closing(line):
            prints(shop, stored(shop) + 1)
    assert "the connection ended" not in shop.log("agent")

    shop.cloud_command("box", "rotate", "corner-cafe-1")
    until(lambda: password_file.read_text().split()[0] != first, 60, "another password")
    prints(shop, stored(shop) + 1)
    with pytest.raises(Offline):
        Mqtt(Address("127.0.0.1", shop.mqtt_port, "corner-cafe-1", first), "old-password")

    second = password_file.read_text().split()[0]
    live = Mqtt(Address("127.0.0.1", shop.mqtt_port, "corner-cafe-1", second), "live")
    shop.cloud_command("box", "revoke", "corner-cafe-1")
    began = time.monotonic()
    with pytest.raises(Offline):
        while time.monotonic() - began < 60:
            live.receive(0.5)
    until(lambda: "not connected" in shop.log("agent").rpartition("mqtt=")[2], 60, "the agent is off")

    again = shop.cloud_command("claim", "new", MERCHANT, "--box", "corner-cafe-1")
    assert "corner-cafe-1 now" in tillwire(shop, "claim", again, "--cloud", shop.url).stdout
    shop.kill("agent")
    shop.start("agent")
    prints(shop, stored(shop) + 1)
    epochs = shop.query(shop.cloud_db, "SELECT DISTINCT epoch FROM jobs WHERE box = 'corner-cafe-1'")
    assert len(epochs) == 2  # a claim starts a new one


def test_a_claim_that_was_cut_off_is_ended_by_the_same_command(shop: System) -> None:
    code = shop.cloud_command("claim", "new", MERCHANT)
    before = shop.agent_toml.read_text()
    with pytest.raises(NotClaimed, match="the same command again"):
        claim(shop.agent_toml, shop.url, code, wish="corner-cafe-1", new_epoch=lambda box: "the relay is away")
    assert shop.agent_toml.read_text() == before
    done = claim(shop.agent_toml, shop.url, code, wish="corner-cafe-1", new_epoch=lambda box: "")
    assert done.box == "corner-cafe-1"
    assert shop.query(shop.cloud_db, "SELECT id FROM boxes") == [("corner-cafe-1",)]
    with pytest.raises(NotClaimed, match="mistyped, used"):
        claim(shop.agent_toml, shop.url, code, new_epoch=lambda box: "")


def test_receipts_of_one_merchant_do_not_go_to_the_next_unasked(shop: System, tmp_path: Path) -> None:
    code = shop.cloud_command("claim", "new", MERCHANT)
    claim(shop.agent_toml, shop.url, code, new_epoch=lambda box: "")
    box = load_box(shop.agent_toml)
    with sqlite3.connect(box.agent_db) as connection:
        connection.execute("CREATE TABLE outbox (kind TEXT)")
        connection.execute("INSERT INTO outbox VALUES ('job')")
    code = shop.cloud_command("claim", "new", MERCHANT)
    with pytest.raises(NotClaimed, match="1 receipts have not reached"):
        claim(shop.agent_toml, shop.url, code, new_epoch=lambda box: "")
    claim(shop.agent_toml, shop.url, code, take_along=True, new_epoch=lambda box: "")


@pytest.mark.parametrize("cloud", ["http://cloud.example.net", "cloud.example.net", "ftp://x", ""])
def test_a_code_does_not_travel_in_the_clear(shop: System, cloud: str) -> None:
    with pytest.raises(NotClaimed):
        claim(shop.agent_toml, cloud, "0000-0000-0000-0000-0", new_epoch=lambda box: "")


def test_a_password_is_settled_only_when_the_broker_took_it(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("old\n")
    staged = credentials.stage(path)
    assert credentials.stage(path) == staged  # after a power cut, the same
    tried = credentials.Passwords(str(path))
    assert tried.next() == "old"
    tried.taken("old")
    assert path.read_text() == "old\n"
    tried.refused()
    assert tried.next() == staged.password
    tried.refused()
    assert tried.next() == "old"
    tried.refused()
    tried.taken(tried.next())
    assert path.read_text().split()[0] == staged.password
    assert credentials.Passwords(str(path)).next() == staged.password
    assert not path.with_name("password.new").exists()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", '\n[box]\nid = "x"\n'),
        ('[box]\n# why\nid = ""\n\n[cloud]\n', '[box]\n# why\nid = "x"\n\n[cloud]\n'),
        (
            '[pos.till]\nid = "1"\n[box]   # ours\n\n\n[log]\n',
            '[pos.till]\nid = "1"\n[box]   # ours\nid = "x"\n\n\n[log]\n',
        ),
    ],
)
def test_one_value_changes_and_the_rest_stays(text: str, wanted: str) -> None:
    assert with_values(text, {"box": {"id": "x"}}) == wanted
