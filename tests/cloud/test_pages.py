"""The console's pages in a real browser, over a shop with a past: on a phone in Chinese, on a desk in English."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import axe_core_python
import httpx
import pytest
import sqlalchemy as sa
from openpyxl import load_workbook

from cloud.store.figures import facts
from tests.cloud.browser import Browser
from tests.cloud.conftest import PASSWORD, Cloud
from tests.cloud.test_tenants import all_routes
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
    "/customers/import",
    "/boxes",
    "/setup",
    "/setup/shops",
    "/setup/reading",
    "/setup/orders?rule=new&try=1&channel=shop&kind=takeaway&day=0&clock=12:00",
    "/setup/printing?part=new",
    "/setup/slip",
    "/setup/sounds",
    "/setup/front",
    "/setup/menu",
    "/setup/tables",
    "/setup/notices",
    "/setup/boxes",
    "/setup/people",
    "/setup/keeping",
    "/setup/apps",
    "/setup/keys",
    "/setup/webhooks",
    "/setup/password",
)
WITH_AN_ID = ("/receipts/{doubtful}", "/boxes/{box}", "/customers/demo-0000", "/customers/crm/espocrm")
NO_PAGES = {"/live", "/login", "/oauth/authorize", "/setup/menu/table.csv", "/setup/slip/picture"}


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


def shop_box(shop: Cloud) -> str:
    with sa.create_engine(f"sqlite:///{shop.database}").connect() as connection:
        return str(connection.execute(sa.text("SELECT min(id) FROM boxes")).scalar())


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
    window.speak(lang)
    window.type("#name", "anna")
    window.type("#password", PASSWORD)
    window.click("button.yes")
    window.find("nav.menu")
    return window, lang


def test_no_page_is_left_out(tmp_path: Path) -> None:
    routes = {path for method, path in all_routes(tmp_path) if method == "GET" and "{" not in path}
    pages = {path for path in routes if not path.startswith(("/v1/", "/-/", "/healthz", "/metrics", "/.well-known"))}
    assert pages - NO_PAGES == {path.partition("?")[0] for path in PAGES}


@pytest.mark.parametrize("path", [*PAGES, *WITH_AN_ID])
def test_every_page_fits_speaks_and_is_accessible(
    shop: Cloud, visitor: tuple[Browser, str], doubtful: str, path: str
) -> None:
    window, lang = visitor
    window.open(shop.url + path.format(doubtful=doubtful, box=shop_box(shop)))
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


def test_a_place_is_marked_tried_learned_and_forgotten(shop: Cloud, visitor: tuple[Browser, str]) -> None:
    window, _ = visitor
    window.open(shop.url + "/setup/reading?field=cashier")
    window.click(".marks a")  # the likeliest place on the first line that has one
    window.find(".marks a[aria-current]")
    label = window.run("return document.querySelector('input[name=label]').value")
    window.click(".teach form .yes")
    window.find("[role=status]")
    assert label in window.run("return [...document.querySelectorAll('.lessons code')].map((c) => c.textContent)")
    window.click(".lessons button")
    window.until("!document.querySelector('.lessons code')")


def test_rules_are_made_ordered_tried_and_taken_away(shop: Cloud, visitor: tuple[Browser, str]) -> None:
    window, _ = visitor
    for action, most in (("accept", "30"), ("reject", "")):
        window.open(shop.url + "/setup/orders?rule=new")
        window.click(f"#edit [name=action][value={action}]")
        window.click("#edit [name=kinds][value=delivery]")
        window.run("document.querySelector('#edit [name=amount_to]').value = arguments[0]", most)
        window.click("#edit button.yes")
        window.until(f"document.querySelectorAll('ol.rows [name=number]').length >= {1 if action == 'accept' else 4}")
    ask = "/setup/orders?try=1&channel=shop&kind=delivery&day=0&clock=12:00&load=0&amount="

    def said(amount: str) -> str:
        window.open(shop.url + ask + amount)
        return str(window.run("return document.querySelector('p[role=status]').innerText"))

    dear, cheap = said("30.01"), said("30")
    assert "2" in dear
    assert "1" in cheap
    assert dear != cheap
    window.click("ol.rows li:first-child button")  # down: now the rejection comes first
    window.find("ol.rows")
    assert said("30") == said("31")
    for _ in range(2):
        left = window.run("return document.querySelectorAll('ol.rows [value=remove]').length")
        window.click("ol.rows li:first-child form:last-of-type button")
        window.until(f"document.querySelectorAll('ol.rows [value=remove]').length < {left}")


def test_a_part_gets_its_printer(shop: Cloud, visitor: tuple[Browser, str]) -> None:
    window, _ = visitor
    window.open(shop.url + "/setup/printing?part=new")
    window.run(
        "for (const [n, v] of [['part', 'bar'], ['label', 'BAR']]) document.querySelector(`[name=${n}]`).value = v"
    )
    window.run("document.querySelector('input[name=categories][maxlength]').value = 'drinks, wine'")
    window.click("#edit button.yes")
    window.until("document.querySelector('ol.rows b')?.innerText === 'BAR'")
    assert "drinks, wine" in window.text()
    window.click("ol.rows form button")
    window.find("ol.rows .empty")


def test_the_slip_is_shown_as_it_is_printed(shop: Cloud, visitor: tuple[Browser, str], anna: httpx.Client) -> None:
    window, _ = visitor
    window.open(shop.url + "/setup/slip")
    before = window.run("return document.querySelector('.preview img').src")
    window.run("document.querySelector('[name=footer]').value = ''")
    window.type("[name=footer]", "See you soon")
    window.until(
        f"document.querySelector('.preview img').src !== {before!r} && document.querySelector('.preview img').complete"
    )
    shown = window.run("return document.querySelector('.preview img').src").removeprefix(shop.url)
    drawn = anna.get(shown.replace("80mm", "58mm"))
    window.click("form.add button.yes")
    window.until("document.querySelector('[name=footer]').value === 'See you soon'")
    key = shop.command("key", "add", "Corner Cafe")
    printed = httpx.get(
        shop.url + "/v1/shop/slip.png", params={"columns": 32}, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    assert drawn.content[:4] == b"\x89PNG"
    assert drawn.content == printed.content == anna.get("/setup/slip/picture?paper=58mm").content
    bad = anna.get("/setup/slip/picture", params={"form": "1", "header": "x" * 101})
    assert bad.status_code == 422


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


def test_a_shop_with_nothing_yet_is_told_what_to_do_next(shop: Cloud) -> None:
    """Every page of a merchant who has no box, no receipt and no customer."""
    shop.merchant("Fresh", "fred").close()
    with closing(shop.log_in("fred")) as fred:
        for path in (*PAGES, "/customers/crm/espocrm"):
            answer = fred.get(path)
            assert answer.status_code == 200, path
        assert "No box yet" in fred.get("/boxes").text
        assert "Import a file" in fred.get("/customers").text
        assert "No receipt of this shop" in fred.get("/setup/reading").text
        assert fred.get("/setup/slip/picture").content.startswith(b"\x89PNG")


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
