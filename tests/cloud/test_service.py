"""The process: it starts, it says what is wrong, it ends in time; also beside a broker that is not its own."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cloud.telling import JUST_NOW_MS
from tests.cloud.conftest import PASSWORD, Cloud, free_port, until
from tests.cloud.mosquitto import Mosquitto
from tests.simulators.box import SimulatedBox
from wire.messages import Held, Proof, new


def test_a_wrong_configuration_ends_with_78_and_names_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text('[web]\nlisten = "nowhere"\n[ingest]\nbatchs = 3\n')
    done = subprocess.run(
        [sys.executable, "-m", "cloud", "--config", str(file), "all"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "listen = 'nowhere'" in done.stderr
    assert "did you mean 'batch'" in done.stderr


def test_a_second_service_on_the_same_file_says_so(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path).start()
    try:
        words = [sys.executable, "-m", "cloud", "--config", str(cloud.config), "all"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert "held by another tillwire-cloud" in done.stderr
    finally:
        cloud.close()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    taken = subprocess.Popen([sys.executable, "-m", "http.server", str(cloud.http_port), "--bind", "127.0.0.1"])
    try:
        until(lambda: _answers(cloud.url))
        words = [sys.executable, "-m", "cloud", "--config", str(cloud.config), "all"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert str(cloud.http_port) in done.stderr
    finally:
        taken.kill()
        taken.wait()


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ('[store]\nurl = "postgresql://t:sekret@127.0.0.1:1/x"', 1, "Connection refused"),
        ('[store]\nurl = "postgresql://t:sekret@127.0.0.1:one/x"', 78, "must be sqlite"),
        ('[store]\nurl = "sqlite://{folder}"', 1, "unable to open"),
        ('[store]\nurl = "sqlite://{folder}/cloud.toml"', 1, "not a database"),
        ('[store]\nurl = "sqlite:///proc/none/cloud.db"', 1, "/proc/none"),
        ('[broker]\nurl = "mqtt://127.0.0.1:1"\npassword_file = "{folder}/none"', 1, "none"),
        ('[broker]\nurl = "mqtt://127.0.0.1:1"\npassword_file = "/dev/null"', 1, "is empty"),
    ],
)
def test_what_stands_in_the_way_of_a_start_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, code: int, says: str
) -> None:
    from cloud.__main__ import main

    store = "" if "[store]" in settings else f'[store]\nurl = "sqlite://{tmp_path}/cloud.db"\n'
    (tmp_path / "cloud.toml").write_text(store + settings.replace("{folder}", str(tmp_path)) + "\n")
    for words in (["all"], ["box", "list"]) if "[store]" in settings else (["all"],):
        assert main(["--config", str(tmp_path / "cloud.toml"), *words]) == code
        told = capsys.readouterr().err
        assert says in told
        assert "Traceback" not in told
        assert "sekret" not in told


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
        return True
    except httpx.HTTPError:
        return False


def test_it_ends_in_time_with_open_pages_and_busy_boxes(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path).start()
    try:
        with cloud.merchant("Corner Cafe", "anna"):
            box = cloud.box("Corner Cafe", "cafe-front-1")
            page = cloud.log_in("anna")
            with page.stream("GET", "/live") as stream:
                assert "event: hello" in next(stream.iter_text())
                for _ in range(300):
                    box.capture()
                box.acked([1])
                began = time.monotonic()
                assert cloud.stop(signal.SIGTERM, within=10) == 0
                assert time.monotonic() - began < 10
            page.close()
            kept = {seq for _, seq in box.acks}
            box.close()
            cloud.start()
            again = cloud.log_in("anna")
            assert again.get("/").status_code == 200
            again.close()
        key = cloud.command("key", "add", "Corner Cafe")
        with httpx.Client(base_url=cloud.url, headers={"Authorization": f"Bearer {key}"}) as client:
            (journal,) = client.get("/v1/boxes/cafe-front-1").json()["journals"]
        missing = {n for first, last in journal["missing"] for n in range(first, last + 1)}
        assert kept <= set(range(1, journal["highest"] + 1)) - missing
    finally:
        cloud.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker of somebody else's, with a password for everyone."""
    broker = Mosquitto(tmp_path, dict.fromkeys(("cloud", "cafe-front-1"), PASSWORD))
    yield broker
    broker.close()


def test_it_works_with_a_broker_that_is_not_its_own(tmp_path: Path, mosquitto: Mosquitto) -> None:
    cloud = Cloud(tmp_path, broker=mosquitto.settings)
    cloud.start()
    box = None
    try:
        with cloud.merchant("Corner Cafe", "anna") as cafe:
            cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            until(lambda: httpx.get(f"{cloud.url}/healthz").json()["broker"])
            box = SimulatedBox("cafe-front-1", PASSWORD, "127.0.0.1", mosquitto.port).ready()
            box.status()
            for _ in range(50):
                box.capture()
            box.acked(range(1, 51))
            order = cafe.post("/v1/orders", json={"kind": "dine_in", "items": [{"name": "Soup"}]}).json()["id"]
            assert box.orders.get(timeout=30).order == order
            box.print_order(order, Proof.L1)
            until(lambda: cafe.get(f"/v1/orders/{order}").json()["state"] == "printed")
            until(lambda: cafe.get("/v1/boxes").json()["boxes"][0]["online"])
    finally:
        if box is not None:
            box.close()
        cloud.close()


@pytest.mark.covers("F41")
def test_a_hole_is_asked_for(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, extra="[ingest]\nwant_after_s = 1\n").start()
    try:
        with cloud.merchant("Corner Cafe", "anna"):
            box = cloud.box("Corner Cafe", "cafe-front-1")
            box.capture()
            box.seq = 4
            box.capture()
            box.acked([1, 5])
            box.wait(lambda: box.wanted, 15)
            assert [(w.epoch, w.first, w.last) for w in box.wanted[:1]] == [(box.epoch, 2, 4)]
    finally:
        cloud.close()


def test_a_box_that_was_away_gets_its_order_when_it_is_back(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, extra="[orders]\nresend_s = 1\n").start()
    try:
        with cloud.merchant("Corner Cafe", "anna") as cafe:
            secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            box = cloud.connect("cafe-front-1", secret)
            box.status()
            until(lambda: cafe.get("/v1/boxes").json()["boxes"][0]["online"])
            box.status(online=False)
            until(lambda: cafe.get("/v1/boxes").json()["boxes"][0]["online"] is False)
            order = cafe.post("/v1/orders", json={"kind": "dine_in", "items": [{"name": "Soup"}]}).json()["id"]
            box.capture()  # something goes round, and the order does not
            box.acked([1])
            assert cafe.get(f"/v1/orders/{order}").json()["state"] == "queued"
            assert box.orders.empty()
            box.status()
            assert box.orders.get(timeout=30).order == order
            assert until(lambda: box.orders.get(timeout=20)).order == order  # again, until the box says it has it
            box.report(order, "received")  # type: ignore[arg-type]
            until(lambda: cafe.get(f"/v1/orders/{order}").json()["state"] == "received")
    finally:
        cloud.close()


def test_what_a_line_that_died_unnoticed_swallowed_is_said_again_once_the_box_is_back(tmp_path: Path) -> None:
    """The box tells what it holds after each connect; the next try of its own would be half a minute away."""
    cloud = Cloud(tmp_path, extra="[orders]\nresend_s = 30\n").start()
    try:
        with cloud.merchant("Corner Cafe", "anna") as cafe:
            secret = cloud.command("box", "add", "Corner Cafe", "cafe-front-1")
            box = cloud.connect("cafe-front-1", secret)
            box.status()
            until(lambda: cafe.get("/v1/boxes").json()["boxes"][0]["online"])
            order = cafe.post("/v1/orders", json={"kind": "dine_in", "items": [{"name": "Soup"}]}).json()["id"]
            assert box.orders.get(timeout=30).order == order
            time.sleep(JUST_NOW_MS / 1000)
            box.publish("reports", new(Held, orders=[]))
            assert box.orders.get(timeout=20).order == order
    finally:
        cloud.close()


def test_an_order_that_waits_for_a_broker_that_is_away_is_told(tmp_path: Path) -> None:
    """What time does to orders needs no broker: whoever accepted one hears of it, though nothing can be sent."""
    cloud = Cloud(tmp_path, broker=f'url = "mqtt://127.0.0.1:{free_port()}"', extra="[orders]\nalert_s = 5\n").start()
    try:
        with cloud.merchant("Cafe", "ann") as api:
            cloud.command("box", "add", "Cafe", "front-desk-1")
            order = {"kind": "dine_in", "table": "7", "items": [{"name": "Tea", "quantity": 1}], "external_id": "1"}
            assert api.post("/v1/orders", json=order | {"channel": "api"}).status_code in (200, 201, 202)

            def alarms() -> list[str]:
                with sqlite3.connect(cloud.database) as database:
                    return [row[0] for row in database.execute("SELECT kind FROM alarms WHERE cleared_at IS NULL")]

            until(lambda: "order_waiting" in alarms(), 60)
    finally:
        cloud.close()
