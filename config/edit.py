"""Change single values of a TOML file and leave everything else, comments too, as the technician wrote it.

Only what our own files have: [section] headers and `key = value` on one line.
"""

from __future__ import annotations

import json
import re

HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$")


def with_values(text: str, values: dict[str, dict[str, str]]) -> str:
    r"""{section: {key: text}} written into a TOML text. A key that is missing is added, so is a section.

    >>> with_values('[a]\nx = "1"  # one\n[b]\n', {"a": {"x": "2", "y": "3"}, "c": {"z": ""}})
    '[a]\nx = "2"\ny = "3"\n[b]\n\n[c]\nz = ""\n'
    """
    lines = text.splitlines()
    for section, pairs in values.items():
        first, last = _span(lines, section)
        if first is None:
            lines += ["", f"[{section}]"]
            first, last = len(lines) - 1, len(lines)
        for key, value in pairs.items():
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            there = [n for n in range(first + 1, last) if re.match(rf"^\s*{re.escape(key)}\s*=", lines[n])]
            if there:
                lines[there[0]] = line
            else:
                while last > first + 1 and not lines[last - 1].strip():
                    last -= 1
                lines.insert(last, line)
                last += 1
    return "\n".join(lines) + "\n"


def _span(lines: list[str], section: str) -> tuple[int | None, int]:
    """The line of a section's header, and the line after its last; (None, 0) where there is none."""
    first: int | None = None
    for n, line in enumerate(lines):
        if found := HEADER.match(line):
            if first is not None:
                return first, n
            if found[1].strip() == section:
                first = n
    return first, len(lines) if first is not None else 0
