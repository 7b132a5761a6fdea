"""Barcodes and 2-D codes: from a command's bytes to what they say. Pure.

Sources: Epson GS k (functions A and B) and GS ( k; Star ESC b and ESC GS y, x.
"""

from __future__ import annotations

from receipt.paper import Code

_BARCODES = ("upca", "upce", "ean13", "ean8", "code39", "itf", "codabar", "code93", "code128", "gs1-128", "gs1-databar")
_STAR_BARCODES = ("upce", "upca", "ean8", "ean13", "code39", "itf", "code128", "code93", "codabar", "gs1-128")
_SYMBOLS = {48: "pdf417", 49: "qr", 50: "maxicode", 51: "gs1", 52: "composite", 53: "aztec", 54: "datamatrix"}


def _plain(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _code128(raw: bytes) -> str:
    """Epson's CODE128 data: {A, {B, {C choose a set, {{ is a brace; in set C each byte is two digits."""
    if b"{" not in raw[:2]:
        return _plain(raw)
    out, at, pairs = [], 0, False
    while at < len(raw):
        byte = raw[at]
        if byte == 0x7B and at + 1 < len(raw):
            chosen = raw[at + 1]
            at += 2
            if chosen in b"ABC":
                pairs = chosen == 0x43
            elif chosen == 0x7B:
                out.append("{")
            continue
        out.append(f"{byte:02d}" if pairs and byte < 100 else chr(byte))
        at += 1
    return "".join(out)


def barcode(raw: bytes, caption: bool) -> Code:
    """GS k: function A (data ended by NUL) and B (counted), and the vendors' 2-D codes 10, 11, 97."""
    kind = raw[2] if len(raw) > 2 else 0
    if kind in (10, 11, 97):
        return Code("pdf417" if kind == 10 else "qr", _plain(raw[7:]))
    number, data = (kind, raw[3:].rstrip(b"\x00")) if kind < 8 else (kind - 65, raw[4:])
    name = _BARCODES[min(number, 10)] if number >= 0 else "barcode"
    if name in ("code128", "gs1-128"):
        return Code(name, _code128(data), caption)
    value = _plain(data)
    return Code(name, value.strip("*") if name == "code39" else value, caption)


def symbol_data(raw: bytes) -> tuple[str, str]:
    """GS ( k pL pH cn fn m d1..dk, function 80: (kind, value)."""
    return _SYMBOLS.get(raw[5] if len(raw) > 5 else 49, "code"), _plain(raw[8:])


def symbol_kind(raw: bytes) -> str:
    return _SYMBOLS.get(raw[5] if len(raw) > 5 else 49, "code")


def star_barcode(raw: bytes) -> Code:
    """ESC b n1 n2 n3 n4 d1..dk RS: n1 kind, n2 whether the value is printed."""
    number = raw[2] - 48 if len(raw) > 2 and raw[2] >= 48 else raw[2] if len(raw) > 2 else 0
    name = _STAR_BARCODES[number] if 0 <= number < len(_STAR_BARCODES) else "barcode"
    data = raw[6:].removesuffix(b"\x1e")
    return Code(name, _code128(data) if "128" in name else _plain(data), len(raw) > 3 and raw[3] in (2, 4, 50, 52))


def star_symbol_data(raw: bytes) -> tuple[str, str]:
    """ESC GS y D 1 m nL nH d.., ESC GS x D nL nH d..: (kind, value)."""
    return ("qr", _plain(raw[8:])) if raw[2:3] == b"y" else ("pdf417", _plain(raw[6:]))


def vendor_symbol(raw: bytes, kind: int) -> Code:
    """ESC Z m n k dL dH d..: GS Z chose the kind: 0 PDF417, 1 Data Matrix, 2 QR."""
    return Code({0: "pdf417", 1: "datamatrix"}.get(kind, "qr"), _plain(raw[7:]))
