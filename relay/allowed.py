"""What a slip from the cloud may tell the printer, and nothing else (an order is data, never commands). Pure.

The relay checks this itself: whoever could write to its socket must not be able to open a drawer, change the printer's
memory, or hide a real-time command, which printers obey even inside a picture.
"""

from __future__ import annotations

import re

from receipt.tokens import Dialect, Tokenizer

MOST_BYTES = 512 * 1024
MOST_FEED = 2000  # lines and dots of pure feeding, together, in units of a line
ALLOWED = frozenset(
    [
        "text",
        "line_feed",
        "carriage_return",
        "tab",
        "null",
        "initialise",
        "align",
        "bold",
        "font",
        "double_strike",
        "underline",
        "print_mode",
        "size",
        "inverse",
        "upside_down",
        "rotate",
        "character_space",
        "code_page",
        "international",
        "kanji_on",
        "kanji_off",
        "kanji_print_mode",
        "kanji_underline",
        "kanji_quadruple",
        "kanji_space",
        "kanji_code",
        "line_spacing",
        "line_spacing_default",
        "tab_stops",
        "position",
        "position_relative",
        "left_margin",
        "area_width",
        "motion_units",
        "feed_lines",
        "feed_dots",
        "smoothing",
        "colour",
        "barcode",
        "barcode_text",
        "barcode_height",
        "barcode_width",
        "barcode_font",
        "symbol_settings",
        "symbol_store",
        "symbol_print",
        "raster",
        "column_image",
        "graphics_raster",
        "graphics_columns",
        "graphics_print",
        "cut",
        "cut_full",
        "cut_partial",
    ]
)
REALTIME = re.compile(rb"\x10[\x04\x05\x14]")
CUTS = ("cut", "cut_full", "cut_partial")


def problem(raw: bytes) -> str:
    """What is wrong with these bytes as a slip; "" when nothing is."""
    if not raw:
        return "it is empty"
    if len(raw) > MOST_BYTES:
        return f"it has {len(raw)} bytes, where {MOST_BYTES} are allowed"
    if found := REALTIME.search(raw):
        return f"bytes {found.group().hex()} at {found.start()} are a real-time command, wherever they stand"
    tokenizer = Tokenizer(Dialect.ESCPOS)
    tokens = tokenizer.feed(raw)
    left = bytes(tokenizer.pending)
    text = tokenizer.close()
    if left and not all(token.name == "text" for token in text):
        return f"its last command is not whole: {left[:8].hex()}"
    tokens += text
    at = feed = cuts = 0
    for token in tokens:
        if token.name not in ALLOWED:
            return f"{token.name} ({token.raw[:4].hex()}) at {at} is not allowed in a slip"
        if token.name == "feed_lines":
            feed += token.raw[2]
        cuts += token.name in CUTS
        at += len(token.raw)
    if feed > MOST_FEED:
        return f"it feeds {feed} lines"
    return "" if cuts <= 1 else f"it cuts {cuts} times"
