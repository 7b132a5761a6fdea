"""From a customer's phone to paper: the whole system, a real browser, a narrow screen, English and Chinese."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from axe_core_python.base import AXE_SCRIPT

from receipt import read
from tests.cloud.browser import Browser
from tests.cloud.guest import open_shop
from tests.cloud.providers import Gateway
from tests.cloud.wxpusher import WxPusher
from tests.scenes.conftest import Shop
from tests.simulators.system import PASSWORD, USER, until


class Customer:
    """A phone in the shop of the scene."""

    def __init__(self, shop: Shop, browser: Browser, red: str, black: str) -> None:
        self.shop, self.web, self.red, self.black = shop, browser, red, black

    def speaks(self, language: str) -> None:
        if self.web.run("return document.documentElement.lang") != language:
            self.web.click(f"footer button[lang={language}]")
            self.web.until(f"document.documentElement.lang === '{language}'")

    def checked(self) -> None:
        """Nothing wider than the screen, nothing the browser complains of, nothing a screen reader stumbles over."""
        wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert self.web.run(wide), "wider than the screen"
        assert self.web.complaints() == []
        # what floats or is folded would count as the background of other things; unfolded it is checked too
        self.web.run(
            "document.querySelector('#bar')?.style.setProperty('position', 'static');"
            "document.querySelectorAll('details').forEach(one => one.open = true)"
        )
        self.web.run(f"{AXE_SCRIPT}; window.found = null; axe.run().then(r => window.found = r)")
        found: dict[str, Any] = self.web.until("window.found")
        assert [(v["id"], [(n["target"], n["failureSummary"]) for n in v["nodes"]]) for v in found["violations"]] == []
        self.web.run("document.querySelectorAll('details').forEach(one => one.open = false)")

    def state(self, *states: str) -> None:
        self.web.until(f"{json.dumps(states)}.includes(document.querySelector('#state')?.dataset.state)", within=180)

    def paper(self, words: str) -> str:
        """The text of the one slip that says this."""

        def found() -> list[str]:
            texts = ["\n".join(line.text for line in read(piece).lines) for piece in list(self.shop.printer.paper)]
            return [text for text in texts if words in text]

        (slip,) = until(found, 180, f"a slip with {words!r}")
        return slip


@pytest.fixture(scope="module")
def push() -> Iterator[WxPusher]:
    with closing(WxPusher()) as one:
        yield one


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, push: WxPusher) -> Iterator[Shop]:
    """The scenes' shop; the providers of its notices are on this machine."""
    shop = Shop(tmp_path_factory.mktemp("shop"), "embedded")
    shop.system.kill("cloud", signal.SIGTERM)
    shop.system.env["PYTHONPATH"] = push.sees(tmp_path_factory.mktemp("stub"))
    with shop.system.cloud_toml.open("a") as file:
        file.write("[webhooks]\nallow_private = true\n")
    shop.system.start("cloud")
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("phone"))
    one.size(390, 844)
    yield one
    one.close()


@pytest.fixture(scope="module")
def customer(shop: Shop, browser: Browser) -> Customer:
    headers = {"Authorization": f"Bearer {shop.system.key}"}
    with httpx.Client(base_url=shop.system.url, headers=headers, timeout=30) as api:
        red, black = open_shop(api)
    return Customer(shop, browser, red, black)


def test_scan_a_red_code_order_and_it_is_on_paper(customer: Customer) -> None:
    web = customer.web
    web.open(customer.red)
    customer.speaks("en")
    customer.checked()
    web.click(".item details.must summary")
    web.run("document.querySelectorAll('.item details[open] input[type=radio]')[1].click()")
    web.until("document.querySelector('.item details[open] [data-sum]').innerText === '£3.90'")
    web.click(".item details[open] button.main")
    web.until("document.querySelector('#bar b')?.innerText === '1'")
    web.click(".quick .plus")
    web.until("document.querySelector('#bar b').innerText === '2'")
    web.click("#bar a.main")
    web.find(".lines")
    customer.checked()
    web.type("textarea[name=note]", "no sugar")
    web.click(".send button.main")
    customer.state("printed")
    assert "In the kitchen" in web.text()
    customer.checked()
    slip = customer.paper("no sugar")
    assert "Flat white" in slip and "Oat milk" in slip and "Filter of the day" in slip and "7" in slip


def test_scan_a_black_code_the_shop_accepts_and_it_is_on_paper(customer: Customer) -> None:
    web, system = customer.web, customer.shop.system
    web.open(customer.black)
    customer.speaks("zh")
    customer.checked()
    web.click(".quick .plus")
    web.find("#bar a.main")
    web.open(customer.black + "/basket")
    customer.checked()
    web.type("input[name=name]", "Lin")
    web.click(".send button.main")
    customer.state("review")
    assert "等待商家确认" in web.text()
    assert not any(b"Lin" in piece for piece in list(customer.shop.printer.paper))
    order = system.api("GET", "/v1/orders")[1]["orders"][0]["id"]
    assert system.api("POST", f"/v1/orders/{order}/accept", {})[0] == 200
    customer.state("printed")
    assert "厨房已收到" in web.text()
    assert "Filter of the day" in customer.paper("Lin")
    assert system.api("POST", f"/v1/orders/{order}/cancel", {"reason": "停电"})[0] == 200
    web.until("document.querySelector('#state.cancelled[data-state=printed]')", within=180)
    assert "停电" in web.text() and "已取消" in web.text()
    customer.checked()
    assert "Filter of the day" in customer.paper("STOP PREPARING")


def test_a_rejection_reaches_the_page_and_the_phone_and_the_order_is_mended(customer: Customer) -> None:
    web, system = customer.web, customer.shop.system
    with closing(Gateway()) as gateway:
        set_sender(customer, "sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}")
        web.open(customer.black)
        customer.speaks("zh")
        web.click(".quick .plus")
        web.find("#bar a.main")
        web.open(customer.black + "/basket")
        web.type("input[name=name]", "Mei")
        web.type("input[name=phone]", "+442079460007")
        web.click(".send button.main")
        customer.state("review")
        first = str(web.run("return location.pathname"))
        order = system.api("GET", "/v1/orders")[1]["orders"][0]["id"]
        assert system.api("POST", f"/v1/orders/{order}/reject", {"reason": "Closing early today"})[0] == 200
        customer.state("rejected")
        assert "Closing early today" in web.text() and "商家未能接单" in web.text()
        customer.checked()
        _, _, body = gateway.got.get(timeout=180)
        told = json.dumps(body, ensure_ascii=False)
        assert "Closing early today" in told and "442079460007" in told and first in told
    web.click("#state button.main")
    web.find(".lines .stepper")
    assert "它将代替被拒绝的订单" in web.text()
    web.click(".stepper button[value='2']")
    web.until("document.querySelector('.stepper output').innerText === '2'")
    assert web.run("return document.querySelector('input[name=name]').value") == "Mei", "nobody writes it twice"
    web.click(".send button.main")
    customer.state("review")
    assert web.run("return location.pathname") != first
    web.open(system.url + first)
    assert "您已另发一份订单代替它" in web.text()
    assert not any(b"Mei" in piece for piece in list(customer.shop.printer.paper))


def test_a_customer_scans_the_push_code_and_is_told_by_wechat(customer: Customer, push: WxPusher) -> None:
    web, system = customer.web, customer.shop.system
    set_sender(customer, "wechat", "wxpusher://AT_shopkey/{to}")
    web.open(customer.black)
    customer.speaks("zh")
    web.click(".quick .plus")
    web.find("#bar a.main")
    web.open(customer.black + "/basket")
    customer.checked()
    web.type("input[name=name]", "Wen")
    web.click(".send button.main")
    customer.state("review")
    web.click("form[action$='/wechat'] button")
    web.until("document.querySelector('.wechat.shown img')?.naturalWidth > 100", within=180)
    customer.checked()
    order = system.api("GET", "/v1/orders")[1]["orders"][0]["id"]
    push.scans[order] = "UID_wen_0001"
    web.until("document.querySelector('.wechat.linked')", within=180)
    assert "我们会通过微信通知您" in web.text()
    assert system.api("POST", f"/v1/orders/{order}/reject", {"reason": "鱼卖完了"})[0] == 200
    message = push.sent.get(timeout=180)
    assert message["uids"] == ["UID_wen_0001"] and "鱼卖完了" in json.dumps(message, ensure_ascii=False)


def set_sender(customer: Customer, way: str, url: str) -> None:
    """As the merchant does it, in the console."""
    with httpx.Client(base_url=customer.shop.system.url, timeout=30) as console:
        console.post("/login", data={"name": USER, "password": PASSWORD})
        csrf = console.get("/").text.split('data-csrf="')[1].split('"')[0]
        done = console.post(f"/setup/notices/{way}", data={"url": url, "csrf": csrf})
        assert done.status_code == 303, done.text
