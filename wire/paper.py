"""The bytes of a slip, from what the cloud says of an order: the box prints them, the console shows the same. Pure."""

from __future__ import annotations

from receipt import slip as slips
from receipt.model import minor_digits
from receipt.paper import Profile
from receipt.script import READ_AS
from receipt.slip_writer import Paper
from wire.messages import OrderContent, SlipStyle

MARKS = {"stop": "STOP PREPARING", "reprint": "REPRINT"}


def slip_bytes(
    content: OrderContent,
    style: SlipStyle | None,
    paper: Paper,
    *,
    part: str = "main",
    label: str = "",
    copy_number: int = 1,
    copies: int = 1,
    mark: str = "",
    copy: int = 0,
) -> bytes:
    """`mark`: "" | "copy" (headed COPY `copy`) | "stop". Loads the encoder where it is not loaded yet."""
    style = style or SlipStyle()
    items = tuple(
        slips.SlipItem(i.name, i.quantity, i.unit_price, tuple(i.options), i.note, tuple(i.allergens))
        for i in content.items
    )
    value = slips.Slip(
        number=content.number,
        kind=content.kind,
        items=items,
        channel=content.channel,
        table=content.table,
        customer=content.customer,
        note=content.note,
        currency=content.currency,
        total=content.total,
        placed_at=content.placed_at,
        due_at=content.due_at,
        shop=content.shop,
        part=part.removesuffix(".stop"),
        copy_number=copy_number,
        copies=copies,
        label=label,
        phone=content.phone,
        address=content.address,
        distance=content.distance,
        link=content.link if style.qr else "",
        header=tuple(style.header),
        footer=tuple(style.footer),
        logo=style.logo,
        prices=style.prices,
        language=style.language or "en",
    )
    head = f"COPY {copy}" if mark == "copy" else MARKS.get(mark, "")
    return slips.render(value, head, minor_digits=minor_digits(content.currency), paper=paper)


def slip_png(raw: bytes, paper: Paper) -> bytes:
    """The paper as a picture, made of the bytes that are printed: what the preview shows is what comes out."""
    from receipt.picture import as_png

    profile = Profile(columns=paper.columns, dots=paper.width, double_byte=READ_AS.get(paper.script.double))
    return as_png(raw, profile)
