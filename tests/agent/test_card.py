"""tillwire.toml on the card: as a technician writes it, on any computer."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import card
from agent.card import Places, Wrong, claim_of, take
from config.box import load_box

SAMPLE = Path(__file__).parents[2] / "systemd" / "image" / "tillwire.toml"
BOX = '[printer.main]\nurl = "tcp://192.168.1.50:9100"\n[pos.till]\nurl = "tcp://0.0.0.0:9100"\n'


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(*(tmp_path / name for name in ("card", "etc", "network", "ssh", "keys")))
    for folder in (found.card, found.etc, found.connections):
        folder.mkdir()
    return found


def put(places: Places, text: str) -> list[str]:
    (places.card / "tillwire.toml").write_bytes(text.encode())
    return take(places, lambda _: None)


def test_the_file_on_the_image_is_right_as_it_is(places: Places) -> None:
    assert put(places, SAMPLE.read_text()) == ["agent.toml was taken from tillwire.toml"]
    box = load_box(places.etc / "agent.toml")
    assert box.pos["till"].url == "tcp://0.0.0.0:9100"
    assert take(places, lambda _: None) == []


@pytest.mark.covers("A35", "A32")
def test_secrets_do_not_stay_on_the_card(places: Places) -> None:
    done = put(
        places,
        '\ufeff[wifi]\r\nname = "Bäckerei; 5G"\r\npassword = "backstube\\\\1"  # ours\r\n'
        '[mobile]\napn = "internet"\npin = "1234"\n[claim]\ncloud = "https://c.example"\ncode = "AB12"\n' + BOX,
    )
    assert "the connection wifi was set up" in done
    assert "the connection mobile was set up" in done
    wifi = places.connections / "tillwire-wifi.nmconnection"
    assert wifi.stat().st_mode & 0o777 == 0o600
    assert "ssid=Bäckerei\\; 5G\n" in wifi.read_text()
    assert "psk=backstube\\\\1\n" in wifi.read_text()
    text = (places.card / "tillwire.toml").read_text(encoding="utf-8-sig")
    assert "backstube" not in text
    assert "1234" not in text
    assert 'password = ""  # ours' in text
    assert claim_of(places) == ("https://c.example", "AB12"), "the claim has not happened yet"
    assert "wifi" not in (places.etc / "agent.toml").read_text()
    assert take(places, lambda _: None) == [], "once more: nothing is lost, nothing is new"
    assert "psk=backstube" in wifi.read_text()
    card.blank(places, "code")
    assert claim_of(places) == ("https://c.example", "")


def test_what_a_claim_or_setup_changed_stays_until_the_file_is_edited(places: Places) -> None:
    put(places, BOX)
    settings = places.etc / "agent.toml"
    settings.write_text('[box]\nid = "bakery-box-1"\n' + settings.read_text())
    assert take(places, lambda _: None) == []
    assert load_box(settings).box.id == "bakery-box-1"
    put(places, BOX.replace("192.168.1.50", "192.168.1.51"))
    assert "192.168.1.51" in settings.read_text()


@pytest.mark.covers("F59")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[wifi\n", "cannot be read"),
        ('[wifi]\nname = "x"\npassword = "short"\n' + BOX, "8 to 63"),
        ('[wifi]\nssid = "x"\n' + BOX, r"\[wifi\] ssid: there are name, password"),
        ('[ethernet]\naddress = "192.168.1.300"\n' + BOX, r"like 192\.168\.1\.30/24"),
        ('[ethernet]\naddress = "192.168.1.30"\n' + BOX, "has no length"),
        ("[mobile]\n" + BOX, "apn: is missing"),
        (BOX.replace("tcp://192", "tpc://192"), "tpc"),
    ],
)
def test_what_is_wrong_is_said_and_the_last_good_settings_stay(places: Places, text: str, says: str) -> None:
    put(places, BOX)
    before = (places.etc / "agent.toml").read_text()
    with pytest.raises(Wrong, match=says):
        put(places, text)
    assert (places.etc / "agent.toml").read_text() == before


def test_the_problem_is_written_beside_the_file(places: Places) -> None:
    (places.card / "tillwire.toml").write_text("[wifi\n")
    assert card.command(False, lambda _: "", places) == 0, "the till prints with what there is"
    assert "cannot be read" in (places.card / "tillwire-problems.txt").read_text()
    (places.card / "tillwire.toml").write_text(BOX)
    card.command(False, lambda _: "", places)
    assert not (places.card / "tillwire-problems.txt").exists()


@pytest.mark.covers("A36")
def test_ssh_is_on_only_with_keys_from_the_card(places: Places) -> None:
    asked: list[list[str]] = []
    (places.card / "tillwire.toml").write_text(BOX)
    take(places, lambda words: asked.append(words))
    assert not asked
    (places.card / "authorized_keys").write_text("ssh-ed25519 AAAA technician\n")
    take(places, lambda words: asked.append(words))
    assert [words[0] for words in asked] == ["ssh-keygen", "systemctl"]
    assert places.keys.stat().st_mode & 0o777 == 0o600
