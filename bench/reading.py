"""What is read right, how surely, and how fast, over ../shared/data (receipts written by others; not part of the tree).

Prints Markdown tables. A field counts over the records whose paper shows it; names are compared loosely (letters and
digits only, 0.8 alike, or contained in the printed row), amounts and dates exactly. Run alone: python -m bench.reading
"""

from __future__ import annotations

import argparse
import base64
import gc
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import receipt
from receipt.layout import lay_out
from receipt.model import NO_MINOR, Item, Receipt
from receipt.redact import luhn, mask
from receipt.split import split
from receipt.tokens import Scanner

DATA = Path(os.environ.get("TILLWIRE_DATA", Path(__file__).parents[2] / "shared" / "data"))
TARGETS = {
    "total": 98, "date": 98, "time": 97, "currency": 97, "merchant": 92, "tax": 93, "subtotal": 95,
    "payment_method": 95, "receipt_number": 90, "items F1": 90, "lines": 99.5, "jobs": 99.5,
}  # fmt: skip
Record = dict[str, Any]
Verdict = tuple[str, bool, float | None]  # field, right, confidence (None: nothing was given)


def records() -> list[Record]:
    found = []
    for path in sorted((DATA / "corpus").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [json.loads(line) for line in file]
    for record in found:
        record["raw"] = base64.b64decode(record["bytes_b64"])
    return found


def is_picture(record: Record) -> bool:
    return bool(record["style"].startswith("raster") or record["style"].endswith("graphic"))


# ---------------------------------------------------------------------------------------------- right or wrong


def squeezed(text: str | None) -> str:
    return "".join(character for character in (text or "").lower() if character.isalnum())


def alike(one: str | None, other: str | None) -> bool:
    a, b = squeezed(one), squeezed(other)
    return bool(a and b) and (a == b or SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.8)


def decimal(minor: int | None, currency: str | None) -> Decimal | None:
    if minor is None:
        return None
    return Decimal(minor) if currency in NO_MINOR else Decimal(minor) / 100


def equal(value: Decimal | None, wanted: str) -> bool:
    try:
        return value is not None and value == Decimal(wanted)
    except InvalidOperation:
        return False


def items_right(items: Iterable[Item], wanted: list[dict[str, str]], currency: str | None) -> int:
    left, right = list(items), 0
    for true in wanted:
        for item in left:
            amount = decimal(item.amount, currency)
            if amount is None or ("amount" in true and not equal(amount, true["amount"])):
                continue
            name = squeezed(item.name)
            if not alike(item.name, true["name"]) and not (name and name in squeezed(true.get("row"))):
                continue
            if true.get("quantity") is not None and not equal(item.quantity or Decimal(1), true["quantity"]):
                continue
            left.remove(item)
            right += 1
            break
    return right


def judge(record: Record, found: Receipt) -> list[Verdict]:
    true, asked, verdicts = record["gt"], set(record["gt_fields"]), []

    def add(field: str, value: object, right: bool, finding: str) -> None:
        confidence = found.findings[finding].confidence if finding in found.findings else 0.0
        verdicts.append((field, right, None if value is None else confidence))

    for field in ("total", "subtotal", "tax"):
        if field in asked:
            value = getattr(found, field)
            add(field, value, equal(decimal(value, found.currency), true[field]), field)
    if "date_iso" in asked:
        add("date", found.date, found.date == true["date_iso"], "date")
    if "time" in asked:
        add("time", found.time, (found.time or "")[:5] == true["time"][:5], "time")
    if "currency" in asked:
        add("currency", found.currency, found.currency == true["currency"], "currency")
    if "merchant" in asked:
        add("merchant", found.merchant, alike(found.merchant, true["merchant"]), "merchant")
    if "receipt_number" in asked:
        add("receipt_number", found.number, squeezed(found.number) == squeezed(true["receipt_number"]), "number")
    if "payment_method" in asked:
        paid = found.findings["payment_method"].value if "payment_method" in found.findings else None
        add("payment_method", paid, paid == true["payment_method"], "payment_method")
    return verdicts


# ---------------------------------------------------------------------------------------------- tables


class Tally:
    """Right and all, by group."""

    def __init__(self) -> None:
        self.counts: dict[str, list[float]] = defaultdict(lambda: [0, 0])

    def add(self, group: str, right: float, of: float = 1) -> None:
        self.counts[group][0] += right
        self.counts[group][1] += of

    def share(self, group: str) -> str:
        right, of = self.counts.get(group, (0, 0))
        return f"{100 * right / of:.1f}" if of else ""


def table(title: str, head: list[str], rows: Iterable[list[str]]) -> None:
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def accuracy(all_records: list[Record]) -> None:
    """Fields, by language and style; and whether a confidence means what it says."""
    by_field: dict[str, Tally] = defaultdict(Tally)
    sure: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    bins: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    lines = Tally()
    languages, styles = set(), set()
    for record in all_records:
        if record["kind"] != "receipt" or is_picture(record):
            continue
        reading = receipt.read(record["raw"])
        found = reading.receipts[0] if reading.receipts else Receipt()
        language, style = record.get("lang", "?"), record["style"].split("-")[0]
        languages.add(language)
        styles.add(style)
        for field, right, confidence in judge(record, found):
            for group in ("all", language, style):
                by_field[field].add(group, right)
            if confidence is not None:
                bins[min(int(confidence * 20), 19)][0] += right
                bins[min(int(confidence * 20), 19)][1] += 1
                if confidence >= 0.9:
                    sure[field][0] += right
                    sure[field][1] += 1
        if "items" in record["gt_fields"]:
            hits = items_right(found.items, record["gt"]["items"], found.currency)
            for group in ("all", language, style):
                by_field["items F1"].add(group, 2 * hits, len(found.items) + len(record["gt"]["items"]))
        if record.get("expected_text"):
            got = "\n".join(line.text for line in reading.lines if line.kind == "text").strip("\n").split("\n")
            wanted = "\n".join(record["expected_text"]).strip("\n").split("\n")
            matcher = SequenceMatcher(None, got, wanted, autojunk=False)
            same = len(wanted) if got == wanted else sum(block.size for block in matcher.get_matching_blocks())
            for group in ("all", language, style):
                by_field["lines"].add(group, same, len(wanted))
                lines.add(group, same, len(wanted))
    fields = [field for field in TARGETS if field in by_field]
    counts = [f"{by_field[field].counts['all'][1]:.0f}" for field in fields]
    rows = [
        [field, count, by_field[field].share("all"), str(TARGETS[field])]
        + ([f"{100 * sure[field][0] / sure[field][1]:.1f} of {sure[field][1]}"] if sure[field][1] else [""])
        for field, count in zip(fields, counts, strict=True)
    ]
    table(
        "Fields",
        ["field", "records (items, lines: pieces)", "right %", "target", "right % where confidence ≥ 0.9"],
        rows,
    )
    for title, groups in (("By language", languages), ("By style", styles)):
        table(
            title,
            [title[3:], *fields],
            [[group, *(by_field[f].share(group) for f in fields)] for group in sorted(groups)],
        )
    table(
        "What a confidence means",
        ["confidence", "fields", "right %"],
        [
            [f"{n / 20:.2f}–{(n + 1) / 20:.2f}", str(bins[n][1]), f"{100 * bins[n][0] / bins[n][1]:.1f}"]
            for n in sorted(bins)
        ],
    )


def boundaries(all_records: list[Record]) -> None:
    """Jobs of the multi-job streams: where they begin; and whether framing is the same at every size of piece."""
    printing = ("receipt", "reprint", "kitchen_ticket", "test_print")
    right = total = same = fed = streams = 0
    for record in all_records:
        if record["kind"] != "stream":
            continue
        starts = {part.start for part in split(record["raw"])}
        previous = 0
        for job in record["jobs"]:
            if job["type"] not in printing:
                continue  # polls, kicks and initialising may stand on either side
            total += 1
            right += any(previous <= start <= job["start"] for start in starts)
            previous = job["end"]
        streams += 1
        whole = [mark[1:] for mark in Scanner().feed(record["raw"]) if mark.command.name != "text"]
        for size in sorted({1, 7, 64, 512, *record["chunk_sizes"]}):
            scanner, marks = Scanner(), []
            for at in range(0, len(record["raw"]), size):
                marks += scanner.feed(record["raw"][at : at + size])
            same += [mark[1:] for mark in marks if mark.command.name != "text"] == whole
            fed += 1
    print(
        f"\nJobs of {streams} multi-job streams: {right} of {total} boundaries right "
        f"({100 * right / total:.1f} %, target 99.5); framed alike in {same} of {fed} ways to cut them in pieces."
    )


def cards(count: int) -> None:
    """Card numbers in many dresses, and order and wallet numbers that are none. By chance; the seed is fixed."""
    chance = random.Random(2026)
    brands = [("4", 16), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("36", 14),
              ("3528", 16), ("6011", 16), ("65", 16), ("62", 16), ("62", 19), ("5018", 16), ("6304", 19), ("2200", 16),
              ("4", 13)]  # fmt: skip
    commands = [b"\x1bE\x01", b"\x1bE\x00", b"\x1d!\x11", b"\x1ba\x01", b"\x1b$\x40\x00", b"\t", b"\x1b!\x08"]
    labels = [b"", b"CARD: ", b"VISA ", b"VISA CREDIT\n", "卡号:".encode("gb18030"), b"Karte ", b"PAN "]
    heads = [b"\x1b@SHOP\nTEL 555 123 4567\nTea  2  4.50\n", b"\x1b@\x1b\x1da\x01SHOP\n", b"", b"1 x Tea 3,00\n"]
    tails = [b"\nAUTH 123456\n12/25 10:30\n\x1dVA\x00", b" 12.50\n\nTHANK YOU\n\x1bi", b"\n", b"\nEXP 12/25\n"]

    def digits(n: int) -> str:
        return "".join(chance.choice("0123456789") for _ in range(n))

    def dressed(number: str) -> bytes:
        at, wide = chance.randrange(1, len(number)), {48 + n: 0xFF10 + n for n in range(10)}
        ways: list[Callable[[], bytes]] = [
            lambda: number.encode(),
            lambda: " ".join(number[i : i + 4] for i in range(0, len(number), 4)).encode(),
            lambda: "-".join(number[i : i + 4] for i in range(0, len(number), 4)).encode(),
            lambda: number[:at].encode() + chance.choice([b"\n", b"\r\n  "]) + number[at:].encode(),
            lambda: number[:at].encode() + chance.choice(commands) + number[at:].encode(),
            lambda: number.translate(wide).encode(chance.choice(["gb18030", "cp932", "big5", "cp949", "utf-8"])),
            lambda: " ".join(number).encode(),
            lambda: b"".join(digit.encode() + chance.choice([b"", b"", *commands]) for digit in number),
            lambda: "".join(digit + chance.choice(["", "", " "]) for digit in number).encode(),
        ]
        return chance.choice(ways)()

    missed = false = 0
    for _ in range(count):
        first, length = chance.choice(brands)
        body = first + digits(length - 1 - len(first))
        number = next(body + last for last in "0123456789" if luhn(body + last))
        job = chance.choice(heads) + chance.choice(labels) + dressed(number) + chance.choice(tails)
        hidden = mask(job)
        missed += sum(a != b for a, b in zip(job, hidden, strict=True)) < length - 4
    words = ["", "Order ", "WeChat ", "交易单号 ", "Invoice #", "发票号码 "]
    for _ in range(count // 5):
        word = chance.choice(words)
        number = digits(chance.randrange(20, 29) if not word else chance.randrange(13, 29))
        job = chance.choice(heads) + word.encode("gb18030") + number.encode() + chance.choice(tails)
        false += mask(job) != job
    print(
        f"\nCard numbers: {100 - 100 * missed / count:.3f} % of {count:,} masked (target 99.9); "
        f"{500 * false / count:.3f} % of {count // 5:,} order and wallet numbers masked wrongly (target 0.1)."
    )


def each(work: Callable[[bytes], object], raws: list[bytes]) -> Callable[[], None]:
    """The work on every job, its results dropped at once, as a process that reads job after job does."""

    def run() -> None:
        for raw in raws:
            work(raw)

    return run


def best(work: Callable[[], object], rounds: int) -> float:
    """The median of `rounds` runs, in seconds of CPU time: neighbours on the machine do not count."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def speed(all_records: list[Record], rounds: int) -> None:
    gc.collect()
    gc.freeze()  # as the reading child does
    gc.set_threshold(20_000, 20, 20)
    texts = [record["raw"] for record in all_records if record["kind"] == "receipt" and not is_picture(record)]
    size = sum(map(len, texts)) / 1e6
    large = sorted(texts, key=len)[-100:]
    kb = sum(map(len, large)) / len(large) / 1e3
    raster = b"\x1b@\x1dv0\x00\x48\x00" + (14563).to_bytes(2, "little") + bytes(range(256)) * 4096
    tokens = best(each(lambda raw: Scanner().feed(raw), texts), rounds)
    lines = best(each(lay_out, texts), rounds)
    reads = best(each(receipt.read, texts), rounds)
    longer = best(each(receipt.read, large), rounds)
    masks = best(each(mask, texts), rounds)
    picture = best(lambda: receipt.read(raster), rounds)
    code = "import time; t = time.perf_counter(); import receipt; print(time.perf_counter() - t)"
    loads = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(rounds)]
    count = len(texts)
    table(
        f"Speed, one core ({count} text receipts, {size * 1e6 / count:.0f} bytes each)",
        ["what", "receipts/s", "MB/s"],
        [
            [name, f"{of / taken:,.0f}", f"{mb / taken:.1f}"]
            for name, of, mb, taken in (
                ("tokens", count, size, tokens),
                ("tokens and lines", count, size, lines),
                ("tokens, lines and fields", count, size, reads),
                (f"the same, the longest hundred ({kb:.1f} KB each)", len(large), kb * len(large) / 1e3, longer),
                ("masking card numbers", count, size, masks),
            )
        ],
    )
    print(f"\nA raster job of 1 MB: {picture * 1e3:.1f} ms (target 30).")
    print(f"import receipt: {statistics.median(loads) * 1e3:.1f} ms (target 60).")


def peers(all_records: list[Record]) -> None:
    """Mixed files, text and pictures, and the captures alone, through us and through others."""
    from bench.reading_peers import compare

    mixed = [record["raw"] for record in all_records if record["kind"] == "receipt"][::4]
    captures = [path.read_bytes() for path in sorted((DATA / "escpos").rglob("*.bin"))]
    for what, raws in (("mixed jobs", mixed), ("captures", captures)):
        if not raws:
            continue
        rates = compare(raws)
        ours = dict(rates)["tillwire: tokens and lines"]
        table(
            f"Beside others ({len(raws)} {what}, {sum(map(len, raws)) / len(raws):,.0f} bytes each, one core)",
            ["what", "jobs/s of CPU", "tillwire's tokens and lines are so many times as fast"],
            [[name, f"{rate:,.0f}", f"{ours / rate:.1f}"] for name, rate in rates],
        )


def main(quick: bool = False) -> int:
    if not (DATA / "corpus").is_dir():
        print(f"The data is not there: {DATA}. Set TILLWIRE_DATA to the folder that holds corpus/.")
        return 1
    found = records()
    if quick:
        found = found[::8] + [record for record in found if record["kind"] == "stream"]
    accuracy(found)
    boundaries(found)
    cards(5_000 if quick else 50_000)
    speed(found, 1 if quick else 3)
    peers(found)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.reading", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="an eighth of the records, one round")
    raise SystemExit(main(parser.parse_args().quick))
