"""The import rules of the tree: who may know whom. Read from the source, and from a running relay's modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "cloud", "config", "drivers", "receipt", "relay", "wire")
ALLOWED = {  # package -> what else of ours it may import
    "config": set(),
    "drivers": set(),
    "receipt": set(),
    "wire": {"receipt"},
    "relay": {"config", "drivers", "receipt.tokens", "receipt.commands", "receipt.jobs", "receipt.status"},
    "agent": {"config", "receipt", "wire", "relay.control"},
    "cloud": {"config", "receipt", "wire"},
}
FREE = {"agent/cli.py"}  # the technician's command imports from anywhere on the box
PURE = ("receipt", "wire")
IMPURE = {"socket", "selectors", "asyncio", "threading", "sqlite3", "subprocess", "logging", "requests", "http"}
NOT_IN_THE_RELAY = (
    "escpos", "PIL", "paho", "msgspec", "asyncio", "sqlite_utils", "click",
    "receipt.extract", "receipt.rules", "receipt.model",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports, at its top or anywhere else."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).parts[:-1]
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            module = base if node.level else node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return names


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = []
    for path in files_of(package):
        if str(path.relative_to(ROOT)) in FREE:
            continue
        for name in imports(path):
            top = name.split(".")[0]
            if top not in PACKAGES or top == package:
                continue
            may = ALLOWED[package]
            bare_package = name == top and any(a.startswith(f"{top}.") for a in may)
            if not bare_package and not any(name == a or name.startswith(f"{a}.") for a in may):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, f"{package} may import {sorted(ALLOWED[package]) or 'nothing else of ours'}"


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_do_no_input_and_output(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(package)
        for name in imports(path)
        if name.split(".")[0] in IMPURE
    ]
    assert not wrong


def test_the_relay_loads_nothing_that_it_does_not_need() -> None:
    """Counted by starting it: what a lazy import would bring in is seen too."""
    program = "import sys, relay.__main__; print(*sorted(sys.modules), sep='\\n')"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = out.stdout.split()
    assert not [m for m in loaded if any(m == n or m.startswith(f"{n}.") for n in NOT_IN_THE_RELAY)]


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    names = {path.stem for package in PACKAGES for path in files_of(package)}
    assert not names & {"utils", "util", "common", "base", "manager", "helpers", "misc"}


def test_third_party_drivers_are_imported_only_by_their_own_file() -> None:
    """pyserial by drivers/serial.py, pyusb by drivers/usb.py, simpleaudio by drivers/sound.py: nowhere else."""
    owners = {"serial": "drivers/serial.py", "usb": "drivers/usb.py", "simpleaudio": "drivers/sound.py"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in PACKAGES
        for path in files_of(package)
        for name in imports(path)
        if name.split(".")[0] in owners
        and str(path.relative_to(ROOT)) != owners[name.split(".")[0]]
        and str(path.relative_to(ROOT)) not in FREE
    ]
    assert not wrong
