"""Tell a job's encoding from its bytes, where no command says it or what the command says cannot be. Pure.

Double-byte: which standard's everyday characters do the pairs hit. Single-byte: do accented letters stand among letters
of their own script and case. Evidence only: nothing is known of any shop or language beforehand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log2

from receipt.codepages import MULTIBYTE, decode

# The characters that everyday text and receipts use most, per writing: a right reading hits them, a wrong one does not.
_EVERYDAY: dict[str, frozenset[str]] = {
    "gb18030": frozenset(
        "的一是在不有人这中大国上个们到说时地出要以年可会生自后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小"
        "部其些主样理心本前开但因只从想实日者意无力与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应向头文体"
        "美相见利二等产或新制身果加西月话合回特代内信表化老给世位次度门任常先海通教原东提立及比员解水名真处走各入几口认条平系气题活更"
        "别打女变四总何电数安少报结反受目太量再建务做接必场件计管期市直资命山金指许统区保至形社便空决展马科司五基书非听白界达光放强即"
        "完设式色路记南品住告类求据程北边张该交规万取格望领共确传清今切院让候带导运单号台桌收银元价额税付款找零优惠券积址谢临欢迎折扣"
        "微支宝卡备注卖堂食包餐店超商粉面饭鸡牛肉菜酒茶汤鱼豆花油米"
    ),
    "big5": frozenset(
        "的一是在不有人這中大國上個們到說時地出要以年可會生自後作用道行所然家種事成方多經去法學如都同現當沒動面起看定天分還進好小部其"
        "主樣理心本前開但因只從想實日者意無力與長機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應向頭文體美相見利"
        "二等產或新制身果加西月話合回特代內信表化老給世位次度門任常先海通教原東提立及比員解水名真處走各入幾口認條平系氣題活更別打女變"
        "四總何電數安少報結反受目太量再建務做接必場件計管期市直資命山金指許統區保至形社便空決展馬科司五基書非聽白界達光放強即完設式色"
        "路記南品住告類求據程北邊張該交規萬取格望領共確傳清今切院讓候帶導運單號台桌收銀元價額稅付款找零優惠券積址謝臨歡迎折扣卡備註外"
        "帶編票發店超商粉飯雞牛肉菜酒茶湯魚豆花油米"
    ),
    "cp949": frozenset(
        "이다는을의에가한고사하지로리기를시대자인도어은나들그일스해정부제라아수장보원전과만동상안게서합계금액카드현영증세물품량단총점호번매"
        "출승표업주소화할맥음료면김치국밥찌개볶고구마감합니다신받거름돈포트비용식육닭고생선채과우유주류용문날짜간결"
    ),
    "cp932": frozenset(
        "円税合計小消費点月日年時分店電話番号預釣現金商品数量単価領収書内外対象様上下大中人一二三四五六七八九十東京都区市町丁目お釣り買"
        "会員値引割支払担当責任者注文席名台食軽減利用明細本国屋酒肉魚野菜米茶水"
    ),
}
_KANA = re.compile("[ぁ-ゖァ-ヺー]")
_REPEATED = re.compile(rb"([\x80-\xff])\1{2,}")

# Pages tried where nothing is selected, the likelier first; earlier ones win ties.
_SINGLE = (
    "cp437",
    "cp1252",
    "cp858",
    "cp866",
    "cp1251",
    "cp737",
    "cp857",
    "cp852",
    "cp1253",
    "cp1254",
    "cp1250",
    "koi8_r",
    "cp860",
    "cp862",
    "cp874",
    "iso8859_5",
)

_LATIN = "À-ÖØ-öø-ɏ"
_ODD = re.compile(
    # what a wrong page makes: two scripts in a word, frames or signs among letters, controls, nothing at all
    rf"[A-Za-z{_LATIN}][\u0370-\u06ff\u0e00-\u0e7f\u2320-\u259f\uff61-\uff9f⌐¬]"
    rf"|[\u0370-\u06ff\u0e00-\u0e7f\u2320-\u259f\uff61-\uff9f⌐¬][A-Za-z{_LATIN}]"
    r"|[\u0370-\u03ff][\u0400-\u06ff\u2320-\u259f]|[\u0400-\u06ff\u2320-\u259f][\u0370-\u03ff]"
    r"|[\u0400-\u06ff][\u2320-\u259f]|[\u2320-\u259f][\u0400-\u06ff]"
    rf"|[a-zß-öø-ÿ][À-ÖØ-Þ]|[¡-¿×÷ƒ]{{2}}|[¡-©«-¿×÷][{_LATIN}]|[{_LATIN}][¡-©«-¹»-¿×÷]"
    rf"|([^\W\d_a-zA-Z])\1\1|(?<!\S)[ßþðÐÞşŞÿºª¶§¤](?!\S)"
    r"|[À-ÖØ-Þ]{4}"  # Greek and Russian capitals
    r"|äo(?![a-z])|öes(?![a-z])|çä"  # Portuguese of code page 860 in another one
    r"|[A-Za-z][№±≡≥≤⌠⌡÷≈∙√ⁿ](?=[a-z])"
    r"|[{}|\\~][À-ÿ]|[À-ÿ][{}|\\~]|[\x80-\x9f\ufffd]|[\ue000-\uf8ff]"
)
_GOOD = re.compile(
    rf"(?P<latin>(?<=[a-zß-ÿ])[ß-öø-ÿāčďēěęğģīıłńňőœřśşšťūůűźżžσςţț](?=[a-zß-ÿ\W])|(?<=[A-ZÀ-Þ])[À-ÖØ-ÞĞİŞŐŰŁŚŻŹČŘŠŽ](?=[A-ZÀ-Þ\W])"
    rf"|(?<![A-Za-z{_LATIN}])[À-ÖØ-ÞİŞŁŚŻŹČŘŠŽß-öø-ÿşšžč](?=[a-zA-Z]))"
    r"|(?P<sign>(?<=[\dnNrR.])[€£¥¢°%ªº](?!\w)|[€£¥](?=\s?\d|/|\s|$)|(?<=\w)[’´](?=\w)|№|[°²³®©–•«»](?=[\W\dA-Z]))"
    r"|(?P<cyrillic>(?<=[а-яё])[а-яё]|(?<=[А-ЯЁ])[А-ЯЁ]|(?<=[А-ЯЁ])[а-яё])"
    r"|(?P<greek>(?<=[α-ωά-ώ])[α-ωά-ώ]|(?<=[Α-ΩΆ-Ώ])[Α-ΩΆ-Ώ]|(?<=[Α-ΩΆ-Ώ])[α-ωά-ώ])"
    r"|(?P<hebrew>[א-ת](?=[א-ת]))|(?P<thai>[ก-๙](?=[ก-๙]))|(?P<kana>[ｦ-ﾟ](?=[ｦ-ﾟ]))"
    r"|(?P<frame>(?<=[─-▟])[─-▟]|[─-▟](?=[─-▟])|(?<!\S)[│║](?!\S))"
)
_WEIGHT = {
    "latin": 2.0,
    "sign": 2.5,
    "cyrillic": 1.5,
    "greek": 1.3,
    "hebrew": 0.6,
    "thai": 0.6,
    "kana": 0.5,
    "frame": 1.2,
}
_TRIPLE = re.compile(r"([^\W\d_a-zA-Z])\1\1")  # no language has them: a rule drawn in another page
# How often letters stand in text, per cent: Russian and Greek look alike in each other's pages but for this.
_PERCENT = (
    (11.0, "оαο"), (8.0, "еаиιετν"), (6.5, "нт"), (5.0, "срвлσηυρπς"), (4.0, "кκμ"), (3.0, "мдпуλίό"),
    (2.0, "яыьгзбδγωάέ"), (1.3, "чйχθφήύ"), (0.9, "хжβ"), (0.6, "шюцξώ"), (0.35, "щэζ"), (0.15, "фъёψ"),
)  # fmt: skip
_SURPRISE = {
    letter: max(-2.0, min(1.0, log2(percent / 3) * 0.6))
    for percent, letters in _PERCENT
    for plain in letters
    for letter in (plain, plain.upper())
}
_COMMON = re.compile("[éèàáíóúñçãõâêôüöäßåæøşıİğÉÑÇÜÖÄÁÍÓÚŞĞ]")


# What is not ASCII, with the letters beside it: plain text between is the same in every page.
_AROUND = re.compile(rb"[ -~]{0,3}(?:[\x80-\xff]+[^\x80-\xff]{0,4})+")


def looks_odd(text: str) -> bool:
    """Whether decoded text shows what a wrong code page leaves behind."""
    return _ODD.search(text) is not None


def single_byte_score(text: str) -> float:
    """How much decoded text looks like words: above zero the more, the surer."""
    score = sum(_WEIGHT[match.lastgroup or "sign"] for match in _GOOD.finditer(text))
    score -= 4.0 * len(_TRIPLE.findall(text))
    counts = Counter(text)
    for letter in counts.keys() & _SURPRISE.keys():
        score += counts[letter] * _SURPRISE[letter]
    return score + 0.2 * len(_COMMON.findall(text)) - 2.5 * len(list(_ODD.finditer(text)))


def recognise_single(runs: Sequence[bytes], pages: Sequence[str] = _SINGLE, head_start: float = 0.3) -> str:
    """The page of `pages` that makes the most words of `runs`; the first has a head start."""
    around = b"\n".join(_AROUND.findall(b"\n".join(runs)[:8000]))
    sample = _REPEATED.sub(rb"\1\1\1", around)[:4000]
    best, best_score = pages[0], single_byte_score(decode(sample, pages[0])) + head_start
    for page in pages[1:]:
        score = single_byte_score(decode(sample, page))
        if score > best_score:
            best, best_score = page, score
    return best


def is_utf8(runs: Iterable[bytes]) -> int:
    """How many characters beyond ASCII the runs hold when all of them are sound UTF-8; 0 when one is not."""
    found = 0
    for run in runs:
        try:
            found += sum(ord(character) > 127 for character in run.decode("utf-8"))
        except UnicodeDecodeError:
            return 0
    return found


def _double_score(runs: Sequence[bytes], encoding: str) -> tuple[float, int]:
    """0..1 for how well pairs of `runs` are everyday characters of `encoding`, and how many pairs there are."""
    good = hits = count = bad = 0.0
    seen: Counter[str] = Counter()
    for run in runs:
        try:
            text = run.decode(encoding)
        except UnicodeDecodeError as error:
            # One broken run (a cut name, a stray byte) speaks against it, but does not decide.
            bad += 3
            text = run[: error.start].decode(encoding, "replace")
        seen.update(text)
    for character, times in seen.items():
        if character < "\x80":
            continue
        weight = min(times, 4)
        share, first, everyday = _evidence(character, encoding)
        count += weight * share
        good += weight * first
        hits += weight * everyday
    if not count:
        return 0.0, 0
    return max(0.0, 0.5 * good / count + 0.5 * min(hits / count / 0.3, 1.0) - bad / (count + bad)), int(count)


@lru_cache(8192)
def _evidence(character: str, encoding: str) -> tuple[float, float, int]:
    """(how much of a pair it is, how much of one from the everyday part of its standard, whether it is everyday)."""
    point = ord(character)
    if 0xFF61 <= point <= 0xFF9F:
        return 0.5, 0.15, 0
    raw = character.encode(encoding, "replace")
    if len(raw) == 2 and raw[0] == raw[1]:
        return 0, 0, 0  # CD CD, C4 C4: frames drawn with a single-byte page
    if point in range(0x2010, 0x3020) or point >= 0xFF00 or point < 0x2010:
        return 0, 0, 0  # signs stand at the same places in several standards: no evidence
    everyday = character in _EVERYDAY[encoding] or (encoding == "cp932" and _KANA.match(character) is not None)
    return 1, int(_first_level(raw, encoding)), int(everyday)


def _first_level(raw: bytes, encoding: str) -> bool:
    """Whether the pair is in the part of its standard that holds the everyday characters."""
    if len(raw) != 2:
        return False
    lead, trail = raw
    if encoding == "gb18030":
        return 0xB0 <= lead <= 0xD7 and trail >= 0xA1
    if encoding == "big5":
        return 0xA4 <= lead <= 0xC6
    if encoding == "cp949":
        return 0xB0 <= lead <= 0xC8 and trail >= 0xA1
    return 0x82 <= lead <= 0x83 or 0x88 <= lead <= 0x97


def recognise_double(runs: Sequence[bytes], least: float, default: str | None, fewest: int = 1) -> str | None:
    """The double-byte encoding that scores above `least` over `fewest` pairs or more; else `default`."""
    best, best_score = default, least
    for encoding in MULTIBYTE:
        score, count = _double_score(runs, encoding)
        if count >= fewest and score > best_score:
            best, best_score = encoding, score
    return best


def double_strength(runs: Sequence[bytes], encoding: str) -> tuple[float, int]:
    """The score 0..1 of one double-byte encoding, and over how many pairs."""
    return _double_score(runs, encoding)


def everyday_share(runs: Sequence[bytes], encoding: str) -> float:
    """How many of the characters beyond ASCII are everyday ones, 0..1."""
    text = "".join(decode(run, encoding) for run in runs)
    beyond = [character for character in text if character > "\x7f"]
    everyday = _EVERYDAY[encoding]
    return sum(character in everyday or _KANA.match(character) is not None for character in beyond) / max(
        len(beyond), 1
    )
