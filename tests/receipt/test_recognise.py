"""Text whose code page nobody selected is read in the one that makes words of it."""

from __future__ import annotations

import pytest

import receipt

RUSSIAN = ("ООО РОМАШКА", "Хлеб Бородинский 45.90", "ИТОГО 135.40", "НАЛИЧНЫМИ 200.00", "СПАСИБО ЗА ПОКУПКУ")
PORTUGUESE = ("PADARIA SÃO JOÃO", "Pão de Ló 4,50", "Feijão 3,20", "TOTAL 8,80", "Numerário 10,00")
GREEK = ("ΚΑΦΕ ΑΚΡΟΠΟΛΗ", "ΣΥΝΟΛΟ 9,80", "ΜΕΤΡΗΤΑ 20,00")
TURKISH = ("YILDIZ MARKET", "ÇİKOLATA 30,00", "ŞEKERLİ SÜT", "TOPLAM 72,50")
POLISH = ("Sklep Żabka", "Masło 4,50", "Śmietana łąka 3,20")


@pytest.mark.parametrize(
    ("lines", "encoding"),
    [
        *((RUSSIAN, page) for page in ("cp866", "cp1251", "koi8_r", "iso8859_5", "utf-8")),
        *((PORTUGUESE, page) for page in ("cp860", "cp850", "cp1252", "utf-8")),
        *((GREEK, page) for page in ("cp737", "cp1253", "iso8859_7")),
        *((TURKISH, page) for page in ("cp857", "cp1254")),
        *((POLISH, page) for page in ("cp852", "cp1250")),
        (("Café crème 4,50", "Gâteau 3.20"), "cp437"),
    ],
)
def test_a_page_that_nobody_selected_is_recognised(lines: tuple[str, ...], encoding: str) -> None:
    job = b"\x1b@" + b"\n".join(line.encode(encoding) for line in lines) + b"\n"
    assert tuple(line.text for line in receipt.read(job).lines if line.text) == lines


def test_umlauts_in_a_row_stay_what_the_page_says() -> None:
    job = b"\x1b@\x1bt\x13" + "Zeichen: ÄÖÜ äöü ß €\nGrüße\n".encode("cp858")
    assert [line.text for line in receipt.read(job).lines if line.text] == ["Zeichen: ÄÖÜ äöü ß €", "Grüße"]
