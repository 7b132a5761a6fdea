"""Real-time priority for the loop: the till's next byte waits for no busy agent, nor for anything else on the board.

The loop's thread runs as SCHED_FIFO, so do the drivers' threads, which start after it has claimed that: they stand in
the print path too. What computes or waits for a disk (the journal, lookups, children) calls ordinary(); the journal's
thread is lent it while the end of a job, for which a cut waits, is being committed.

The guard: whoever has run for SPIN_S without ever sleeping is at fault, or has more to pass than any till sends. The
kernel says so by SIGXCPU, and all threads become ordinary, for good; where Python cannot even hear that, it ends the
process after KILL_S, and systemd starts another. So a relay that spins takes at most SPIN_S from a board with one core.

Where the priority is refused (no LimitRTPRIO=, a kernel with real-time groups) everything works at ordinary priority.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

PRIORITY = 5  # above everything ordinary; below what the kernel itself runs (50)
SPIN_S, KILL_S = 1, 3
log = logging.getLogger("relay")


def claim(lost: Callable[[], None]) -> bool:
    """For the calling thread, and those it starts from now on -> is it granted? `lost`: the guard took it away.

    For the main thread only, which is where Python hears signals.
    """
    try:
        hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
        most = KILL_S * 1_000_000 if hard == resource.RLIM_INFINITY else min(hard, KILL_S * 1_000_000)
        resource.setrlimit(resource.RLIMIT_RTTIME, (min(SPIN_S * 1_000_000, most), most))
        signal.signal(signal.SIGXCPU, lambda number, frame: _give_up(lost))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (OSError, ValueError) as error:
        log.info("priority=ordinary reason=%s", error)
        return False
    return True


def ordinary() -> None:
    """The calling thread is not in the print path."""
    _demote(0)


def lend(thread: int) -> None:
    """To that thread, until it calls ordinary(): just below the loop. Only who has the priority can lend it."""
    if granted():
        try:
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(PRIORITY - 1))
        except OSError as error:  # it has ended
            log.debug("priority thread=%d error=%s", thread, error)


def granted() -> bool:
    """Has the calling thread real-time priority?"""
    return os.sched_getscheduler(0) == os.SCHED_FIFO


def _give_up(lost: Callable[[], None]) -> None:
    if not granted():
        return
    for task in Path("/proc/self/task").iterdir():
        _demote(int(task.name))
    log.error(
        "priority=given_up reason=the relay ran %d s without a pause hint=printing goes on at ordinary priority until"
        " the next start; tell what was printed then",
        SPIN_S,
    )
    lost()


def _demote(thread: int) -> None:
    try:
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    except OSError as error:  # it has ended; or may not, and then it never was more than ordinary
        log.debug("priority thread=%d error=%s", thread, error)
