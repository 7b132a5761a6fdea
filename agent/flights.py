"""What is on the way: published, and not acknowledged by the cloud. How much that may be, and when each is sent again.

Each record has its own clock, which starts when the broker took it. While acknowledgements come, one that is overdue is
sent again, ever later. While none comes at all the cloud is away: then one record at a time is sent again, to ask, and
the others wait for the answer. It is asked after two seconds, later after a tenth of the silence so far: a cloud that
is back is noticed soon, and one that is away costs the line next to nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW = 256  # records on the way
RESEND_S, RESEND_MOST_S = 2.0, 600.0  # after the broker took it, or 4 times what acks take lately; doubles
ASK_AFTER = 0.1  # of the silence so far, the cloud is asked again
BACKLOG_LEAST, BACKLOG_BYTES = 4 * 1024, 64 * 1024  # of the backlog, published and not yet with the broker
LATE_S = 0.5  # behind the quickest PUBACK of the connection: so long is the queue that a live receipt would stand in


@dataclass(slots=True)
class Sent:
    """A row that was published in this connection."""

    tries: int = 0
    taken: float | None = None  # when the broker took it, of the last try
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Flights:
    """The records of one connection, by row id. `again` is called with those that are to be sent once more: each has
    its place in the window still, and needs no room."""

    def __init__(self, again: Callable[[int], None]) -> None:
        self._again = again
        self._sent: dict[int, Sent] = {}
        self._heard = 0.0  # when the cloud acknowledged anything last
        self._asking: int | None = None  # the record that asks whether it is back
        self._asked = 0.0  # when that began
        self._silent: deque[int] = deque()  # overdue, and wait for the answer
        self.ack_s = 0.0  # from the broker's PUBACK to the cloud's acknowledgement, smoothed

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._sent

    @property
    def room(self) -> int:
        """How many more may be published now."""
        return max(0, WINDOW - len(self._sent))

    @property
    def waits(self) -> bool:
        """The broker has something that the cloud has not acknowledged."""
        return any(sent.taken is not None for sent in self._sent.values())

    def clear(self) -> None:
        """The connection is another: everything is due again."""
        for sent in self._sent.values():
            if sent.timer is not None:
                sent.timer.cancel()
        self._sent.clear()
        self._silent.clear()
        self._asking = None

    def begin(self, row_id: int) -> Sent:
        sent = self._sent.setdefault(row_id, Sent())
        sent.tries += 1
        return sent

    def taken(self, row_id: int, sent: Sent) -> None:
        """The broker took it, or refused it: from now on the cloud has some time to acknowledge it."""
        if self._sent.get(row_id) is not sent:
            return  # acknowledged meanwhile, or another connection
        sent.taken = now = time.monotonic()
        pause = max(RESEND_S, 4 * self.ack_s)
        if row_id == self._asking:
            pause = max(pause, (now - self._asked) * ASK_AFTER)
        else:
            pause *= 2 ** min(sent.tries - 1, 20)
        if sent.timer is not None:
            sent.timer.cancel()
        pause = min(pause, RESEND_MOST_S) * random.uniform(0.8, 1.2)
        sent.timer = asyncio.get_running_loop().call_later(pause, self._overdue, row_id, sent)

    def _overdue(self, row_id: int, sent: Sent) -> None:
        if sent.taken is None or self._heard >= sent.taken:
            self._again(row_id)
        elif self._asking in (None, row_id):
            if self._asking is None:
                self._asked = time.monotonic()
            self._silent.append(row_id)
            self._ask()
        else:
            self._silent.append(row_id)

    def _ask(self) -> None:
        """The one that waits longest asks: not always the same, which may be one that the cloud does not take."""
        self._asking = None
        while self._silent and self._asking is None:
            row_id = self._silent.popleft()
            if row_id in self._sent:
                self._asking = row_id
                self._again(row_id)

    def acked(self, row_id: int) -> None:
        """The cloud has it."""
        sent = self._sent.get(row_id)
        if sent is None:
            return
        self._heard = time.monotonic()
        took = self._heard - (sent.taken or self._heard)
        self.ack_s += (took - self.ack_s) / 8
        self._asking = None
        silent, self._silent = self._silent, deque()
        self.forget(row_id)
        for other in silent:
            if other in self._sent:
                self._again(other)

    def forget(self, row_id: int) -> None:
        """It is not on the way any more, whatever became of it."""
        sent = self._sent.pop(row_id, None)
        if sent is None:
            return
        if sent.timer is not None:
            sent.timer.cancel()
        if row_id == self._asking:
            self._ask()


class Pace:
    """How much of the backlog may be between us and the broker: as much as the line takes without a long queue, so that
    a live receipt finds a short one. As TCP does it: half when a message was late, but only once for all that stood in
    the same queue; at first twice as much with each round trip, and from that half on one message more."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._bytes, self._most, self._known = 0, BACKLOG_LEAST, BACKLOG_BYTES
        self._quickest, self._slowed = float("inf"), 0.0  # s; when it was last slowed down

    @property
    def open(self) -> bool:
        return self._bytes < self._most

    def sent(self, size: int) -> None:
        self._bytes += size

    def taken(self, size: int, since: float) -> None:
        """The broker took a message that was published at `since`; `size` is 0 for what is not of the backlog."""
        now = time.monotonic()
        took = now - since
        self._bytes -= size
        self._quickest = min(self._quickest, took)
        if took < self._quickest + LATE_S:
            step = size if self._most < self._known else size * size // self._most
            self._most = min(BACKLOG_BYTES, self._most + step)
        elif since > self._slowed:
            self._slowed = now
            self._most = self._known = max(BACKLOG_LEAST, self._most // 2)
