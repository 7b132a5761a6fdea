"""The same files through other readers, in the same minutes: a framer of regular expressions, and emupos 0.4.0.

The framer (the harness's escpos_len.py) knows lengths only and makes no lines: it is the yardstick. emupos tokenizes
and prints into pictures and a text dump; it needs Python 3.13 and stays outside our environment:
    python3.13 -m venv /tmp/emupos && /tmp/emupos/bin/pip install emupos==0.4.0
    TILLWIRE_EMUPOS=/tmp/emupos/bin/python python -m bench.reading
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import harness
from receipt.layout import lay_out
from receipt.tokens import Scanner, Tokenizer

_EMUPOS = """
import sys, time
from pathlib import Path
from emupos.config import _load_profile
from emupos.printer.escpos.model import PrintModel
from emupos.printer.escpos.tokenizer import Tokenizer
profile = _load_profile(sys.argv[2], "printer", Path("."))
raws = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
def tokens(raw):
    Tokenizer().feed(raw)
def lines(raw):
    model = PrintModel("bench", profile)
    for token in Tokenizer().feed(raw):
        model.process(token)
for work in (tokens, lines):
    begun = time.process_time()
    for raw in raws:
        work(raw)
    print(len(raws) / (time.process_time() - begun))
"""


def compare(raws: list[bytes]) -> list[tuple[str, float]]:
    """(what, receipts a second of CPU time) over the same jobs; a peer that is not installed is left out."""
    found = []
    path = harness.FOLDER / "escpos_len.py"
    if path.exists():
        spec = importlib.util.spec_from_file_location("escpos_len", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(("lengths alone, by regular expressions", _rate(lambda raw: module.Framer().feed(raw), raws)))
    found.append(("tillwire: framing, as the relay does it", _rate(lambda raw: Scanner().feed(raw), raws)))
    found.append(("tillwire: whole tokens", _rate(lambda raw: Tokenizer().feed(raw), raws)))
    found.append(("tillwire: tokens and lines", _rate(lay_out, raws)))
    python = os.environ.get("TILLWIRE_EMUPOS")
    if python:
        with tempfile.TemporaryDirectory() as folder:
            for number, raw in enumerate(raws):
                (Path(folder) / f"{number:06}").write_bytes(raw)
            out = subprocess.check_output([python, "-c", _EMUPOS, folder, "epson-tm-t20iii"])
        tokens, lines = (float(line) for line in out.split())
        found += [("emupos 0.4.0: tokens", tokens), ("emupos 0.4.0: tokens and printing", lines)]
    return found


def _rate(work: Callable[[bytes], object], raws: list[bytes]) -> float:
    """Jobs a second of CPU time: the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        for raw in raws:
            work(raw)
        best = min(best, time.process_time() - begun)
    return len(raws) / best
