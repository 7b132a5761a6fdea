"""Printer models: what each can prove, and what it must not be asked. One TOML file each in config/printers/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from config.load import key, load

FOLDER = Path(__file__).parent / "printers"


def _hex(value: str) -> str | None:
    try:
        bytes.fromhex(value)
    except ValueError:
        return "must be bytes in hex, for example 1b 42 03 02"
    return None


def _ids(value: str) -> str | None:
    right = all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", ids.strip()) for ids in value.split(",")) or not value
    return None if right else "must be VID:PID in small hex digits, for example 04b8:0e15"


@dataclass(frozen=True, slots=True)
class Model:
    name: str = key("generic", "What the printer calls itself (GS I 67), or what people call it.")
    also: str = key("", "Other names of the same kind, with commas: what GS I 67 of its sisters says.")
    usb: str = key(
        "", "Its USB ids, VID:PID as lsusb shows them, with commas: a printer at usb:// is known by them.", check=_ids
    )
    dialect: str = key(
        "auto",
        "Its command set: star, escpos, or auto: ESC/POS until the till sends what only Star has.",
        one_of=("auto", "escpos", "star"),
    )
    answers: bool = key(True, "It answers at all. false: a one-way line; a slip is then never proven (L0).")
    realtime: bool = key(True, "It answers DLE EOT n: asked before and after a slip.")
    ask_after: bool = key(True, "It answers GS r 1 in turn, once it has worked through what came before: proof L1.")
    process_id: bool = key(False, "It answers GS ( H fn 48 once all before is printed: proof L2.")
    buzzer: str = key("", "What makes its buzzer sound, as hex. Empty: it has none.", check=_hex)
    code_pages: str = key("", "Code pages that slips may use: the n of ESC t n, with blanks, the first that fits wins.")
    double: str = key(
        "gbk",
        "Two-byte characters that it has behind FS &: gbk (also GB18030), big5, shift_jis, euc_kr, or none.",
        one_of=("gbk", "big5", "shift_jis", "euc_kr", "none"),
    )
    qr: bool = key(True, "It draws QR codes by itself (GS ( k); else slips carry them as pictures.")
    raster: bool = key(True, "It prints pictures (GS v 0): slips in scripts it has no letters for are drawn.")
    columns: int = key(48, "Characters in a line of font A.", low=16, high=80)
    dots: int = key(576, "Dots in a line.", low=128, high=2048)

    def is_called(self, name: str) -> bool:
        """Does a printer that calls itself `name` belong to this file?"""
        names = [self.name, *self.also.split(",")]
        return any(known.strip().lower() == name.strip().lower() for known in names if known.strip())


def load_model(name: str) -> Model:
    """The model of this file name (without .toml). Raises ConfigError. "auto" is "generic" until somebody asked."""
    return load(FOLDER / f"{'generic' if name == 'auto' else name}.toml", Model)


def find_model(says: str) -> tuple[str, Model] | None:
    """The file that fits what a printer says of itself."""
    for path in sorted(FOLDER.glob("*.toml")):
        model = load(path, Model)
        if model.is_called(says):
            return path.stem, model
    return None


def find_by_usb(ids: str) -> str:
    """The name of the file whose printers have these USB ids; "auto" when there is none."""
    for path in sorted(FOLDER.glob("*.toml")):
        if ids and ids.lower() in (known.strip() for known in load(path, Model).usb.split(",")):
            return path.stem
    return "auto"
