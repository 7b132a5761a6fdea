"""Which characters the bytes 80h to FFh are: the printers' code page numbers, and Python's codecs for them. Pure data.

Sources: the code page tables of Epson's ESC/POS reference (ESC t n), Star's (ESC GS t n), and the printer profiles of
the receipt-print-hq capability database, as facts. Numbers that makers use differently are told apart by `Profile`.
"""

from __future__ import annotations

import codecs

# ESC t n, as Epson counts them; where Epson leaves a number free, what the others who use it print.
ESCPOS_PAGES: dict[int, str] = {
    0: "cp437",
    1: "katakana",
    2: "cp850",
    3: "cp860",
    4: "cp863",
    5: "cp865",
    6: "cp1251",
    7: "cp866",
    8: "cp857",
    9: "cp852",
    10: "cp862",
    11: "cp851",
    12: "cp853",
    13: "cp857",
    14: "cp737",
    15: "iso8859-7",
    16: "cp1252",
    17: "cp866",
    18: "cp852",
    19: "cp858",
    20: "cp874",
    21: "cp874",
    22: "cp874",
    23: "cp874",
    24: "cp874",
    25: "cp874",
    26: "cp874",
    27: "cp1258",
    28: "cp864",
    29: "cp857",
    30: "tcvn-3-1",
    31: "tcvn-3-2",
    32: "cp720",
    33: "cp775",
    34: "cp855",
    35: "cp861",
    36: "cp862",
    37: "cp864",
    38: "cp869",
    39: "iso8859-2",
    40: "iso8859-15",
    41: "cp1098",
    42: "cp774",
    43: "cp772",
    44: "cp1125",
    45: "cp1250",
    46: "cp1251",
    47: "cp1253",
    48: "cp1254",
    49: "cp1255",
    50: "cp1256",
    51: "cp1257",
    52: "cp1258",
    53: "kz1048",
    # the numbers of small thermal mechanisms (Netum, Zjiang, PBM)
    54: "cp852",
    55: "cp860",
    56: "cp861",
    57: "cp863",
    58: "cp865",
    59: "cp866",
    60: "cp855",
    61: "cp857",
    62: "cp862",
    63: "cp864",
    64: "cp737",
    65: "cp851",
    66: "cp869",
    67: "iso8859-7",
    68: "cp772",
    69: "cp774",
    70: "cp874",
    71: "cp1252",
    72: "cp1250",
    73: "cp1251",
    78: "cp3845",
    86: "cp3011",
    87: "cp3012",
    90: "cp1253",
    91: "cp1254",
    92: "cp1256",
    93: "cp720",
    94: "cp1258",
    95: "cp775",
    254: "cp855",
}

# ESC GS t n
STAR_PAGES: dict[int, str] = {
    0: "cp437",
    1: "cp437",
    2: "katakana",
    3: "cp437",
    4: "cp858",
    5: "cp852",
    6: "cp860",
    7: "cp861",
    8: "cp863",
    9: "cp865",
    10: "cp866",
    11: "cp855",
    12: "cp857",
    13: "cp862",
    14: "cp864",
    15: "cp737",
    16: "cp851",
    17: "cp869",
    18: "iso8859-7",
    19: "cp772",
    20: "cp774",
    21: "cp874",
    32: "cp1252",
    33: "cp1250",
    34: "cp1251",
    75: "cp3845",
    76: "cp3011",
    77: "cp3012",
    96: "cp874",
    97: "cp874",
    98: "cp874",
    99: "cp874",
    100: "cp874",
    101: "cp874",
    102: "cp874",
    128: "utf-8",
}

# What else a number means, by maker: tried where the page above reads oddly.
OTHER_PAGES: dict[int, str] = {
    1: "katakana cp437 cp850",
    2: "cp850 cp852",
    3: "cp860 cp437",
    4: "cp863 cp858",
    5: "cp865 cp852",
    6: "cp852 cp1251 cp860 cp858",
    7: "cp866 cp861",
    8: "cp857 cp863 cp1252",
    9: "cp1252 cp852 cp865 cp862",
    10: "cp862 cp866 cp737",
    11: "cp1252 cp866 cp855 cp851 cp874",
    12: "cp866 cp1251 cp857 cp853",
    13: "cp852 cp1254 cp857 cp862",
    14: "cp858 cp1255 cp737 cp864",
    15: "cp1257 cp862 cp737 iso8859-7",
    16: "cp1252 cp851 cp1254",
    17: "cp866 cp1253 cp869 cp1250",
    18: "cp852 cp1250 iso8859-7 cp862",
    19: "cp858 cp772",
    20: "cp774 cp874",
    22: "iso8859-6 cp864 cp874",
    23: "cp864 latin-1 cp720 cp874",
    24: "cp737 cp1256 cp874",
    25: "cp1257 cp874",
    26: "katakana cp874",
    27: "cp1255 cp1258 cp720 cp775",
    28: "cp437 cp864 cp855 cp1257",
    29: "katakana cp857",
    30: "tcvn-3-1 cp437 cp1250",
    31: "tcvn-3-2 cp858 cp775",
    32: "cp852 cp1255 cp1254 cp1252 cp720",
    33: "cp860 cp720 cp1255 cp1250 cp775",
    34: "cp861 cp1256 cp855 cp1251",
    35: "cp863 cp1257 cp1258 cp861",
    36: "cp865 iso8859-2 cp862",
    37: "cp866 cp864 iso8859-3",
    38: "cp855 iso8859-4 cp869",
    39: "cp857 iso8859-5 iso8859-2",
    40: "cp864 cp862 iso8859-6 iso8859-15",
    41: "cp864 iso8859-7",
    42: "cp737 iso8859-8 cp774",
    43: "cp851 iso8859-9 cp772",
    44: "cp869 iso8859-15 cp1125",
    45: "iso8859-7 cp1250",
    46: "cp772 cp1251 cp856",
    47: "cp774 cp1253 cp874",
    48: "cp874 cp1254",
    49: "cp1252 cp1255",
    50: "cp1250 cp437 cp1256",
    51: "cp1251 cp1257",
    52: "cp437 cp1258",
    53: "cp858 kz1048",
    64: "cp3011 cp737",
    65: "cp3012 cp851",
    68: "cp852 cp772",
    70: "cp1256 cp874",
}

# ESC 9 n of Chinese mechanisms
VENDOR_ENCODINGS: dict[int, str] = {0: "gb18030", 1: "utf-8", 3: "big5"}

# Pages that Python has no codec for, from 80h (A0h where shorter) on; a blank is a place with no character.
_OWN: dict[str, str] = {
    "katakana": "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉┼┴┬┤├¯─│▕┌┐└┘╭╮╰╯ ｡｢｣､･ｦｧｨｩｪｫｬｭｮｯｰｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏ"
    "ﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝﾞﾟ═╞╪╡◢◣◥◤♠♥♦♣●○╱╲╳円年月日時分秒〒市区町村人▓\xa0",
    "cp851": "ÇüéâäàΆçêëèïîΈÄΉΊ ΌôöΎûùΏÖÜά£έήίϊΐόύΑΒΓΔΕΖΗ½ΘΙ«»░▒▓│┤ΚΛΜΝ╣║╗╝ΞΟ┐└┴┬├─┼ΠΡ╚╔╩╦╠═╬Σ"
    "ΤΥΦΧΨΩαβγ┘┌█▄δε▀ζηθικλμνξοπρσςτ\xad±υφχ§ψ΅°¨ωϋΰώ■\xa0",
    "cp853": "ÇüéâäàĉçêëèïîìÄĈÉċĊôöòûùİÖÜĝ£Ĝ×ĵáíóúñÑĞğĤĥ ½Ĵş«»░▒▓│┤ÁÂÀŞ╣║╗╝Żż┐└┴┬├─┼Ŝŝ╚╔╩╦╠═╬¤"
    "  ÊËÈıÍÎÏ┘┌█▄ Ì▀ÓßÔÒĠġµĦħÚÛÙŬŭ·´\xad ℓŉ˘§÷¸°¨˙ ³²■\xa0",
    "cp772": "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмноп░▒▓│┤ĄČĘĖ╣║╗╝ĮŠ┐└┴┬├─┼ŲŪ╚╔╩╦╠═╬Ž"
    "ąčęėįšųūž┘┌█▄▌▐▀рстуфхцчшщъыьэюя≥≤„“÷≈°∙·√ⁿ²■\xa0",
    "cp774": "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤ĄČĘĖ╣║╗╝ĮŠ┐└┴┬├─┼ŲŪ╚╔╩╦╠═╬Ž"
    "ąčęėįšųūž┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤„“÷≈°∙·√ⁿ²■\xa0",
    "oxhoo-european": "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜñÑªº¿áíóú¢£¥₧ƒ¡ÃãÕõØø·¨°`´½¼×÷≤≥«»≠√¯⌠⌡∞◤↵↑↓→←┌┐└┘•®©™†§¶Γ◢Θ         "
    "ß   ε           τ               ",
    "cp3011": "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤Ā╢ņ╕╣║╗╝╜╛┐└┴┬├─┼ā╟╚╔╩╦╠═╬╧"
    "Š╤čČ╘╒ģĪī┘┌█▄ūŪ▀αßΓπΣσµτΦΘΩδ∞φε∩ĒēĢķĶļĻžŽ∙·√Ņš■ ",
    "cp3012": "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмноп░▒▓│┤Ā╢ņ╕╣║╗╝Ō╛┐└┴┬├─┼ā╟╚╔╩╦╠═╬╧"
    "Š╤čČ╘╒ģĪī┘┌█▄ūŪ▀рстуфхцчшщъыьэюяĒēĢķĶļĻžŽ∙·√Ņš■ ",
    "tcvn-3-1": " " * 32
    + "        ăâêôơưđ      àảãáạ ằẳẵắ       ặầẩẫấậè ẻẽéẹềểễếệìỉ   ĩíịò ỏõóọồổỗốộờởỡớợù ủũúụừửữứựỳỷỹýỵ ",
    "tcvn-3-2": " " * 32
    + " ĂÂ    Ð  ÊÔƠƯ       ÀẢÃÁẠ ẰẲẴẮ       ẶẦẨẪẤẬÈ ẺẼÉẸỀỂỄẾỆÌỈ   ĨÍỊÒ ỎÕÓỌỒỔỖỐỘỜỞỠỚỢÙ ỦŨÚỤỪỬỮỨỰỲỶỸÝỴ ",
}
_TABLES = {name: "".join(map(chr, range(128))) + upper for name, upper in _OWN.items() if len(upper) == 128}

# ESC R n: the characters that stand in for  # $ @ [ \ ] ^ ` { | } ~
_REPLACED = "#$@[\\]^`{|}~"
_NATIONAL: dict[int, str] = {
    1: "#$à°ç§^`éùè¨",  # France
    2: "#$§ÄÖÜ^`äöüß",  # Germany
    3: "£$@[\\]^`{|}~",  # United Kingdom
    4: "#$@ÆØÅ^`æøå~",  # Denmark I
    5: "#¤ÉÄÖÅÜéäöåü",  # Sweden
    6: "#$@°\\é^ùàòèì",  # Italy
    7: "₧$@¡Ñ¿^`¨ñ}~",  # Spain I
    8: "#$@[¥]^`{|}~",  # Japan
    9: "#¤ÉÆØÅÜéæøåü",  # Norway
    10: "#$ÉÆØÅÜéæøåü",  # Denmark II
    11: "#$á¡Ñ¿é`íñóú",  # Spain II
    12: "#$á¡Ñ¿éüíñóú",  # Latin America
    13: "#$@[₩]^`{|}~",  # Korea
    14: "#$ŽŠĐĆČžšđćč",  # Slovenia, Croatia
    15: "#¥@[\\]^`{|}~",  # China
}
NATIONAL: dict[int, dict[int, str]] = {
    number: {ord(plain): other for plain, other in zip(_REPLACED, others, strict=True) if plain != other}
    for number, others in _NATIONAL.items()
}

MULTIBYTE = ("gb18030", "big5", "cp949", "cp932")


def decode(raw: bytes, page: str) -> str:
    """Characters of `raw`; what the page has no character for is U+FFFD. Never raises."""
    table = _TABLES.get(page)
    if table is not None:
        return codecs.charmap_decode(raw, "replace", table)[0]
    if page == "cp932":
        return raw.decode("cp932", "replace").replace("\\", "¥")  # the Japanese printers' 5Ch is the yen sign
    if page == "cp949":
        return raw.decode("cp949", "replace").replace("\\", "₩")  # and the Korean ones' the won sign
    try:
        return raw.decode(page, "replace")
    except LookupError:  # a page that neither we nor Python know
        return raw.decode("cp437")
