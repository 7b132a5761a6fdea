"""A sample of the receipts written by others, where they are at hand: fields do not get worse."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from decimal import Decimal
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from receipt import read
from receipt.model import Receipt
from receipt.page import NO_MINOR

DATA = Path(__file__).parents[3] / "shared" / "data" / "corpus" / "escpos_corpus_dev.jsonl.gz"
FLOORS = {
    "total": 96,
    "date": 98,
    "time": 94,
    "currency": 96,
    "merchant": 92,
    "subtotal": 92,
    "tax": 92,
    "method": 98,
    "number": 98,
}


def squeezed(text: str | None) -> str:
    return "".join(char for char in (text or "").lower() if char.isalnum())


def alike(one: str | None, other: str) -> bool:
    return SequenceMatcher(None, squeezed(one), squeezed(other), autojunk=False).ratio() >= 0.8


def money(minor: int | None, currency: str | None) -> Decimal | None:
    return None if minor is None else Decimal(minor) if currency in NO_MINOR else Decimal(minor) / 100


@pytest.mark.skipif(not DATA.exists(), reason="the receipts of ../shared/data are not here")
def test_fields_of_a_sample_are_read_as_well_as_before() -> None:
    right: dict[str, int] = defaultdict(int)
    shown: dict[str, int] = defaultdict(int)
    sure = sure_right = 0
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        for place, text in enumerate(file):
            if place % 4:
                continue
            record = json.loads(text)
            if record["kind"] != "receipt" or record["style"].startswith("raster"):
                continue
            receipts = read(base64.b64decode(record["bytes_b64"])).receipts
            found = receipts[0] if receipts else Receipt()
            truth, asked = record["gt"], record["gt_fields"]
            verdicts: dict[str, bool] = {}
            for name in ("total", "subtotal", "tax"):
                if name in asked:
                    verdicts[name] = money(getattr(found, name), found.currency) == Decimal(truth[name])
            if "date_iso" in asked:
                verdicts["date"] = found.date == truth["date_iso"]
            if "time" in asked:
                verdicts["time"] = (found.time or "")[:5] == truth["time"][:5]
            if "currency" in asked:
                verdicts["currency"] = found.currency == truth["currency"]
            if "merchant" in asked:
                verdicts["merchant"] = alike(found.merchant, truth["merchant"])
            if "receipt_number" in asked:
                verdicts["number"] = squeezed(found.number) == squeezed(truth["receipt_number"])
            if "payment_method" in asked:
                finding = found.findings.get("payment_method")
                verdicts["method"] = finding is not None and finding.value == truth["payment_method"]
            for name, good in verdicts.items():
                right[name] += good
                shown[name] += 1
                finding = found.findings.get("payment_method" if name == "method" else name)
                if finding is not None and finding.confidence >= 0.9:
                    sure += 1
                    sure_right += good
    shares = {name: 100 * right[name] / shown[name] for name in FLOORS}
    assert {name: share for name, share in shares.items() if share < FLOORS[name]} == {}
    assert sure_right >= 0.99 * sure > 1000
