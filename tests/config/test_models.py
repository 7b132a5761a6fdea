"""Printer models are recognised by what the cable tells of them."""

from __future__ import annotations

from config.load import load
from config.models import FOLDER, Model, find_by_usb


def test_a_printer_is_known_by_its_usb_ids() -> None:
    assert find_by_usb("04b8:0e15") == find_by_usb("04B8:0E15") == "epson-tm-t20"
    assert find_by_usb("dead:beef") == find_by_usb("auto") == find_by_usb("") == "auto"


def test_no_two_models_claim_the_same_ids() -> None:
    claimed = [ids.strip() for path in FOLDER.glob("*.toml") for ids in load(path, Model).usb.split(",") if ids]
    assert len(claimed) == len(set(claimed))
