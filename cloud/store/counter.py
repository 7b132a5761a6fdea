"""The tables of the shop's counter: menu, dining tables, what customers order there, and what they are told.

Names that people read are JSON objects, language -> text. Prices are minor units of the front's currency.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, UniqueConstraint, text

from cloud.store.columns import a_ms, a_text, maybe_ms, maybe_text, metadata

fronts = Table(  # how a shop shows itself to customers
    "fronts",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("slug", unique=True),  # /s/{slug}
    a_text("name"),
    a_text("currency"),
    a_text("timezone"),
    a_text("languages"),  # space separated; the first is the one names fall back to
    a_text("hours"),  # cloud/hours.py; empty: always
    Column("secret", LargeBinary, nullable=False),  # signs table tokens and order links
    Column("dine_in", Boolean, nullable=False, server_default=text("true")),
    Column("takeaway", Boolean, nullable=False, server_default=text("true")),
    Column("delivery", Boolean, nullable=False, server_default=text("false")),
    maybe_ms("paused_until"),
    Column("latitude", BigInteger, nullable=True),  # millionths of a degree; None: nobody is asked
    Column("longitude", BigInteger, nullable=True),
    Column("open_per_table", Integer, nullable=False, server_default="8"),
    Column("open_per_customer", Integer, nullable=False, server_default="3"),  # a phone number, an address
    a_ms("changed_at"),
)

dining_tables = Table(
    "dining_tables",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),  # random; what a token names the table by
    a_text("name"),
    Column("position", Integer, nullable=False),
    Column("generation", Integer, nullable=False, server_default="1"),  # of its printed code
    maybe_ms("old_until"),  # the code of the generation before is taken until then
)

menu_categories = Table(
    "menu_categories",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    Column("position", Integer, nullable=False),
    a_text("names"),
    a_text("kitchen"),  # where its slips go: kitchen, bar …; empty: the shop's one printer
    a_text("hours"),  # when it is served; empty: whenever the shop is open
)

menu_items = Table(
    "menu_items",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("category_id"),
    Column("position", Integer, nullable=False),
    a_text("code"),  # the shop's own number of it; may be empty
    a_text("names"),
    a_text("about"),
    Column("price", BigInteger, nullable=False),
    a_text("allergens"),  # space separated, cloud/menu.py ALLERGENS
    Column("sold_out", Boolean, nullable=False, server_default=text("false")),
    Column("hidden", Boolean, nullable=False, server_default=text("false")),
    Index(None, "merchant_id", "category_id"),
)

menu_groups = Table(  # a choice that goes with an item: at least `least`, at most `most` of its options
    "menu_groups",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("item_id"),
    Column("position", Integer, nullable=False),
    a_text("names"),
    Column("least", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Index(None, "merchant_id", "item_id"),
)

menu_options = Table(
    "menu_options",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("group_id"),
    Column("position", Integer, nullable=False),
    a_text("names"),
    Column("price", BigInteger, nullable=False),
    Column("sold_out", Boolean, nullable=False, server_default=text("false")),
    Index(None, "merchant_id", "group_id"),
)

visits = Table(  # a customer with a basket: made by the first thing put into it, gone a few hours later
    "visits",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # sha256 of the cookie's value
    a_text("merchant_id"),
    a_text("table_id"),  # empty: takeaway or delivery
    a_text("basket"),  # cloud/basket.py, JSON
    a_text("basket_id"),  # one order comes of it, however often it is sent
    maybe_text("replaces"),  # the rejected order that this basket came from
    maybe_text("distance"),  # near | close | far: all that is kept of where they are
    maybe_ms("distance_at"),
    a_ms("created_at"),
    a_ms("expires_at"),
    Index(None, "expires_at"),
)

guest_orders = Table(  # what a customer's order has beside the order itself
    "guest_orders",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("order_id", primary_key=True),
    a_text("basket_id"),
    Column("visit", LargeBinary, nullable=False),
    Column("link_hash", LargeBinary, nullable=False, unique=True),  # sha256 of the token in /o/{token}
    Column("source", LargeBinary, nullable=False),  # keyed hash of the network address it came from
    a_text("table_id"),
    a_text("basket"),  # so that a rejected order opens again
    a_text("language"),
    a_text("phone"),
    a_text("email"),
    a_text("wechat"),
    maybe_text("replaces"),
    maybe_text("replaced_by"),
    a_text("told"),  # the state of the order that notices were made for
    maybe_ms("seen_at"),  # when the customer's page showed that state
    maybe_text("distance"),
    a_ms("created_at"),
    UniqueConstraint("merchant_id", "basket_id"),
    Index(None, "merchant_id", "table_id"),
    Index(None, "merchant_id", "phone"),
    Index(None, "created_at"),
)

wechat_links = Table(  # a customer links WeChat to an order: the row is their consent, and goes with their contacts
    "wechat_links",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("order_id", primary_key=True),
    a_text("state"),  # asked | shown | linked | failed | over
    a_text("code", server_default=""),  # the provider's name for the code that is scanned
    Column("picture", LargeBinary),  # of that code, PNG or JPEG
    a_text("problem", server_default=""),
    a_ms("asked_at"),
    a_ms("next_at"),  # when the provider is asked again
    a_ms("expires_at"),
    Index(None, "next_at"),
)

senders = Table(  # how a shop reaches its customers
    "notice_senders",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("way", primary_key=True),  # sms | email | wechat | webhook
    a_text("url"),  # an Apprise URL with {to}; for webhook the address
    a_text("secret"),  # whsec_…, for webhook
    a_ms("changed_at"),
)

staff = Table(  # who of the shop is told when an alarm stands (cloud/staff.py)
    "notice_staff",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("phone", server_default=""),
    a_text("email", server_default=""),
    a_text("wechat", server_default=""),
    a_text("language"),
    Column("after_s", Integer, nullable=False, server_default="0"),  # so long an alarm stands before it is told
    a_ms("changed_at"),
    Column("told_at", BigInteger, nullable=False, server_default="0"),
)

notices = Table(
    "notices",
    metadata,
    a_text("merchant_id", primary_key=True),
    a_text("id", primary_key=True),
    a_text("order_id"),  # or a name of its own, where staff are told
    a_text("state_told"),  # of the order; "staff"
    a_text("way"),
    a_text("address"),
    a_text("title"),
    a_text("body"),
    a_text("state"),  # due | spare | sent | failed
    Column("tries", Integer, nullable=False, server_default="0"),
    a_text("problem"),
    a_ms("created_at"),
    a_ms("next_at"),
    maybe_ms("sent_at"),
    UniqueConstraint("merchant_id", "order_id", "state_told", "way"),
    Index("ix_notices_due", "next_at", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
)
