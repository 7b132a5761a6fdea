"""docs/platform-api.md is run, command by command; the documents of the interfaces are whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cloud.__main__ import _parser
from config.cloud import CloudConfig
from tests.cloud.conftest import Cloud, until
from wire import messages, topics
from wire.messages import Proof

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("openssl")), reason="needs curl, jq and openssl"
)
def test_the_walk_through_the_platform_api_works_as_it_is_written(cloud: Cloud, tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / "platform-api.md").read_text())
    assert len(blocks) > 10
    shop = cloud.merchant("Walked Cafe", "walter")
    box = cloud.box("Walked Cafe", "walked-front-1")
    box.status()
    box.capture()
    until(lambda: [r for r in shop.get("/v1/receipts").json()["receipts"] if r["state"] == "read"])
    done = threading.Event()

    def print_all() -> None:
        while not done.is_set():
            try:
                box.print_order(box.orders.get(timeout=0.1).order, Proof.L2)
            except Exception:  # queue.Empty: nothing to print
                continue

    printer = threading.Thread(target=print_all)
    printer.start()
    steps = "".join(f"echo '--- {n}' >&2\n{block}" for n, block in enumerate(blocks))
    try:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", steps],
            cwd=tmp_path,
            env={**os.environ, "URL": cloud.url, "KEY": shop.headers["authorization"].split()[1]},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        done.set()
        printer.join()
    assert ran.returncode == 0, f"{ran.stderr[-1500:]}\n{ran.stdout[-1500:]}"
    assert "order.changed" in ran.stdout
    assert "CORNER CAFE" in ran.stdout
    assert (tmp_path / "receipt.png").read_bytes().startswith(b"\x89PNG")


def test_the_operators_commands_and_keys_exist(tmp_path: Path) -> None:
    text = (DOCS / "operator.md").read_text()
    words = re.findall(r"^tillwire-cloud --config \S+ (.*?)(?:  +#.*| &&.*)?$", text, re.MULTILINE)
    assert len(words) >= 8
    import shlex

    for line in words:
        _parser().parse_args(["--config", "F", *shlex.split(line.split(" #")[0])])
    for section, keys in re.findall(r"^\[(\w+)\]\n((?:\w+ = .*\n)+)", text, re.MULTILINE):
        for key in re.findall(r"^(\w+) =", keys, re.MULTILINE):
            assert hasattr(getattr(CloudConfig(), section), key), f"[{section}] {key}"


def test_the_asyncapi_document_has_every_topic_and_every_message(cloud: Cloud) -> None:
    document = httpx.get(f"{cloud.url}/v1/asyncapi.json").json()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == set(topics.UP + topics.DOWN) == set(document["operations"])
    address = document["channels"]["receipts"]["address"]
    assert address.format(shard=topics.shard_of("cafe-front-1"), box="cafe-front-1") == topics.up(
        "cafe-front-1", "receipts"
    )
    kinds = [kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, messages.Message)]
    schemas = document["components"]["schemas"]
    for kind in kinds:
        if kind is not messages.Message:
            assert set(schemas[kind.__name__]["properties"]) == {f.name for f in msgspec.structs.fields(kind)} | {"t"}
    for ref in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for step in ref.split("/"):
            found = found[step]
