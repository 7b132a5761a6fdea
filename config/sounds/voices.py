"""Make the spoken clips: `python config/sounds/voices.py` writes voices/LANGUAGE.zip beside it. Needs espeak-ng 1.51.

Each clip is G.711 mu-law, 16,000 Hz, one channel, its silence cut off, all equally loud; a pack is a ZIP of them.
agent/voice.py puts clips together: "dine_in table 12" is three of them, and what goes on is spoken as before a comma,
so that they sound like one sentence. A shop's own clips (sounds_dir/voice/NAME.wav) go before these.

Licence: the clips are the output of espeak-ng, which its licence (GPL-3.0 or later) does not cover; the words are ours,
under the project's own licence. espeak-ng is used here only, never on the box.
"""

from __future__ import annotations

import array
import io
import math
import operator
import subprocess
import sys
import wave
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
RATE, SPOKEN = 16000, 22050  # Hz: of the clips, and of what espeak-ng gives
LOUD = 10 ** (-17 / 20) * 32768  # what the loud half of every clip's stretches of 20 ms has on average
PEAK = 30000  # and no sample more: a clip with sharp peaks stays a little softer
SILENT = 0.012  # of the peak
BEFORE_S, AFTER_S, FADE_S = 0.01, 0.03, 0.006
GOES_ON = ("dine_in", "takeaway", "delivery", "table", "number")
TAPS = 16  # on each side, in samples of the slower rate
VOICES = {"en": "en-gb", "zh": "cmn-latn-pinyin", "yue": "yue", "es": "es", "de": "de", "fr": "fr-fr", "ja": "ja"}
SPEED = {"zh": "150", "yue": "150", "ja": "150"}
WORDS = ("dine_in", "takeaway", "delivery", "table", "number", "review", "cancelled", "unconfirmed", "fault_paper",
         "fault_cover", "fault_offline", "fault", "offline", "test")  # fmt: skip
SAID = {
    "en": "Dine in order|Takeaway order|Delivery order|table|number|Please confirm|Order cancelled"
    "|Please check the paper|The printer is out of paper|The printer cover is open|The printer is off line"
    "|The printer has a fault|No connection|This is a test",
    "zh": "堂食订单|外带订单|外送订单|桌号|号码|请确认|订单已取消|请检查小票|打印机缺纸|打印机盖子打开了|打印机离线"
    "|打印机故障|网络断开|这是测试",
    "yue": "堂食訂單|外賣自取|外送訂單|枱號|號碼|請確認|訂單取消|請檢查單據|打印機冇紙|打印機蓋打開咗|打印機離線"
    "|打印機故障|網絡斷開|呢個係測試",
    "es": "Pedido en mesa|Pedido para llevar|Pedido a domicilio|mesa|número|Por favor confirme|Pedido cancelado"
    "|Por favor revise el papel|La impresora no tiene papel|La tapa de la impresora está abierta"
    "|La impresora está desconectada|La impresora tiene un fallo|Sin conexión|Esto es una prueba",
    "de": "Bestellung am Tisch|Bestellung zum Abholen|Lieferbestellung|Tisch|Nummer|Bitte bestätigen"
    "|Bestellung storniert|Bitte den Bon prüfen|Der Drucker hat kein Papier|Der Druckerdeckel ist offen"
    "|Der Drucker ist nicht erreichbar|Der Drucker hat eine Störung|Keine Verbindung|Das ist ein Test",
    "fr": "Commande sur place|Commande à emporter|Commande à livrer|table|numéro|Veuillez confirmer|Commande annulée"
    "|Vérifiez le ticket|L'imprimante n'a plus de papier|Le capot de l'imprimante est ouvert"
    "|L'imprimante est hors ligne|L'imprimante est en panne|Pas de connexion|Ceci est un essai",
    "ja": "てんないのちゅうもん|おもちかえりのちゅうもん|はいたつのちゅうもん|てーぶる|ばんごう|かくにんしてください"
    "|ちゅうもんがきゃんせるされました|でんぴょうをかくにんしてください|ぷりんたーのようしがありません"
    "|ぷりんたーのかばーがあいています|ぷりんたーがおふらいんです|ぷりんたーのこしょうです|せつぞくがありません|これはてすとです",
}  # fmt: skip
JAPANESE = ("ぜろ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう", "じゅう")
MOST = 40  # numbers up to this one are said as one word, others digit by digit


def spoken(language: str) -> dict[str, str]:
    """Clip -> what the engine is to say."""
    words = dict(zip(WORDS, SAID[language].split("|"), strict=True))
    words |= {str(n): _japanese(n) if language == "ja" else str(n) for n in range(MOST + 1)}
    letters = (
        "" if language in ("zh", "yue", "ja") else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )  # there they are said as in English
    return words | {letter: letter for letter in letters}


def _japanese(n: int) -> str:
    if n <= 10:
        return JAPANESE[n]
    tens, ones = divmod(n, 10)
    return (JAPANESE[tens] if tens > 1 else "") + "じゅう" + (JAPANESE[ones] if ones else "")


def clip(language: str, name: str, text: str) -> bytes:
    """-> mu-law bytes."""
    command = [
        "espeak-ng",
        "-v",
        VOICES[language],
        "-s",
        SPEED.get(language, "145"),
        "-a",
        "80",  # louder, and its own limiter bends the wave
        "-g",
        "2",
        "--stdout",
        f"{text}," if name in GOES_ON else text,
    ]
    heard = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(heard)) as sound:
        if (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) != (SPOKEN, 2, 1):
            raise SystemExit(f"espeak-ng gave {sound.getparams()}, not 22,050 Hz, 16 bit, one channel")
    samples = slower(array.array("h", heard[44:][: len(heard[44:]) // 2 * 2]))
    peak = max(map(abs, samples), default=0)
    if peak < 400:
        raise SystemExit(f"espeak-ng says nothing for {language} {name!r} {text!r}")
    heard_at = [i for i, s in enumerate(samples) if abs(s) > SILENT * peak]
    begin = max(0, heard_at[0] - int(RATE * BEFORE_S))
    said = samples[begin : heard_at[-1] + int(RATE * AFTER_S)]
    gain = min(LOUD / loudness(said), PEAK / peak)
    fade = int(RATE * FADE_S)
    edges = [min(1.0, i / fade, (len(said) - 1 - i) / fade) for i in range(len(said))]
    return bytes(mulaw(round(s * gain * edge)) for s, edge in zip(said, edges, strict=True))


def slower(samples: array.array[int]) -> list[float]:
    """22,050 -> 16,000 samples a second, by a windowed sinc that lets nothing above 7.6 kHz fold back."""
    step = math.gcd(RATE, SPOKEN)
    up, down = RATE // step, SPOKEN // step
    reach = TAPS * SPOKEN // RATE
    phases = []
    for phase in range(up):
        taps = []
        for k in range(-reach + 1, reach + 1):
            x = (k - phase / up) * RATE / SPOKEN * 0.95
            sinc = math.sin(math.pi * x) / (math.pi * x) if x else 1.0
            taps.append(sinc * (0.5 + 0.5 * math.cos(math.pi * (k - phase / up) / (reach + 1))))
        whole = sum(taps)
        phases.append([tap / whole for tap in taps])
    padded = [0] * reach + list(samples) + [0] * (reach + 1)
    out = []
    for n in range(len(samples) * up // down):
        at, phase = divmod(n * down, up)
        out.append(sum(map(operator.mul, phases[phase], padded[at + 1 : at + 1 + 2 * reach])))
    return out


def loudness(samples: Sequence[float]) -> float:
    """Of its stretches of 20 ms that are no pause (RMS)."""
    size = RATE // 50
    powers = [sum(s * s for s in samples[i : i + size]) / size for i in range(0, max(1, len(samples) - size + 1), size)]
    spoken = [power for power in powers if power > max(powers) / 100]
    return math.sqrt(sum(spoken) / len(spoken))


def mulaw(sample: int) -> int:
    """One sample of 16 bits as a byte of G.711."""
    sign, value = (0x80, -sample) if sample < 0 else (0, sample)
    value = min(value, 32635) + 132
    exponent = max(0, value.bit_length() - 8)
    return ~(sign | exponent << 4 | value >> (exponent + 3) & 0x0F) & 0xFF


def main() -> int:
    (HERE / "voices").mkdir(exist_ok=True)
    for language in VOICES:
        words = spoken(language)
        with ThreadPoolExecutor(2) as several:
            clips = list(several.map(lambda item, lang=language: clip(lang, *item), words.items()))
        path = HERE / "voices" / f"{language}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as pack:
            for name, data in zip(words, clips, strict=True):
                info = zipfile.ZipInfo(f"{name}.ulaw", (2026, 1, 1, 0, 0, 0))  # the same bytes whenever it is made
                info.compress_type = zipfile.ZIP_DEFLATED
                pack.writestr(info, data)
        seconds = sum(map(len, clips)) / RATE
        print(f"{path.name}: {len(clips)} clips, {seconds:.0f} s, {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
