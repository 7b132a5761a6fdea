"""tenders: how it was paid, and how much; a card's last four digits where they are shown."""

from __future__ import annotations

import re

from receipt import words as w
from receipt.ledger import Ledger
from receipt.model import Finding, Pay, Tender

_KINDS = (
    (w.WECHAT, Pay.WALLET, "wechat_pay"),
    (w.ALIPAY, Pay.WALLET, "alipay"),
    (w.TRANSIT, Pay.WALLET, "transit_card"),
    (w.E_MONEY, Pay.WALLET, "e_money"),
    (w.WALLET, Pay.WALLET, "wallet"),
    (w.CASH, Pay.CASH, "cash"),
    (w.CARD, Pay.CARD, "card"),
    (w.VOUCHER, Pay.VOUCHER, "voucher"),
    (w.ACCOUNT, Pay.ACCOUNT, "account"),
)
_LAST_FOUR = re.compile(r"[x*#•.]{2}[ -]?(\d{4})(?!\d)")  # no repeated group: linear on any line


def read(ledger: Ledger, total: int | None) -> tuple[tuple[Tender, ...], str | None, Finding | None]:
    """(tenders, the word for the main one, its finding)."""
    page = ledger.page
    found: list[tuple[float, str, Pay, int | None, int]] = []
    changed = bool(ledger.of("change"))
    by_row = {entry.row: entry for entry in ledger.entries if entry.role in ("tender", "change")}
    for place, row in enumerate(page.rows):
        if not row.mask & w.PAYS:
            continue
        role = ledger.roles[place]
        entry = by_row.get(place)
        for bit, pay, name in _KINDS:
            if not row.mask & bit:
                continue
            score = 0.3
            amount: int | None = None
            if role == "tender":
                score = 1.2
                if entry is not None:
                    amount = entry.value
                    score = 2.0
                    if total is not None and amount >= total:
                        score = 2.5
                    if not amount:
                        score = 0.1
            elif role == "change":
                if bit != w.CASH:
                    continue
                score = 0.8
            elif role == "total":
                score = 0.9
            if row.letters - sum(end - start for start, end, _ in row.matches) > 12:
                score -= 0.8
            if row.mask & w.GREETING or (row.mask & w.TITLE and entry is None):
                score -= 0.3
            found.append((score, name, pay, amount, row.index))
            break
    last_four = next((m.group(1) for row in page.rows for m in [_LAST_FOUR.search(row.folded)] if m), None)
    strong = [one for one in found if one[0] >= 2.0]
    tenders: list[Tender] = []
    seen: set[tuple[str, int | None]] = set()
    for _, name, pay, amount, line in strong:
        if (name, amount) in seen:
            continue
        seen.add((name, amount))
        text = next(row.text for row in page.rows if row.index == line)
        label = re.split(r"[\d:$€¥￥]", text.strip(), maxsplit=1)[0].strip()
        tenders.append(
            Tender(pay, None if amount is None else amount, label or None, last_four if pay is Pay.CARD else None)
        )
    if found:
        best = max(found, key=lambda one: one[0])
        if best[0] > 0:
            if not tenders:
                tenders.append(Tender(best[2], None, None, last_four if best[2] is Pay.CARD else None))
            confidence = 0.96 if best[0] >= 2.5 else 0.9 if best[0] >= 2 else 0.75 if best[0] >= 0.8 else 0.5
            names = {one[1] for one in strong}
            if len(names) > 1:
                confidence = min(confidence, 0.8)
            return tuple(tenders), best[1], Finding(best[1], best[4], confidence, "label")
    if changed:
        return (), "cash", Finding("cash", page.rows[ledger.of("change")[0].row].index, 0.8, "change was given")
    if last_four:
        return (Tender(Pay.CARD, None, None, last_four),), "card", Finding("card", 0, 0.7, "card digits")
    return (), None, None
