"""Where the console's pages are: what the menu shows, and the tiles of the set-up page.

A page of its own is one line here; its name is a key of the strings (cloud/locales/).
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud.auth import Who


@dataclass(frozen=True, slots=True)
class Place:
    title: str  # a key of the strings
    address: str
    icon: str = ""  # the paths of a 24 × 24 drawing, stroked
    scope: str = ""  # who lacks it does not see the place; "owner": a role
    about: str = ""  # a key of the strings: one sentence below the tile's title

    def open_to(self, who: Who) -> bool:
        return not self.scope or self.scope in who.scopes or self.scope == who.role


MENU = (
    Place("console.nav.today", "/", "M4 11l8-7 8 7M6 9.5V20h12V9.5M10 20v-6h4v6"),
    Place("console.nav.receipts", "/receipts", "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6"),
    Place("console.nav.analysis", "/analysis", "M4 20h16M7 20v-7M12 20V6M17 20v-10"),
    Place(
        "console.nav.customers",
        "/customers",
        "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M3 20c0-3.5 2.5-6 6-6s6 2.5 6 6"
        "M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 1 3 2.5 3 5.5",
    ),
    Place("console.nav.boxes", "/boxes", "M7 9V4h10v5M5 9h14v7h-3v4H8v-4H5z"),
    Place(
        "console.nav.setup",
        "/setup",
        "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
    ),
)

SETUP: tuple[Place, ...] = (
    Place("analysis.shops", "/setup/shops", about="fleet.shops_card"),
    Place("teach.title", "/setup/reading", scope="orders:write", about="teach.card"),
    Place("counter.front.title", "/setup/front", scope="owner", about="counter.front.card"),
    Place("rules.orders.title", "/setup/orders", scope="orders:write", about="rules.orders.card"),
    Place("rules.printing.title", "/setup/printing", scope="orders:write", about="rules.printing.card"),
    Place("rules.slip.title", "/setup/slip", scope="orders:write", about="rules.slip.card"),
    Place("rules.sounds.title", "/setup/sounds", scope="orders:write", about="rules.sounds.card"),
    Place("counter.menu.title", "/setup/menu", scope="orders:read", about="counter.menu.card"),
    Place("counter.tables.title", "/setup/tables", scope="orders:write", about="counter.tables.card"),
    Place("counter.notices.title", "/setup/notices", scope="owner", about="counter.notices.card"),
    Place("access.boxes.title", "/setup/boxes", scope="owner", about="access.boxes.card"),
    Place("access.people.title", "/setup/people", scope="owner", about="access.people.card"),
    Place("access.apps.title", "/setup/apps", scope="owner", about="access.apps.card"),
    Place("access.keys.title", "/setup/keys", scope="owner", about="access.keys.card"),
    Place("access.keeping.title", "/setup/keeping", scope="owner", about="access.keeping.card"),
    Place("access.webhooks.title", "/setup/webhooks", scope="owner", about="access.webhooks.card"),
    Place("access.password.title", "/setup/password", about="access.password.card"),
    # one line for each page of the set-up, in the order in which a new shop needs them
)


def active(path: str) -> str:
    """The menu's address that a page belongs to: /receipts/1 -> /receipts."""
    first = "/" + path.lstrip("/").split("/")[0]
    return next((place.address for place in MENU if place.address == first), "/")
