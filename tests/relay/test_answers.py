"""Where a printer's answers go: every byte to the POS that may have it, whatever we ask in between."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receipt.status import Form
from receipt.tokens import Answer
from relay import answers
from relay.answers import Router

BLOCK = b"\x5fTM-T88V\0"
ANSWERS = [b"\x16", b"\x12", b"\x00", b"\x14\0\0\0", BLOCK, b"\x11", b"\x80", b"\x5f" + b"x" * 40 + b"\0"]


class Till:
    """Takes what is for it."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.router = Router(lambda link, data: self.heard.extend(data), lambda: None)
        self.link = cast(Any, SimpleNamespace())

    def says(self, data: bytes, now: float = 0.0) -> None:
        self.router.heard(data, self.link, now)


@given(
    said=st.lists(st.sampled_from(ANSWERS), max_size=12),
    cuts=st.lists(st.integers(0, 120)),
    asks=st.lists(st.sampled_from(["", "ask", "give up"])),
)
def test_no_answer_is_lost_or_doubled_when_our_questions_come_and_go(
    said: list[bytes], cuts: list[int], asks: list[str]
) -> None:
    """Ours is never answered here: every byte is the till's."""
    till, stream = Till(), b"".join(said)
    ours: list[Any] = []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for number, (start, end) in enumerate(pairwise(edges)):
        what = asks[number % len(asks)] if asks else ""
        if what == "ask":
            ours.append(till.router.we_ask(lambda answer: None, Form.BLOCK, 0, 0.0, lambda answer: False))
        elif what == "give up" and ours:
            till.router.give_up(ours.pop())
        if stream[start:end]:
            till.says(stream[start:end])
    for ask in ours:
        till.router.give_up(ask)
    till.says(b"\x11")
    assert bytes(till.heard) == stream + b"\x11"


def test_a_question_of_ours_that_a_mute_printer_never_answers_is_forgotten() -> None:
    till = Till()
    for n in (1, 2, 4):
        till.router.we_ask(lambda answer: pytest.fail("nobody answers"), Form.REALTIME, n, 0.0)
    assert till.router.ours == 3
    till.router.pos_asks(till.link, Answer.BYTE, b"\x1dr\x01", answers.FORGET_S)
    till.says(b"\x00", answers.FORGET_S + 1)
    assert till.router.ours == 0 and till.heard == b"\x00"


def test_what_the_device_says_beside_the_stream_goes_with_it() -> None:
    """Ready lines and the USB status byte: unknown again once the device is gone."""
    told: list[Any] = []
    router = Router(lambda link, data: None, lambda: told.append(router.status))
    router.device_says({"online": True, "paper": "ok", "error": False})
    router.device_says({"online": False, "paper": "out", "error": False})
    assert [(s.online, s.paper) for s in told] == [(True, "ok"), (False, "out")]
    assert router.status.trouble == "paper out"
    router.reset()
    assert (router.status.online, router.status.paper, router.status.error) == (None, None, None)
