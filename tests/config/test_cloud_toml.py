"""config/cloud.toml lists every key of config/cloud.py, each with its default and a comment above it."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from pathlib import Path

import pytest

from config.cloud import CloudConfig, load_cloud
from config.load import ConfigError

FILE = Path(__file__).parents[2] / "config" / "cloud.toml"


def test_it_lists_every_key_with_its_default() -> None:
    tree = tomllib.loads(FILE.read_text())
    assert tree == dataclasses.asdict(CloudConfig())


def test_it_loads_and_means_the_defaults() -> None:
    assert load_cloud(FILE) == CloudConfig()


def test_every_key_is_explained_above_it() -> None:
    lines = FILE.read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert above.startswith("# "), line


@pytest.mark.covers("A28")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[broker]\nlisten = "0.0.0.0:1883"', "without TLS"),
        ('[broker]\nurl = "mqtt://mqtt.example.net:1883"', "without TLS"),
        ('[broker]\ncert_file = "a.pem"', "belong together"),
        ('[store]\nurl = "mysql://x"', "must be sqlite"),
        ("[ingest]\nbatch = 0", "at least 1"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        load_cloud(file)


@pytest.mark.parametrize(
    "text",
    [
        '[broker]\nlisten = "127.0.0.1:1883"',
        '[broker]\nlisten = "[::1]:1883"',
        '[broker]\nlisten = "0.0.0.0:1883"\ninsecure = true',
        '[broker]\nurl = "mqtts://mqtt.example.net"',
    ],
)
def test_what_is_right_is_taken(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(text)
    load_cloud(file)
