"""receipt.extract: whole receipts in all languages, kinds of paper, several on one, and hostile text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receipt.extract import extract
from receipt.model import Kind, Pay, Receipt
from tests.receipt.papers import Line, lines, papers


def read(text: str, **hints: str) -> Receipt:
    receipts = extract(lines(text), **hints)
    assert len(receipts) == 1
    return receipts[0]


PAPERS = papers("languages")


@pytest.mark.parametrize("language", PAPERS)
def test_a_receipt_is_read_in_its_language(language: str) -> None:
    paper = PAPERS[language]
    receipt = read(paper.text)
    assert receipt.kind is Kind.SALE
    assert {name: getattr(receipt, name) for name in paper.fields} == paper.fields
    wanted = [(name, Decimal(quantity) if quantity else None, amount) for name, quantity, amount in paper.items]
    assert [(item.name, item.quantity, item.amount) for item in receipt.items[: len(wanted)]] == wanted
    for name, finding in receipt.findings.items():
        assert 0 <= finding.line < len(lines(paper.text)), name
        assert 0 <= finding.confidence <= 1, name
        assert finding.rule, name


@pytest.mark.parametrize(
    ("line", "method", "word"),
    [
        ("Cash 31.30", Pay.CASH, "cash"),
        ("VISA ************4821 31.30", Pay.CARD, "card"),
        ("支付宝 31.30", Pay.WALLET, "alipay"),
        ("悠遊卡 31.30", Pay.WALLET, "transit_card"),
        ("Gift voucher 31.30", Pay.VOUCHER, "voucher"),
    ],
)
def test_how_it_was_paid(line: str, method: Pay, word: str) -> None:
    receipt = read(f"CORNER SHOP\nTea 31.30\nTOTAL 31.30\n{line}\n")
    assert receipt.tenders[0].method is method
    assert receipt.findings["payment_method"].value == word
    if method is Pay.CARD:
        assert receipt.tenders[0].last_four == "4821"


def test_two_tenders_are_two() -> None:
    receipt = read("SHOP\nLamp 50.00\nTOTAL 50.00\nGift card 20.00\nVISA 30.00\n")
    assert [(tender.method, tender.amount) for tender in receipt.tenders] == [(Pay.VOUCHER, 2000), (Pay.CARD, 3000)]


def test_a_tip_is_part_of_the_last_total() -> None:
    receipt = read("BISTRO\nSteak 40.00\nSubtotal 40.00\nTax 3.20\nTotal 43.20\nTip 8.00\nTotal 51.20\n")
    assert (receipt.subtotal, receipt.tax, receipt.tip, receipt.total) == (4000, 320, 800, 5120)


def test_cash_rounding_is_read_from_what_was_paid() -> None:
    receipt = read("MART SDN BHD\nRice 33.87\nTOTAL 33.87\nROUNDING -0.02\nCASH 40.00\nCHANGE 6.15\n")
    assert (receipt.total, receipt.rounding) == (3385, -2)


def test_a_weighed_item_keeps_its_unit() -> None:
    receipt = read("FRUIT SHOP\nBananas\n  0.845 kg x 2.40        2.03\nTOTAL 2.03\n")
    assert [(i.name, i.quantity, i.unit, i.unit_price, i.amount) for i in receipt.items] == [
        ("Bananas", Decimal("0.845"), "kg", 240, 203)
    ]


def test_a_quantity_line_below_the_item_tells_how_many() -> None:
    receipt = read("MARKT\nMilch                 2,92 B\n        4 Stk x  0,73\nSUMME 2,92\n")
    assert [(i.name, i.quantity, i.unit_price, i.amount) for i in receipt.items] == [("Milch", Decimal(4), 73, 292)]


def test_names_below_their_numbers_are_found() -> None:
    paper = "STORE\nITEM     QTY   PRICE   AMOUNT\n1765       1    5.30     5.30\nPUTTY FILLER\n"
    paper += "1914       3    2.00     6.00\nBRUSH\n"
    receipt = read(paper + "SUBTOTAL 11.30\nTOTAL 11.30\n")
    assert [(i.name, i.quantity, i.amount, i.code) for i in receipt.items] == [
        ("PUTTY FILLER", Decimal(1), 530, "1765"),
        ("BRUSH", Decimal(3), 600, "1914"),
    ]


def test_a_discount_belongs_to_the_item_above() -> None:
    receipt = read("SHOP\nShirt 30.00\nDiscount 10% -3.00\nSocks 5.00\nTOTAL 32.00\n")
    assert [(i.name, i.amount, i.discount) for i in receipt.items] == [("Shirt", 3000, 300), ("Socks", 500, None)]


def test_columns_that_slipped_are_put_back() -> None:
    """Amounts one line above their labels, as pictures read by machine often have them."""
    receipt = read("DINER\n1 Soup 6.00\n6.00\nSubtotal 0.60\nTax 6.60\nTotal\n")
    assert (receipt.subtotal, receipt.tax, receipt.total) == (600, 60, 660)


@pytest.mark.parametrize(
    ("paper", "kind"),
    [
        ("REFUND\nShirt -30.00\nTOTAL -30.00\nCash -30.00", Kind.REFUND),
        ("*** STORNO ***\nBon-Nr. 12\nBrot 3,80\nSUMME 3,80", Kind.VOID),
        ("Z REPORT\nGross sales 812.40\nTax 64.99\nCash in drawer 400.00\nTransaction count 61", Kind.REPORT),
        ("KITCHEN\nTable 4  19:05\n2 Soup\n1 Steak medium\n  no onions", Kind.KITCHEN),
        ("厨房\n桌号 4 19:05\n2 牛肉面", Kind.KITCHEN),
        ("GIFT VOUCHER\nValue 10.00\nValid until 31/12/2026", Kind.VOUCHER),
        ("*** DUPLICATE ***\nSHOP\nBill no 71\nTea 2.00\nTOTAL 2.00\nCash 2.00", Kind.COPY),
        ("NO SALE\n12/03/2026 10:11", Kind.DRAWER),
        ("PRINTER SELF TEST\nFirmware 1.02\nBaud rate 9600", Kind.SELFTEST),
        ("Hello", Kind.OTHER),
    ],
)
def test_what_the_paper_is_for(paper: str, kind: Kind) -> None:
    assert read(paper).kind is kind


def test_a_receipt_and_a_voucher_on_one_job_are_two() -> None:
    text = "SHOP\nBill no 9\nTea 2.00\nTOTAL 2.00\nCash 2.00\n~\nVOUCHER\n10% off your next visit"
    lines = [Line("", "cut") if line == "~" else Line(line) for line in text.split("\n")]
    receipts = extract(lines)
    assert [receipt.kind for receipt in receipts] == [Kind.SALE, Kind.VOUCHER]
    assert receipts[1].first_line == 6


def test_the_second_print_of_a_receipt_is_its_copy() -> None:
    one = [Line(text) for text in ("SHOP", "Bill no 9", "2026-03-01 10:00", "Tea 2.00", "TOTAL 2.00", "Cash 2.00")]
    receipts = extract([*one, Line("", "cut"), *one])
    assert [(receipt.kind, receipt.same_as) for receipt in receipts] == [(Kind.SALE, None), (Kind.COPY, "9")]


def test_hints_decide_what_the_paper_leaves_open() -> None:
    paper = "SHOP\n03/04/2026 10:00\nTea 2.00\nTOTAL $2.00\n"
    assert read(paper, country="US").date == "2026-03-04"
    assert read(paper, country="AU").date == "2026-04-03"
    assert read(paper, country="AU").currency == "AUD"
    assert read(paper, currency="CAD").currency == "CAD"


def test_no_text_no_receipt() -> None:
    assert extract([]) == ()
    assert extract([Line("   "), Line("", "cut")]) == ()


SCRAPS = st.sampled_from(
    [
        "TOTAL",
        "合计",
        "Σύνολο",
        "Tax",
        "6%",
        "12.50",
        "1,234.56",
        "RM",
        "€",
        "2026-02-30",
        "99:99",
        "x",
        "@",
        "-",
        "(",
        ".",
    ]
)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.text(max_size=60) | st.lists(SCRAPS, max_size=9).map(" ".join), max_size=40))
def test_nothing_raises_whatever_the_text(lines: list[str]) -> None:
    for receipt in extract([Line(line) for line in lines]):
        for finding in receipt.findings.values():
            assert 0 <= finding.confidence <= 1


@pytest.mark.parametrize("scrap", ["1 ", "a", "1.", "a1", "2026-", "合", "total ", "x2 ", "12:", "((", "@1", "1,2.3 "])
def test_a_line_of_any_length_takes_time_in_proportion(scrap: str) -> None:
    extract([Line(scrap * (200_000 // len(scrap)))])  # would not end if it took the square


@pytest.mark.parametrize(
    "line",
    [
        "TOTAL 1.00",
        "TOTAL",
        "1.00",
        "TAX 6% 1.00",
        "Tea 2.00",
        "2 x 1.00",
        "CASH 1.00",
        "Table",
        "01/02/2026 10:00",
        "SUBTOTAL",
    ],
)
def test_any_number_of_lines_takes_time_in_proportion(line: str) -> None:
    extract([Line(f"{line} {number % 7}" if number % 3 else line) for number in range(20_000)])


def test_a_kitchen_order_has_dishes_and_no_money() -> None:
    order = read(
        "105 - 28/06/2025 09:32\nWaiter: Jane\nOrder N. 15050\n-----\n 1 Maxi Pizza\n   1/3 Pizza Porcini\n 4 Beer\n"
    )
    assert order.kind is Kind.KITCHEN
    assert order.total is None
    assert [(i.name, i.quantity, i.amount) for i in order.items] == [
        ("Maxi Pizza", Decimal(1), None),
        ("Beer", Decimal(4), None),
    ]


def test_prices_for_one_are_multiplied_where_the_total_says_so() -> None:
    receipt = read(
        "面馆\n菜名          数量  单价\n牛肉面          2   9.99\n酸梅汤          1   8.00\n合计：27.98元\n"
    )
    assert [(i.quantity, i.unit_price, i.amount) for i in receipt.items] == [
        (Decimal(2), 999, 1998),
        (Decimal(1), None, 800),
    ]


def test_the_time_is_when_the_table_was_closed() -> None:
    receipt = read("BISTRO\nCreated: 1/14/2012 2:17PM\nSettled: 1/14/2012 2:54PM\nTea 2.00\nTOTAL 2.00\n")
    assert receipt.time == "14:54"


@pytest.mark.parametrize(
    "heading", ["GUTSCHEIN", "LUCKY DRAW", "BON DE REDUCTION", "优惠券", "クーポン", "КУПОН", "VALE DESCONTO"]
)
def test_a_voucher_behind_a_sale_needs_no_cut(heading: str) -> None:
    sale = ["SHOP", "Bill no 9", "Tea 2.00", "TOTAL 2.00", "Cash 2.00", "Thank you"]
    lines = [Line(text) for text in (*sale, "----------------", heading, "10 % 2026", "A1B2C3")]
    receipts = extract(lines)
    assert [receipt.kind for receipt in receipts] == [Kind.SALE, Kind.VOUCHER]
    assert (receipts[0].total, receipts[1].total) == (200, None)
    assert (receipts[0].last_line, receipts[1].first_line) == (5, 6)


def test_a_voucher_that_pays_is_part_of_the_sale() -> None:
    lines = ["SHOP", "Tea 9.00", "TOTAL 9.00", "--------", "VOUCHER 5.00", "CASH 4.00", "--------", "Thank you"]
    assert [receipt.kind for receipt in extract([Line(text) for text in lines])] == [Kind.SALE]
