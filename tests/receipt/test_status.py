"""What a printer says of itself, bit by bit, as Epson's reference has it."""

from __future__ import annotations

import pytest

from receipt.status import UNKNOWN, from_asb, from_eot


@pytest.mark.parametrize(
    ("byte", "down"), [(0x16, False), (0x56, True), (0x5E, True)], ids=["as always", "pressed", "pressed, and off-line"]
)
def test_the_feed_button_in_the_answer_to_dle_eot(byte: int, down: bool) -> None:
    status = from_eot(1, byte, UNKNOWN)
    assert status.feed_button is down and status.online is not bool(byte & 8)


@pytest.mark.parametrize(
    ("four", "down"),
    [(b"\x14\x00\x00\x0f", False), (b"\x54\x00\x00\x0f", True), (b"\x14\x02\x00\x0f", True)],
    ids=["as always", "it feeds paper", "pressed"],
)
def test_the_feed_button_in_the_automatic_status(four: bytes, down: bool) -> None:
    status = from_asb(four, UNKNOWN)
    assert status.feed_button is down and status.online and not status.trouble
