"""A merchant's own alert sounds: what is taken and what is refused, and how a box comes to what its shop wants."""

from __future__ import annotations

import array
import hashlib
import io
import math
import queue
import struct
import wave
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import sounds
from tests.cloud.conftest import PASSWORD, Cloud, until
from tests.cloud.test_console import csrf
from tests.simulators.box import SimulatedBox
from wire.messages import MAX_MESSAGE, Result, encode, new


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, width: int = 2, hertz: float = 440) -> bytes:
    """A WAV file of one tone at half of full loudness, the same in each channel."""
    top = (1 << 8 * width - 1) // 2
    frames = bytearray()
    for n in range(int(seconds * rate)):
        value = int(top * math.sin(2 * math.pi * hertz * n / rate))
        sample = bytes([value + 128]) if width == 1 else value.to_bytes(width, "little", signed=True)
        frames += sample * channels
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        sound.writeframes(bytes(frames))
    return out.getvalue()


def heard(data: bytes) -> array.array[int]:
    """The samples that a box will play."""
    with wave.open(io.BytesIO(sounds.as_wav(data))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
        return array.array("h", sound.readframes(sound.getnframes()))


@pytest.mark.covers("A52")
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 2), (2, 2), (2, 3), (6, 4)])
def test_any_wav_becomes_the_same_tone_in_one_form(rate: int, channels: int, width: int) -> None:
    samples = heard(sounds.tidy(tone(0.5, rate, channels, width)))
    assert abs(len(samples) - 8000) <= 2
    assert 14_000 < max(samples) < 17_500
    crossings = sum(1 for a, b in pairwise(samples) if a < 0 <= b)
    assert abs(crossings - 220) <= 3  # 440 Hz for half a second


GOOD = tone()
BAD = {
    "empty": (b"", "no WAV file"),
    "a program": (b"\x7fELF" + bytes(5000), "no WAV file"),
    "MP3 that calls itself WAV": (b"ID3\x04" + bytes(5000), "no WAV file"),
    "a page": (b"<script>alert(1)</script>", "no WAV file"),
    "RIFF of something else": (b"RIFF\x00\x00\x00\x00AVI " + bytes(100), "no WAV file"),
    "no format": (b"RIFF\x04\x00\x00\x00WAVE", "cannot be read"),
    "cut short": (GOOD[:30], "cannot be read"),
    "MP3 inside": (GOOD[:20] + struct.pack("<H", 0x55) + GOOD[22:], "cannot be read"),
    "no channels": (GOOD[:22] + struct.pack("<H", 0) + GOOD[24:], "cannot be"),
    "65,535 channels": (GOOD[:22] + struct.pack("<H", 65_535) + GOOD[24:], "cannot be used"),
    "one sample a second": (GOOD[:24] + struct.pack("<I", 1) + GOOD[28:], "cannot be used"),
    "4 billion samples a second": (GOOD[:24] + struct.pack("<I", 0xFFFFFFFF) + GOOD[28:], "cannot be used"),
    "nothing in it": (tone(0), "shorter"),
    "too short": (tone(0.05), "shorter"),
    "too long": (tone(4.9), "longer than 4.8 s"),
    "an hour": (tone(60, rate=4000, width=1), "longer than 4.8 s"),
    "silent": (tone(hertz=0), "silent"),
}


@pytest.mark.covers("A52")
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_alert_is_refused_in_words(name: str) -> None:
    file, says = BAD[name]
    with pytest.raises(sounds.BadSound, match=says):
        sounds.tidy(file)


@pytest.mark.covers("A52")
def test_a_header_that_lies_of_the_length_counts_for_nothing() -> None:
    lies = GOOD[:40] + struct.pack("<I", 0x7FFFFFF0) + GOOD[44:]
    assert sounds.tidy(lies) == sounds.tidy(GOOD)


@pytest.mark.covers("A52")
@settings(deadline=None)
@given(at=st.integers(0, 60), byte=st.integers(0, 255), end=st.integers(0, 2000))
def test_a_damaged_file_is_taken_or_refused_and_never_more(at: int, byte: int, end: int) -> None:
    file = bytearray(GOOD[: len(GOOD) - end])
    file[at] = byte
    try:
        data = sounds.tidy(bytes(file))
    except sounds.BadSound:
        return
    assert 0 < len(data) <= sounds.LONGEST_S * sounds.RATE


def sound(box: SimulatedBox) -> Any:
    """The next command about a sound; others that come before are dropped."""
    while True:
        try:
            command = box.commands.get(timeout=30)
        except queue.Empty:
            raise AssertionError("no sound came") from None
        if command.name == "sound":
            return command


def takes(box: SimulatedBox, held: dict[str, str]) -> Any:
    """The box does what it is told, and says so -> the command."""
    command = sound(box)
    event, data = command.args["event"], command.args["data"]
    if data:
        held[event] = hashlib.sha256(data).hexdigest()[:16]
    else:
        held.pop(event, None)
    box.publish("results", new(Result, command=command.id, ok=True, text="kept"))
    box.status(sounds=held)
    return command


@pytest.fixture(scope="module")
def shop(cloud: Cloud) -> Any:
    """A merchant of its own: (API client, box)."""
    with cloud.merchant("Sound Shop", "sonia") as client:
        yield client, cloud.box("Sound Shop", "sound-front-1")


def neighbour_of(cloud: Cloud) -> str:
    """Another merchant's name."""
    name = "Quiet Shop"
    cloud.command("merchant", "add", name, "--user", "quentin", "--password-stdin", stdin=PASSWORD + "\n")
    return name


@pytest.mark.covers("A52", "A38")
def test_a_box_comes_to_what_its_shop_wants(cloud: Cloud, shop: tuple[httpx.Client, SimulatedBox]) -> None:
    client, box = shop
    held: dict[str, str] = {}
    box.status(sounds=held)
    until(lambda: client.get("/v1/boxes").json()["boxes"][0]["online"])
    made = client.put("/v1/sounds/fault", content=tone(4.7, 44_100, 2))
    assert made.status_code == 200, made.text
    assert made.json()["sounds"][0] | {"changed_at": ""} == {
        "event": "fault", "shop": "", "seconds": 4.7, "changed_at": "", "boxes": [],
    }  # fmt: skip
    command = takes(box, held)
    assert len(encode(command)) < MAX_MESSAGE
    assert sounds.as_wav(command.args["data"]) == client.get("/v1/sounds/fault").content
    until(lambda: client.get("/v1/sounds").json()["sounds"][0]["boxes"] == [box.name])
    box.status(sounds={})  # a new card: it was told of late, and is not told each minute
    box.capture()
    box.acked([1])
    assert box.commands.empty()
    key = cloud.command("key", "add", neighbour_of(cloud))
    with httpx.Client(base_url=cloud.url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as neighbour:
        assert neighbour.get("/v1/sounds").json()["sounds"] == []
        for method in ("GET", "DELETE"):
            assert neighbour.request(method, "/v1/sounds/fault").status_code == 404
    client.put("/v1/sounds/fault", content=tone(1)).raise_for_status()
    assert len(takes(box, held).args["data"]) == 16_000
    assert client.delete("/v1/sounds/fault").status_code == 204
    assert client.delete("/v1/sounds/fault").status_code == 404
    assert takes(box, held).args == {"event": "fault", "data": b""}
    assert held == {}
    assert client.get("/v1/sounds").json()["sounds"] == []


@pytest.mark.covers("A52")
@pytest.mark.parametrize("event", ["..%2f..%2fetc%2fpasswd", "nothing", "FAULT", "fault.wav", "%00", "voice%2ftable"])
def test_an_event_is_a_word_of_ours(shop: tuple[httpx.Client, SimulatedBox], event: str) -> None:
    client, _ = shop
    for method in ("PUT", "GET", "DELETE"):
        assert client.request(method, f"/v1/sounds/{event}", content=GOOD).status_code == 404


@pytest.mark.covers("A52")
def test_an_hour_of_sound_is_not_even_read(shop: tuple[httpx.Client, SimulatedBox]) -> None:
    client, _ = shop
    hour = GOOD[:44] + bytes(3_000_000)
    assert client.put("/v1/sounds/fault", content=hour).status_code == 413
    refused = client.put("/v1/sounds/fault", content=b"ID3")
    assert refused.status_code == 422
    assert "WAV" in refused.json()["detail"]
    assert client.put("/v1/sounds/fault?shop=nowhere", content=GOOD).status_code == 404
    assert client.get("/v1/sounds").json()["sounds"] == []


@pytest.mark.covers("A52")
def test_the_page_takes_a_file_and_takes_it_away(cloud: Cloud, shop: tuple[httpx.Client, SimulatedBox]) -> None:
    client, _ = shop
    page = cloud.log_in("sonia")
    token = csrf(page)
    sent = page.post(
        "/setup/sounds",
        data={"csrf": token, "event": "new_order"},
        files={"file": ("../../x.sh", tone(2), "text/html")},
    )
    assert sent.status_code == 303, sent.text
    shown = page.get("/setup/sounds").text
    assert "your own, 2.0 s" in shown
    assert "x.sh" not in shown
    listened = page.get("/setup/sounds/new_order")
    assert listened.headers["content-type"] == "audio/wav"
    assert listened.content[:4] == b"RIFF"
    bad = page.post("/setup/sounds", data={"csrf": token, "event": "new_order"}, files={"file": ("a.mp3", b"ID3")})
    assert bad.status_code == 422
    assert (
        page.post("/setup/sounds", data={"csrf": token, "event": "x"}, files={"file": ("a", GOOD)}).status_code == 422
    )
    away = {"csrf": token, "event": "new_order", "remove": "1"}
    assert page.post("/setup/sounds", data=away).status_code == 303
    assert page.post("/setup/sounds", data=away).status_code == 404
    assert client.get("/v1/sounds").json()["sounds"] == []
    page.close()


@pytest.mark.covers("A31")
def test_nobody_keeps_a_processor_busy_with_files(cloud: Cloud) -> None:
    with cloud.merchant("Loud Shop", "louis") as client:
        tries = (client.put("/v1/sounds/fault", content=b"ID3") for _ in range(500))
        refused = next(answer for answer in tries if answer.status_code != 422)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
