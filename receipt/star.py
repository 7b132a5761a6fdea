"""Star's command set as a table: Line Mode, StarPRNT and raster mode. Pure data, of the same shape as `commands`.

Sources: Star Line Mode Command Specifications, StarPRNT Command Specifications, Star Graphic (raster) Mode Commands.
Many prefixes stand in ESC/POS too and mean something else there (ESC d cuts here and feeds there), so a stream is
read with one table or the other, never with both.
"""

from __future__ import annotations

from receipt.commands import (
    CUTS,
    ESCPOS,
    FEEDS,
    INIT,
    MOVES,
    NONE,
    PAGE,
    PRINTS,
    PULSES,
    QUERY,
    REALTIME,
    STATE,
    STORES,
    Answer,
    Command,
    counted,
    ended,
)


def _name(head: bytes) -> int | None:
    """ESC * r X: A, B, C and R stand alone, the others carry digits until NUL."""
    if len(head) < 4:
        return None
    return 4 if head[3:4] in (b"A", b"B", b"C", b"R") else ended(4, 0, 8)(head)


def _qr(head: bytes) -> int | None:
    """ESC GS y S a n; y D 1 m nL nH d..; y D 2 a, then per block m nL nH d..; y P; y I."""
    if len(head) < 4:
        return None
    if head[3:4] == b"S":
        return 6
    if head[3:4] != b"D":
        return 4
    if len(head) < 8:
        return None
    return 8 + int.from_bytes(head[6:8], "little")


def _pdf417(head: bytes) -> int | None:
    """ESC GS x S 0 n1 n2 n3 n4; S 1 n, S 2 n, S 3 n; D nL nH d..; P; I."""
    if len(head) < 5:
        return 4 if head[3:4] in (b"P", b"I") else None
    if head[3:4] == b"S":
        return 9 if head[4] in (0, 48) else 6
    return counted(4)(head) if head[3:4] == b"D" else 4


def _page(head: bytes) -> int | None:
    """ESC GS P n: 3 carries eight bytes, 4 and 5 two, 2 one; the others none."""
    if len(head) < 4:
        return None
    return 4 + {2: 1, 3: 8, 4: 2, 5: 2}.get(head[3] & 15, 0)


def _switch(head: bytes) -> int | None:
    """ESC GS # … LF NUL: a memory switch."""
    found = head.find(b"\n\x00", 3, 20)
    return found + 2 if found >= 0 else 3 if len(head) >= 20 else None


_c = Command

STAR: dict[bytes, Command] = {
    b"\x00": _c("null", 1, NONE, "NUL: padding"),
    b"\x04": _c("star_status", 1, REALTIME | QUERY, "EOT: status, at once", Answer.STAR),
    b"\x05": _c("star_status", 1, REALTIME | QUERY, "ENQ: status, at once", Answer.STAR),
    b"\x07": _c("pulse", 1, PULSES, "BEL: external device 1 (drawer)"),
    b"\t": _c("tab", 1, MOVES, "HT"),
    b"\n": _c("line_feed", 1, PRINTS | FEEDS, "LF"),
    b"\x0b": _c("vertical_tab", 1, PRINTS | FEEDS, "VT"),
    b"\x0c": _c("form_feed", 1, PRINTS | FEEDS, "FF"),
    b"\r": _c("carriage_return", 1, PRINTS, "CR"),
    b"\x0e": _c("star_wide_on", 1, STATE, "SO: double width"),
    b"\x0f": _c("star_upside_down_on", 1, STATE, "SI"),
    b"\x11": _c("star_select", 1, STATE, "DC1"),
    b"\x12": _c("star_upside_down_off", 1, STATE, "DC2"),
    b"\x13": _c("star_deselect", 1, STATE, "DC3"),
    b"\x14": _c("star_wide_off", 1, STATE, "DC4"),
    b"\x16": _c("star_presenter", 2, FEEDS, "SYN n"),
    b"\x17": _c("star_update_counter", 1, QUERY, "ETB: counts up when all before it is printed", Answer.STAR),
    b"\x18": _c("cancel", 1, INIT, "CAN: drop the line, initialise"),
    b"\x19": _c("pulse", 1, PULSES, "EM: external device 2, at once"),
    b"\x1a": _c("pulse", 1, PULSES, "SUB: external device 2"),
    b"\x1c": _c("pulse", 1, PULSES, "FS: external device 1, at once"),
    # the real-time commands of ESC/POS are asked of Star printers too
    **{prefix: command for prefix, command in ESCPOS.items() if prefix[0] == 0x10},
    # ESC
    b"\x1b\x06": _c("star_status", 3, REALTIME | QUERY, "ESC ACK SOH, ESC ACK CAN: status, at once", Answer.STAR),
    b"\x1b\x07": _c("star_pulse_width", 4, STATE, "ESC BEL n1 n2"),
    b"\x1b\x0b": _c("star_vertical", 3, FEEDS, "ESC VT n"),
    b"\x1b\x0c": _c("star_raster_feed", 3, PRINTS | FEEDS, "ESC FF NUL, ESC FF EOT: end of a raster page"),
    b"\x1b\x16": _c("star_presenter_setting", 4, STATE, "ESC SYN n1 n2"),
    b"\x1b ": _c("star_character_space", 3, STATE, "ESC SP n"),
    b"\x1b#": _c("star_switch_old", 3, STORES, "ESC # N"),
    b"\x1b$": _c("star_shift_jis", 3, STATE, "ESC $ n"),
    b"\x1b%": _c("user_characters", 3, STATE, "ESC % n"),
    b"\x1b&": _c("star_define_characters", 53, STATE | STORES, "ESC & 1 n d1..d48 (12 x 24 dots)"),
    b"\x1b*r": _c("star_raster", _name, STATE, "ESC * r X [digits NUL]: raster mode"),
    b"\x1b*rA": _c("star_raster_on", 4, STATE, "ESC * r A: enter raster mode"),
    b"\x1b*rB": _c("star_raster_off", 4, PRINTS | FEEDS, "ESC * r B: leave raster mode"),
    b"\x1b*rY": _c("star_raster_skip", ended(4, 0, 8), PRINTS | FEEDS, "ESC * r Y n NUL: dots down"),
    b"\x1b-": _c("underline", 3, STATE, "ESC - n"),
    b"\x1b/": _c("star_zero", 3, STATE, "ESC / n: slashed zero"),
    b"\x1b0": _c("line_spacing_eighth", 2, STATE, "ESC 0"),
    b"\x1b1": _c("line_spacing_seven", 2, STATE, "ESC 1"),
    b"\x1b2": _c("line_spacing_default", 2, STATE, "ESC 2"),
    b"\x1b3": _c("line_spacing", 3, STATE, "ESC 3 n"),
    b"\x1b4": _c("star_inverse_on", 2, STATE, "ESC 4: white on black"),
    b"\x1b5": _c("star_inverse_off", 2, STATE, "ESC 5"),
    b"\x1b:": _c("star_pitch_16", 2, STATE, "ESC :"),
    b"\x1b?": _c("star_reset", 4, INIT | PRINTS, "ESC ? LF NUL: reset, self test"),
    b"\x1b@": _c("initialise", 2, INIT, "ESC @"),
    b"\x1bA": _c("star_line_spacing", 3, STATE, "ESC A n"),
    b"\x1bB": _c("star_vertical_tabs", ended(2, 0, 17), STATE, "ESC B n1..nk NUL"),
    b"\x1bC": _c(
        "star_page_length",
        lambda head: (4 if head[2] == 0 else 3) if len(head) > 2 else None,
        STATE,
        "ESC C n, ESC C NUL n",
    ),
    b"\x1bD": _c("tab_stops", ended(2, 0, 33), STATE, "ESC D n1..nk NUL"),
    b"\x1bE": _c("star_bold_on", 2, STATE, "ESC E"),
    b"\x1bF": _c("star_bold_off", 2, STATE, "ESC F"),
    b"\x1bI": _c("star_feed_eighth", 3, PRINTS | FEEDS, "ESC I n"),
    b"\x1bJ": _c("star_feed_quarter", 3, PRINTS | FEEDS, "ESC J n: n/4 mm"),
    b"\x1bK": _c("star_image", counted(2), PRINTS, "ESC K n1 n2 d1..dk: 8 dots high"),
    b"\x1bL": _c("star_image_high", counted(2), PRINTS, "ESC L n1 n2 d1..dk: 8 dots high, double density"),
    b"\x1bM": _c("star_pitch_12", 2, STATE, "ESC M"),
    b"\x1bN": _c("star_bottom_margin", 3, STATE, "ESC N n"),
    b"\x1bO": _c("star_bottom_margin_off", 2, STATE, "ESC O"),
    b"\x1bP": _c("star_pitch_15", 2, STATE, "ESC P"),
    b"\x1bQ": _c("star_right_margin", 3, STATE, "ESC Q n"),
    b"\x1bR": _c("international", 3, STATE, "ESC R n"),
    b"\x1bU": _c("one_way", 3, STATE, "ESC U n"),
    b"\x1bW": _c("star_wide", 3, STATE, "ESC W n"),
    b"\x1bX": _c(
        "star_image_fine",
        lambda head: 4 + 3 * (head[2] + 256 * head[3]) if len(head) > 3 else None,
        PRINTS,
        "ESC X n1 n2 d1..d3k: 24 dots high",
    ),
    b"\x1b^": _c(
        "star_image_nine",
        lambda head: 5 + 2 * (head[3] + 256 * head[4]) if len(head) > 4 else None,
        PRINTS,
        "ESC ^ m n1 n2 d1..d2k: 9 dots high",
    ),
    b"\x1b_": _c("star_overline", 3, STATE, "ESC _ n"),
    b"\x1ba": _c("feed_lines", 3, PRINTS | FEEDS, "ESC a n"),
    b"\x1bb": _c("star_barcode", ended(6, 0x1E, 255), PRINTS | FEEDS, "ESC b n1 n2 n3 n4 d1..dk RS"),
    b"\x1bd": _c("star_cut", 3, CUTS | FEEDS | PRINTS, "ESC d n"),
    b"\x1bg": _c("star_print_region", 3, STATE, "ESC g n"),
    b"\x1bh": _c("star_high", 3, STATE, "ESC h n"),
    b"\x1bi": _c("star_size", 4, STATE, "ESC i n1 n2: times higher, times wider"),
    b"\x1bk": _c(
        "star_image_fine",
        lambda head: 4 + 24 * head[2] if len(head) > 3 else None,
        PRINTS,
        "ESC k n1 0 d1..dk: n1 bytes wide, 24 rows",
    ),
    b"\x1bl": _c("star_left_margin", 3, STATE, "ESC l n"),
    b"\x1bp": _c("star_kanji_on", 2, STATE, "ESC p: JIS kanji"),
    b"\x1bq": _c("star_kanji_off", 2, STATE, "ESC q"),
    b"\x1br": _c("star_kanji_half", 4, STATE, "ESC r n1 n2"),
    b"\x1bs": _c("kanji_space", 4, STATE, "ESC s n1 n2"),
    b"\x1bt": _c("star_kanji_space", 4, STATE, "ESC t n1 n2"),
    b"\x1bu": _c("star_kanji_half_off", 3, STATE, "ESC u n"),
    b"\x1by": _c("star_feed_unit", 3, STATE, "ESC y n"),
    b"\x1bz": _c("star_line_spacing_select", 3, STATE, "ESC z n"),
    # ESC FS: logos
    b"\x1b\x1cp": _c("nv_image", 5, PRINTS | FEEDS, "ESC FS p n m"),
    b"\x1b\x1cq": _c("define_nv_images", 0, STORES, "ESC FS q n [xL xH yL yH d1..dk]…"),
    # ESC GS
    b"\x1b\x1d\x03": _c("star_document", 6, QUERY, "ESC GS ETX s n1 n2: document marker", Answer.STAR),
    b"\x1b\x1d\x07": _c("star_buzzer", 6, NONE, "ESC GS BEL m n1 n2"),
    b"\x1b\x1d\x19": _c("star_buzzer_setting", 7, NONE, "ESC GS EM fn m n1 n2"),
    b"\x1b\x1d#": _c("star_switch", _switch, STORES, "ESC GS # m N n1 n2 n3 n4 LF NUL"),
    b"\x1b\x1d(": _c("star_function", counted(4), STATE, "ESC GS ( fn pL pH …"),
    b"\x1b\x1d)": _c("star_function", counted(4), STATE, "ESC GS ) fn pL pH …"),
    b"\x1b\x1d)I": _c("star_info", counted(4), QUERY, "ESC GS ) I pL pH …", Answer.ESCAPED),
    b"\x1b\x1d*": _c("star_user_macro", counted(4), STORES, "ESC GS * fn nL nH …"),
    b"\x1b\x1dA": _c("star_position", 5, MOVES, "ESC GS A n1 n2"),
    b"\x1b\x1dP": _c("star_page", _page, PAGE, "ESC GS P n …: page mode"),
    b"\x1b\x1dR": _c("star_position_relative", 5, MOVES, "ESC GS R n1 n2"),
    b"\x1b\x1dS": _c(
        "star_picture",
        lambda head: 9 + (head[4] + 256 * head[5]) * (head[6] + 256 * head[7]) if len(head) > 8 else None,
        PRINTS | FEEDS,
        "ESC GS S m xL xH yL yH n d1..dk",
    ),
    b"\x1b\x1da": _c("star_align", 4, STATE, "ESC GS a n"),
    b"\x1b\x1db": _c("smoothing", 4, STATE, "ESC GS b n"),
    b"\x1b\x1dc": _c("star_counter", 4, STATE, "ESC GS c n"),
    b"\x1b\x1dh": _c("star_hri", 4, STATE, "ESC GS h n"),
    b"\x1b\x1dt": _c("star_code_page", 4, STATE, "ESC GS t n"),
    b"\x1b\x1dx": _c("star_pdf417", _pdf417, STATE, "ESC GS x …: settings"),
    b"\x1b\x1dxD": _c("star_pdf417_data", _pdf417, PRINTS, "ESC GS x D nL nH d1..dk"),
    b"\x1b\x1dxP": _c("star_pdf417_print", _pdf417, PRINTS | FEEDS, "ESC GS x P"),
    b"\x1b\x1dxI": _c("star_pdf417_size", _pdf417, QUERY, "ESC GS x I", Answer.STAR),
    b"\x1b\x1dy": _c("star_qr", _qr, STATE, "ESC GS y …: settings"),
    b"\x1b\x1dyD": _c("star_qr_data", _qr, PRINTS, "ESC GS y D …"),
    b"\x1b\x1dyP": _c("star_qr_print", _qr, PRINTS | FEEDS, "ESC GS y P"),
    b"\x1b\x1dyI": _c("star_qr_size", _qr, QUERY, "ESC GS y I", Answer.STAR),
    # ESC RS
    b"\x1b\x1eE": _c("star_counter_reset", 4, STATE, "ESC RS E n"),
    b"\x1b\x1eF": _c("font", 4, STATE, "ESC RS F n"),
    b"\x1b\x1eL": _c("star_logo", 5, PRINTS | FEEDS, "ESC RS L n m"),
    b"\x1b\x1eP": _c("star_position_setting", 4, STATE, "ESC RS P n"),
    b"\x1b\x1eR": _c("star_rotate", 4, STATE, "ESC RS R n"),
    b"\x1b\x1ea": _c("status_back", 4, STATE | QUERY, "ESC RS a n", Answer.STAR),
    b"\x1b\x1ed": _c("density", 4, STATE, "ESC RS d n"),
    b"\x1b\x1ei": _c("star_two_colour", 4, STATE, "ESC RS C n, ESC RS i n"),
    b"\x1b\x1eC": _c("star_two_colour", 4, STATE, "ESC RS C n"),
    b"\x1b\x1em": _c("star_margins", 4, STATE, "ESC RS m n"),
    b"\x1b\x1er": _c("star_speed", 4, STATE, "ESC RS r n"),
}

# In raster mode (after ESC * r A) these two letters are commands, and text is not printed.
RASTER_ROW = _c("star_raster_row", counted(1), PRINTS | FEEDS, "b n1 n2 d1..dk: one row of dots, and down")
RASTER_PART = _c("star_raster_part", counted(1), PRINTS, "k n1 n2 d1..dk: one row of dots")
