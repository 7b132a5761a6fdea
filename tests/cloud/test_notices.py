"""Customers are told: by a real Apprise in its child process, to stubs of the providers; and what does not go out."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from cloud.notifier_door import BadSender, Notifier, Unsent, check, filled
from tests.cloud.conftest import Cloud, until
from tests.cloud.guest import Guest, open_shop
from tests.cloud.providers import Gateway, MailServer
from wire.messages import OrderState

TABLE_ORDER = {"kind": "dine_in", "table": "4", "items": [{"name": "Soup"}]}


class Shop:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.api = cloud.merchant("Tell Tale", "tia")
        self.box = cloud.box("Tell Tale", "tell-front-1")
        self.box.status()
        self.red, self.black = open_shop(self.api, slug="tell-tale", name="Tell Tale")
        self.console = cloud.log_in("tia")
        self.csrf = self.console.get("/").text.split('data-csrf="')[1].split('"')[0]

    def sender(self, way: str, url: str) -> httpx.Response:
        form = {"url": url, "csrf": self.csrf}
        return self.console.post(f"/setup/notices/{way}", data=form, headers={"Origin": self.cloud.url})

    def order(self, language: str = "en", **contact: str) -> tuple[str, Guest, str]:
        """A takeaway order -> (its id, the customer, the path of its page)."""
        guest = Guest(self.cloud.url, self.black, language)
        guest.add("Carrot cake" if language == "en" else "胡萝卜蛋糕")
        link = guest.order(kind="takeaway", name="Ann", **contact)
        return str(self.api.get("/v1/orders").json()["orders"][0]["id"]), guest, link

    def reject(self, order: str, reason: str) -> None:
        assert self.api.post(f"/v1/orders/{order}/reject", json={"reason": reason}).status_code == 200

    def alarms(self) -> str:
        return self.console.get("/").text


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    cloud = Cloud(tmp_path_factory.mktemp("tell"), extra="[webhooks]\nallow_private = true\n").start()
    try:
        yield Shop(cloud)
    finally:
        cloud.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with closing(Gateway()) as one:
        yield one


def test_a_rejection_goes_out_by_sms_in_the_customers_language(shop: Shop, gateway: Gateway) -> None:
    assert shop.sender("sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}").status_code == 303
    order, _, link = shop.order("zh", phone="+44 20 7946 0001")
    shop.reject(order, "牛肉没有了")
    _, _, body = gateway.got.get(timeout=60)
    text = json.dumps(body, ensure_ascii=False)
    assert "442079460001" in text and "牛肉没有了" in text and "Tell Tale未能接受订单" in text
    assert f"{shop.cloud.url}{link}" in text
    until(lambda: "sent" in shop.console.get("/setup/notices").text)
    page = shop.console.get("/setup/notices").text
    assert "+442079460001" in page and "TOKENTOKEN" not in page


def test_an_accepted_order_goes_out_by_mail_once(shop: Shop) -> None:
    with closing(MailServer()) as mail:
        url = f"mailto://127.0.0.1:{mail.port}?to={{to}}&from=shop@example.com"
        assert shop.sender("email", url).status_code == 303
        order, _, _ = shop.order(email="ann@example.com")
        shop.api.post(f"/v1/orders/{order}/accept", json={"prep_min": 20})
        to, text = mail.got.get(timeout=60)
        letter = email.message_from_string(text, policy=email.policy.default)
        body = letter.get_body(("plain",))
        assert to == ["ann@example.com"]
        assert str(letter["subject"]).startswith("Tell Tale: order") and body is not None
        assert "is accepted" in body.get_content()
        until(lambda: "ann@example.com" in shop.console.get("/setup/notices").text)
        assert mail.got.empty()


def test_the_shops_own_webhook_is_signed(shop: Shop, gateway: Gateway) -> None:
    assert shop.sender("webhook", f"http://127.0.0.1:{gateway.port}/notices").status_code == 303
    try:
        secret = shop.console.get("/setup/notices").text.split("<code>whsec_")[1].split("<")[0]
        order, _, _ = shop.order()
        shop.reject(order, "too busy")
        path, headers, body = gateway.got.get(timeout=60)
        assert (path, body["state_told"], body["order_id"]) == ("/notices", "rejected", order)
        raw = json.dumps(body, ensure_ascii=False).encode()
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        wanted = base64.b64encode(hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{wanted}"
    finally:
        shop.sender("webhook", "")


def test_a_notice_that_fails_is_tried_again_and_shown_until_the_customer_knows(shop: Shop, gateway: Gateway) -> None:
    gateway.says = [503, 503]
    shop.sender("sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}")
    order, guest, link = shop.order(phone="+442079460002")
    number = shop.api.get(f"/v1/orders/{order}").json()["number"]
    shop.reject(order, "sold out")
    gateway.got.get(timeout=60)
    gateway.got.get(timeout=60)  # the second try, five seconds later
    says = f"Order {number} is rejected, and Ann could not be told"
    until(lambda: says in shop.alarms(), within=60)
    assert "TOKENTOKEN" not in shop.alarms()
    assert "sold out" in guest.web.get(link).text
    until(lambda: says not in shop.alarms())


def test_a_way_that_the_shop_has_not_is_told_at_once(shop: Shop) -> None:
    order, _, _ = shop.order(wechat="UID_abcdef")
    number = shop.api.get(f"/v1/orders/{order}").json()["number"]
    shop.reject(order, "sold out")
    until(lambda: f"Order {number} is rejected, and Ann could not be told (wechat" in shop.alarms(), within=60)


@pytest.mark.covers("A9", "A49")
@pytest.mark.parametrize(
    ("way", "url"),
    [
        ("sms", "json://169.254.169.254/{to}"),  # no service that carries SMS
        ("sms", "file:///etc/passwd?{to}"),
        ("sms", "twilio://SID:TOKEN@+4412345/{to}/{to}"),
        ("sms", "smseagle://TOKEN@{to}/x"),  # a customer would name the server
        ("sms", "smseagle://{0.__class__}@host/{to}"),
        ("sms", "smseagles://TOKEN@host/{to}?verify=no"),
        ("email", "mailto://host?to={to}&pgpkey=/etc/passwd&pgp=yes"),
        ("email", "mailto://host?to={to}#x"),
        ("wechat", "wxpusher://TOKEN/\n{to}"),
    ],
)
def test_an_address_that_is_no_providers_is_refused(shop: Shop, way: str, url: str) -> None:
    with pytest.raises(BadSender):
        check(way, url)
    assert shop.sender(way, url).status_code == 422


@pytest.mark.covers("A49")
def test_what_a_customer_leaves_stays_one_part_of_the_address() -> None:
    url = filled("smseagle://TOKEN@host/{to}", "+44/../../@evil?x=1&y={to}#")
    assert url == "smseagle://TOKEN@host/+44%2F..%2F..%2F%40evil%3Fx%3D1%26y%3D%7Bto%7D%23"


@pytest.mark.covers("A49")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_no_provider_is_next_door(gateway: Gateway, host: str) -> None:
    notifier = Notifier(allow_private=False)  # as a public cloud has it
    try:
        with pytest.raises(Unsent):
            notifier.send(f"smseagle://TOKENTOKEN@{host}:{gateway.port}/+442079460003", "t", "b")
    finally:
        notifier.stop()
    assert gateway.got.empty()


@pytest.mark.covers("A49")
def test_a_provider_that_sends_elsewhere_is_not_followed(gateway: Gateway) -> None:
    with closing(Gateway()) as other:
        gateway.says, gateway.moved = [302], f"http://127.0.0.1:{other.port}/"
        notifier = Notifier(allow_private=True)
        try:
            with pytest.raises(Unsent):
                notifier.send(f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/+442079460003", "t", "b")
        finally:
            notifier.stop()
        assert other.got.empty()


def test_a_notifier_that_dies_is_started_again(gateway: Gateway) -> None:
    notifier = Notifier(allow_private=True)
    url = f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/+442079460003"
    try:
        notifier.send(url, "t", "one")
        assert notifier._child is not None
        notifier._child.kill()
        notifier._child.wait()
        notifier.send(url, "t", "two")
    finally:
        notifier.stop()
    assert ["one" in json.dumps(gateway.got.get(timeout=1)[2]), "two" in json.dumps(gateway.got.get(timeout=1)[2])] == [
        True,
        True,
    ]


# ---- the shop's own people


def staff(shop: Shop, **form: str) -> None:
    values = {"phone": "", "email": "", "wechat": "", "after_s": "0", "test": "", "csrf": shop.csrf} | form
    done = shop.console.post("/setup/notices/staff", data=values, headers={"Origin": shop.cloud.url})
    assert done.status_code == 303, done.text


def told(gateway: Gateway, words: str) -> str:
    """The message that says so. Another alarm of this shop may have been told just before: then it is the next one."""
    while words not in (text := json.dumps(gateway.got.get(timeout=180)[2], ensure_ascii=False)):
        pass
    return text


def test_staff_are_told_of_an_order_that_may_not_be_on_paper(shop: Shop, gateway: Gateway) -> None:
    shop.sender("sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}")
    staff(shop, phone="+44 20 7946 0100", test="1")
    told(gateway, "This is a test")
    order = shop.api.post("/v1/orders", json=TABLE_ORDER).json()
    shop.box.order(order["id"])
    shop.box.report(order["id"], OrderState.UNCONFIRMED, reason="no answer within 10 s")
    text = told(gateway, f"Order {order['number']} is unconfirmed")
    assert "442079460100" in text and shop.cloud.url in text
    page = shop.console.get("/setup/notices").text
    assert "+442079460100" in page and "unconfirmed" in page
    assert f"Order {order['number']} is unconfirmed" in shop.alarms(), "the console shows it as before"
    staff(shop)


def test_alerts_that_nobody_answers_at_the_box_reach_its_people_in_their_language(shop: Shop, gateway: Gateway) -> None:
    shop.sender("sms", f"smseagle://TOKENTOKEN@127.0.0.1:{gateway.port}/{{to}}")
    shop.console.post("/look", data={"lang": "zh", "next": "/"}, headers={"Origin": shop.cloud.url})
    try:
        staff(shop, phone="+442079460101")
        shop.box.status(alerts=["printer:main (escalated) the paper of printer main is out"])
        assert "tell-front-1" in told(gateway, "十分钟")
        shop.box.status(alerts=["printer:main (sounding) the paper of printer main is out"])
        until(lambda: "tell-front-1 的警报" not in shop.alarms())
    finally:
        shop.console.post("/look", data={"lang": "en", "next": "/"}, headers={"Origin": shop.cloud.url})
        staff(shop)


def test_staff_who_cannot_be_told_are_shown_and_a_customers_alarm_stays_their_own(shop: Shop) -> None:
    shop.sender("email", "")
    staff(shop, email="ann@example.com", test="1")
    until(lambda: "Your staff could not be told by email" in shop.alarms(), within=60)
    staff(shop)
    until(lambda: "Your staff could not be told" not in shop.alarms())
