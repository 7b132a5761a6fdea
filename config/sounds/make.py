"""Make the shipped sounds: `python config/sounds/make.py` writes the WAV files beside it. Standard library only.

Clean tones with soft edges, 16 kHz, 16 bit, one channel, each below 60 KB. Dine-in rises, takeaway falls: a kitchen
tells them apart without looking. Faults are low and rough enough to be heard over a fan, not to annoy.
"""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

RATE = 16000
PEAK = 0.6  # of full scale
EDGE_S = 0.008

Note = tuple[float, float]  # Hz (0: silence), seconds

SOUNDS: dict[str, list[Note]] = {
    "new_order_dine_in": [(659.3, 0.16), (0, 0.03), (784.0, 0.16), (0, 0.03), (1046.5, 0.42)],
    "new_order_takeaway": [(1046.5, 0.16), (0, 0.03), (784.0, 0.16), (0, 0.03), (659.3, 0.42)],
    "new_order_delivery": [(880.0, 0.12), (0, 0.06), (880.0, 0.12), (0, 0.06), (1174.7, 0.42)],
    "cancelled": [(523.3, 0.25), (0, 0.05), (392.0, 0.25), (0, 0.05), (261.6, 0.5)],
    "fault_paper": [(392.0, 0.18), (0, 0.06), (392.0, 0.18), (0, 0.06), (293.7, 0.5)],
    "fault_cover": [(293.7, 0.3), (0, 0.06), (392.0, 0.5)],
    "fault_offline": [(261.6, 0.5), (0, 0.1), (261.6, 0.5)],
    "reminder": [(784.0, 0.2), (0, 0.1), (784.0, 0.35)],
    "fault": [(311.1, 0.3), (0, 0.1), (311.1, 0.3), (0, 0.1), (311.1, 0.5)],
    "unconfirmed": [(440.0, 0.2), (0, 0.08), (554.4, 0.2), (0, 0.08), (440.0, 0.4)],
    "offline": [(349.2, 0.35), (0, 0.12), (261.6, 0.6)],
    "test": [(523.3, 0.15), (659.3, 0.15), (784.0, 0.15), (1046.5, 0.35)],
}


def tone(hertz: float, seconds: float) -> list[float]:
    """A bell-like tone: the fundamental and two fading partials, without clicks at its edges."""
    count = int(RATE * seconds)
    if not hertz:
        return [0.0] * count
    samples = []
    for n in range(count):
        t = n / RATE
        fade = math.exp(-2.2 * t / seconds)
        edge = min(1.0, t / EDGE_S, (seconds - t) / EDGE_S)
        wave_ = math.sin(2 * math.pi * hertz * t)
        wave_ += 0.35 * math.exp(-4 * t / seconds) * math.sin(4 * math.pi * hertz * t)
        wave_ += 0.15 * math.exp(-6 * t / seconds) * math.sin(6 * math.pi * hertz * t)
        samples.append(wave_ / 1.5 * fade * edge)
    return samples


def frames(notes: list[Note]) -> bytes:
    samples = [s for hertz, seconds in notes for s in tone(hertz, seconds)]
    loudest = max(abs(s) for s in samples)
    return b"".join(struct.pack("<h", round(s / loudest * PEAK * 32767)) for s in samples)


def main() -> None:
    for name, notes in SOUNDS.items():
        with wave.open(str(Path(__file__).with_name(f"{name}.wav")), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(frames(notes))


if __name__ == "__main__":
    main()
