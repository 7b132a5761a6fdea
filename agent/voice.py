"""Announcements: a signal, then words, as one WAV file. "Dine in order, table 12" is put together from clips.

Clips come from the shop's folder (voice/NAME.wav), else from the pack of the language (config/sounds/voices), else from
the English one, where letters are. A clip that nobody has is left out: what can be said is said.
"""

from __future__ import annotations

import array
import functools
import logging
import re
import sys
import wave
import zipfile
from collections.abc import Sequence
from pathlib import Path

from wire.messages import OrderContent

log = logging.getLogger("tillwire.agent")

PACKS = Path(__file__).parent.parent / "config" / "sounds" / "voices"
RATE = 16000  # of what is played
PACK_RATE = 16000
MOST_WORD = 40  # the highest number that has a clip of its own
MOST_SAID = 8  # characters of a table or number
LONGEST_S = 4.8  # drivers/sound.py plays no more
GAP_S, BREATH_S = 0.04, 0.14  # between words; after the kind of order
KINDS = ("dine_in", "takeaway", "delivery")


def words_of(content: OrderContent | None, review: bool = False) -> tuple[str, ...]:
    """What is said of an order.

    >>> words_of(OrderContent("042", "dine_in", [], table="12"))
    ('dine_in', 'table', '12')
    >>> words_of(OrderContent("A07", "takeaway", []))
    ('takeaway', 'number', 'A', '0', '7')
    """
    if content is None:
        return ()
    said = [content.kind] if content.kind in KINDS else []
    said += ["table", *spelled(content.table)] if content.table else ["number", *spelled(content.number)]
    return (*said, *(["review"] if review else []))


def spelled(text: str) -> list[str]:
    """Letters one by one, small numbers as a word, others and those with a zero in front digit by digit.

    >>> spelled("T-21"), spelled("042"), spelled("117")
    (['T', '21'], ['0', '4', '2'], ['1', '1', '7'])
    """
    out: list[str] = []
    for piece in re.findall(r"[0-9]+|[A-Z]", text.upper()[:MOST_SAID]):
        whole = piece.isdigit() and piece == str(int(piece)) and int(piece) <= MOST_WORD
        out += [piece] if whole or piece.isalpha() else list(piece)
    return out


def announcement(
    path: Path, signal: Path, words: Sequence[str], language: str, own: Path | None, volume: int
) -> Path:  # fmt: skip
    """Write the WAV of a signal and what is said after it to `path` -> `path`. Raises OSError, ValueError, wave.Error.
    Takes some ten ms of computing: call it outside the loop."""
    pieces, gap = [_wav(signal)], BREATH_S
    for word in words:
        found = clip(word, language, own)
        if found:
            pieces += [array.array("h", bytes(2 * int(RATE * gap))), found]
            gap = BREATH_S if word in KINDS else GAP_S
    frames = array.array("h")
    for piece in pieces:
        frames.extend(piece)
    del frames[int(RATE * LONGEST_S) :]
    if volume != 100:
        frames = array.array("h", [sample * volume // 100 for sample in frames])
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(_little(frames))
    part.replace(path)
    return path


def clip(word: str, language: str, own: Path | None) -> array.array[int]:
    """16-bit samples; none where nobody has it."""
    if own is not None and re.fullmatch(r"[A-Za-z0-9_]{1,32}", word):
        file = own / "voice" / f"{word}.wav"
        try:
            if file.is_file():
                return _wav(file)
        except (OSError, ValueError, EOFError, wave.Error) as error:
            log.warning("sound=%s cannot be used, the shipped one is: %s", file, error)
    for pack in dict.fromkeys((language, "en")):
        if found := _packed(pack, word):
            return found
    return array.array("h")


@functools.lru_cache(maxsize=256)
def _packed(language: str, word: str) -> array.array[int]:
    try:
        with zipfile.ZipFile(PACKS / f"{language}.zip") as pack:
            raw = pack.read(f"{word}.ulaw")
    except (KeyError, OSError, zipfile.BadZipFile):
        return array.array("h")
    return _at_rate(array.array("h", [MULAW[byte] for byte in raw]), PACK_RATE)


def _wav(path: Path) -> array.array[int]:
    """Any PCM WAV of 8 or 16 bits as one channel of 16 bits at RATE. Raises OSError, ValueError, EOFError, Error."""
    with wave.open(str(path), "rb") as sound:
        rate, width, channels = sound.getframerate(), sound.getsampwidth(), sound.getnchannels()
        raw = sound.readframes(int(rate * LONGEST_S))
    if width == 1:
        samples = array.array("h", [(byte - 128) << 8 for byte in raw])
    elif width == 2:
        samples = array.array("h", raw[: len(raw) // 2 * 2])
        if sys.byteorder == "big":
            samples.byteswap()
    else:
        raise ValueError(f"{path} has {width * 8} bits a sample, where 8 or 16 can be used")
    return _at_rate(samples[::channels], rate)


def _at_rate(samples: array.array[int], rate: int) -> array.array[int]:
    """Straight lines between samples are enough for speech and signals."""
    if rate == RATE or len(samples) < 2:
        return samples
    out = array.array("h")
    last, step = len(samples) - 1, rate / RATE
    at = 0.0
    while at < last:
        n = int(at)
        here = samples[n]
        out.append(int(here + (samples[n + 1] - here) * (at - n)))
        at += step
    return out


def _little(frames: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        frames = array.array("h", frames)
        frames.byteswap()
    return frames.tobytes()


def _expand(byte: int) -> int:
    """G.711 mu-law -> 16 bits."""
    byte = ~byte & 0xFF
    value = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -value if byte & 0x80 else value


MULAW = [_expand(byte) for byte in range(256)]
