"""The latest log lines: the newest that fit into one message, in their order."""

from __future__ import annotations

import logging

from agent.logtail import LINES, MOST_BYTES, Tail


def test_the_newest_lines_come_in_order_and_fit_into_a_message() -> None:
    tail = Tail()
    log = logging.Logger("tillwire.agent", logging.INFO)
    log.addHandler(tail)
    log.debug("not this one")
    for n in range(1000):
        log.info("job=%d %s", n, "é" * 400)
    lines = tail.lines()
    assert 10 < len(lines) <= LINES
    assert sum(len(line.encode()) for line in lines) < MOST_BYTES
    assert [int(line.split("job=")[1].split()[0]) for line in lines] == list(range(1000 - len(lines), 1000))
