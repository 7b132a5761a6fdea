"""Wrong configurations: every problem is named at once, with its line, and with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.box import box_id, load_box
from config.cloud import load_cloud
from config.load import ConfigError

RIGHT = """\
[box]
id = "shop42-front"
[printer.main]
url = "tcp://192.168.1.50:9100"
[pos.till]
url = "tcp://0.0.0.0:9100"
printer = "main"
"""


def problems_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_box(path)
    return caught.value.problems


def test_a_small_right_file_gives_every_default(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(RIGHT)
    box = load_box(path)
    assert box.pos["till"].when_gone == "hold"
    assert box.capture.hold_cut_ms == 250
    assert box_id(box) == "shop42-front"


def test_all_problems_are_named_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """\
[box]
id = "UP"
sate_dir = "x"
[printer.main]
url = "usbx://"
[pos.till]
printer = "man"
[capture]
hold_cut_ms = "x"
quiet_ms = 1
send = "all"
"""
    problems = problems_of(tmp_path, text)
    expected = [
        "line 2: box.id = 'UP': must be 8 to 36",
        "line 3: [box] has no key 'sate_dir': did you mean 'state_dir'?",
        "line 5: printer.main.url = 'usbx://': must begin with one of",
        "line 6: [pos.till] lacks 'url'",
        "line 9: capture.hold_cut_ms = 'x': must be a whole number",
        "line 10: capture.quiet_ms = 1: must be at least 100",
        "line 11: capture.send = 'all': must be one of raw, reading",
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("printer = \"main\"", "printer = \"bar\""), "no such printer; there are: main"),
        (("[box]", "[cloud]\nbroker = \"mqtt://mqtt.example.net\"\n[box]"), "mqtt:// is not encrypted"),
        (("[box]", "[cloud]\nbroker = \"mqtts://mqtt.example.net:99999\"\n[box]"), "is not an address"),
        (("[box]", "[cloud]\nbroker = \"http://mqtt.example.net\"\n[box]"), "must be mqtts://HOST:PORT"),
        (("[box]", "[cloud]\ncert_file = \"c.pem\"\n[box]"), "cert_file and key_file belong together"),
        (("[box]", "[capture]\nkeep_days = true\n[box]"), "must be a number"),
        (("[box]", "box = 3\n[bux]"), "did you mean 'box'?"),
        (("[printer.main]", "[printer]\nname = \"x\"\n[printer.main]"), "write it as [printer.NAME]"),
        (("[printer.main]", "[printer.\"Main Bar\"]"), "a name is small letters"),
        (("[box]", "[box"), "is not TOML"),
    ],
)  # fmt: skip
def test_a_wrong_value_says_what_is_allowed(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    assert any(says in problem for problem in problems_of(tmp_path, RIGHT.replace(*change, 1)))


def test_a_missing_file_is_a_problem_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_cloud(tmp_path / "cloud.toml")


def test_a_cloud_file_names_its_problems_too(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text('[web]\nlisten = "8080"\n[store]\nurl = "mysql://x"\n[broker]\nurl = "nats"\n')
    with pytest.raises(ConfigError) as caught:
        load_cloud(path)
    assert [p.split(" = ")[0] for p in caught.value.problems] == [
        "line 2: web.listen",
        "line 4: store.url",
        "line 6: broker.url",
    ]


def test_a_box_without_an_id_makes_one_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(RIGHT.replace('id = "shop42-front"', ""))
    first, second = box_id(load_box(path)), box_id(load_box(path))
    assert first == second
    assert first.startswith("box-") and len(first) == 20
