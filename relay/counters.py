"""What the relay counts, per POS port and per printer; health shows it."""

from __future__ import annotations


class Counters:
    """What health shows of one POS port, or one printer; plain numbers, written by the loop alone."""

    def __init__(self) -> None:
        self.jobs = self.jobs_lost = self.capture_faults = self.cut_released_unsafe = self.cuts_held = 0
        self.hold_us = 0  # all holds together
        self.bytes_down = self.bytes_up = self.answered_by_relay = self.answers_dropped = 0
        self.bytes_out = self.bytes_in = 0  # taken by the printer, said by it
        self.state_replays = self.printer_opened = self.slips = self.passed_queries = self.memory_writes = 0
        self.pos_connected = self.pos_refused = self.floods = 0
        self.jobs_interrupted = self.jobs_reprinted = 0  # by a printer that was lost

    def counted(self) -> dict[str, int]:
        """Those that are not zero."""
        return {name: value for name, value in vars(self).items() if value}
