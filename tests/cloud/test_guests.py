"""Customers at the red and the black code, over HTTP and without scripts: orders, limits, races, what is refused."""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from cloud import contacts
from cloud.store.counter import guest_orders
from cloud.store.schema import orders as order_table
from tests.cloud.conftest import Cloud, until
from tests.cloud.guest import MENU, Guest, open_shop, told
from tests.cloud.test_batch import fresh_store
from wire.messages import OrderContent, now_ms


class Shop:
    """Tables enough for every test to have its own; each phone comes from its own address."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.api = cloud.merchant("Quay Kitchen", "quinn")
        self.box = cloud.box("Quay Kitchen", "quay-front-1")
        self.box.status()
        _, self.black = open_shop(self.api, slug="quay-kitchen", name="Quay Kitchen")
        names = [f"T{n}" for n in range(80)]
        tables = self.api.put("/v1/tables", json={"names": names}).json()["tables"]
        self.tables = {table["name"]: table for table in tables if table["name"] in names}
        self._free, self._phones = iter(names), itertools.count(1)

    def orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/v1/orders?limit=200").json()["orders"]
        return found

    def table(self) -> str:
        """A name that nobody used yet."""
        return next(self._free)

    def at(self, table: str) -> Guest:
        return self.guest(self.tables[table]["url"])

    def guest(self, door: str, language: str = "en") -> Guest:
        phone = next(self._phones)
        return Guest(self.cloud.url, door, language, f"203.0.{phone // 250}.{phone % 250}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    cloud = Cloud(tmp_path_factory.mktemp("quay"))
    cloud.config.write_text(cloud.config.read_text().replace("[web]\n", "[web]\nproxies = 1\n"))
    cloud.start()
    try:
        yield Shop(cloud)
    finally:
        cloud.close()


def test_a_red_code_orders_and_the_box_gets_it_at_once(shop: Shop) -> None:
    table = shop.table()
    guest = shop.at(table)
    assert guest.add("Flat white", "Oat milk", "Vanilla", quantity=2).status_code == 303
    assert guest.add("Carrot cake", note="two forks").status_code == 303
    page = guest.page("/basket")
    assert "£13.50" in page and f"Order for table {table}" in page
    link = guest.order(note="by the window")
    printed = shop.box.orders.get(timeout=60)
    content = printed.content
    assert content.link == f"{shop.cloud.url}/o/{link.rsplit('/', 1)[-1]}", "the slip leads to the order's page"
    assert (content.kind, content.table, content.total, content.note) == ("dine_in", table, 1350, "by the window")
    assert [(i.name, i.quantity, i.unit_price, i.category) for i in content.items] == [
        ("Flat white", 2, 450, "bar"),
        ("Carrot cake", 1, 450, "kitchen"),
    ]
    assert content.items[0].options == ["Oat milk", "Vanilla"]
    assert content.items[1].note == "two forks" and "nuts" in content.items[1].allergens
    assert "Sent" in shop.at(shop.table()).web.get(link).text  # whoever has the link


def test_a_black_code_waits_for_the_shop(shop: Shop) -> None:
    guest = shop.guest(shop.black, "zh")
    guest.add("今日手冲")
    assert "needs_name" not in told(guest.send(kind="takeaway")) and guest.send(kind="takeaway").status_code == 409
    link = guest.order(kind="takeaway", name="林", phone="+86 138 0013 8000")
    order = shop.orders()[0]
    assert (order["state"], order["kind"], order["content"]["customer"]) == ("review", "takeaway", "林")
    assert order["content"]["items"][0]["name"] == "Filter of the day"  # the paper speaks the shop's language
    assert order["content"]["phone"] == "…8000"  # and lies about in a kitchen
    page = guest.web.get(link).text
    assert "等待商家确认" in page and "今日手冲" in page
    shop.api.post(f"/v1/orders/{order['id']}/accept")
    until(lambda: "已接单" in guest.web.get(link).text)


def test_a_rejected_order_is_changed_and_sent_as_another_that_replaces_it(shop: Shop) -> None:
    guest = shop.guest(shop.black)
    guest.add("Ham & cheese toastie", quantity=2)
    first = guest.order(kind="takeaway", name="Ann")
    order = shop.orders()[0]
    shop.api.post(f"/v1/orders/{order['id']}/reject", json={"reason": "No more ham <b>today</b>"})
    page = guest.web.get(first).text
    assert "No more ham &lt;b&gt;today&lt;/b&gt;" in page and "Change it and send it again" in page
    again = guest.web.post(f"{first}/again")
    assert again.headers["location"] == f"{guest.door}/basket"
    basket = guest.page("/basket")
    assert "Ham &amp; cheese toastie" in basket and "takes the place" in basket
    guest.add("Carrot cake")
    second = guest.order(kind="takeaway", name="Ann")
    assert second != first and second in guest.web.get(first).text
    assert guest.web.post(f"{first}/again").headers["location"] == first  # it was replaced already
    newest = shop.orders()[0]
    assert newest["id"] != order["id"] and len(newest["content"]["items"]) == 2


def test_a_customer_withdraws_while_nobody_has_accepted(shop: Shop) -> None:
    guest = shop.guest(shop.black)
    guest.add("Carrot cake")
    link = guest.order(kind="takeaway", name="Ann")
    guest.web.post(f"{link}/withdraw")
    assert shop.orders()[0]["state"] == "cancelled"
    assert "This order is not made" in guest.web.get(link).text


@pytest.mark.covers("A25", "A51")
def test_a_double_tap_and_a_replayed_order_are_one_order(shop: Shop) -> None:
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    fields, before = guest.form(), len(shop.orders())
    cookies = dict(guest.web.cookies)
    gate = threading.Barrier(6)

    def tap(_: int) -> str:
        gate.wait(60)
        with httpx.Client(base_url=shop.cloud.url, cookies=cookies, timeout=60) as phone:
            return phone.post(f"{guest.door}/order", data=fields).headers.get("location", "")

    with ThreadPoolExecutor(6) as pool:
        links = set(pool.map(tap, range(6)))
    assert len(links) == 1 and links.pop().startswith("/o/")
    assert guest.web.post(f"{guest.door}/order", data=fields).status_code == 303  # the same, replayed later
    assert len(shop.orders()) == before + 1
    assert guest.page("/basket").count("Nothing chosen yet") == 1


@pytest.mark.covers("A46", "A45")
def test_no_field_of_a_form_moves_the_price(shop: Shop) -> None:
    table = shop.table()
    guest = shop.at(table)
    item, _ = guest.item("Carrot cake")
    guest.web.post(
        f"{guest.door}/add",
        data={"item": item, "quantity": "-5", "price": "1", "unit_price": "1", "total": "1", "merchant_id": "x"},
    )
    guest.web.post(f"{guest.door}/add", data={"item": item, "quantity": "99999999999999999999"})
    guest.web.post(f"{guest.door}/line", data={"place": "0", "item": item, "quantity": "1000000"})
    assert "£90.00" in guest.page("/basket")  # 20 of them: the most that one order holds
    cheap = guest.send(total="1", unit_price="1", currency="JPY")
    assert cheap.status_code == 409 and "price has changed" in told(cheap)
    guest.web.post(f"{guest.door}/line", data={"place": "0", "item": item, "quantity": "1"})
    guest.order(currency="JPY", kind="delivery", table="1", state="accepted")
    content = shop.orders()[0]["content"]
    assert (content["total"], content["currency"], content["kind"], content["table"]) == (450, "GBP", "dine_in", table)


def test_what_sold_out_or_changed_its_price_while_they_chose_is_told(shop: Shop) -> None:
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    guest.add("Beef noodle soup")
    fields = guest.form()
    text = MENU.read_text()
    dearer = text.replace("Beef noodle soup,牛肉拉面,11.80", "Beef noodle soup,牛肉拉面,12.80")
    shop.api.put("/v1/menu", content=dearer.encode())
    late = guest.web.post(f"{guest.door}/order", data=fields)
    assert late.status_code == 409 and "price has changed" in told(late) and "£17.30" in late.text
    gone = dearer.replace("B1,,,gluten eggs milk nuts,,,,", "B1,,,gluten eggs milk nuts,,,yes,")
    shop.api.put("/v1/menu", content=gone.encode())
    late = guest.web.post(f"{guest.door}/order", data=guest.form())
    assert late.status_code == 409 and "not to be had" in told(late) and "This is sold out now." in late.text
    shop.api.put("/v1/menu", content=text.encode())
    before = len(shop.orders())
    guest.order()
    assert len(shop.orders()) == before + 1


def test_a_shop_that_closed_says_so_and_shows_its_menu(shop: Shop) -> None:
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    fields = guest.form()
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).strftime("%a")
    try:
        shop.api.put("/v1/front", json={"hours": f"{tomorrow} 11:00-11:30"})
        late = guest.web.post(f"{guest.door}/order", data=fields)
        assert late.status_code == 409 and "just closed" in told(late)
        page = guest.page()
        assert "We are closed now." in page and "11:00" in page and "Carrot cake" in page and "/add" not in page
    finally:
        shop.api.put("/v1/front", json={"hours": ""})


def test_a_paused_shop_takes_no_takeaway_and_tables_go_on(shop: Shop) -> None:
    assert shop.api.put("/v1/shop/pace", json={"mode": "paused"}).status_code == 200
    try:
        assert "takes no orders at the moment" in shop.guest(shop.black).page()
        assert "takes no orders at the moment" not in shop.at(shop.table()).page()
    finally:
        shop.api.put("/v1/shop/pace", json={"mode": "normal"})


@pytest.mark.covers("A47")
def test_a_table_has_so_many_orders_and_then_the_staff_are_asked(shop: Shop) -> None:
    refused: Counter[int] = Counter()
    table = shop.table()
    for _ in range(10):
        guest = shop.at(table)  # each time another phone
        guest.add("Carrot cake")
        answer = guest.send()
        refused[answer.status_code] += 1
        if answer.status_code == 409:
            assert "ask the staff" in told(answer)
    assert refused == {303: 8, 409: 2}
    other = shop.at(shop.table())
    other.add("Carrot cake")
    other.order()  # another table is not concerned


@pytest.mark.covers("A47")
def test_a_phone_number_has_so_many_open_orders(shop: Shop) -> None:
    codes = []
    for n in range(4):
        guest = shop.guest(shop.black)
        guest.add("Carrot cake")
        codes.append(guest.send(kind="takeaway", name="Ann", phone="+44 20 7946 0958" if n % 2 else "+442079460958"))
    assert [answer.status_code for answer in codes] == [303, 303, 303, 409]
    assert "several open orders" in told(codes[-1])


@pytest.mark.covers("A47")
def test_who_sends_without_pause_waits(shop: Shop) -> None:
    guest = shop.guest(shop.black)
    codes = Counter(guest.web.post(f"{guest.door}/order", data={}).status_code for _ in range(30))
    assert codes[429] >= 10, codes
    slow = guest.web.post(f"{guest.door}/order", data={})
    assert int(slow.headers["retry-after"]) >= 1 and "One moment" in slow.text


@pytest.mark.covers("A40", "A47")
def test_codes_and_links_cannot_be_guessed_and_lead_nowhere_when_forged(shop: Shop) -> None:
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    link = guest.order().rsplit("/", 1)[1]
    order, token = shop.orders()[0], guest.door.rsplit("/", 1)[1]
    tables = shop.api.get("/v1/tables").json()["tables"]
    for secret in (link, token):
        assert len(secret) * 6 >= 128  # base64: 6 bits a letter
        assert order["id"].replace("-", "") not in secret
        assert all(table["id"] not in secret for table in tables)
        assert _bits(secret) > 100
    end = "A" if token[-1] != "A" else "B"
    for forged in (token[:-1] + end, token[:11] + token[11:][::-1], "A" * 32, token + "A", "%00" + token, "é"):
        answer = shop.at(shop.table()).web.get(f"/t/{forged}")
        assert answer.status_code in (404, 410), forged
        assert "Carrot cake" not in answer.text
        assert shop.at(shop.table()).web.post(f"/t/{forged}/add", data={"item": "x"}).status_code in (404, 410)
    assert shop.at(shop.table()).web.get(f"/o/{order['id']}").status_code == 404
    assert shop.at(shop.table()).web.get(f"/o/{link[:-1]}{'A' if link[-1] != 'A' else 'B'}").status_code == 404
    guesser = shop.at(shop.table())
    tries = Counter(guesser.web.get(f"/o/{'x' * 31}{n % 10}").status_code for n in range(60))
    assert tries[429] >= 20, tries  # guessing is slowed down


def _bits(text: str) -> float:
    """Shannon's entropy of its letters, times their number: what is random is near 5 bits a letter at this length."""
    counts = Counter(text)
    return -sum(n * math.log2(n / len(text)) for n in counts.values())


@pytest.mark.covers("A47")
def test_a_new_code_leaves_those_at_the_table_alone_and_a_void_one_too_late(shop: Shop) -> None:
    """A rotated table: the printed code is taken for a day; a void one at once, but whoever sits there may finish."""
    table = shop.tables[shop.table()]
    seated = shop.guest(table["url"])
    seated.add("Carrot cake")
    with closing(shop.cloud.log_in("quinn")) as console:
        csrf = console.get("/").text.split('data-csrf="')[1].split('"')[0]

        def act(do: str) -> None:
            answer = console.post(
                f"/setup/tables/{table['id']}", data={"do": do, "csrf": csrf}, headers={"Origin": shop.cloud.url}
            )
            assert answer.status_code == 303, answer.text

        act("rotate")
        assert shop.guest(table["url"]).page()  # the day of grace
        act("void")
    stranger = shop.guest(table["url"])
    late = stranger.web.get(stranger.door)
    assert late.status_code == 410 and "no longer valid" in late.text
    seated.order()
    now = next(t for t in shop.api.get("/v1/tables").json()["tables"] if t["id"] == table["id"])
    assert now["url"] != table["url"] and shop.guest(now["url"]).page()


@pytest.mark.covers("A48")
def test_where_a_customer_says_to_be_changes_a_hint_and_nothing_else(shop: Shop) -> None:
    with sqlite3.connect(shop.cloud.database) as connection:
        connection.execute("UPDATE fronts SET latitude = 51500700, longitude = -124600")
    near, far = shop.guest(shop.black), shop.guest(shop.black)
    for guest, place in ((near, ("51.5055", "-0.1246")), (far, ("-33.8", "151.2"))):
        guest.add("Carrot cake")
        assert "roughly how far away" in guest.page("/basket")
        guest.web.post(f"{guest.door}/where", data={"latitude": place[0], "longitude": place[1]})
        assert "roughly how far away" not in guest.page("/basket")  # asked once
        guest.order(kind="takeaway", name="Ann")
    bands = [order["content"]["distance"] for order in shop.orders()[:2]]
    assert bands == ["over 10 km", "under 1 km"]  # the one far away was taken as well: it is a hint
    for text in ("nan", "inf", "1e400", "abc", "", "91"):
        odd = shop.guest(shop.black)
        odd.add("Carrot cake")
        assert odd.web.post(f"{odd.door}/where", data={"latitude": text, "longitude": text}).status_code == 303
    shop.cloud.stop()
    kept = shop.cloud.database.read_bytes()
    shop.cloud.start()
    assert b"51.5055" not in kept and b"151.2" not in kept


@pytest.mark.covers("A39")
def test_nobody_reads_orders_by_a_phone_number(shop: Shop) -> None:
    guest = shop.guest(shop.black)
    guest.add("Carrot cake")
    link = guest.order(kind="takeaway", name="Ann Secret", phone="+442079460000")
    stranger = shop.guest(shop.black)
    stranger.add("Carrot cake")
    answer = stranger.send(kind="takeaway", name="Eve", phone="+442079460000")
    assert "Ann Secret" not in answer.text and answer.headers["location"] != link
    for path in ("/basket", "?phone=%2B442079460000", ""):
        assert "Ann Secret" not in stranger.page(path)
    assert stranger.web.get("/o/+442079460000").status_code == 404
    assert "+442079460000" not in guest.web.get(link).text  # not even on their own page
    assert "7946" not in shop.cloud.log.read_text()


@pytest.mark.covers("A1", "A5", "A16", "A9")
@pytest.mark.parametrize(
    "text",
    [
        "<script>document.title='x'</script>",
        "{{7919*7907}}{% raw %}",
        "=cmd|calc",
        "javascript:alert(1)",
        "' OR 1=1 --",
    ],
)
def test_what_a_customer_types_is_text_everywhere(shop: Shop, text: str) -> None:
    guest = shop.guest(shop.black)
    guest.add("Carrot cake", note=text)
    link = guest.order(kind="takeaway", name=text[:60], note=text)
    order = shop.orders()[0]["content"]
    assert (order["note"], order["items"][0]["note"]) == (text, text)
    page = guest.web.get(link).text
    assert "<script>document" not in page and "62615533" not in page


@pytest.mark.covers("A1", "A4")
@pytest.mark.parametrize("bad", ["\x1bp\x00", "a\x10\x04\x01", "\u202egnp", "\x7f"])
def test_what_a_printer_could_obey_is_refused(shop: Shop, bad: str) -> None:
    guest, before = shop.guest(shop.black), len(shop.orders())
    guest.add("Carrot cake")
    answer = guest.send(kind="takeaway", name="Ann", note=f"tea{bad}x")
    assert answer.status_code == 409 and "cannot be printed" in told(answer)
    assert "Ann" in answer.text  # what they typed is not lost
    assert len(shop.orders()) == before


@pytest.mark.covers("A43")
def test_another_site_cannot_order_for_a_customer(shop: Shop) -> None:
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = guest.web.post(f"{guest.door}/order", data=guest.form(), headers=headers)
        assert answer.status_code == 403
    cookie = next(c for c in guest.web.cookies.jar if "visit" in c.name)
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"


def test_one_shops_basket_is_no_other_shops(shop: Shop) -> None:
    other = shop.cloud.merchant("Other Quay", "olga")
    red, _ = open_shop(other, slug="other-quay", name="Other Quay")
    guest = shop.at(shop.table())
    guest.add("Carrot cake")
    guest.door = "/" + red.split("/", 3)[3]
    assert "Nothing chosen yet" in guest.page("/basket")


def test_a_page_is_light(shop: Shop) -> None:
    """What a slow phone loads before the first order: menu, style and script, as sent."""
    guest = shop.at(shop.table())
    page = guest.web.get(guest.door)
    total = int(page.headers["content-length"])
    for address in re.findall(r'"(/static/order\.[^"]+)"', page.text):
        total += int(guest.web.get(address).headers["content-length"])
    assert total < 20_000


def test_after_a_day_nobody_knows_where_a_customer_was_and_after_the_link_nobody_how_to_reach_them(
    tmp_path: Path,
) -> None:
    now, day = now_ms(), 86_400_000
    content = msgspec.json.encode(OrderContent("7", "delivery", [], distance="1-2 km", address="Quay 1")).decode()
    ages = {"new": day // 2, "old": day + 60_000, "gone": contacts.LINK_MS + 60_000}
    with closing(fresh_store(tmp_path)) as store, store.write() as connection:
        for name, age in ages.items():
            at, empty = now - age, dict.fromkeys(("email", "replaces", "told", "basket", "visit", "table_id"), "")
            texts = {c.name: "" for c in order_table.columns if isinstance(c.type, sa.Text) and not c.nullable}
            numbers = {c.name: 0 for c in order_table.columns if not isinstance(c.type, sa.Text) and not c.nullable}
            order = texts | numbers | {"merchant_id": "cafe", "id": name, "content": content, "body_hash": b""}
            connection.execute(sa.insert(order_table).values(order))
            hashes = {"visit": b"", "link_hash": name.encode(), "source": b""}
            guest = {"merchant_id": "cafe", "order_id": name, "basket_id": name, "language": "en", "phone": ""}
            guest |= empty | hashes | {"wechat": "anna", "distance": "1-2 km", "created_at": at}
            connection.execute(sa.insert(guest_orders).values(guest))
        contacts.tidy(connection, now)
        kept = {
            row.order_id: (row.distance, row.wechat)
            for row in connection.execute(
                sa.select(guest_orders.c.order_id, guest_orders.c.distance, guest_orders.c.wechat)
            )
        }
        assert kept == {"new": ("1-2 km", "anna"), "old": (None, "anna"), "gone": (None, "")}
        for row in connection.execute(sa.select(order_table.c.id, order_table.c.content)):
            said = msgspec.json.decode(row.content, type=OrderContent)
            assert (said.distance, said.address) == ("1-2 km" if row.id == "new" else "", "Quay 1")
