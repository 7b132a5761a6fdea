"""What a till notices of everything else that goes on in the box, beside socat on the same machine: nothing, it should.

Latency and status there and back, while the agent reads without pause, while a commit runs on a disk whose syncs take
500 ms, with the broker hung and with the player of an alert hung (bench/busy_box.py). Rounds interleaved.
"""

from __future__ import annotations

from bench.relay import SOCAT, TILLWIRE, busy, measured

LOADS = ("reading", "disk", "broker", "audio")


def main(quick: bool = False) -> int:
    settle = {"disk": 3.0, "broker": 11.0}
    return measured([SOCAT, TILLWIRE, *(busy(load, settle.get(load, 9.0)) for load in LOADS)], "oneway64,status", quick)
