"""Every page as it looks to others: the languages and widths that test_pages.py leaves out, in the dark, by keyboard;
a shop whose every name is an attack, one with three currencies, one with a single receipt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from cloud import crm, rules
from cloud.crm import Customer
from cloud.rules import PartRule, Review, Routing, Rule
from cloud.store.database import Store
from cloud.store.figures import items
from cloud.store.schema import boxes, merchants
from receipt.model import Item, Kind, Pay, Receipt, Tender
from tests.cloud.browser import Browser
from tests.cloud.conftest import PASSWORD, Cloud
from tests.cloud.shop_of_receipts import add_job, add_shop
from tests.cloud.test_pages import AXE, PAGES, RUN_AXE
from tests.demo_shop import fill
from wire.messages import SlipStyle

ATTACK = (
    "\"'><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{{7*7}}=cmd|'/c calc'!A1"
)
MARK = "<img src=x"  # stands on no page unless it was not escaped
ALSO = ("/customers/crm/espocrm", "/analysis?range=365", "/analysis?range=1", "/customers?segment=lapsed", "/nowhere")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Corner Cafe (anna), one under attack with three currencies (otto), one with a single receipt (sina)."""
    cloud = Cloud(tmp_path_factory.mktemp("looks"))
    for name, user in (("Corner Cafe", "anna"), (f"Odd {ATTACK}"[:60], "otto"), ("Single", "sina")):
        cloud.command("merchant", "add", name, "--user", user, "--password-stdin", stdin=PASSWORD + "\n")
    fill(cloud.database, "Corner Cafe", months=1, per_day=12)
    with closing(Store("sqlite:///unused", cloud.database)) as store, store.write() as connection:
        ids = {row.name[:3]: row.id for row in connection.execute(sa.select(merchants))}
        for n, merchant in enumerate((ids["Odd"], ids["Sin"])):
            box = f"box-of-{n}-shop"
            connection.execute(sa.insert(boxes).values(id=box, merchant_id=merchant, password_hash="-", created_at=1))
        _attacked(connection, ids["Odd"])
        add_shop(connection, ids["Sin"], currency="EUR")
        sale = Receipt(Kind.SALE, number="1", total=450, currency="EUR", items=(Item("Tea", amount=450),))
        add_job(connection, ids["Sin"], sale, box="box-of-1-shop", started_ms=_ms(0), lines="Tea 4.50")
    cloud.start()
    yield cloud
    cloud.close()


def _ms(days_ago: float) -> int:
    return int((datetime.now(UTC) - timedelta(days=days_ago, minutes=1)).timestamp() * 1000)


def _attacked(connection: sa.Connection, merchant: str) -> None:
    add_shop(connection, merchant, name=ATTACK, currency="EUR")
    add_shop(connection, merchant, "second", name=ATTACK, currency="JPY")
    sale = Receipt(
        Kind.SALE,
        number=ATTACK,
        total=1250,
        table=ATTACK,
        cashier=ATTACK,
        member=ATTACK,
        covers=2,
        tip=100,
        discount=-50,
        currency="EUR",
        items=(Item(ATTACK, amount=1250), Item("<b>Soup", amount=50)),
        tenders=(Tender(Pay.CARD, 1250, last_four="4242"),),
    )
    for n in range(60):
        one = replace(
            sale,
            number=f"{n}{ATTACK}",
            currency=("EUR", "JPY", "<i>", None)[n % 4],
            kind=[Kind.SALE, Kind.VOID][n % 7 == 0],
        )
        where: dict[str, Any] = {"box": "box-of-0-shop", "seq": n, "pos": ATTACK, "printer": ATTACK}
        add_job(connection, merchant, one, started_ms=_ms(n / 2), lines=f"{ATTACK}\nTOTAL 12.50", **where)
    who = Customer(ATTACK, ATTACK[:80], f"{ATTACK}@example.org".replace(" ", "")[:60], note=ATTACK, member=ATTACK)
    crm.keep(connection, merchant, replace(who, fields={ATTACK[:40]: ATTACK}), "file")
    connection.execute(sa.update(items).where(items.c.merchant_id == merchant).values(category=ATTACK[:40]))
    rules.save(connection, merchant, Review(rules=[Rule("reject", code="other", reason=ATTACK)]), ATTACK)
    parts = [PartRule("kitchen", label="<b>x", categories=[ATTACK[:50]])]
    rules.save(connection, merchant, Routing(parts=parts), ATTACK)
    rules.save(connection, merchant, SlipStyle(header=[ATTACK[:90]]), ATTACK)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with closing(Browser(tmp_path_factory.mktemp("browser"))) as browser:
        yield browser


def enter(window: Browser, cloud: Cloud, user: str, lang: str) -> None:
    window.open(cloud.url + "/login")
    window.speak(lang)
    window.type("#name", user)
    window.type("#password", PASSWORD)
    window.click("button.yes")
    window.find("nav.menu")


def looked_at(window: Browser, cloud: Cloud, lang: str, paths: tuple[str, ...], axe: bool) -> list[str]:
    """What is wrong with which page."""
    wrong = []
    for path in paths:
        window.open(cloud.url + path)
        window.find("main")
        if window.run("return document.documentElement.lang") != lang:
            wrong.append(f"{path}: another language")
        if window.run("return document.documentElement.scrollWidth > window.innerWidth + 1"):
            wrong.append(f"{path}: wider than the screen")
        if axe:
            window.run(AXE)
            wrong += [f"{path}: {fault}" for fault in window.wait_for(RUN_AXE)]
        wrong += [f"{path}: {said}" for said in window.complaints() if "404 (Not Found)" not in said]
    return wrong


@pytest.mark.parametrize(("wide", "lang"), [(390, "en"), (1280, "zh")])
def test_pages_fit_in_the_other_language_too(shops: Cloud, window: Browser, wide: int, lang: str) -> None:
    window.size(wide)
    enter(window, shops, "anna", lang)
    assert looked_at(window, shops, lang, (*PAGES, *ALSO), axe=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("wide", "lang"), [(390, "en"), (1280, "zh"), (390, "zh"), (1280, "en")])
def test_pages_are_accessible_in_every_look(shops: Cloud, window: Browser, wide: int, lang: str, dark: bool) -> None:
    window.size(wide, dark=dark)
    enter(window, shops, "anna", lang)
    assert looked_at(window, shops, lang, (*PAGES, *ALSO), axe=True) == []


@pytest.mark.covers("A16")
def test_what_paper_and_customers_say_stays_text_on_every_page(shops: Cloud, window: Browser) -> None:
    window.size(390)
    enter(window, shops, "otto", "en")
    paths = (*PAGES, *ALSO, "/receipts?q=%22%3E%3Cimg+src%3Dx%3E", "/setup/orders?rule=0", "/setup/printing?part=0")
    assert looked_at(window, shops, "en", paths, axe=False) == []
    with closing(shops.log_in("otto")) as otto:
        found = [links(otto, "/receipts", "/receipts/0")[0], links(otto, "/customers", "/customers/0")[0]]
        for path in (*paths, *found):
            page = otto.get(path).text
            assert MARK not in page, path
            assert not re.search(r'(?:href|src|action)="(?:javascript|data:text)', page), path
        for path in found:
            window.open(shops.url + path)
            window.find("main")
            assert window.run("return document.title.includes('owned')") is False or "<script>" in window.run(
                "return document.title"
            )
            assert window.run("return document.querySelectorAll('main img[src=x], main script').length") == 0
    assert window.complaints() == []


def links(client: httpx.Client, path: str, begin: str) -> list[str]:
    found = [unescape(href) for href in re.findall(r'href="([^"]+)"', client.get(path).text)]
    return [href for href in found if href.startswith(begin)]


@pytest.mark.covers("A17")
def test_what_is_taken_away_runs_nothing(shops: Cloud) -> None:
    with closing(shops.log_in("otto")) as otto:
        for path in ("/receipts", "/analysis", "/customers", "/receipts/completeness"):
            text = otto.get(f"{path}/export/csv").content.decode("utf-8-sig")
            assert len(text.split("\n")) > 2, path
            assert not re.search(r'(?m)(?:^|,)"?[=@+]', text), path
            for kind in ("xlsx", "pdf"):
                assert otto.get(f"{path}/export/{kind}").status_code == 200, path


def test_an_address_with_a_nul_is_refused_before_any_database_sees_it(shops: Cloud) -> None:
    with closing(shops.log_in("sina")) as sina:
        for path in (
            "/customers?q=%00",
            "/receipts?item=a%00b",
            "/analysis?currency=%00",
        ):
            answer = sina.get(path)
            assert answer.status_code == 422, path
            assert answer.json()["type"].endswith("bad-text")
        for path in ("/receipts/%00", "/boxes/%00"):
            assert sina.get(path).status_code == 404, path


@pytest.mark.parametrize("user", ["otto", "sina"])
def test_pages_of_a_shop_with_three_currencies_and_of_one_with_a_single_receipt(shops: Cloud, user: str) -> None:
    with closing(shops.log_in(user)) as client:
        for path in (*PAGES, *ALSO[:-1], "/analysis?currency=JPY", "/analysis/compare?against=year&range=7"):
            assert client.get(path).status_code == 200, path
        page = client.get("/analysis").text
        assert ("never added up" in page) == (user == "otto")
        if user == "sina":
            assert "€4.50" in page
            for href in set(links(client, "/analysis", "/receipts?")):
                assert client.get(href).status_code == 200, href


def test_every_figure_of_the_analysis_leads_to_receipts(shops: Cloud) -> None:
    with closing(shops.log_in("anna")) as anna:
        for tab in ("", "/items", "/people", "/compare"):
            found = sorted(set(links(anna, f"/analysis{tab}", "/receipts?")))
            assert found, tab
            for href in found[:: max(1, len(found) // 12)]:
                page = anna.get(href)
                assert page.status_code == 200, href
                assert 'class="problem"' not in page.text, href
            assert not re.search(r'<td><a href="">', anna.get(f"/analysis{tab}").text)


def test_a_page_is_gone_through_by_keyboard(shops: Cloud, window: Browser) -> None:
    window.size(1280)
    enter(window, shops, "anna", "en")
    window.open(shops.url + "/receipts")
    window.press("\ue004")  # Tab
    assert window.run("return document.activeElement.className") == "skip"
    window.press("\ue007")  # Enter
    assert window.run("return document.activeElement.id") == "main"
    seen = set()
    for _ in range(12):
        window.press("\ue004")
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert window.run(f"return {ring}") != "none"
        seen.add(window.run("return document.activeElement.outerHTML.slice(0, 120)"))
    assert len(seen) > 8


def test_a_refused_form_keeps_what_was_typed_and_says_why(shops: Cloud, window: Browser) -> None:
    window.size(390)
    enter(window, shops, "anna", "zh")
    window.open(shops.url + "/setup/orders?rule=new")
    window.run("document.querySelector('#edit [name=begins]').value = '10:00'")
    window.type("#edit [name=reason]", "太忙了")
    window.click("#edit button.yes")
    window.find("#edit > .problem")
    said = str(window.run("return document.querySelector('#edit > .problem').innerText"))
    assert "规则 1：开始和结束时间须同时填写" in said, said
    assert window.run("return document.querySelector('#edit [name=reason]').value") == "太忙了"
    window.run("document.querySelector('#edit [name=ends]').value = '11:00'")
    window.click("#edit button.yes")
    window.until("document.querySelectorAll('ol.rows [name=number]').length > 0")
    assert window.complaints() == [] or all("422" in said for said in window.complaints())
    with closing(shops.log_in("anna")) as anna:
        token = anna.get("/").text.split('data-csrf="')[1].split('"')[0]
        headers = {"Accept": "text/html", "Accept-Language": "zh"}
        data = {"csrf": token, "do": "rule", "action": "reject", "code": "nope"}
        answer = anna.post("/setup/orders", data=data, headers=headers)
        assert answer.status_code == 422
        assert "不能保存" in answer.text and "拒单原因" in answer.text
        assert "must" not in answer.text


def test_pages_are_printed_without_what_is_pressed(shops: Cloud, window: Browser) -> None:
    window.size(1280, dark=True)
    enter(window, shops, "anna", "en")
    window.open(shops.url + "/analysis")
    window.find("main")
    window.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    shown = "(s) => [...document.querySelectorAll(s)].filter((e) => e.getClientRects().length).length"
    try:
        assert window.run(f"return ({shown})('nav, .choose, .me')") == 0
        assert window.run(f"return ({shown})('.at-desk svg')") >= 3
        assert window.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert window.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    finally:
        window.devtools("Emulation.setEmulatedMedia", {"media": ""})
