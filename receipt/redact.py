"""Keep card numbers out: mask them in a job's own bytes, all but the last four digits. Pure.

A card number here is 13 to 19 digits that pass the check of ISO/IEC 7812 (Luhn) and begin as an issuer's numbers do, or
stand beside a word for "card". Its digits may be narrow, wide or double-byte, with blanks, dashes, line breaks and any
commands between them. Longer numbers (wallets, fiscal codes) and numbers that a word calls an order's are left alone.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from receipt.commands import TEXT, Command, Effect
from receipt.encoding import slices
from receipt.tokens import LIKE_STAR, Dialect, Scanner

# Digits, blanks and dashes of the double-byte standards: GBK and KS A3B0.., Big5 A2AF.., Shift JIS 824F.., UTF-8
# EFBC90.., seven-bit JIS 2330..; and the stars that take their place.
_WIDE = re.compile(
    rb"\xa3[\xb0-\xb9]|\xa2[\xaf-\xb8]|\x82[\x4f-\x58]|\xef\xbc[\x90-\x99]"
    rb"|\xa1[\xa1\x40]|\x81\x40|\xe3\x80\x80|\xc2\xa0|\xa3\xad|\x81\x7c|\xef\xbc\x8d"
)
_JIS = re.compile(rb"(?:#[0-9]){4,}")
_ZERO = {0xA3: 0xB0, 0xA2: 0xAF, 0x82: 0x4F, 0xEF: 0x90}
_STAR = {0xA3: b"\xa3\xaa", 0xA2: b"\xa1\xaf", 0x82: b"\x81\x96", 0xEF: b"\xef\xbc\x8a", 0x23: b"!v"}
# The shadow of a text: digits, what may stand between them, and x for all that ends a number.
_FILL = 0x01  # the second and third bytes of a wide digit
_HEADS = {"symbol_store": 8, "barcode": 4, "star_barcode": 6, "star_qr_data": 8}  # bytes before their data
_STYLE = b"\x02"  # a command that moves nothing: the digits around it stand side by side
_SHADOW = bytes(byte if byte == _FILL or chr(byte) in "0123456789 -./" else 0x78 for byte in range(256))
_CHAIN = re.compile(rb"[0-9][^x]{12,}")
_GROUP = re.compile(rb"[0-9][0-9\x01\x02]*")
_FILLED = re.compile(rb"[\x01\x02]+")
_PAYLOAD = re.compile(rb"(?<![0-9])(?:[0-9][ -]?){12,18}[0-9](?![0-9])")

_ENCODINGS = (
    "utf-8",
    "gb18030",
    "big5",
    "cp949",
    "cp932",
    "cp866",
    "cp1251",
    "cp737",
    "cp1253",
    "cp850",
    "cp1252",
    "cp857",
)


def _words(text: str) -> re.Pattern[bytes]:
    """Any of the words, in any of the encodings that paper uses; words of up to four letters stand alone."""
    found: list[bytes] = []
    for word in text.split():
        for encoding in _ENCODINGS:
            for form in (word, word.upper(), word.capitalize()):
                try:
                    raw: bytes = re.escape(form.encode(encoding))
                except UnicodeEncodeError:
                    continue
                alone = word.isascii() and len(word) < 5 and word not in ("card", "visa")
                found.append(b"(?<![a-z])" + raw + b"(?![a-z])" if alone else raw)
    found = sorted(set(found))
    found.sort(key=len, reverse=True)
    return re.compile(b"|".join(found), re.IGNORECASE)


_CARD_WORD = _words(
    "card visa master maestro amex american diners discover jcb unionpay rupay troy pan a/c acct account konto compte "
    "credit debit karte carte carta tarjeta cartão cartao kart kredit kredi girocard bancontact "
    "карт κάρτ καρτ 卡 银联 銀聯 カード 카드 신용"
)
_ORDER_WORD = _words(
    "siret siren tva vat gst sst abn nif nipc cif cnpj cpf ust steuer tax kvk ean upc sku tel phone fax инн "
    "order invoice receipt bill trade transaction trans txn trx ref barcode ticket serial fiscal voucher coupon "
    "wechat alipay wallet uuid bestell beleg rechnung commande facture pedido fatura ordine scontrino bon "
    "订单 单号 單號 流水 交易 商户 凭证 小票 发票 發票 票号 支付宝 微信 编号 編號 注文 伝票 番号 "
    "주문 거래 승인 영수증 заказ чек παραγγ"
)
_SHAPES = ((4, 4, 4, 4), (4, 6, 5))  # how cards, and hardly anything else, set their digits
_TRACK = re.compile(rb"[=D][0-9]{7,24}|\^[^^\n]{2,26}\^[0-9]{4,40}")  # on a card's stripe, behind the number
_COLUMN = re.compile(rb"[ \t]{5}")  # so wide a gap parts the columns of a table
_AMOUNT_BEFORE, _AMOUNT_AFTER = re.compile(rb"[0-9][,:'][0-9]"), re.compile(rb"[,:'][0-9]")
_LETTER = re.compile(rb"[A-Za-z]")
_PRICE = re.compile(rb"[0-9][.,][0-9]{2}(?![0-9])")
_SECRET = re.compile(rb"(?i)(?<![a-z])(?:cvv|cvc|cav)2?[ :=.#]{1,4}([0-9]{3,4})(?![0-9a-z])")


def _lengths() -> list[tuple[str, tuple[int, ...]]]:
    """Issuers' first digits, and how long their numbers are. Source: the schemes' own lists (ISO/IEC 7812)."""
    table = (
        ("4", (13, 16, 19)),  # Visa
        ("51 52 53 54 55", (16,)),  # Mastercard
        (" ".join(str(first) for first in range(222, 272)) + " 2720", (16,)),
        ("34 37", (15,)),  # American Express
        ("300 301 302 303 304 305 3095 36 38 39", (14, 16, 17, 18, 19)),  # Diners
        ("1800 2131", (15,)),  # JCB
        (" ".join(str(first) for first in range(3528, 3590)), (16, 17, 18, 19)),
        ("6011 644 645 646 647 648 649 65", (16, 17, 18, 19)),  # Discover
        ("62 81", (16, 17, 18, 19)),  # UnionPay
        ("9558", (16, 19)),
        ("50 56 57 58 63 67", (13, 14, 15, 16, 17, 18, 19)),  # Maestro and the national schemes before it
        ("60 82", (16,)),  # RuPay, Hipercard
        ("2200 2201 2202 2203 2204 2205", (16, 17, 18, 19)),  # Mir, Borica
        ("9792 9860 8600", (16,)),  # Troy, Humo, Uzcard
    )
    return [(first, lengths) for firsts, lengths in table for first in firsts.split()]


_ISSUERS: dict[str, frozenset[int]] = {first: frozenset(lengths) for first, lengths in _lengths()}
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class _Group(NamedTuple):
    """Digits without a break."""

    digits: str
    start: int  # in the shadow
    end: int
    line: int  # which line of the chain
    gap: bytes  # the shadow between this group and the one before


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    odd = sum(map(int, digits[-1::-2]))
    return (odd + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def _issued(digits: str) -> frozenset[int]:
    """How long a card number that begins so may be; empty: no issuer's numbers begin so."""
    return frozenset().union(*(_ISSUERS.get(digits[:size], ()) for size in (1, 2, 3, 4)))


def mask(raw: bytes) -> bytes:
    """The job with every card number masked to its last four digits, and a card's track data and check code wholly.

    Takes   the bytes of one job, of any dialect.
    Gives   as many bytes; where there is no card number, the same ones.
    Raises  nothing. Time is linear in the bytes.
    """
    out = bytearray(raw)
    dialect = _mask_as(raw, Dialect.AUTO, out)
    if dialect is Dialect.ESCPOS and any(sign in raw for sign in LIKE_STAR):
        # Nothing tells the dialects apart, and each hides other digits among its parameters.
        _mask_as(raw, Dialect.STAR, out)
    return bytes(out)


def _mask_as(raw: bytes, dialect: Dialect, out: bytearray) -> Dialect:
    """Mask in `out` what is found in `raw`, read as `dialect`. Gives the dialect that it turned out to be."""
    shadow, text, begins, origins, found = _shadow(raw, dialect, out)
    places = [place for chain in _CHAIN.finditer(shadow) for place in _hidden(chain, shadow, text)]
    for match in _SECRET.finditer(text):
        places += range(*match.span(1))
    for place in places:
        run = bisect_right(begins, place) - 1
        at = origins[run] + place - begins[run]
        star = _STAR.get(raw[at], b"*") if shadow[place + 1 : place + 2] == b"\x01" else b"*"
        out[at : at + len(star)] = star
    return found


def _shadow(raw: bytes, dialect: Dialect, out: bytearray) -> tuple[bytes, bytes, array[int], array[int], Dialect]:
    """The job's text reduced to digits and gaps, the text itself, and where its runs begin, in them and in `raw`.

    Both strings have the same length; a command stands in them as one byte: a line break, or a gap. Numbers in the
    payload of commands (codes, pictures, what a wrong length swallowed) are masked in `out` on the way.
    """
    shadow, text = bytearray(), bytearray()
    begins, origins = array("Q"), array("Q")
    scanner = Scanner(dialect)
    for part in slices(raw):
        for command, start, end in scanner.feed(part):
            if command is TEXT:
                run = raw[start:end]
                begins.append(len(shadow))
                origins.append(start)
                text += run
                if not run.isascii():
                    run = _WIDE.sub(_narrow, run)
                elif b"#" in run:
                    run = _JIS.sub(_narrow_jis, run)
                shadow += run.translate(_SHADOW)
                continue
            if end - start > 13:
                _mask_payload(raw, start + _HEADS.get(command.name, 2), end, out)
            shadow += _sign(command)
            text += b"\n" if Effect.FEEDS in command.effect else b"\t"
    return bytes(shadow), bytes(text), begins, origins, scanner.dialect


def _mask_payload(raw: bytes, start: int, end: int, out: bytearray) -> None:
    for match in _PAYLOAD.finditer(raw[start:end]):
        digits = match[0].replace(b" ", b"").replace(b"-", b"").decode()
        if len(digits) in _issued(digits) and luhn(digits):
            places = [start + at for at in range(*match.span()) if raw[start + at] not in b" -"]
            for at in places[:-4]:
                out[at] = 0x2A


def _sign(command: Command) -> bytes:
    """What a command is in the shadow."""
    if Effect.CUTS in command.effect or Effect.INIT in command.effect:
        return b"x"
    if Effect.FEEDS in command.effect:
        return b"\n"
    return b"\t" if Effect.MOVES in command.effect or Effect.PAGE in command.effect else _STYLE


def _narrow(match: re.Match[bytes]) -> bytes:
    unit = match[0]
    if unit[0] in _ZERO and 0 <= unit[-1] - _ZERO[unit[0]] <= 9:
        return bytes([0x30 + unit[-1] - _ZERO[unit[0]]]) + b"\x01" * (len(unit) - 1)
    return (b"-" if unit in (b"\xa3\xad", b"\x81\x7c", b"\xef\xbc\x8d") else b" ") * len(unit)


def _narrow_jis(match: re.Match[bytes]) -> bytes:
    return b"".join(bytes([digit]) + b"\x01" for digit in match[0][1::2])


def _hidden(chain: re.Match[bytes], shadow: bytes, text: bytes) -> Iterator[int]:
    """The places of the digits to hide in a chain of digit groups."""
    base, last, line, content = chain.start(), 0, 0, chain[0]
    groups: list[_Group] = []
    labels = None
    for found in _GROUP.finditer(content):
        gap = content[last : found.start()]
        line += b"\n" in gap
        last = found.end()
        group = _Group(_FILLED.sub(b"", found[0]).decode(), base + found.start(), base + last, line, gap)
        groups.append(group)
    for part in _without_amounts(groups, text):
        if sum(len(group.digits) for group in part) < 13:
            continue
        labels = labels or _labels(text, base)
        for first, end in _numbers(_Chain(part, *labels), text):
            spans = [range(group.start, group.end) for group in part[first : end + 1]]
            places = [place for span in spans for place in span if shadow[place] >= 0x30]
            yield from places[:-4]
            track = _TRACK.match(text, part[end].end)
            if track is not None:
                yield from (place for place in range(*track.span()) if 0x30 <= text[place] <= 0x39)


def _without_amounts(groups: list[_Group], text: bytes) -> Iterator[list[_Group]]:
    """The chain in pieces, where amounts, dates and times (4.50, 12/25, 18:38) and wide columns part it."""
    piece: list[_Group] = []
    for at, group in enumerate(groups):
        following = groups[at + 1] if at + 1 < len(groups) else None
        if _COLUMN.search(group.gap):
            yield piece
            piece = []
        if (
            _in_amount(groups[at - 1] if at else None, group)
            or (following is not None and _in_amount(group, following))
            or _AMOUNT_BEFORE.match(text, max(group.start - 2, 0))
            or _AMOUNT_AFTER.match(text, group.end)
        ):
            yield piece
            piece = []
        else:
            piece.append(group)
    yield piece


def _in_amount(left: _Group | None, right: _Group) -> bool:
    if left is None or right.gap not in (b".", b"/"):
        return False
    return min(len(left.digits), len(right.digits)) < 4


def _labels(text: bytes, at: int) -> tuple[bool, bool]:
    """Whether the words before a number (or on the line above, where none are) say card; or order."""
    near = text[max(0, at - 80) : at]
    line = near[near.rfind(b"\n") + 1 :]
    if not line.strip(b" \t\r#:*"):
        above = near[: -len(line) - 1 or None].rstrip(b" \t\r\n")
        line = above[above.rfind(b"\n") + 1 :]
    card = _CARD_WORD.search(line) is not None
    return card, not card and _ORDER_WORD.search(line) is not None


class _Chain(NamedTuple):
    """Groups of digits with nothing but gaps between them."""

    groups: list[_Group]
    card: bool  # a word before them says card
    order: bool  # a word before them says order, trade, invoice

    def begins(self, at: int) -> bool:
        return at == 0 or self.groups[at - 1].line != self.groups[at].line

    def ends(self, at: int) -> bool:
        return at + 1 == len(self.groups) or self.groups[at + 1].line != self.groups[at].line


def _numbers(chain: _Chain, text: bytes) -> list[tuple[int, int]]:
    """First and last group of every card number in the chain. Where readings overlap, all of them: each is hidden."""
    sure: list[tuple[int, int]] = []
    maybe: list[tuple[int, int]] = []
    most = 19 if len(chain.groups) < 1000 else 5  # so many numbers without a word are no receipt: only the usual ways
    for first, group in enumerate(chain.groups):
        begin = group.digits
        if len(begin) < 4:
            begin = "".join(other.digits for other in chain.groups[first : first + 4])
        lengths = _issued(begin)
        shaped = len(group.digits) == 4 and group.digits[0] != "0"  # as 4-4-4-4 and 4-6-5 begin: no issuer is asked for
        if not lengths and not chain.card and not shaped:
            continue
        digits = ""
        for last in range(first, min(first + most, len(chain.groups))):
            digits += chain.groups[last].digits
            if len(digits) > 19:
                break
            issued = len(digits) in lengths or (
                shaped and tuple(len(other.digits) for other in chain.groups[first : last + 1]) in _SHAPES
            )
            if len(digits) >= 13 and (issued or chain.card) and luhn(digits) and _stands_so(chain, first, last, text):
                (sure if issued else maybe).append((first, last))
    taken = {at for first, last in sure for at in range(first, last + 1)}
    return sure + [(first, last) for first, last in maybe if taken.isdisjoint(range(first, last + 1))]


def _stands_so(chain: _Chain, first: int, last: int, text: bytes) -> bool:
    """Whether digits that pass the check stand as a card's number does."""
    groups = chain.groups
    order = chain.order and groups[first].line == 0
    if not chain.card and _LETTER.match(text, max(groups[first].start - 1, 0)) and groups[first].start:
        return False
    if first == last:
        return not order and not _rest_of_order(chain, first) and (chain.card or not _is_article(groups[first], text))
    sizes = [len(group.digits) for group in groups[first : last + 1]]
    joined = b"".join(group.gap for group in groups[first + 1 : last + 1])
    regular = _regular(sizes)
    if (not regular and any(sign in joined for sign in b"-./")) or (order and max(sizes) > 1):
        return False
    if chain.card or (chain.begins(first) and chain.ends(last)):
        return True
    return regular and not _long_number(chain, first, last)


def _is_article(group: _Group, text: bytes) -> bool:
    """A 13-digit article number (EAN) with a price on its line, which old Visa numbers look like one time in ten."""
    if len(group.digits) != 13:
        return False
    check = sum(map(int, group.digits[::2])) + 3 * sum(map(int, group.digits[1::2]))
    line = text[group.end : group.end + 80].partition(b"\n")[0]
    return check % 10 == 0 and _PRICE.search(line) is not None


def _rest_of_order(chain: _Chain, at: int) -> bool:
    """The paper's edge broke an order's number, and this is the second half of it."""
    if not chain.order or at == 0 or chain.groups[at].line != 1:
        return False
    before = chain.groups[at - 1]
    return before.line == 0 and len(before.digits) >= 8 and len(before.digits) + len(chain.groups[at].digits) >= 20


def _regular(sizes: list[int]) -> bool:
    """4-4-4-4, 4-6-5, one by one: how numbers are set in groups."""
    even = len(set(sizes[:-1])) == 1 and sizes[-1] <= max(sizes[0], 4)
    return even or sizes in ([4, 6, 5], [4, 6, 4], [6, 13], [6, 10], [6, 4, 6])


def _long_number(chain: _Chain, first: int, last: int) -> bool:
    """The window is a part of a longer number set in groups of one size: nothing of a card."""
    begin, end = first, last
    while not chain.begins(begin) and first - begin < 12:
        begin -= 1
    while not chain.ends(end) and end - last < 12:
        end += 1
    sizes = [len(group.digits) for group in chain.groups[begin : end + 1]]
    if sum(sizes) < 20 or len(set(sizes[:-1])) != 1 or len(sizes) < 5:
        return False
    return first > begin or sum(len(group.digits) for group in chain.groups[last + 1 : end + 1]) > 8
