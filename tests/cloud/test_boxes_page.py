"""The page of a box: what it is asked goes down, what it answers is shown, and who may ask what."""

from __future__ import annotations

import queue
from typing import Any

import httpx
import pytest

from tests.cloud.conftest import Cloud, until
from tests.cloud.test_console import csrf
from tests.simulators.box import SimulatedBox
from wire.messages import PrinterState, Result, new


@pytest.fixture(scope="module")
def anna(cloud: Cloud, cafe: httpx.Client) -> Any:
    client = cloud.log_in("anna")
    yield client
    client.close()


def asked(box: SimulatedBox, name: str) -> Any:
    """The next command of that name; others that come before are dropped."""
    while True:
        try:
            command = box.commands.get(timeout=30)
        except queue.Empty:
            raise AssertionError(f"{name} did not come") from None
        if command.name == name:
            return command


def ask(page: httpx.Client, box: str, name: str, **more: str) -> httpx.Response:
    return page.post(f"/boxes/{box}/ask", data={"csrf": csrf(page), "name": name} | more)


def test_a_test_slip_is_asked_for_and_its_proof_is_shown(front: SimulatedBox, anna: httpx.Client) -> None:
    front.status()
    assert ask(anna, front.name, "test_slip", printer="main").status_code == 303
    command = asked(front, "test_slip")
    assert command.args == {"printer": "main"}
    waiting = anna.get(f"/boxes/{front.name}")
    assert "waiting for its answer" in waiting.text
    assert waiting.headers["refresh"]
    front.publish("results", new(Result, command=command.id, ok=True, text="printed with proof L1"))
    until(lambda: "printed with proof L1" in anna.get(f"/boxes/{front.name}").text)
    assert "refresh" not in anna.get(f"/boxes/{front.name}").headers


def test_a_sound_is_heard_by_a_person(front: SimulatedBox, anna: httpx.Client) -> None:
    ask(anna, front.name, "play_sound")
    command = asked(front, "play_sound")
    front.publish("results", new(Result, command=command.id, ok=True, text="played by alsa", data={"way": "alsa"}))
    until(lambda: "Did you hear it?" in anna.get(f"/boxes/{front.name}").text)
    form = {"csrf": csrf(anna), "command": command.id, "heard": "no"}
    assert anna.post(f"/boxes/{front.name}/heard", data=form).status_code == 303
    assert "Nobody heard it" in anna.get(f"/boxes/{front.name}").text


@pytest.mark.covers("A16")
def test_a_log_is_shown_as_text(front: SimulatedBox, anna: httpx.Client) -> None:
    ask(anna, front.name, "send_logs")
    command = asked(front, "send_logs")
    lines = ["job=1 stored", "<script>alert(3)</script>"]
    front.publish("results", new(Result, command=command.id, ok=True, text="2 lines", data={"lines": lines}))
    until(lambda: "job=1 stored" in anna.get(f"/boxes/{front.name}").text)
    assert "<script>alert(3)" not in anna.get(f"/boxes/{front.name}").text


def test_what_cannot_be_asked_is_refused(cloud: Cloud, front: SimulatedBox, anna: httpx.Client) -> None:
    assert ask(anna, front.name, "new_epoch").status_code == 404
    assert ask(anna, "somebody-elses-box", "test_slip").status_code == 404
    wrong = {"url": "http://example.org/x.tar", "sha256": "0" * 64, "version": "9"}
    assert ask(anna, front.name, "update", **wrong).status_code == 422
    assert ask(anna, front.name, "update", **wrong | {"url": "https://example.org/x", "sha256": "z"}).status_code == 422
    assert anna.get("/boxes/somebody-elses-box").status_code == 404


def test_a_fault_is_told_with_its_time_until_it_ends(front: SimulatedBox, anna: httpx.Client) -> None:
    front.status(printers=[PrinterState("kitchen", online=False, paper="out", connected=True)])
    page = until(lambda: (p := anna.get("/").text) and "<b>kitchen</b>: out of paper since" in p and p)
    since = page.split("<b>kitchen</b>: out of paper since <time datetime=")[1].split(">")[0]
    front.status(printers=[PrinterState("kitchen", online=False, paper="out", connected=True)], last_seq=front.seq + 1)
    front.status(printers=[PrinterState("kitchen", online=True, paper="ok", connected=True, cover_open=True)])
    page = until(lambda: (p := anna.get("/").text) and "<b>kitchen</b>: cover is open since" in p and p)
    assert since not in page.split("cover is open since", 1)[1][:60]
    front.status()
    until(lambda: "<b>kitchen</b>" not in anna.get("/").text)
