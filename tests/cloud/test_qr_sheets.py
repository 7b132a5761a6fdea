"""Sheets of codes: each leads where it says, can be cut apart, and comes from the console."""

from __future__ import annotations

import io
from contextlib import closing

import pytest
import segno
from PIL import Image

from cloud import qr_sheets
from cloud.console.tables import named
from cloud.qr_sheets import PAGE, PER_PAGE, Card
from tests.cloud.conftest import Cloud
from tests.cloud.guest import open_shop

URL = "https://order.example.net/t/yy-zSky-_-WBCus5MQ01dO45DoyJvcSw"


def code_on(card: Image.Image) -> list[list[bool]]:
    """The modules of the one code on a piece of a sheet: only they are wholly black."""
    black = card.convert("RGB").point([255 if v == 0 else 0 for v in range(256)] * 3).convert("L")
    code = black.point([255 if v == 255 else 0 for v in range(256)])
    box = code.getbbox()
    assert box is not None
    code = code.crop(box)
    size = len(segno.make(URL, error="m", micro=False).matrix)
    dot = code.width / size
    assert dot == int(dot) >= 4, "modules are whole dots, and not too small to print"
    return [
        [code.getpixel((int((x + 0.5) * dot), int((y + 0.5) * dot))) == 255 for x in range(size)] for y in range(size)
    ]


@pytest.mark.parametrize("per_page", list(PER_PAGE))
def test_every_code_on_a_sheet_is_the_right_one(per_page: int) -> None:
    urls = [f"{URL[:-2]}{n:02d}" for n in range(per_page)]
    cards = [Card("Harbour & Sons", "TABLE", str(n), "Scan · 扫码", url, n % 2 == 0) for n, url in enumerate(urls)]
    page = Image.open(io.BytesIO(qr_sheets.png(cards, per_page))).convert("RGB")
    assert page.size == PAGE
    across, down = PER_PAGE[per_page]
    left = top = qr_sheets.MARGIN
    wide, tall = (PAGE[0] - 2 * left) // across, (PAGE[1] - 2 * top) // down
    for n, url in enumerate(urls):
        x, y = left + n % across * wide, top + n // across * tall
        found = code_on(page.crop((x, y, x + wide, y + tall)))
        assert found == [[bool(m) for m in row] for row in segno.make(url, error="m", micro=False).matrix]


def test_a_long_name_and_any_script_stay_on_the_card() -> None:
    cards = [
        Card(
            "The Extraordinarily Long-Named Restaurant & Bar of the Old Harbour", "TABLE", "窗边 12", "Scan", URL, True
        )
    ]
    page = Image.open(io.BytesIO(qr_sheets.png(cards * 9, 9))).convert("L")
    edge = page.crop((0, 0, qr_sheets.MARGIN - 45, PAGE[1]))
    assert edge.getextrema() == (255, 255)


def test_the_console_prints_them(cloud: Cloud) -> None:
    shop = cloud.merchant("Sheet Shop", "shelly")
    open_shop(shop, slug="sheet-shop", name="Sheet Shop")
    with closing(cloud.log_in("shelly")) as console:
        pdf = console.get("/setup/tables/sheet/red.pdf?per_page=1")
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF-") and pdf.content.count(b"/Type /Page\n") == 2  # two tables
        png = console.get("/setup/tables/sheet/black.png?per_page=6")
        assert png.content.startswith(b"\x89PNG")
        for wrong in ("red.svg", "blue.pdf", "red.pdf?per_page=5", "red.pdf?table=x"):
            assert console.get(f"/setup/tables/sheet/{wrong}").status_code == 404
        screen = console.get(f"/setup/tables/{shop.get('/v1/tables').json()['tables'][0]['id']}/screen")
        assert 'src="data:image/png;base64,' in screen.text


def test_tables_are_named_as_people_write_them() -> None:
    assert named("1-3, Bar，窗边；5 – 6".replace("；", ";")) == ["1", "2", "3", "Bar", "窗边", "5", "6"]
