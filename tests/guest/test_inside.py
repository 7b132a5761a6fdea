"""The tests of inside/, each run in the machine and told here by its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.guest.vm import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(3600)]
INSIDE = Path(__file__).with_name("inside")
PYTEST = (
    "cd /opt/tillwire && PYTHONPATH=.:site PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -p no:cacheprovider -q -rA "
    "--timeout 600 --basetemp /var/tmp/tests {test} 2>&1"
)


def names() -> list[str]:
    """FILE::NAME of each test function in inside/."""
    found = []
    for path in sorted(INSIDE.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
        found += [f"{path.name}::{name}" for name in (*imported, *functions) if name.startswith("test_")]
    return found


@pytest.mark.parametrize("test", names())
def test_in_the_machine(guest: Guest, test: str) -> None:
    command = PYTEST.format(test=f"tests/guest/inside/{test}")
    output = guest.run(f"({command}); echo exit=$?", limit_s=3000)
    for line in output.splitlines():
        if line.startswith("figure:"):
            print(line)
    assert re.search(r"exit=0\s*$", output), output
    kernel = guest.run("dmesg | grep -E 'BUG|Oops|use-after-free|list_del corruption' || true")
    assert not kernel, f"the kernel complains:\n{kernel}"
