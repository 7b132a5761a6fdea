"""Receipts as the tills of many countries print them (paper/countries), their reprints, and kitchens' orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from receipt.extract import extract
from receipt.model import Kind, Receipt
from tests.receipt.papers import lines, papers


def read(text: str) -> Receipt:
    found = extract(lines(text))
    assert len(found) == 1
    return found[0]


PAPERS = papers("countries")


@pytest.mark.parametrize("country", PAPERS)
def test_a_countrys_receipt_is_read(country: str) -> None:
    paper = PAPERS[country]
    found = read(paper.text)
    wanted = dict(paper.fields)
    assert found.kind is Kind.SALE
    assert wanted.pop("merchant") in (found.merchant or "")
    assert found.findings["payment_method"].value == wanted.pop("method")
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert [item.amount for item in found.items] == [amount for _, _, amount in paper.items]
    for item, (name, quantity, _) in zip(found.items, paper.items, strict=True):
        assert name in item.name
        assert (item.quantity or Decimal(1)) == Decimal(quantity), name


def _again(country: str, word: str) -> str:
    lines = PAPERS[country].text.strip("\n").split("\n")
    return "\n".join([lines[0], f"        *** {word} ***", *lines[1:]])


@pytest.mark.parametrize(
    ("country", "word"),
    [
        ("brazil", "REIMPRESSAO"), ("brazil", "SEGUNDA VIA"), ("portugal", "2ª VIA"), ("portugal", "DUPLICADO"),
        ("spain", "COPIA"), ("spain", "DUPLICADO"), ("spain", "REIMPRESIÓN"), ("mexico", "REIMPRESION"),
        ("turkey", "KOPYA"), ("turkey", "TEKRAR BASKI"), ("greece", "ΑΝΤΙΓΡΑΦΟ"), ("russia", "КОПИЯ ЧЕКА"),
        ("russia", "ДУБЛИКАТ"), ("russia", "ПОВТОР"), ("korea", "재발행"), ("korea", "재출력"), ("japan", "再発行"),
        ("japan", "再印字"), ("hong-kong", "重印"), ("hong-kong", "副本"), ("taiwan", "補印"), ("china", "补打"),
        ("china", "重打"), ("malaysia", "SALINAN"), ("malaysia", "CETAK SEMULA"), ("malaysia", "REPRINT"),
        ("indonesia", "CETAK ULANG"), ("indonesia", "COPY"), ("netherlands", "KOPIE"), ("netherlands", "DUPLICAAT"),
        ("italy", "COPIA"), ("italy", "DUPLICATO"), ("italy", "RISTAMPA"), ("france", "DUPLICATA"),
        ("france", "COPIE"), ("france", "DUPLICATA N. 1"), ("germany", "KOPIE"), ("germany", "DUPLIKAT"),
        ("germany", "ZWEITSCHRIFT"),
    ],
)  # fmt: skip
def test_a_reprint_is_a_copy(country: str, word: str) -> None:
    found = read(_again(country, word))
    assert found.kind is Kind.COPY
    assert found.total == PAPERS[country].fields["total"]


@pytest.mark.parametrize(
    ("country", "word"),
    [
        ("portugal", "Cópia Cliente"), ("spain", "COPIA PARA EL CLIENTE"), ("germany", "Kundenbeleg"),
        ("france", "TICKET CLIENT"), ("italy", "COPIA CLIENTE"), ("turkey", "MÜŞTERİ NÜSHASI"),
        ("netherlands", "KOPIE KLANT"), ("korea", "고객용"), ("malaysia", "SALINAN PELANGGAN"), ("japan", "お客様控え"),
        ("china", "客户联"), ("taiwan", "持卡人存根"),
    ],
)  # fmt: skip
def test_the_customers_part_of_a_first_print_is_no_copy(country: str, word: str) -> None:
    assert read(PAPERS[country].text + f"\n    {word}\n").kind is Kind.SALE


@pytest.mark.parametrize(
    "text",
    [
        "COZINHA\nMesa: 4   Pedido: 123\n05/03/2024 20:10\n2 Francesinha\n  sem molho\n1 Bacalhau a Bras",
        "PEDIDO COZINHA\nComanda 55\n1 X-BURGER\n  SEM CEBOLA\n2 COCA LATA",
        "COCINA\nMesa 7  Camarero Luis\n20:10\n2 TORTILLA\n1 ENSALADA MIXTA\n  sin cebolla",
        "COMANDA\nTavolo 5  Coperti 2\n20:10\n2 CARBONARA\n1 TIRAMISU",
        "CUISINE\nTable 5  Couverts 2\n2 ENTRECOTE\n  saignant\n1 TARTE",
        "KÜCHE\nTisch 12  Bon 45\n2 Schnitzel\n1 Pommes\n  ohne Salz",
        "KEUKEN\nTafel 3\n2 Biefstuk\n1 Friet",
        "MUTFAK\nMasa 5  Garson Ali\n2 ADANA KEBAP\n1 AYRAN",
        "ΚΟΥΖΙΝΑ\nΤΡΑΠΕΖΙ 5\n2 ΜΟΥΣΑΚΑΣ\n1 ΧΩΡΙΑΤΙΚΗ",
        "КУХНЯ\nСтол 5  Официант Анна\n2 Борщ\n1 Пельмени",
        "주방주문서\n테이블: 5\n김치찌개  2\n된장찌개  1",
        "厨房伝票\nテーブル 5\n醤油ラーメン  2\n餃子  1",
        "厨房单\n桌号:A08\n猪肉饺子  2\n凉拌黄瓜  1",
        "廚房單\n枱號: 12\n2 叉燒飯\n1 凍檸茶",
        "DAPUR\nMEJA 5\n2 NASI GORENG\n1 ES TEH",
        "PESANAN DAPUR\nNo Meja: 7\n2 Mee Goreng\n  kurang pedas",
        "KITCHEN ORDER\nTable 5  Server Ann\n2 Burger\n  no onion\n1 Fries",
    ],
)
def test_a_kitchens_order_is_one_in_every_language(text: str) -> None:
    assert read(text).kind is Kind.KITCHEN
