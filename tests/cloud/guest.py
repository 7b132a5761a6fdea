"""A customer without a browser: scans, chooses, sends; reads the pages as a phone without scripts would."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import httpx

MENU = Path(__file__).parent / "samples" / "menu.csv"


class Guest:
    """One phone, with its cookies. `door`: a red or black code; `address`: where it seems to be, behind a proxy."""

    def __init__(self, base: str, door: str, language: str = "en", address: str = "") -> None:
        self.door = door if door.startswith("/") else "/" + door.split("/", 3)[3]
        headers = {"Accept-Language": language, **({"X-Forwarded-For": address} if address else {})}
        self.web = httpx.Client(base_url=base, timeout=60, headers=headers)

    def page(self, path: str = "") -> str:
        answer = self.web.get(self.door + path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer.text

    def item(self, name: str) -> tuple[str, dict[str, str]]:
        """-> (id of the item, option's name -> "g-GROUP=OPTION")."""
        for article in self.page().split("<article")[1:]:
            if f"<h3>{html.escape(name)}</h3>" in article:
                found = re.search(r'id="i-([^"]+)"', article)
                assert found
                options = re.findall(r'name="(g-[^"]+)" value="([^"]+)".*?<span>(.*?)</span>', article)
                return found[1], {html.unescape(label): f"{group}={option}" for group, option, label in options}
        raise AssertionError(f"{name} is not on the menu")

    def add(self, name: str, *options: str, quantity: int = 1, **more: str) -> httpx.Response:
        item, known = self.item(name)
        fields: list[tuple[str, str]] = [("item", item), ("quantity", str(quantity)), *more.items()]
        for option in options:
            group, _, value = known[option].partition("=")
            fields.append((group, value))
        return self.web.post(f"{self.door}/add", data=_together(fields))

    def form(self) -> dict[str, str]:
        """The hidden fields of the order, as the basket's page has them."""
        text = self.page("/basket").split(f'action="{self.door}/order"')[-1]
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))

    def send(self, **fields: str) -> httpx.Response:
        """What the button does -> the answer: 303 to the order's page, or a page that says why not."""
        return self.web.post(f"{self.door}/order", data={**self.form(), **fields})

    def order(self, **fields: str) -> str:
        """-> the path of the order's page."""
        answer = self.send(**fields)
        assert answer.status_code == 303, told(answer)
        return answer.headers["location"]


def told(answer: httpx.Response) -> str:
    """What a page says in its red box."""
    found = re.search(r'class="problem"[^>]*>(.*?)</p>', answer.text, re.DOTALL)
    return f"{answer.status_code}: {html.unescape(found[1]) if found else answer.text[:500]}"


def open_shop(shop: httpx.Client, **front: Any) -> tuple[str, str]:
    """A menu, two tables -> (URL of table 7's red code, URL of the black code)."""
    done = shop.put("/v1/front", json={"currency": "GBP", "languages": ["en", "zh"], "delivery": True, **front})
    assert done.status_code == 200, done.text
    assert shop.put("/v1/menu", content=MENU.read_bytes()).status_code == 200
    tables = shop.put("/v1/tables", json={"names": ["7", "12"]}).json()["tables"]
    return tables[0]["url"], done.json()["url"]


def _together(fields: list[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields:
        found[name] = [*found.get(name, []), value]
    return found
