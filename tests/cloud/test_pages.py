"""The console's pages in a real browser, over a shop with a past: on a phone in Chinese, on a desk in English."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import axe_core_python
import httpx
import pytest
import sqlalchemy as sa
from openpyxl import load_workbook

from cloud.store.figures import facts
from tests.cloud.browser import Browser
from tests.cloud.conftest import PASSWORD, Cloud
from tests.demo_shop import fill

AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
RUN_AXE = """
const done = arguments[0];
axe.run({resultTypes: ["violations"]}).then((r) => done(r.violations
  .filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => v.id + " " + v.nodes[0].html.slice(0, 200))));
"""
PAGES = (
    "/",
    "/receipts",
    "/receipts?check=1",
    "/receipts/completeness",
    "/analysis",
    "/analysis/items",
    "/analysis/people",
    "/analysis/compare?range=7",
    "/customers",
    "/customers/demo-0000",
    "/customers/import",
    "/boxes",
    "/setup",
    "/setup/shops",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("shop"))
    cloud.command("merchant", "add", "Corner Cafe", "--user", "anna", "--password-stdin", stdin=PASSWORD + "\n")
    fill(cloud.database, "Corner Cafe", months=1, per_day=12)
    cloud.start()
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def doubtful(shop: Cloud) -> str:
    """A receipt to look at."""
    engine = sa.create_engine(f"sqlite:///{shop.database}")
    with engine.connect() as connection:
        found = connection.execute(sa.select(facts.c.job_id).order_by(facts.c.confidence, facts.c["at"])).scalars()
        return str(found.first())


@pytest.fixture(scope="module")
def anna(shop: Cloud) -> Iterator[httpx.Client]:
    client = shop.log_in("anna")
    yield client
    client.close()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(scope="module", params=[(390, "zh"), (1280, "en")], ids=["phone-zh", "desk-en"])
def visitor(request: pytest.FixtureRequest, shop: Cloud, window: Browser) -> tuple[Browser, str]:
    """Somebody logged in, on a screen of this width, in this language."""
    wide, lang = request.param
    window.size(wide)
    window.open(shop.url + "/login")
    window.click(f".tongues [value={lang}]")
    window.type("#name", "anna")
    window.type("#password", PASSWORD)
    window.click("button.yes")
    window.find("nav.menu")
    return window, lang


@pytest.mark.parametrize("path", [*PAGES, "/receipts/{doubtful}"])
def test_every_page_fits_speaks_and_is_accessible(
    shop: Cloud, visitor: tuple[Browser, str], doubtful: str, path: str
) -> None:
    window, lang = visitor
    window.open(shop.url + path.format(doubtful=doubtful))
    window.find("main")
    assert window.run("return document.documentElement.lang") == lang
    assert window.run("return document.documentElement.scrollWidth <= window.innerWidth + 1")
    assert window.run("return document.querySelectorAll('h1').length") == 1
    window.run(AXE)
    assert window.wait_for(RUN_AXE) == []
    assert window.complaints() == []


def test_a_doubtful_total_is_corrected_and_leaves_the_list(
    shop: Cloud, visitor: tuple[Browser, str], doubtful: str, anna: httpx.Client
) -> None:
    window, _ = visitor
    window.open(f"{shop.url}/receipts/{doubtful}")
    window.run("document.querySelector('input[name=total]').value = '12.345,67'")
    window.click(".fix button.yes")
    window.until("document.querySelector('h1').innerText.includes('12,345.67')")
    found = anna.get("/receipts", params={"q": "12345.67"}).text
    assert f"/receipts/{doubtful}" in found
    assert f"/receipts/{doubtful}" not in anna.get("/receipts", params={"check": "1"}).text


def test_a_wrong_value_is_refused_with_a_reason(shop: Cloud, anna: httpx.Client, doubtful: str) -> None:
    token = anna.get("/").text.split('data-csrf="')[1].split('"')[0]
    data = {"csrf": token, "n": "0", "total": "abc", "date": "31.12.2026"}
    answer = anna.post(f"/receipts/{doubtful}/correct", data=data)
    assert answer.status_code == 422
    assert "Not an amount" in answer.text
    assert "Not a date" in answer.text


@pytest.mark.covers("A17")
def test_customers_come_from_a_file_and_go_out_harmless(shop: Cloud, anna: httpx.Client) -> None:
    token = anna.get("/").text.split('data-csrf="')[1].split('"')[0]
    sheet = (
        "Name;Mitgliedsnummer;E-mail;Lieblingstisch\n=cmd|'/c calc'!A1;M4001;formula@example.org;5\nBad;M1;no-mail;\n"
    )
    first = anna.post("/customers/import", data={"csrf": token}, files={"file": ("k.csv", sheet.encode("cp1252"))})
    assert first.status_code == 200, first.text
    upload = first.text.split('name="upload" value="')[1].split('"')[0]
    columns = {"column0": "name", "column1": "member", "column2": "email", "column3": ""}
    done = anna.post("/customers/import", data={"csrf": token, "upload": upload} | columns)
    assert "1 were known" in done.text
    assert "no-mail" in done.text
    out = anna.get("/customers/export/csv").content.decode("utf-8-sig")
    assert "'=cmd|" in out
    book = load_workbook(io.BytesIO(anna.get("/customers/export/xlsx").content))
    assert all(cell.data_type != "f" for row in book.worksheets[0].iter_rows() for cell in row)
    assert anna.get("/customers/export/pdf").content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "nothing in this file"),
        (b"PK\x03\x04broken", "cannot be opened"),
        (b"\x00\x01\x02\x03" * 9, "neither a CSV"),
        (b"name\n", "nothing in this file"),
        (b"a,b\n" + b"x,y\n" * 50_001, "Too many rows"),
    ],
    ids=["empty", "broken-xlsx", "binary", "headings-alone", "long"],
)
def test_a_file_that_is_none_gets_a_clear_answer(shop: Cloud, anna: httpx.Client, data: bytes, says: str) -> None:
    token = anna.get("/").text.split('data-csrf="')[1].split('"')[0]
    answer = anna.post("/customers/import", data={"csrf": token}, files={"file": ("x", data)})
    assert answer.status_code == 422
    assert says in answer.text


def test_pages_are_light(anna: httpx.Client) -> None:
    """At most 300 KB over the wire, with style and script."""

    def weighed(path: str) -> int:
        answer = anna.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip", path
        return answer.num_bytes_downloaded

    assert "--ground" in anna.get("/static/app.css").text
    kept = sum(weighed(f"/static/{name}") for name in ("app.css", "app.js"))
    for path in PAGES:
        assert weighed(path) + kept < 300_000, path


def test_the_api_says_what_the_receipts_say(shop: Cloud) -> None:
    key = shop.command("key", "add", "Corner Cafe")
    with httpx.Client(base_url=shop.url, headers={"Authorization": f"Bearer {key}"}) as api:
        found = api.get("/v1/analytics/day", params={"last": "2100-01-01", "first": "2095-01-01"}).json()
        assert found["total"]["receipts"] == 0
        days = api.get("/v1/analytics/day").json()
        for figure in ("hour", "weekday", "payment", "cashier", "table", "shop"):
            rows = api.get(f"/v1/analytics/{figure}").json()["rows"]
            assert sum(r["amount"] for r in rows) == days["total"]["amount"], figure
        engine = sa.create_engine(f"sqlite:///{shop.database}")
        with engine.connect() as connection:
            c = facts.c
            span = (c.counted, c.day >= days["first"], c.day <= days["last"])
            worth = connection.execute(sa.select(sa.func.sum(c.total)).where(*span)).scalar()
        assert days["total"]["amount"] == worth
        assert api.get("/v1/analytics/nonsense").status_code == 404
        assert api.get("/v1/analytics/day", params={"first": "x"}).status_code == 422
        one = api.post(
            "/v1/customers", json={"name": "Lin", "phone": "+43 660 5551234", "fields": {"size": "M"}}
        ).json()
        again = api.post("/v1/customers", json={"phone": "0043660 5551234", "note": "allergic to nuts"}).json()
        assert (again["id"], again["name"], again["note"]) == (one["id"], "Lin", "allergic to nuts")
        assert api.delete(f"/v1/customers/{one['id']}").status_code == 204
        assert api.get(f"/v1/customers/{one['id']}").status_code == 404
        assert api.post("/v1/customers", json={"email": "x"}).status_code == 422
