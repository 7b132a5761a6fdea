"""A customer links WeChat by scanning a code of the shop's push service, and is told by it; else by the next way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Empty

import pytest

from tests.cloud.conftest import Cloud, until
from tests.cloud.guest import Guest
from tests.cloud.providers import Gateway
from tests.cloud.test_notices import Shop
from tests.cloud.wxpusher import PNG, WxPusher


@pytest.fixture(scope="module")
def push() -> Iterator[WxPusher]:
    with closing(WxPusher()) as one:
        yield one


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, push: WxPusher) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", push.sees(tmp_path_factory.mktemp("stub")))
        cloud = Cloud(tmp_path_factory.mktemp("wechat"), extra="[webhooks]\nallow_private = true\n").start()
        try:
            shop = Shop(cloud)
            assert shop.sender("wechat", "wxpusher://AT_shopkey/{to}").status_code == 303
            yield shop
        finally:
            cloud.close()


@pytest.fixture
def sms(shop: Shop) -> Iterator[Gateway]:
    with closing(Gateway()) as gateway:
        assert shop.sender("sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}").status_code == 303
        yield gateway
        shop.sender("sms", "")


def ask(guest: Guest, link: str) -> None:
    assert guest.web.post(f"{link}/wechat").status_code == 303


def scan(shop: Shop, push: WxPusher, guest: Guest, order: str, link: str, who: str) -> None:
    """They ask for a code, it is on their page, they scan it."""
    ask(guest, link)
    wish = push.asked.get(timeout=60)
    assert wish == {"appToken": "AT_shopkey", "extra": order, "validTime": 900}
    until(lambda: f'src="{link}/wechat"' in guest.web.get(link).text, within=60)
    assert guest.web.get(f"{link}/wechat").content == PNG
    push.scans[order] = who
    until(lambda: 'class="wechat linked"' in guest.web.get(link).text, within=60)


def test_who_scanned_the_code_is_told_by_wechat_and_by_nothing_else(shop: Shop, push: WxPusher, sms: Gateway) -> None:
    order, guest, link = shop.order("zh", phone="+442079460001")
    page = guest.web.get(link).text
    assert "扫码即表示您同意Tell Tale就此订单给您发送消息" in page, "they know what they agree to"
    scan(shop, push, guest, order, link, "UID_ann_0001")
    shop.reject(order, "牛肉没有了")
    message = push.sent.get(timeout=60)
    assert message["uids"] == ["UID_ann_0001"] and message["appToken"] == "AT_shopkey"
    assert "牛肉没有了" in json.dumps(message, ensure_ascii=False)
    until(lambda: "UID_ann_0001" in shop.console.get("/setup/notices").text)
    with pytest.raises(Empty):
        sms.got.get_nowait()
    assert guest.web.get(f"{link}/wechat").status_code == 404, "the code is used up"


def test_the_order_in_place_of_a_rejected_one_is_told_by_wechat_too(shop: Shop, push: WxPusher) -> None:
    order, guest, link = shop.order()
    scan(shop, push, guest, order, link, "UID_ann_0003")
    shop.reject(order, "no fish")
    push.sent.get(timeout=60)
    assert guest.web.post(f"{link}/again").status_code == 303
    basket = guest.page("/basket")
    assert 'name="name" value="Ann"' in basket, "nobody writes it twice"
    after = guest.order(kind="takeaway", name="Ann")
    assert 'class="wechat linked"' in guest.web.get(after).text
    shop.reject(str(shop.api.get("/v1/orders").json()["orders"][0]["id"]), "no meat either")
    message = push.sent.get(timeout=60)
    assert message["uids"] == ["UID_ann_0003"] and "no meat either" in json.dumps(message)


def test_where_wechat_fails_the_next_way_is_taken(shop: Shop, push: WxPusher, sms: Gateway) -> None:
    order, guest, link = shop.order(phone="+442079460002")
    scan(shop, push, guest, order, link, "UID_ann_0002")
    push.refuses_messages = True
    try:
        shop.reject(order, "sold out")
        _, _, body = sms.got.get(timeout=60)
    finally:
        push.refuses_messages = False
    assert "442079460002" in json.dumps(body) and "sold out" in json.dumps(body)


def test_a_service_that_does_not_answer_is_said_and_asked_again(shop: Shop, push: WxPusher) -> None:
    _, guest, link = shop.order()
    push.broken = True
    try:
        ask(guest, link)
        until(lambda: 'class="wechat failed"' in guest.web.get(link).text, within=60)
    finally:
        push.broken = False
    assert "Leave a phone number" in guest.web.get(link).text
    ask(guest, link)
    until(lambda: 'class="wechat shown"' in guest.web.get(link).text, within=60)


def test_only_the_page_of_the_order_shows_its_code(shop: Shop, push: WxPusher) -> None:
    order, guest, link = shop.order()
    ask(guest, link)
    until(lambda: guest.web.get(f"{link}/wechat").status_code == 200, within=60)
    _, other, elsewhere = shop.order()
    assert other.web.get(f"{elsewhere}/wechat").status_code == 404
    assert other.web.get(f"/o/{'A' * 43}/wechat").status_code == 404
    shop.cloud.command("erase", "--phone", "+442079469999")  # another person's
    assert guest.web.get(f"{link}/wechat").status_code == 200
    push.scans[order] = "not an id!"
    assert 'class="wechat linked"' not in guest.web.get(link).text


def test_a_shop_without_such_a_service_offers_no_code(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, extra="[webhooks]\nallow_private = true\n").start()
    try:
        shop = Shop(cloud)
        _, guest, link = shop.order()
        assert f'action="{link}/wechat"' not in guest.web.get(link).text
        ask(guest, link)
        assert 'class="wechat' not in guest.web.get(link).text
    finally:
        cloud.close()
