r"""The printers' command sets as tables: what each command is called, how long it is, what it does. Pure data.

Sources, named in each entry: Epson's ESC/POS command reference (all of ESC, FS, GS, DLE), the Star Line Mode and
StarPRNT command specifications, and, marked "vendor", what printers sold under other names add to ESC/POS.

A table maps a prefix of one to three bytes to a `Command`. Where two prefixes fit, the longer one counts.
`Command.size` is the whole length in bytes, or a `Measure` that works it out from the first bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag, auto


class Effect(Flag):
    """What a command does. The relay decides by these columns; nothing is decided by a command's name."""

    NONE = 0
    PRINTS = auto()  # puts something on paper, or makes what is in the line come out
    FEEDS = auto()  # moves the paper
    CUTS = auto()
    PULSES = auto()  # the drawer, or a buzzer on the drawer's port
    STATE = auto()  # changes how later bytes are printed until the next initialise: what a slip in between undoes
    MOVES = auto()  # moves within the line or page, nothing that lasts
    PAGE = auto()  # belongs to page mode: meant for this page alone
    REALTIME = auto()  # the printer acts on it the moment it comes, before what is buffered
    QUERY = auto()  # the printer answers: `Command.answer` says how
    INIT = auto()  # back to the state at power-on
    STORES = auto()  # writes to the printer's memory (logos, characters, switches)


class Answer(Enum):
    """What comes back from the printer for a query."""

    REALTIME = "one byte, bits 0 and 7 clear, bits 1 and 4 set"  # DLE EOT
    BYTE = "one byte, bits 4 and 7 clear"  # GS r, ESC v, ESC u, GS I 1..4
    BLOCK = "a header byte, data, NUL"  # GS I 65.., GS ( H, GS ( L, GS ( E
    REALTIME_BLOCK = "a header byte, data, NUL, at once"  # DLE DC4 7
    ASB = "four bytes, now and at every change"  # GS a
    STAR = "a Star status block, its first byte tells its length"  # ESC ACK SOH, ENQ, EOT, ESC RS a
    ESCAPED = "a Star answer: ESC GS …, ended by LF NUL"  # ESC GS ) I


Measure = Callable[[bytes], "int | None"]  # the first bytes -> the whole length; None: more bytes are needed
Variant = Callable[[bytes], "Command | None"]  # the first bytes, with the function code -> what that function is


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """One row of the table. Compared by identity: there is one object per row."""

    name: str
    size: int | Measure
    effect: Effect
    source: str  # as the makers' references write it
    answer: Answer | None = None
    needs: int = 0  # bytes after which `variant` can tell
    variant: Variant | None = None
    part: bool = False  # the mark is a piece of the command, and more pieces follow


E = Effect
NONE, PRINTS, FEEDS, CUTS, PULSES, STATE = E.NONE, E.PRINTS, E.FEEDS, E.CUTS, E.PULSES, E.STATE
MOVES, PAGE, REALTIME, QUERY, INIT, STORES = E.MOVES, E.PAGE, E.REALTIME, E.QUERY, E.INIT, E.STORES

TEXT = Command("text", 1, PRINTS, "bytes from 20h on")
UNKNOWN = Command("unknown", 1, NONE, "no command explains it")

# ---------------------------------------------------------------------------------------------- how long


def counted(at: int, width: int = 2, more: int = 0) -> Measure:
    """`width` bytes at `at` count what follows them; `more` bytes come on top."""

    def measure(head: bytes) -> int | None:
        if len(head) < at + width:
            return None
        return at + width + more + int.from_bytes(head[at : at + width], "little")

    return measure


def product(at: int, times: int = 1, start: int = 0) -> Measure:
    """x and y, two bytes each at `at`: x * y * times bytes follow, from `start` on (right after y when 0)."""
    start = start or at + 4

    def measure(head: bytes) -> int | None:
        if len(head) < at + 4:
            return None
        x = int.from_bytes(head[at : at + 2], "little")
        y = int.from_bytes(head[at + 2 : at + 4], "little")
        return start + x * y * times

    return measure


def ended(prefix: int, end: int = 0, most: int = 255) -> Measure:
    """Data until the byte `end`, at most `most` of them: a command that never ends is given up there."""

    def measure(head: bytes) -> int | None:
        found = head.find(end, prefix, prefix + most + 1)
        if found >= 0:
            return found + 1
        return prefix + most if len(head) >= prefix + most else None

    return measure


def tab_stops(head: bytes) -> int | None:
    """ESC D n1..nk NUL: at most 32 rising columns; a column that does not rise ends the list and is data again."""
    last = 0
    for at, column in enumerate(head[2:35], 2):
        if column == 0:
            return at + 1
        if column <= last or at == 34:
            return at
        last = column
    return None


def column_image(head: bytes) -> int | None:
    """ESC * m nL nH d1..dk: 8 dots high for m 0 and 1, 24 for 32 and 33 (and 38..40), 48 for 71 to 73."""
    if len(head) < 5:
        return None
    rows = 1 if head[2] < 32 else 3 if head[2] < 64 else 6
    return 5 + rows * (head[3] + 256 * head[4])


def barcode(head: bytes) -> int | None:
    """GS k m: m below 7 data until NUL; 65 and up a count; 10, 11 and 97 are vendors' 2-D codes."""
    if len(head) < 3:
        return None
    if head[2] < 8:
        return ended(3)(head)
    if head[2] in (10, 11, 97):
        return counted(5)(head)
    return counted(3, 1)(head)


def cut(head: bytes) -> int | None:
    """GS V m: 0, 1, 48, 49; or with a feed n: 65, 66, 97, 98, 103, 104."""
    if len(head) < 3:
        return None
    return 4 if head[2] in (65, 66, 97, 98, 103, 104) else 3


def counter(head: bytes) -> int | None:
    """GS C ; sa ; sb ; sn ; sr ; sc ; as text: the sixth semicolon ends it."""
    at = 2
    for _ in range(6):
        at = head.find(0x3B, at, 40) + 1
        if at == 0:
            return None if len(head) < 40 else 3
    return at


def windows_bitmap(head: bytes) -> int | None:
    """GS D m fn a kc1 kc2 b c, then a BMP file whose own header says how long it is."""
    if len(head) < 15:
        return None
    return 9 + max(6, int.from_bytes(head[11:15], "little")) if head[9:11] == b"BM" else 3


def bare_or_flag(head: bytes) -> int | None:
    """ESC 4, ESC 5: nothing follows as ESC/P has it, or one byte 0 or 1 with some vendors."""
    if len(head) < 3:
        return None
    return 3 if head[2] < 2 else 2


def status_request(head: bytes) -> int | None:
    """DLE EOT n; for n 7, 8 and 18 one more byte."""
    if len(head) < 3:
        return None
    return 4 if head[2] in (7, 8, 18) else 3


# ---------------------------------------------------------------------------------------------- which function


def _v(
    name: str,
    size: int | Measure,
    effect: Effect,
    source: str,
    at: int,
    functions: dict[int, Command],
    answer: Answer | None = None,
) -> Command:
    """A row whose function code is the byte at `at`; codes that `functions` does not list are the row itself."""
    return Command(
        name, size, effect, source, answer, at + 1, lambda head: functions.get(head[at]) if len(head) > at else None
    )


FUNCTIONS: list[Command] = []  # the rows that a function code chooses


def _f(name: str, effect: Effect, source: str, answer: Answer | None = None) -> Command:
    FUNCTIONS.append(Command(name, 0, effect, source, answer))
    return FUNCTIONS[-1]


def _both(functions: dict[int, Command]) -> dict[int, Command]:
    """Function codes 0..9 are written as the digits too (48..57)."""
    return functions | {code + 48: function for code, function in functions.items() if code < 10}


_GRAPHICS = _both(
    {
        0: _f("graphics_capacity", QUERY, "GS ( L fn 0/48: NV capacity", Answer.BLOCK),
        1: _f("graphics_density", STATE, "GS ( L fn 1/49: reference density"),
        2: _f("graphics_print", PRINTS, "GS ( L fn 2/50: print what was stored by fn 112 or 113"),
        3: _f("graphics_remaining", QUERY, "GS ( L fn 3/51: remaining NV memory", Answer.BLOCK),
        4: _f("graphics_download_remaining", QUERY, "GS ( L fn 4/52: remaining RAM", Answer.BLOCK),
        64: _f("graphics_nv_list", QUERY, "GS ( L fn 64: keys of the NV graphics", Answer.BLOCK),
        65: _f("graphics_nv_clear", STORES, "GS ( L fn 65"),
        66: _f("graphics_nv_delete", STORES, "GS ( L fn 66"),
        67: _f("graphics_nv_store", STORES, "GS ( L fn 67: raster to NV"),
        68: _f("graphics_nv_store", STORES, "GS ( L fn 68: columns to NV"),
        69: _f("graphics_nv_print", PRINTS | FEEDS, "GS ( L fn 69"),
        80: _f("graphics_list", QUERY, "GS ( L fn 80: keys of the RAM graphics", Answer.BLOCK),
        81: _f("graphics_clear", STORES, "GS ( L fn 81"),
        82: _f("graphics_delete", STORES, "GS ( L fn 82"),
        83: _f("graphics_define", STORES, "GS ( L fn 83: raster to RAM"),
        84: _f("graphics_define", STORES, "GS ( L fn 84: columns to RAM"),
        85: _f("graphics_defined_print", PRINTS | FEEDS, "GS ( L fn 85"),
        112: _f("graphics_raster", PRINTS, "GS ( L fn 112: raster to the print buffer"),
        113: _f("graphics_columns", PRINTS, "GS ( L fn 113: columns to the print buffer"),
    }
)
_SYMBOL = {
    80: _f("symbol_store", PRINTS, "GS ( k fn 80/180/280…: the symbol's data"),
    81: _f("symbol_print", PRINTS | FEEDS, "GS ( k fn 81/181/281…: print it"),
    82: _f("symbol_size", QUERY, "GS ( k fn 82/182/282…: how large it would be", Answer.BLOCK),
}
_SETUP = {
    1: _f("setup_enter", QUERY | STORES, "GS ( E fn 1: enter user setting mode", Answer.BLOCK),
    4: _f("setup_ask", QUERY, "GS ( E fn 4: memory switches", Answer.BLOCK),
    6: _f("setup_ask", QUERY, "GS ( E fn 6: customised values", Answer.BLOCK),
    12: _f("setup_ask", QUERY, "GS ( E fn 12: serial interface", Answer.BLOCK),
    14: _f("setup_ask", QUERY, "GS ( E fn 14: Bluetooth", Answer.BLOCK),
    16: _f("setup_ask", QUERY, "GS ( E fn 16: USB", Answer.BLOCK),
    50: _f("setup_ask", QUERY, "GS ( E fn 50: paper layout", Answer.BLOCK),
    52: _f("setup_ask", QUERY, "GS ( E fn 52: control label", Answer.BLOCK),
    100: _f("setup_ask", QUERY, "GS ( E fn 100: internal buzzer", Answer.BLOCK),
}
_USER_MEMORY = _both(
    {
        2: _f("user_memory_ask", QUERY, "GS ( C fn 2/50", Answer.BLOCK),
        3: _f("user_memory_ask", QUERY, "GS ( C fn 3/51", Answer.BLOCK),
        4: _f("user_memory_ask", QUERY, "GS ( C fn 4/52", Answer.BLOCK),
    }
)
_PROCESS_ID = _both(
    {0: _f("process_id", QUERY, "GS ( H fn 0/48: answers the id once all before it is printed", Answer.BLOCK)}
)
_ID_BYTE = {n: _f("printer_id", QUERY, "GS I n: 1 to 3, one byte", Answer.BYTE) for n in (1, 2, 3, 49, 50, 51)}
_BUZZER_OR_PULSE = {0x61: _f("buzzer", PULSES, "ESC ( A fn 97: sound the buzzer")}
_REALTIME_DC4 = {
    1: ("realtime_pulse", 5, REALTIME | PULSES, "DLE DC4 1 m t: drawer, at once", None),
    2: ("realtime_power_off", 5, REALTIME, "DLE DC4 2 a b: power off", None),
    3: ("realtime_buzzer", 8, REALTIME, "DLE DC4 3 a n r t1 t2: buzzer", None),
    7: ("realtime_block", 4, REALTIME | QUERY, "DLE DC4 7 m: status block", Answer.REALTIME_BLOCK),
    8: ("realtime_clear", 10, REALTIME, "DLE DC4 8 d1..d7: clear the buffers", None),
}

# ---------------------------------------------------------------------------------------------- ESC/POS

_c = Command

ESCPOS: dict[bytes, Command] = {
    b"\x00": _c("null", 1, NONE, "NUL: padding"),
    b"\t": _c("tab", 1, MOVES, "HT"),
    b"\n": _c("line_feed", 1, PRINTS | FEEDS, "LF"),
    b"\x0b": _c("vertical_tab", 1, PRINTS | FEEDS, "VT (vendor)"),
    b"\x0c": _c("form_feed", 1, PRINTS | FEEDS, "FF: page mode: print and leave"),
    b"\r": _c("carriage_return", 1, PRINTS, "CR"),
    b"\x18": _c("cancel", 1, PAGE, "CAN: page mode: drop the data"),
    # real-time
    b"\x10\x04": _c("realtime_status", status_request, REALTIME | QUERY, "DLE EOT n [a]", Answer.REALTIME),
    b"\x10\x05": _c("realtime_request", 3, REALTIME, "DLE ENQ n: recover, or as if FEED was pressed"),
    **{bytes([0x10, 0x14, fn]): _c(*row) for fn, row in _REALTIME_DC4.items()},
    # ESC
    b"\x1b\x07": _c("beep", 4, NONE, "ESC BEL n t (vendor)"),
    b"\x1b\x0c": _c("page_print", 2, PRINTS, "ESC FF: print the page, stay in page mode"),
    b"\x1b ": _c("character_space", 3, STATE, "ESC SP n"),
    b"\x1b!": _c("print_mode", 3, STATE, "ESC ! n"),
    b"\x1b$": _c("position", 4, MOVES, "ESC $ nL nH"),
    b"\x1b%": _c("user_characters", 3, STATE, "ESC % n"),
    b"\x1b&": _c("define_characters", 0, STATE | STORES, "ESC & y c1 c2 [x d1..d(y*x)]…"),
    b"\x1b(": _c("escape_function", counted(3), STATE, "ESC ( fn pL pH …"),
    b"\x1b(A": _v("buzzer_settings", counted(3), STATE, "ESC ( A pL pH fn …", 5, _BUZZER_OR_PULSE),
    b"\x1b*": _c("column_image", column_image, PRINTS, "ESC * m nL nH d1..dk"),
    b"\x1b-": _c("underline", 3, STATE, "ESC - n"),
    b"\x1b0": _c("line_spacing_eighth", 2, STATE, "ESC 0 (vendor)"),
    b"\x1b1": _c("line_spacing_seven", 2, STATE, "ESC 1 (vendor)"),
    b"\x1b2": _c("line_spacing_default", 2, STATE, "ESC 2"),
    b"\x1b3": _c("line_spacing", 3, STATE, "ESC 3 n"),
    b"\x1b4": _c("italic", bare_or_flag, STATE, "ESC 4 [n] (ESC/P; vendors add n)"),
    b"\x1b5": _c("italic_off", bare_or_flag, STATE, "ESC 5 [n] (ESC/P; vendors add n)"),
    b"\x1b7": _c("heating", 5, STATE, "ESC 7 n1 n2 n3 (vendor)"),
    b"\x1b8": _c("sleep", 3, STATE, "ESC 8 n (vendor)"),
    b"\x1b9": _c("encoding", 3, STATE, "ESC 9 n (vendor): 0 GBK, 1 UTF-8, 3 Big5"),
    b"\x1b<": _c("home", 2, NONE, "ESC <"),
    b"\x1b=": _c("peripheral", 3, STATE, "ESC = n: printer, or the customer display behind it"),
    b"\x1b?": _c("cancel_characters", 3, STATE, "ESC ? n"),
    b"\x1b@": _c("initialise", 2, INIT, "ESC @"),
    b"\x1bA": _c("line_spacing_vendor", 3, STATE, "ESC A n (vendor)"),
    b"\x1bB": _c("beep", 4, NONE, "ESC B n t (vendor)"),
    b"\x1bC": _c("beep", 5, NONE, "ESC C m t n (vendor)"),
    b"\x1bD": _c("tab_stops", tab_stops, STATE, "ESC D n1..nk NUL"),
    b"\x1bE": _c("bold", 3, STATE, "ESC E n"),
    b"\x1bF": _c("slip_eject", 3, STATE, "ESC F n"),
    b"\x1bG": _c("double_strike", 3, STATE, "ESC G n"),
    b"\x1bJ": _c("feed_dots", 3, PRINTS | FEEDS, "ESC J n"),
    b"\x1bK": _c("feed_back_dots", 3, PRINTS | FEEDS, "ESC K n"),
    b"\x1bL": _c("page_mode", 2, PAGE, "ESC L"),
    b"\x1bM": _c("font", 3, STATE, "ESC M n"),
    b"\x1bR": _c("international", 3, STATE, "ESC R n"),
    b"\x1bS": _c("standard_mode", 2, PAGE, "ESC S"),
    b"\x1bT": _c("page_direction", 3, PAGE, "ESC T n"),
    b"\x1bU": _c("one_way", 3, STATE, "ESC U n"),
    b"\x1bV": _c("rotate", 3, STATE, "ESC V n"),
    b"\x1bW": _c("page_area", 10, PAGE, "ESC W xL xH yL yH dxL dxH dyL dyH"),
    b"\x1bZ": _c("vendor_symbol", counted(5), PRINTS | FEEDS, "ESC Z m n k dL dH d1..dn (vendor): 2-D code"),
    b"\x1b\\": _c("position_relative", 4, MOVES, "ESC \\ nL nH"),
    b"\x1ba": _c("align", 3, STATE, "ESC a n"),
    b"\x1bc": _c("paper_setting", 4, STATE, "ESC c 0, 1, 3, 4, 5, 6 n"),
    b"\x1bd": _c("feed_lines", 3, PRINTS | FEEDS, "ESC d n"),
    b"\x1be": _c("feed_back_lines", 3, PRINTS | FEEDS, "ESC e n"),
    b"\x1bf": _c("slip_wait", 4, STATE, "ESC f t1 t2"),
    b"\x1bi": _c("cut_full", 2, CUTS, "ESC i"),
    b"\x1bm": _c("cut_partial", 2, CUTS, "ESC m"),
    b"\x1bp": _c("pulse", 5, PULSES, "ESC p m t1 t2"),
    b"\x1bq": _c("slip_release", 2, NONE, "ESC q"),
    b"\x1br": _c("colour", 3, STATE, "ESC r n"),
    b"\x1bt": _c("code_page", 3, STATE, "ESC t n"),
    b"\x1bu": _c("ask_drawer", 3, QUERY, "ESC u n", Answer.BYTE),
    b"\x1bv": _c("ask_paper", 2, QUERY, "ESC v", Answer.BYTE),
    b"\x1bw": _c("vendor_w", 3, STATE, "ESC w n (vendor)"),
    b"\x1bx": _c("quality", 3, STATE, "ESC x n (vendor)"),
    b"\x1b{": _c("upside_down", 3, STATE, "ESC { n"),
    # FS
    b"\x1c!": _c("kanji_print_mode", 3, STATE, "FS ! n"),
    b"\x1c&": _c("kanji_on", 2, STATE, "FS &"),
    b"\x1c(": _c("kanji_function", counted(3), STATE, "FS ( fn pL pH …"),
    b"\x1c(E": _c("print_control", counted(3), STATE, "FS ( E pL pH … : top and bottom logos"),
    b"\x1c(L": _c("label", counted(3), FEEDS, "FS ( L pL pH … : label and black mark"),
    b"\x1c(e": _c("status_option", counted(3), STATE, "FS ( e pL pH … : optional status back"),
    b"\x1c-": _c("kanji_underline", 3, STATE, "FS - n"),
    b"\x1c.": _c("kanji_off", 2, STATE, "FS ."),
    b"\x1c2": _c("define_kanji", 76, STATE | STORES, "FS 2 c1 c2 d1..d72"),
    b"\x1c?": _c("cancel_kanji", 4, STATE, "FS ? c1 c2"),
    b"\x1cC": _c("kanji_code", 3, STATE, "FS C n: 0 JIS, 1 and 2 Shift JIS"),
    b"\x1cL": _c("vendor_label", 3, FEEDS, "FS L n (vendor)"),
    b"\x1cS": _c("kanji_space", 4, STATE, "FS S n1 n2"),
    b"\x1cW": _c("kanji_quadruple", 3, STATE, "FS W n"),
    b"\x1cg1": _c("write_user_memory", counted(8), STORES, "FS g 1 m a1..a4 nL nH d1..dk"),
    b"\x1cg2": _c("read_user_memory", 10, QUERY, "FS g 2 m a1..a4 nL nH", Answer.BLOCK),
    b"\x1cp": _c("nv_image", 4, PRINTS | FEEDS, "FS p n m"),
    b"\x1cq": _c("define_nv_images", 0, STORES, "FS q n [xL xH yL yH d1..dk]…"),
    # GS
    b"\x1d!": _c("size", 3, STATE, "GS ! n"),
    b"\x1d#": _c("nv_image_size", 4, STATE, "GS # (vendor)"),
    b"\x1d$": _c("page_vertical", 4, PAGE, "GS $ nL nH"),
    b"\x1d(": _c("function", counted(3), STATE, "GS ( fn pL pH …"),
    b"\x1d(A": _c("test_print", counted(3), PRINTS | FEEDS | CUTS, "GS ( A pL pH n m: self test"),
    b"\x1d(C": _v("user_memory", counted(3), STORES, "GS ( C pL pH m fn b …", 6, _USER_MEMORY),
    b"\x1d(D": _c("realtime_enable", counted(3), STATE, "GS ( D pL pH m [a b]…: real-time commands on or off"),
    b"\x1d(E": _v("setup", counted(3), STORES, "GS ( E pL pH fn …: user setup", 5, _SETUP),
    b"\x1d(F": _c("label_position", counted(3), STATE, "GS ( F pL pH a m nL nH"),
    b"\x1d(G": _c("label_control", counted(3), FEEDS, "GS ( G pL pH fn …"),
    b"\x1d(H": _v("request", counted(3), STATE, "GS ( H pL pH fn m …", 5, _PROCESS_ID),
    b"\x1d(K": _c("print_control", counted(3), STATE, "GS ( K pL pH fn m …"),
    b"\x1d(L": _v("graphics", counted(3), STATE, "GS ( L pL pH m fn …", 6, _GRAPHICS),
    b"\x1d(M": _c("customise", counted(3), STORES, "GS ( M pL pH fn …"),
    b"\x1d(N": _c("colour_layer", counted(3), STATE, "GS ( N pL pH fn m …"),
    b"\x1d(P": _c("page_function", counted(3), PAGE, "GS ( P pL pH fn …"),
    b"\x1d(Q": _c("page_draw", counted(3), PRINTS, "GS ( Q pL pH fn …: lines and boxes in page mode"),
    b"\x1d(V": _c("cut_function", counted(3), CUTS, "GS ( V pL pH fn m …"),
    b"\x1d(k": _v("symbol_settings", counted(3), STATE, "GS ( k pL pH cn fn …", 6, _SYMBOL),
    b"\x1d(z": _c("expand_tabs", counted(3), STATE, "GS ( z pL pH …"),
    b"\x1d*": _c(
        "define_image", lambda head: 4 + head[2] * head[3] * 8 if len(head) > 3 else None, STORES, "GS * x y d1..dk"
    ),
    b"\x1d/": _c("print_image", 3, PRINTS | FEEDS, "GS / m"),
    b"\x1d0": _c("vendor_graphics", 3, STATE, "GS 0 (vendor)"),
    b"\x1d8L": _v("graphics", counted(3, 4), STATE, "GS 8 L p1..p4 m fn …", 8, _GRAPHICS),
    b"\x1d:": _c("macro_mark", 2, STATE, "GS :"),
    b"\x1dA": _c("feed_adjust", 4, STATE, "GS A m n (label)"),
    b"\x1dB": _c("inverse", 3, STATE, "GS B n"),
    b"\x1dC0": _c("counter_format", 5, STATE, "GS C 0 n m"),
    b"\x1dC1": _c("counter_mode", 9, STATE, "GS C 1 aL aH bL bH n r"),
    b"\x1dC2": _c("counter_value", 5, STATE, "GS C 2 nL nH"),
    b"\x1dC\x00": _c("counter_format", 5, STATE, "GS C 0 n m"),
    b"\x1dC\x01": _c("counter_mode", 9, STATE, "GS C 1 aL aH bL bH n r"),
    b"\x1dC\x02": _c("counter_value", 5, STATE, "GS C 2 nL nH"),
    b"\x1dC;": _c("counter_text", counter, STATE, "GS C ; sa ; sb ; sn ; sr ; sc ;"),
    b"\x1dD": _c("windows_bitmap", windows_bitmap, STORES, "GS D m fn a kc1 kc2 b c BMP"),
    b"\x1dE": _c("speed", 3, STATE, "GS E n (vendor)"),
    b"\x1dF": _c("slip_pages", 2, NONE, "GS F"),
    b"\x1dG": _c("slip_setting", 3, STATE, "GS G n"),
    b"\x1dH": _c("barcode_text", 3, STATE, "GS H n"),
    b"\x1dI": _v("printer_info", 3, QUERY, "GS I n", 2, _ID_BYTE, Answer.BLOCK),
    b"\x1dL": _c("left_margin", 4, STATE, "GS L nL nH"),
    b"\x1dP": _c("motion_units", 4, STATE, "GS P x y"),
    b"\x1dQ0": _c("variable_image", product(4), PRINTS | FEEDS, "GS Q 0 m xL xH yL yH d1..dk"),
    b"\x1dQ\x00": _c("variable_image", product(4), PRINTS | FEEDS, "GS Q 0 m xL xH yL yH d1..dk"),
    b"\x1dS": _c("paper_sensor", 3, STATE, "GS S n (vendor)"),
    b"\x1dT": _c("line_start", 3, MOVES, "GS T n"),
    b"\x1dV": _c("cut", cut, CUTS, "GS V m [n]"),
    b"\x1dW": _c("area_width", 4, STATE, "GS W nL nH"),
    b"\x1dZ": _c("vendor_symbol_kind", 3, STATE, "GS Z n (vendor): kind of 2-D code for ESC Z"),
    b"\x1d\\": _c("page_vertical_relative", 4, PAGE, "GS \\ nL nH"),
    b"\x1d\x0c": _c("label_feed", 2, FEEDS, "GS FF"),
    b"\x1d\x05": _c("ask_status", 2, REALTIME | QUERY, "GS ENQ (vendor)", Answer.REALTIME),
    b"\x1d^": _c("macro_run", 5, PRINTS, "GS ^ r t m"),
    b"\x1da": _c("status_back", 3, STATE | QUERY, "GS a n", Answer.ASB),
    b"\x1db": _c("smoothing", 3, STATE, "GS b n"),
    b"\x1dc": _c("counter_print", 2, PRINTS, "GS c"),
    b"\x1df": _c("barcode_font", 3, STATE, "GS f n"),
    b"\x1dg0": _c("maintenance_reset", 6, STORES, "GS g 0 m nL nH"),
    b"\x1dg2": _c("maintenance_ask", 6, QUERY, "GS g 2 m nL nH", Answer.BLOCK),
    b"\x1dh": _c("barcode_height", 3, STATE, "GS h n"),
    b"\x1dj": _c("ink_status_back", 3, STATE | QUERY, "GS j n", Answer.ASB),
    b"\x1dk": _c("barcode", barcode, PRINTS | FEEDS, "GS k m …: function A ends with NUL, B is counted"),
    b"\x1dr": _c("ask_status", 3, QUERY, "GS r n", Answer.BYTE),
    b"\x1dv0": _c("raster", product(4), PRINTS | FEEDS, "GS v 0 m xL xH yL yH d1..dk"),
    b"\x1dw": _c("barcode_width", 3, STATE, "GS w n"),
    b"\x1dx": _c("barcode_left", 3, STATE, "GS x n (vendor)"),
    b"\x1dz0": _c("online_recovery", 5, STATE, "GS z 0 t1 t2"),
    # DC2, US: printers of Seiko, and of the small thermal mechanisms
    b"\x12#": _c("density", 3, STATE, "DC2 # n (vendor)"),
    b"\x12*": _c(
        "vendor_raster",
        lambda head: 4 + head[2] * head[3] if len(head) > 3 else None,
        PRINTS | FEEDS,
        "DC2 * r n d1..dk (vendor)",
    ),
    b"\x12T": _c("test_print", 2, PRINTS | FEEDS, "DC2 T (vendor): self test"),
    b"\x12V": _c(
        "vendor_bitmap",
        lambda head: 4 + 48 * (head[2] + 256 * head[3]) if len(head) > 3 else None,
        PRINTS | FEEDS,
        "DC2 V nL nH d1..dk (vendor)",
    ),
    b"\x12q": _c("status_back", 3, STATE | QUERY, "DC2 q n (Seiko)", Answer.ASB),
    b"\x1f(": _c("vendor_function", counted(3), STATE, "US ( fn pL pH … (vendor)"),
}
