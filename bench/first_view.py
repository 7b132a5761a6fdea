"""The first view on a phone: how long after its address was opened a page shows something, on a slow line.

A headless Chromium at 390 px, nothing in its cache, 1.6 Mbit/s down, 150 ms there and back, a processor four
times slower (Lighthouse's phone). Each page five times: the median first contentful paint, and what came over the line.

    python -m bench first_view         two minutes
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from tests.cloud.browser import Browser
from tests.cloud.conftest import PASSWORD, Cloud
from tests.demo_shop import fill

PAGES = ("/", "/receipts", "/analysis", "/analysis/items", "/customers", "/boxes", "/setup/reading", "/setup/orders")
LINE = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
ROUNDS = 5
TARGET_MS = 1000
PAINT = """
const p = performance.getEntriesByName('first-contentful-paint')[0];
const all = performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'));
return p ? [p.startTime, all.reduce((sum, one) => sum + one.transferSize, 0)] : null;
"""


def main(quick: bool = False) -> int:
    print(f"load average {os.getloadavg()[0]:.1f} (figures mean little above 1)", flush=True)
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        cloud = Cloud(Path(folder))
        cloud.command("merchant", "add", "Corner Cafe", "--user", "anna", "--password-stdin", stdin=PASSWORD + "\n")
        fill(cloud.database, "Corner Cafe", months=1 if quick else 3, per_day=30)
        cloud.start()
        browser = Browser(Path(folder))
        try:
            return _measure(cloud, browser, 1 if quick else ROUNDS)
        finally:
            browser.close()
            cloud.close()


def _measure(cloud: Cloud, browser: Browser, rounds: int) -> int:
    browser.size(390)
    browser.open(cloud.url + "/login")
    browser.type("#name", "anna")
    browser.type("#password", PASSWORD)
    browser.click("button.yes")
    browser.find("nav.menu")
    for command, values in (
        ("Network.enable", {}),
        ("Network.setCacheDisabled", {"cacheDisabled": True}),
        ("Network.emulateNetworkConditions", LINE),
        ("Emulation.setCPUThrottlingRate", {"rate": 4}),
    ):
        browser.devtools(command, values)
    print("| page | first view, ms | KB |\n|---|---|---|")
    slow = 0
    for path in PAGES:
        seen = []
        for _ in range(rounds):
            browser.open(cloud.url + path)
            seen.append(browser.until(f"(() => {{ {PAINT} }})()"))
        took = statistics.median(paint for paint, _ in seen)
        slow += took > TARGET_MS
        print(f"| {path} | {took:.0f} | {seen[-1][1] / 1000:.0f} |", flush=True)
    print(f"{slow} of {len(PAGES)} above {TARGET_MS} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
