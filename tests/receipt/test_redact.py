"""receipt/redact.py: card numbers, in every dress, and what only looks like one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt.redact import luhn, mask

BRANDS = [("4", 16), ("4", 19), ("51", 16), ("2221", 16), ("34", 15), ("37", 15), ("36", 14), ("3528", 16),
          ("6011", 16), ("65", 16), ("62", 16), ("62", 19), ("5018", 16), ("6759", 18), ("2200", 16),
          ("4", 13)]  # fmt: skip
BETWEEN = [b"\x1bE\x01", b"\x1bE\x00", b"\x1b!\x08", b"\x1d!\x11", b"\x1ba\x01", b"\x1bM\x01", b"\x1b$\x40\x00", b"\t"]
BEFORE = [
    b"",
    b"VISA ",
    b"Card No.: ",
    "卡号:".encode("gb18030"),
    b"VISA CREDIT\n",
    b"Karte ",
    b"PAN ",
    "카드 ".encode("cp949"),
]
HEADS = [b"\x1b@SHOP\nTEL 555 123 4567\nTea  2  4.50\n", b"\x1b@\x1b\x1da\x01SHOP\n", b"", b"1 x Tea 3,00\n"]
TAILS = [b"\nAUTH 123456\n12/25 10:30\n\x1dVA\x00", b"\n", b"\nTOTAL 9.00\n", b"\n\n\x1bd3"]


def card(random_: random.Random) -> str:
    first, length = random_.choice(BRANDS)
    body = first + "".join(random_.choice("0123456789") for _ in range(length - 1 - len(first)))
    return next(body + last for last in "0123456789" if luhn(body + last))


def wide(digits: str, encoding: str) -> bytes:
    return digits.translate({48 + digit: 0xFF10 + digit for digit in range(10)}).encode(encoding)


def dressed(number: str, how: int, random_: random.Random) -> bytes:
    at = random_.randrange(1, len(number))
    fours = [number[i : i + 4] for i in range(0, len(number), 4)]
    return [
        lambda: number.encode(),
        lambda: " ".join(fours).encode(),
        lambda: "-".join(fours).encode(),
        lambda: number[:at].encode() + b"\n" + number[at:].encode(),
        lambda: number[:at].encode() + b"\r\n  " + number[at:].encode(),
        lambda: number[:at].encode() + random_.choice(BETWEEN) + number[at:].encode(),
        lambda: wide(number, random_.choice(["gb18030", "cp932", "big5", "cp949", "utf-8"])),
        lambda: " ".join(number).encode(),
        lambda: b"".join(digit.encode() + random_.choice([b"", b"", b" ", *BETWEEN]) for digit in number),
        lambda: number[:8].encode() + b" " + wide(number[8:], "gb18030"),
    ][how]()


def digits_of(raw: bytes) -> int:
    return sum(0x30 <= byte <= 0x39 or 0xB0 <= byte <= 0xB9 for byte in raw)


@pytest.mark.covers("A15")
@pytest.mark.parametrize("how", range(10))
def test_a_card_number_is_masked_but_for_its_last_four_digits(how: int) -> None:
    random_ = random.Random(how)
    missed = 0
    for _ in range(300):
        number = card(random_)
        body = dressed(number, how, random_)
        head, label, tail = (random_.choice(choices) for choices in (HEADS, BEFORE, TAILS))
        job = head + label + body + tail
        masked = mask(job)
        assert len(masked) == len(job)
        start = len(head + label)
        inside = masked[start : start + len(body)]
        missed += sum(a != b for a, b in zip(inside, body, strict=True)) < len(number) - 4
        assert masked[:start] == job[:start]
        assert masked[start + len(body) :] == tail
    assert missed == 0


def test_the_last_four_digits_stay() -> None:
    assert mask(b"VISA 4111 1111 1111 1111\n") == b"VISA **** **** **** 1111\n"
    assert mask(
        "卡号 ４１１１１１１１１１１１１１１１".encode("gb18030")
    ) == "卡号 ＊＊＊＊＊＊＊＊＊＊＊＊１１１１".encode("gb18030")


def test_digits_set_as_on_a_card_need_no_known_issuer() -> None:
    assert luhn("9017123412341234")
    assert mask(b"9017 1234 1234 1234\n") == b"**** **** **** 1234\n"
    assert mask(b"9017123412341234\n") == b"9017123412341234\n"


def test_digits_among_star_parameters_are_found_though_nothing_tells_the_dialect() -> None:
    job = b"\x1b@\x1bE4111111111111111\x1bF\n\x1bd3"
    assert mask(job) == b"\x1b@\x1bE************1111\x1bF\n\x1bd3"


def test_what_the_stripe_holds_and_the_check_code_go_wholly() -> None:
    assert mask(b"4111111111111111=25121010000012300000\n") == b"************1111=********************\n"
    assert mask(b"VISA 4111111111111111\nCVV: 123\n") == b"VISA ************1111\nCVV: ***\n"


def test_numbers_within_payloads_are_masked_too() -> None:
    job = b"\x1d(k\x13\x001P04111111111111111\x1d(k\x03\x001Q0"
    assert mask(job) == job.replace(b"411111111111", b"*" * 12)


@pytest.mark.covers("A15")
@pytest.mark.parametrize(
    "text",
    [
        "WeChat 4200001234202611221234567890",
        "支付宝交易号 2026112222001412345678901234",
        "订单号：202611221234567890",
        "Order No. 2026112200000042",
        "Invoice #5105105105105100",  # passes the check, but the word says what it is
        "发票号码 24312000000123456789",
        "TEL 0049 30 1234 5678 90",
        "18:38        1009 001 0010473",
        "29,99\nArt./EAN 50326105                    12699",
        "SIRET: 39151732300013",
        "4971850134824          1    53.00",
        "1 12 123 1234 12345 123456",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    for encoding in ("utf-8", "gb18030"):
        raw = b"\x1b@" + text.encode(encoding) + b"\nTOTAL 9.00\n"
        assert mask(raw) == raw


@pytest.mark.covers("A15")
def test_order_and_wallet_numbers_are_hardly_ever_masked() -> None:
    random_ = random.Random(7)
    masked = 0
    for _ in range(2000):
        length = random_.randrange(20, 29)
        number = "".join(random_.choice("0123456789") for _ in range(length))
        word = random_.choice(["", "Order ", "Trade no. ", "交易单号 ", "商户单号:"])
        raw = random_.choice(HEADS) + word.encode("gb18030") + number.encode() + random_.choice(TAILS)
        masked += mask(raw) != raw
    assert masked <= 2


@pytest.mark.covers("A15", "A13")
@settings(deadline=None)
@given(st.binary(max_size=500) | st.text("0123456789 -\n\x1b\x1dE@", max_size=300).map(str.encode))
def test_any_job_keeps_its_length_and_masking_twice_changes_nothing_more(raw: bytes) -> None:
    masked = mask(raw)
    assert len(masked) == len(raw)
    changed = [at for at in range(len(raw)) if raw[at] != masked[at]]
    assert all(masked[at] == 0x2A or raw[at] >= 0x80 for at in changed)


@pytest.mark.covers("A14")
@pytest.mark.parametrize("piece", [b"4 ", b"4", b"4\n", b"VISA 4 ", b"\xa3\xb4", b"4-", b"4.50 ", b"CVV "])
def test_many_digits_take_linear_time(piece: bytes) -> None:
    raw = piece * (200_000 // len(piece))
    assert len(mask(raw)) == len(raw)
