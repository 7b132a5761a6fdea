"""sound: play WAV files through ALSA, in a child process: `python -m drivers.sound`, started with PYTHONMALLOC=malloc.

On stdin    lines "play PATH"
On stdout   one line for each: "done PATH", or "error PATH: what happened"; before a sound starts, "started PATH"
Alone       because simpleaudio's clean-up can end the whole process (on Python 3.12 and later always, without
            PYTHONMALLOC=malloc: upstream issue 76); a death after "started" means that the sound was played.
Card        ALSA's `default`; ALSA_CONFIG_PATH and ALSA_CARD in the environment choose another.

Source: simpleaudio 1.0.4. Without it (`import` fails) the child says so and ends with 3: the parent uses aplay.
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

NO_LIBRARY = 3
LONGEST_S = 5.0  # what is longer is cut here: an alert repeats anyway


def main() -> int:
    try:
        import simpleaudio
        from simpleaudio._simpleaudio import SimpleaudioError
    except (ImportError, OSError) as error:
        print(f"error : simpleaudio is not to be had: {error}", flush=True)
        return NO_LIBRARY
    for line in sys.stdin:
        verb, _, path = line.rstrip("\n").partition(" ")
        if verb != "play":
            print(f"error {path}: unknown word {verb!r}", flush=True)
            continue
        try:
            frames, channels, width, rate = load(Path(path))
            print(f"started {path}", flush=True)
            simpleaudio.play_buffer(frames, channels, width, rate).wait_done()
        except (OSError, ValueError, EOFError, wave.Error, SimpleaudioError) as error:
            print(f"error {path}: {str(error).replace(chr(10), ' ')}", flush=True)
        else:
            print(f"done {path}", flush=True)
    return 0


def load(path: Path) -> tuple[bytes, int, int, int]:
    """-> (frames, channels, bytes per sample, frames per second). Raises OSError, ValueError, wave.Error."""
    with wave.open(str(path), "rb") as sound:
        rate = sound.getframerate()
        frames = sound.readframes(int(rate * LONGEST_S))
        if not frames:  # an empty buffer crashes simpleaudio elsewhere (upstream issue 79)
            raise ValueError("there is no sound in it")
        return frames, sound.getnchannels(), sound.getsampwidth(), rate


if __name__ == "__main__":
    sys.exit(main())
