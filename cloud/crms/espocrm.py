"""EspoCRM, by its REST API with the key of an API user whose role may read the entity.

Source: https://docs.espocrm.com/development/api/ (list: where, orderBy, order, offset, maxSize; times in UTC as
YYYY-MM-DD HH:MM:SS). At most 200 records are answered at once (recordListMaxSizeLimit).

The cursor is the modifiedAt of the newest record that was read. Pages go by that time and not by their number, since a
record that changes meanwhile would move the others; only where more than a page has one time, an offset goes on in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cloud.crms import ID, OPTED_OUT, Ask, Failed, Record, Settings

TITLE = "EspoCRM"
ENTITY = "Contact"
USUAL = {"name": "name", "emailAddress": "email", "phoneNumber": "phone"}
AT_ONCE = 200
MOST = 1_000_000
TIME = re.compile(r"[0-9: -]{0,30}")
NEVER_TAKEN = ("Id", "Ids", "Data", "Map", "Types", "Names", "Columns", "IsInvalid", "IsOptedOut")  # ends of names


def changed(ask: Ask, settings: Settings, cursor: str) -> Iterator[tuple[list[Record], str]]:
    since, offset, seen = cursor, 0, set[str]()
    select = ",".join(dict.fromkeys(["id", "modifiedAt", "emailAddressIsOptedOut", *settings.fields]))
    while True:
        query = {"select": select, "orderBy": "modifiedAt", "order": "asc", "maxSize": str(AT_ONCE)}
        if offset:
            query["offset"] = str(offset)
        if since:
            query |= {
                "where[0][type]": "greaterThanOrEquals",
                "where[0][attribute]": "modifiedAt",
                "where[0][value]": since,
            }
        if offset > MOST:
            raise Failed("connector.wrong.answer", f"more than {MOST} records of one time")
        page = _list(ask(f"api/v1/{settings.entity or ENTITY}", query))
        last = str(page[-1].get("modifiedAt") or "") if page else since
        new = [_record(one) for one in page if one["id"] not in seen]
        if new:
            yield new, max(last, since)
        if len(page) < AT_ONCE:
            return
        if last == since:
            offset += AT_ONCE
            seen |= {one["id"] for one in page}
        else:
            since, offset = last, 0
            seen = {one["id"] for one in page if one.get("modifiedAt") == last}


def some(ask: Ask, settings: Settings) -> list[Record]:
    query = {"orderBy": "modifiedAt", "order": "desc", "maxSize": "5"}
    return [_record(one) for one in _list(ask(f"api/v1/{settings.entity or ENTITY}", query))]


def _list(answer: Any) -> list[dict[str, Any]]:
    found = answer.get("list") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(_whole(one) for one in found):
        raise Failed("connector.wrong.answer", "no list of records")
    return found


def _whole(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("id"), str)
        and bool(one["id"])
        and bool(TIME.fullmatch(str(one.get("modifiedAt") or "")))
    )


def _record(one: dict[str, Any]) -> Record:
    """What is text, number or yes and no; links and lists are left out."""
    out = {
        name: ("1" if value else "0") if isinstance(value, bool) else str(value)
        for name, value in one.items()
        if isinstance(value, (str, int, float)) and value != "" and not name.endswith(NEVER_TAKEN)
    }
    out[ID] = str(one["id"])
    if one.get("emailAddressIsOptedOut"):
        out[OPTED_OUT] = "1"
    return out
