"""agent/player.py and drivers/sound.py: real children, ALSA's file plug-in as the sound card."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from agent.player import SHIPPED, Player, SilentError
from config.box import Alerts

NO_CARD = "pcm.!default { type hw card 7 }\n"
FILE_CARD = """
</usr/share/alsa/alsa.conf>
pcm.!default {
    type file
    slave.pcm { type null }
    file "%s"
    format "wav"
}
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound card whose sound lands in a file."""
    heard = tmp_path / "heard.wav"
    conf = tmp_path / "asound.conf"
    conf.write_text(FILE_CARD % heard, encoding="ascii")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(conf))
    return heard


@pytest.fixture
def no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "asound.conf"
    conf.write_text("</usr/share/alsa/alsa.conf>\n" + NO_CARD, encoding="ascii")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(conf))


def samples(path: Path) -> bytes:
    return path.read_bytes()[44:]


def play(player: Player, *names: str) -> list[str]:
    async def run() -> list[str]:
        try:
            return [await player.play(name) for name in names]
        finally:
            await player.stop()

    return asyncio.run(run())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.wav")), ids=lambda p: p.stem)
def test_shipped_sounds_are_small_and_playable(path: Path) -> None:
    assert path.stat().st_size < 60_000
    with wave.open(str(path)) as sound:
        assert sound.getframerate() == 16000 and sound.getnchannels() == 1 and 0.5 < sound.getnframes() / 16000 < 5


def test_shipped_sounds_are_what_their_script_makes(tmp_path: Path) -> None:
    program = (SHIPPED / "make.py").read_text(encoding="utf-8")
    copy = tmp_path / "make.py"
    copy.write_text(program, encoding="utf-8")
    subprocess.run([sys.executable, str(copy)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}
    assert made == {path.name: path.read_bytes() for path in SHIPPED.glob("*.wav")}


def test_every_sample_reaches_the_card(card: Path) -> None:
    assert play(Player(Alerts()), "new_order_dine_in") == ["simpleaudio"]
    assert samples(card) == samples(SHIPPED / "new_order_dine_in.wav")


def test_one_child_plays_many(card: Path) -> None:
    assert play(Player(Alerts()), *["test"] * 5) == ["simpleaudio"] * 5


def test_the_shops_own_sound_is_taken(card: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "new_order.wav").write_bytes((SHIPPED / "cancelled.wav").read_bytes())
    player = Player(Alerts(sounds_dir=str(own)))
    assert player.path("fault").parent == SHIPPED
    play(player, "new_order_takeaway")  # the shop has no sound for takeaway, but one for new orders
    assert samples(card) == samples(SHIPPED / "cancelled.wav")


def test_dine_in_and_takeaway_sound_different() -> None:
    assert (SHIPPED / "new_order_dine_in.wav").read_bytes() != (SHIPPED / "new_order_takeaway.wav").read_bytes()


@pytest.mark.covers("F57")
def test_without_a_card_the_printer_buzzes(no_card: None) -> None:
    buzzed = []

    async def buzz() -> bool:
        buzzed.append(True)
        return True

    assert play(Player(Alerts(), buzz), "fault") == ["buzzer"] and buzzed


@pytest.mark.covers("F57")
def test_silence_names_all_that_was_tried(no_card: None) -> None:
    with pytest.raises(SilentError, match=r"simpleaudio: .*aplay: .*buzzer: "):
        play(Player(Alerts()), "fault")


@pytest.mark.covers("F57")
def test_a_child_that_dies_is_started_again(card: Path) -> None:
    async def run() -> list[str]:
        player = Player(Alerts())
        try:
            first = await player.play("test")
            assert player._child is not None
            os.kill(player._child.pid, 9)
            await player._child.wait()
            return [first, await player.play("test")]
        finally:
            await player.stop()

    assert asyncio.run(run()) == ["simpleaudio", "simpleaudio"]


@pytest.mark.covers("F57")
def test_a_child_that_hangs_gives_way_to_aplay(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> str:
        player = Player(Alerts())
        try:
            await player.play("test")
            assert player._child is not None
            os.kill(player._child.pid, 19)  # SIGSTOP
            monkeypatch.setattr("agent.player.LIMIT_S", 4.0)
            return await player.play("test")
        finally:
            await player.stop()

    assert asyncio.run(run()) == "aplay"


def test_the_child_refuses_what_is_no_sound(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFFnonsense")
    out = subprocess.run(
        [sys.executable, "-m", "drivers.sound"],
        input=f"play {bad}\nplay {tmp_path}/none.wav\nsing {bad}\n",
        capture_output=True, text=True, timeout=20, env=os.environ | {"PYTHONMALLOC": "malloc"},
    )  # fmt: skip
    assert out.returncode == 0
    assert [line.split()[0] for line in out.stdout.splitlines()] == ["error"] * 3
