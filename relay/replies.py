"""What goes back to one POS: written at once; what its line does not take waits, up to a limit."""

from __future__ import annotations

from drivers import DeviceGone, Link
from relay.counters import Counters

WAITING_MOST = 256 * 1024  # bytes; a POS that never reads its answers loses the newest


class Replies:
    """True while some of them wait for room on the line: call `flush` when there is some."""

    def __init__(self, link: Link, counters: Counters) -> None:
        self._link, self._counters = link, counters
        self._waiting = bytearray()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, data: bytes) -> None:
        """Raises DeviceGone where the POS has gone; `data` is lost then."""
        if not self._waiting:
            taken = self._link.write(data)
            self._counters.bytes_up += taken
            if taken == len(data):
                return
            data = data[taken:]
        room = WAITING_MOST - len(self._waiting)
        if len(data) > room:
            self._counters.answers_dropped += len(data) - room
        self._waiting += data[:room]

    def flush(self) -> None:
        """There is room on the line. Raises DeviceGone where the POS has gone; nothing waits then."""
        try:
            taken = self._link.write(memoryview(bytes(self._waiting)))
        except DeviceGone:
            self._waiting.clear()
            raise
        self._counters.bytes_up += taken
        del self._waiting[:taken]
