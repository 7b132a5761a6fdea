"""Make the spoken clips: `python config/sounds/voices.py` writes voices/LANGUAGE.zip beside it. Needs espeak-ng 1.51.

Each clip is G.711 mu-law, 11,025 Hz, one channel, its silence cut off; a pack is a ZIP of them. agent/voice.py puts
clips together: "dine_in table 12" is three of them. A shop's own clips (sounds_dir/voice/NAME.wav) go before these.

Licence: the clips are the output of espeak-ng, which its licence (GPL-3.0 or later) does not cover; the words are ours,
under the project's own licence. espeak-ng is used here only, never on the box.
"""

from __future__ import annotations

import array
import io
import subprocess
import sys
import wave
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
RATE = 11025
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
        "140",
        "-g",
        "2",
        "--stdout",
        text,
    ]
    heard = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(heard)) as sound:
        if (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) != (2 * RATE, 2, 1):
            raise SystemExit(f"espeak-ng gave {sound.getparams()}, not 22,050 Hz, 16 bit, one channel")
        fine = array.array("h", heard[44:][: len(heard[44:]) // 2 * 2])
    # half the rate, after a small low-pass, so that nothing above 5.5 kHz folds back
    taps = (-1, 0, 9, 16, 9, 0, -1)
    padded = [0, 0, 0, *fine, 0, 0, 0, 0]
    half = [sum(t * padded[i + k] for k, t in enumerate(taps)) // 32 for i in range(0, len(fine), 2)]
    loud = [i for i, s in enumerate(half) if abs(s) > 400]
    if not loud:
        raise SystemExit(f"espeak-ng says nothing for {language} {name!r} {text!r}")
    begin, end = max(0, loud[0] - RATE // 50), min(len(half), loud[-1] + RATE // 25)
    peak = max(map(abs, half[begin:end]))
    return bytes(mulaw(s * 26000 // peak) for s in half[begin:end])


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
