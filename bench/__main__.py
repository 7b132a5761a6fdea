"""make bench [ARGS="relay forward --quick"]: run the benches, or those named.

relay     latency, status round trip, throughput, exactness beside socat, idle cost      bench/relay.py
relay_loads   the same while the agent reads, a commit runs on a slow disk, broker or player hang
relay_costs   1 MB of pictures, CPU, a held cut beside append and fdatasync, start, memory, idle, 1 GB without an end
forward   receipts from the till to the cloud's table, with kill -9 in between           bench/forward.py
journal   durable receipts a second beside the disk's floor and a bare SQLite loop          bench/journal.py
delivery  cut to the cloud's commit; after a kill of each process; memory               bench/delivery.py
backlog   9,000 receipts that wait, and live ones beside them                           bench/backlog.py
orders    an accepted order: to the first byte at the printer, to the first audio frame      bench/orders.py
console   the console over a million receipts: p95 of its pages                          bench/console.py
first_view   the console's pages on a slow phone: first paint, weight                    bench/first_view.py
cloud     ingest beside a paho subscriber, two workers, lookups meanwhile, 10,000 boxes   bench/cloud/
reading   accuracy of what is read, and its speed                                        bench/reading.py
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform

PARTS = ("relay", "journal", "delivery", "forward", "backlog", "orders", "reading")
LONG = ("cloud", "console", "first_view", "relay_loads", "relay_costs")  # only when they are named


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="of: " + ", ".join(PARTS + LONG))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it runs")
    args = parser.parse_args()
    own: tuple[str, ...] = ()  # parts of a part: python -m bench cloud lookup
    if args.parts[:1] == ["cloud"]:
        own, args.parts = tuple(args.parts[1:]), ["cloud"]
        from bench.cloud import PARTS as known

        if wrong := set(own) - set(known):
            parser.error(f"no such part of cloud: {', '.join(sorted(wrong))}; there are {', '.join(known)}")
    if wrong := set(args.parts) - set(PARTS + LONG):
        parser.error(f"no such part: {', '.join(sorted(wrong))}")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    failed = 0
    for part in args.parts or PARTS:
        print(f"\n## {part}", flush=True)
        more = {"parts": own} if own else {}
        failed |= importlib.import_module(f"bench.{part}").main(quick=args.quick, **more) or 0
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
