"""Every file of wrong.py is refused by the command, with the message that a technician needs, and exit 78."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from tests.config.wrong import RIGHT, WRONG


def _check(tmp_path: Path, content: bytes) -> tuple[int, str]:
    file = tmp_path / "agent.toml"
    file.write_bytes(content)
    result = CliRunner().invoke(main, ["check-config", str(file)])
    return result.exit_code, result.output


def test_the_file_they_are_made_from_is_right(tmp_path: Path) -> None:
    assert _check(tmp_path, RIGHT.encode())[0] == 0


def test_there_are_enough_of_them() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize("name", WRONG)
def test_it_says_what_is_wrong_and_what_helps(tmp_path: Path, name: str) -> None:
    text, expected = WRONG[name]
    code, output = _check(tmp_path, text.encode())
    assert code == 78
    at = 0
    for part in expected:
        assert part in output[at:], output
        at = output.index(part, at) + len(part)
    assert "tillwire check-config" in output and "Traceback" not in output


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    assert _check(tmp_path, b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode())[0] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (RIGHT.replace("[box]", "# Küche\n[box]").encode("latin-1"), "line 1: byte 0xfc is not UTF-8"),
        (b"\x00" * 4096, "line 1:"),
        (RIGHT.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    code, output = _check(tmp_path, content)
    assert code == 78 and says in output


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        result = CliRunner().invoke(main, ["check-config", str(path)])
        assert result.exit_code == 78 and str(path) in result.output and "Traceback" not in result.output
