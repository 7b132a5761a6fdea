"""`make guest`: builds the machine where that is due, runs everything in it, says in a few lines what came of it."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tests.guest import image


class Summary:
    """What the tests said, for the last lines."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self.figures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.split("::", 1)[1].removeprefix("test_in_the_machine").strip("[]")
        if report.failed:
            self.failed.append(name)
        elif report.skipped:
            self.skipped.append(name)
        elif report.when == "call":
            self.passed.append(name)
        if report.when == "call":
            self.figures += [line for line in report.capstdout.splitlines() if line.startswith("figure:")]


def main() -> int:
    began = time.monotonic()
    if image.is_built():
        print(f"guest: the machine in {image.FOLDER.relative_to(image.ROOT)} is used again")
    else:
        print("guest: building the machine from Debian packages (once; a minute and a half, 470 MB)")
        if os.geteuid() != 0:
            print("guest: that needs root, for a tree with owners and device nodes: sudo make guest")
            return 1
        image.build()
        print(f"guest: built in {time.monotonic() - began:.0f} s")
    summary = Summary()
    code = pytest.main(
        ["-m", "guest", "-v", "--timeout", "3600", "-p", "no:xdist", "tests/guest", *sys.argv[1:]], [summary]
    )
    print(
        f"\nguest: {len(summary.passed)} passed, {len(summary.failed)} failed, {len(summary.skipped)} skipped", end=""
    )
    print(f", in {(time.monotonic() - began) / 60:.0f} min, in a machine with Debian's kernel and a USB bus of its own")
    for line in summary.figures:
        print(line)
    for name in summary.failed:
        print(f"guest: FAILED {name}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
