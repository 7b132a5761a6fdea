"""The live page in a real browser: log in, see paper come, accept and reject, on a phone and on a desk."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.cloud.browser import Browser
from tests.cloud.conftest import PASSWORD, Cloud
from tests.simulators.box import SimulatedBox
from wire.messages import PrinterState

TAKEAWAY = {"kind": "takeaway", "channel": "mealhub", "items": [{"name": "Soup of the day", "quantity": 2}]}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture(params=[390, 1280], ids=["phone", "desk"])
def page(request: pytest.FixtureRequest, browser: Browser, cloud: Cloud, cafe: httpx.Client) -> Browser:
    """Logged in, live."""
    browser.size(request.param)
    browser.open(cloud.url + "/login")
    browser.type("#name", "anna")
    browser.type("#password", PASSWORD)
    browser.click("button.yes")
    browser.until("document.querySelector('#pulse')?.dataset.state === 'live'")
    return browser


def fits(browser: Browser) -> bool:
    return bool(browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_receipts_orders_and_printers_come_live(
    cloud: Cloud, cafe: httpx.Client, front: SimulatedBox, page: Browser
) -> None:
    front.capture(f"CORNER CAFE\nTOTAL 12.30\nNo. {front.seq + 1}\n")
    page.find(f"article.receipt a[aria-label='Receipt {front.seq}']")
    assert page.run("return document.querySelector('#receipts .total').innerText") == "€12.30"
    assert re.fullmatch(r"\d\d:\d\d", page.run("return document.querySelector('#receipts time').innerText"))

    front.status(printers=[PrinterState("main", online=False, paper="out", connected=True)])
    page.until("document.querySelector('#boxes').innerText.includes('out of paper')")
    page.until("/main: out of paper since \\d\\d:\\d\\d/.test(document.querySelector('#alarms').innerText)")

    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    page.find(f"#o-{order} [name=minutes]")
    page.run(f"document.querySelector('#o-{order} [name=minutes]').value = '45'")
    page.click(f"#o-{order} [data-do=accept]")
    page.until(f"document.querySelector('#o-{order}').dataset.state !== 'review'")
    assert any("45 min" in step["why"] for step in cafe.get(f"/v1/orders/{order}").json()["history"])
    front.order(order)
    front.print_order(order)
    page.until(f"document.querySelector('#o-{order}').innerText.includes('the printer confirmed it')")
    assert fits(page)
    assert page.complaints() == []


def test_words_of_any_length_do_not_push_the_buttons_off_the_page(cafe: httpx.Client, page: Browser) -> None:
    body = TAKEAWAY | {"items": [{"name": "X" * 200, "options": ["Y" * 100]}], "note": "Z" * 300, "customer": "W" * 100}
    order = cafe.post("/v1/orders", json=body).json()["id"]
    page.find(f"#o-{order} [data-do=accept]")
    assert fits(page)
    page.click(f"#o-{order} [data-do=accept]")
    page.until(f"document.querySelector('#o-{order}').dataset.state !== 'review'")


def test_an_order_is_rejected_with_a_reason(cafe: httpx.Client, front: SimulatedBox, page: Browser) -> None:
    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    page.click(f"#o-{order} [data-do=reject]")
    page.run(f"document.querySelector('#o-{order} .reasons select').value = 'closed'")
    page.type(f"#o-{order} .reasons input", "We are closing")
    page.click(f"#o-{order} .reasons button.no")
    page.until(f"document.querySelector('#o-{order}').innerText.includes('rejected: We are closing')")
    told = cafe.get(f"/v1/orders/{order}").json()
    assert (told["reason"], told["reason_code"]) == ("We are closing", "closed")
    assert page.complaints() == []


@pytest.mark.covers("A16", "A44")
def test_a_hostile_receipt_is_only_text(cafe: httpx.Client, front: SimulatedBox, page: Browser) -> None:
    front.capture(
        "</pre><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\nNo. 1\n"
    )
    page.until("document.querySelector('#receipts').innerText.includes(\"document.title='owned'\")")
    page.click("article.receipt a")
    page.find(".facts")
    assert page.run("return document.title") != "owned"
    assert page.run("return document.querySelectorAll('pre img, pre script').length") == 0
    assert fits(page)
    assert page.complaints() == []


def test_the_page_comes_back_after_the_cloud_was_away(
    cloud: Cloud, cafe: httpx.Client, front: SimulatedBox, page: Browser
) -> None:
    cloud.stop()
    page.until("document.querySelector('#pulse').dataset.state === 'gone'")
    cloud.start()
    page.until("document.querySelector('#pulse')?.dataset.state === 'live'", within=20)
    order = cafe.post("/v1/orders", json=TAKEAWAY).json()["id"]
    page.find(f"#o-{order}")
