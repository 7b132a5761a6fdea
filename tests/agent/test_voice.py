"""agent/voice.py and agent/button.py: words behind a signal, and the button that makes it stop. Real files."""

from __future__ import annotations

import array
import asyncio
import math
import os
import subprocess
import sys
import tty
import wave
import zipfile
from pathlib import Path

import pytest

from agent import button as buttons
from agent import voice
from agent.alerts import Alerts
from agent.player import SHIPPED, Player
from agent.store import Store
from agent.voice import PACKS, announcement, clip, spelled, words_of
from config.box import Alerts as Settings
from tests.agent.test_player import FILE_CARD, samples
from wire.messages import OrderContent

LANGUAGES = ("en", "zh", "yue", "es", "de", "fr", "ja")
SAID = ("dine_in", "takeaway", "delivery", "table", "number", "review", "cancelled", "unconfirmed", "fault_paper",
        "fault_cover", "fault_offline", "fault", "offline", "test")  # fmt: skip


def frames(path: Path) -> array.array[int]:
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (16000, 2, 1)
        return array.array("h", sound.readframes(10**6))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_all_words_and_numbers_cleanly(language: str) -> None:
    assert (PACKS / f"{language}.zip").stat().st_size < 900_000
    with zipfile.ZipFile(PACKS / f"{language}.zip") as pack:
        names = {name.removesuffix(".ulaw") for name in pack.namelist()}
    assert names >= {*SAID, *map(str, range(voice.MOST_WORD + 1))}
    for word in (*SAID, "0", "12", "40", "A"):
        said = clip(word, language, None)
        peak = max(map(abs, said))
        assert 0.12 < len(said) / voice.RATE < 3.2, word
        assert 15_000 < peak < 32_767, (word, peak)  # loud, and not clipped
        assert max(map(abs, said[:32])) < 6_000 and max(map(abs, said[-32:])) < 6_000, word  # no click at its ends


def loudness(said: array.array[int]) -> float:
    """dB below full scale, of the stretches of 20 ms that are no pause."""
    size = voice.RATE // 50
    powers = [sum(s * s for s in said[at : at + size]) / size for at in range(0, len(said) - size, size)]
    spoken = [power for power in powers if power > max(powers) / 100]
    return 10 * math.log10(sum(spoken) / len(spoken)) - 20 * math.log10(32768)


def test_all_words_are_as_loud_in_every_language_and_begin_and_end_at_once() -> None:
    levels = {}
    for language in LANGUAGES:
        for word in ("dine_in", "table", "number", "7", "12", "40", "fault_paper"):
            said = clip(word, language, None)
            levels[language, word] = loudness(said)
            edge, peak = int(0.06 * voice.RATE), max(map(abs, said))
            assert max(map(abs, said[:edge])) > peak / 100 and max(map(abs, said[-edge:])) > peak / 100, (
                language,
                word,
            )
    assert max(levels.values()) - min(levels.values()) < 4, levels


@pytest.mark.parametrize("language", LANGUAGES)
def test_type_and_table_are_one_sentence(tmp_path: Path, language: str) -> None:
    """No pause longer than a comma's inside of it."""
    words = words_of(OrderContent("", "dine_in", [], table="12"))
    made = frames(announcement(tmp_path / "a.wav", SHIPPED / "new_order_dine_in.wav", words, language, None, 100))
    spoken = made[len(frames(SHIPPED / "new_order_dine_in.wav")) :]
    size = voice.RATE // 100
    quiet = [max(map(abs, spoken[at : at + size])) < 600 for at in range(0, len(spoken) - size, size)]
    inside = "".join("_" if q else "x" for q in quiet).strip("_")
    assert max(map(len, inside.split("x"))) <= 32, f"a pause of {10 * max(map(len, inside.split('x')))} ms: {inside}"
    assert len(inside) > 80


def test_what_is_said_of_an_order() -> None:
    assert words_of(OrderContent("042", "dine_in", [], table="12")) == ("dine_in", "table", "12")
    assert words_of(OrderContent("117", "takeaway", []), review=True) == ("takeaway", "number", "1", "1", "7", "review")
    assert spelled("Terrace 3")[:2] == ["T", "E"] and len(spelled("x" * 50)) <= voice.MOST_SAID
    assert words_of(None) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_announcement_is_not_cut_by_the_player(tmp_path: Path, language: str) -> None:
    content = OrderContent("28", "dine_in", [], table="28")
    made = announcement(tmp_path / "a.wav", SHIPPED / "new_order_dine_in.wav", words_of(content), language, None, 100)
    seconds = len(frames(made)) / voice.RATE
    assert 1.5 < seconds < voice.LONGEST_S


def test_volume_and_the_shops_own_words(tmp_path: Path) -> None:
    (tmp_path / "voice").mkdir()
    with wave.open(str(tmp_path / "voice" / "table.wav"), "wb") as own:  # stereo, 8 bits, another rate
        own.setparams((2, 1, 8000, 0, "NONE", ""))
        own.writeframes(bytes([228, 228]) * 800)
    (tmp_path / "voice" / "12.wav").write_bytes(b"no sound at all")
    assert set(clip("table", "en", tmp_path)) == {100 << 8}
    assert clip("12", "en", tmp_path) == clip("12", "en", None)  # the shipped one stands in
    assert not clip("../../etc/passwd", "en", tmp_path)
    signal = SHIPPED / "test.wav"
    half = frames(announcement(tmp_path / "half.wav", signal, (), "en", None, 50))
    full = frames(signal)
    assert max(half) == pytest.approx(max(full) / 2, abs=2) and len(half) == len(full)


def test_an_announcement_reaches_the_card_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = tmp_path / "heard.wav"
    (tmp_path / "asound.conf").write_text(FILE_CARD % heard, encoding="ascii")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    player = Player(Settings(voice="de"), None, tmp_path / "cache")

    async def play() -> str:
        try:
            return await player.play("new_order_dine_in", ("dine_in", "table", "12"))
        finally:
            await player.stop()

    assert asyncio.run(play()) == "simpleaudio"
    (made,) = (tmp_path / "cache").glob("*.wav")
    assert samples(heard) == samples(made)
    assert len(samples(made)) > len(samples(SHIPPED / "new_order_dine_in.wav")) + 16000


@pytest.mark.covers("F57")
def test_where_words_cannot_be_put_together_the_signal_sounds(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    player = Player(Settings(voice="en"), None, tmp_path / "cache")
    assert player.made("fault", ("fault",)) == SHIPPED / "fault.wav"
    assert Player(Settings(voice=""), None, tmp_path).made("fault", ("fault",)) == SHIPPED / "fault.wav"


def test_an_own_signal_that_is_no_sound_does_not_silence_the_alert(tmp_path: Path) -> None:
    (tmp_path / "fault.wav").write_bytes(b"RIFF nonsense")
    player = Player(Settings(sounds_dir=str(tmp_path), voice="en"), None, tmp_path / "cache")
    assert player.path("fault") == SHIPPED / "fault.wav"
    assert len(frames(player.made("fault", ("fault",)))) > len(frames(SHIPPED / "fault.wav"))


@pytest.mark.parametrize(
    ("quiet", "faults", "now", "kind", "silent"),
    [
        ("22:00-07:00", False, "23:30", "new_order", True),
        ("22:00-07:00", False, "06:59", "new_order", True),
        ("22:00-07:00", False, "07:00", "new_order", False),
        ("22:00-07:00", False, "23:30", "unconfirmed", False),
        ("22:00-07:00", True, "23:30", "unconfirmed", True),
        ("13:00-15:00", False, "12:59", "new_order", False),
        ("", True, "03:00", "new_order", False),
    ],
)
def test_quiet_hours_silence_orders_and_not_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: str, faults: bool, now: str, kind: str, silent: bool
) -> None:
    monkeypatch.setattr("agent.alerts.time.strftime", lambda _form, *_when: now)

    async def body() -> bool:
        settings = Settings(quiet=quiet, quiet_faults=faults)
        alerts = Alerts(settings, Store(tmp_path / "agent.db"), Player(settings))
        alerts.raise_(kind, "o-1", "text", "fault")
        alert = alerts.get(kind, "o-1")
        assert alert is not None
        return alerts.quiet(alert)

    assert asyncio.run(body()) is silent


@pytest.mark.covers("F58")
def test_once_a_day_the_loudspeaker_is_tested_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a loudspeaker is off cannot be seen: the test sounds, and every alert is in the status all the same."""
    heard: list[tuple[str, tuple[str, ...]]] = []

    class Ear(Player):
        async def play(self, name: str, say: object = ()) -> str:
            heard.append((name, tuple(say)))  # type: ignore[arg-type]
            return "simpleaudio"

    async def body() -> None:
        import time

        at = time.localtime(time.time() + 1)
        settings = Settings(test_at=f"{at.tm_hour:02}:{at.tm_min:02}")
        alerts = Alerts(settings, Store(tmp_path / "agent.db"), Ear(settings))
        waited: list[float] = []
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) > 2:
                raise asyncio.CancelledError
            await real(0)

        monkeypatch.setattr("agent.alerts.asyncio.sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await alerts.daily_test()
        assert 0 < waited[0] <= 86_400

    asyncio.run(body())
    assert heard == [("test", ("test",))]


def test_a_button_acknowledges_and_may_be_unplugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buttons, "AGAIN_S", 0.05)
    device = tmp_path / "event0"
    pressed = asyncio.Event()
    count = 0

    def press() -> None:
        nonlocal count
        count += 1
        pressed.set()

    async def once(data: bytes) -> None:
        """A device appears, is pressed, and goes away."""
        pressed.clear()
        master, slave = os.openpty()
        tty.setraw(slave)
        device.unlink(missing_ok=True)
        device.symlink_to(os.ttyname(slave))
        async with asyncio.timeout(30):
            for piece in (data[:10], data[10:]):  # torn apart
                os.write(master, piece)
            await pressed.wait()
        os.close(master)
        os.close(slave)

    def event(kind: int, value: int) -> bytes:
        return buttons.EVENT.pack(0, 0, kind, 28, value)

    async def body() -> None:
        task = asyncio.create_task(buttons.Button(str(device), press).run())
        stream = event(1, 1) + event(0, 0) + event(1, 0) + event(0, 0)
        await once(stream)
        await once(stream)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(body())
    assert count == 2


def test_the_packs_are_what_their_script_makes(tmp_path: Path) -> None:
    """Of the language whose words are shortest, where the engine is installed."""
    import shutil

    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed: the clips were made with it, and are shipped")
    script = (SHIPPED / "voices.py").read_text(encoding="utf-8")
    copy = tmp_path / "voices.py"
    copy.write_text(script.replace("    for language in VOICES:\n", "    for language in ('zh',):\n"), encoding="utf-8")
    subprocess.run([sys.executable, str(copy)], check=True, capture_output=True)
    made, shipped = (zipfile.ZipFile(folder / "zh.zip") for folder in (tmp_path / "voices", PACKS))
    assert made.namelist() == shipped.namelist()
