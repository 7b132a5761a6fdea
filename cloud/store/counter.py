"""The tables of the shop's counter: menu, dining tables, what customers order there, and what they are told.

Names that people read are JSON objects, language -> text. Prices are minor units of the front's currency.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, UniqueConstraint, text

from cloud.store.schema import _maybe_ms, _maybe_text, _ms, _text, metadata

fronts = Table(  # how a shop shows itself to customers
    "fronts",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("slug", unique=True),  # /s/{slug}
    _text("name"),
    _text("currency"),
    _text("timezone"),
    _text("languages"),  # space separated; the first is the one names fall back to
    _text("hours"),  # cloud/hours.py; empty: always
    Column("secret", LargeBinary, nullable=False),  # signs table tokens and order links
    Column("dine_in", Boolean, nullable=False, server_default=text("true")),
    Column("takeaway", Boolean, nullable=False, server_default=text("true")),
    Column("delivery", Boolean, nullable=False, server_default=text("false")),
    _maybe_ms("paused_until"),
    Column("latitude", BigInteger, nullable=True),  # millionths of a degree; None: nobody is asked
    Column("longitude", BigInteger, nullable=True),
    Column("open_per_table", Integer, nullable=False, server_default="8"),
    Column("open_per_customer", Integer, nullable=False, server_default="3"),  # a phone number, an address
    _ms("changed_at"),
)

dining_tables = Table(
    "dining_tables",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),  # random; what a token names the table by
    _text("name"),
    Column("position", Integer, nullable=False),
    Column("generation", Integer, nullable=False, server_default="1"),  # of its printed code
    _maybe_ms("old_until"),  # the code of the generation before is taken until then
)

menu_categories = Table(
    "menu_categories",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    Column("position", Integer, nullable=False),
    _text("names"),
    _text("kitchen"),  # where its slips go: kitchen, bar …; empty: the shop's one printer
    _text("hours"),  # when it is served; empty: whenever the shop is open
)

menu_items = Table(
    "menu_items",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("category_id"),
    Column("position", Integer, nullable=False),
    _text("code"),  # the shop's own number of it; may be empty
    _text("names"),
    _text("about"),
    Column("price", BigInteger, nullable=False),
    _text("allergens"),  # space separated, cloud/menu.py ALLERGENS
    Column("sold_out", Boolean, nullable=False, server_default=text("false")),
    Column("hidden", Boolean, nullable=False, server_default=text("false")),
    Index(None, "merchant_id", "category_id"),
)

menu_groups = Table(  # a choice that goes with an item: at least `least`, at most `most` of its options
    "menu_groups",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("item_id"),
    Column("position", Integer, nullable=False),
    _text("names"),
    Column("least", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Index(None, "merchant_id", "item_id"),
)

menu_options = Table(
    "menu_options",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("group_id"),
    Column("position", Integer, nullable=False),
    _text("names"),
    Column("price", BigInteger, nullable=False),
    Column("sold_out", Boolean, nullable=False, server_default=text("false")),
    Index(None, "merchant_id", "group_id"),
)

visits = Table(  # a customer with a basket: made by the first thing put into it, gone a few hours later
    "visits",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # sha256 of the cookie's value
    _text("merchant_id"),
    _text("table_id"),  # empty: takeaway or delivery
    _text("basket"),  # cloud/basket.py, JSON
    _text("basket_id"),  # one order comes of it, however often it is sent
    _maybe_text("replaces"),  # the rejected order that this basket came from
    _maybe_text("distance"),  # near | close | far: all that is kept of where they are
    _maybe_ms("distance_at"),
    _ms("created_at"),
    _ms("expires_at"),
    Index(None, "expires_at"),
)

guest_orders = Table(  # what a customer's order has beside the order itself
    "guest_orders",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("order_id", primary_key=True),
    _text("basket_id"),
    Column("visit", LargeBinary, nullable=False),
    Column("link_hash", LargeBinary, nullable=False, unique=True),  # sha256 of the token in /o/{token}
    Column("source", LargeBinary, nullable=False),  # keyed hash of the network address it came from
    _text("table_id"),
    _text("basket"),  # so that a rejected order opens again
    _text("language"),
    _text("phone"),
    _text("email"),
    _text("wechat"),
    _maybe_text("replaces"),
    _maybe_text("replaced_by"),
    _text("told"),  # the state of the order that notices were made for
    _maybe_ms("seen_at"),  # when the customer's page showed that state
    _maybe_text("distance"),
    _ms("created_at"),
    UniqueConstraint("merchant_id", "basket_id"),
    Index(None, "merchant_id", "table_id"),
    Index(None, "merchant_id", "phone"),
    Index(None, "created_at"),
)

wechat_links = Table(  # a customer links WeChat to an order: the row is their consent, and goes with their contacts
    "wechat_links",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("order_id", primary_key=True),
    _text("state"),  # asked | shown | linked | failed | over
    _text("code", server_default=""),  # the provider's name for the code that is scanned
    Column("picture", LargeBinary),  # of that code, PNG or JPEG
    _text("problem", server_default=""),
    _ms("asked_at"),
    _ms("next_at"),  # when the provider is asked again
    _ms("expires_at"),
    Index(None, "next_at"),
)

senders = Table(  # how a shop reaches its customers
    "notice_senders",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("way", primary_key=True),  # sms | email | wechat | webhook
    _text("url"),  # an Apprise URL with {to}; for webhook the address
    _text("secret"),  # whsec_…, for webhook
    _ms("changed_at"),
)

notices = Table(
    "notices",
    metadata,
    _text("merchant_id", primary_key=True),
    _text("id", primary_key=True),
    _text("order_id"),
    _text("state_told"),
    _text("way"),
    _text("address"),
    _text("title"),
    _text("body"),
    _text("state"),  # due | spare | sent | failed
    Column("tries", Integer, nullable=False, server_default="0"),
    _text("problem"),
    _ms("created_at"),
    _ms("next_at"),
    _maybe_ms("sent_at"),
    UniqueConstraint("merchant_id", "order_id", "state_told", "way"),
    Index("ix_notices_due", "next_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
)
